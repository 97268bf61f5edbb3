"""A torch loss as fastgrad sees it: a function of named float64 arrays.

While it is checked, the parameters themselves hold float64 copies of their values, in
memory shared with those arrays: a loss that reads a module's parameters sees them move,
whatever it is given. Afterwards they hold what they held, the same memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from fastgrad.interop.order import weights
from fastgrad.interop.torch.recording import Recorder
from fastgrad.params import matching, named_leaves, rebuild
from fastgrad.program import around

Arrays = dict[str, NDArray[np.float64]]

_WIDE = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
    torch.complex32: torch.complex128,
}
#: A check lends the tensors to itself: checks in other threads wait.
_TURN = threading.RLock()


class InFloat64(TorchDispatchMode):
    """While it is active, whatever torch computes in less than float64 is float64.

    Tensors that are written into, and views, stay what they are.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run one operation on wider tensors, and widen what it makes."""
        kwargs = kwargs or {}
        wide_args, wide_kwargs = pytree.tree_map(_widen, (args, kwargs))
        if func._schema.is_mutable:
            return func(args[0], *wide_args[1:], **kwargs)
        if any(returned.alias_info is not None for returned in func._schema.returns):
            return func(*args, **kwargs)
        return pytree.tree_map(_widen_tensor, func(*wide_args, **wide_kwargs))


def _widen(x: Any) -> Any:
    return _WIDE.get(x, x) if isinstance(x, torch.dtype) else _widen_tensor(x)


def _widen_tensor(x: Any) -> Any:
    wide = _WIDE.get(x.dtype) if isinstance(x, torch.Tensor) else None
    return x if wide is None else x.to(wide)


def _widen_inputs(module: torch.nn.Module, inputs: Any) -> Any:
    """Before modules that look at dtypes themselves, as recurrent ones do."""
    return pytree.tree_map(_widen_tensor, inputs)


class TorchLoss:
    """A torch loss of named float64 arrays; active within a ``with`` statement.

    Parameters
    ----------
    loss : callable
        ``loss(params)`` returns a tensor or a number.
    params : torch.nn.Module, tensor, or nest of tensors

    Attributes
    ----------
    tensors : dict of str to Tensor
        The parameters by name.
    arrays : dict of str to ndarray of float64
        Their values; moving them moves what the loss sees. Complex ones have real and
        imaginary parts along a last axis.
    unused : list of str
        Parameters without a gradient, after `gradient`.
    """

    def __init__(self, loss: Callable[[Any], Any], params: Any) -> None:
        if not callable(loss):
            raise TypeError(f"`loss` must be callable, got {type(loss).__name__}.")
        self.loss = self.__wrapped__ = loss
        self.params = params
        self.tensors = _parameters(params)
        self.arrays: Arrays = {}
        self.unused: list[str] = []
        self._others = _buffers(params)
        self._held: list[tuple[torch.Tensor, torch.Tensor, bool]] = []
        self._hooks: list[Any] = []

    def __enter__(self) -> Self:
        _TURN.acquire()
        try:
            self._lend()
        except BaseException:
            self._take_back()
            raise
        return self

    def _lend(self) -> None:
        """Put float64 copies where the parameters and buffers are."""
        different = {id(tensor): tensor for tensor in self.tensors.values()}
        values = {
            key: _as_real(_widen_tensor(tensor.detach().cpu())).numpy().copy()
            for key, tensor in different.items()
        }
        self.arrays = {n: values[id(t)] for n, t in self.tensors.items()}
        for tensor in different.values():
            self._held.append((tensor, tensor.data, tensor.requires_grad))
        for module in _modules(self.params):
            self._hooks.append(module.register_forward_pre_hook(_widen_inputs))
        for tensor in self._others:
            self._held.append((tensor, tensor.data, tensor.requires_grad))
            tensor.data = _widen_tensor(tensor.data.clone())
        self._share()
        for tensor in self.tensors.values():
            if tensor.grad_fn is None:
                tensor.requires_grad_(True)

    def __exit__(self, *_: object) -> None:
        self._take_back()

    def _take_back(self) -> None:
        for tensor, data, requires_grad in self._held:
            tensor.data = data
            if tensor.grad_fn is None:
                tensor.requires_grad_(requires_grad)
        self._held.clear()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        _TURN.release()

    def __call__(self, arrays: Arrays) -> Any:
        """Return the loss as an array."""
        self._share()
        with torch.no_grad(), InFloat64():
            return _as_array(self._call())

    def in_numpy(self, recorded: Mapping[str, Any]) -> Any:
        """Return what the loss means in NumPy, of arrays that record."""
        with torch.enable_grad(), self.recorder(recorded) as recorder, InFloat64():
            result = self._call()
        return recorder.value(result)

    def recorder(self, recorded: Mapping[str, Any]) -> Recorder:
        """Return what records functions of the parameters, of arrays that record."""
        self._share()
        return Recorder(
            (tensor, _recorded(recorded[name], tensor))
            for name, tensor in self.tensors.items()
        )

    def batched(self, stacked: Arrays) -> Any:
        """Return the losses at many points: every array has a leading axis."""
        tensors = {
            name: self._tensor(name, array.copy()) for name, array in stacked.items()
        }
        with torch.no_grad(), InFloat64():
            return _as_array(torch.func.vmap(self._of)(tensors))

    def gradient(self, arrays: Arrays | None = None) -> Arrays:
        """Return the gradient by torch's own backward; zeros for unused parameters."""
        self._share()
        found = self.slopes()
        self.unused = [name for name, grad in found.items() if grad is None]
        return {
            name: np.zeros(self.arrays[name].shape)
            if grad is None
            else _as_array(_as_real(grad))
            for name, grad in found.items()
        }

    def slopes(self) -> dict[str, torch.Tensor | None]:
        """Return the gradient as tensors; None for unused parameters."""
        tensors = list(self.tensors.values())
        with torch.enable_grad(), InFloat64():
            loss = self._call()
            if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
                raise ValueError(
                    "`loss` must return a tensor that requires grad, got "
                    f"{type(loss).__name__}: give `grads`, or do not detach it."
                )
            if loss.numel() != 1:
                raise ValueError(
                    "`loss` must return one number for torch's own backward, got shape "
                    f"{tuple(loss.shape)}."
                )
            grads = torch.autograd.grad(loss.sum(), tensors, allow_unused=True)
        return dict(zip(self.tensors, grads, strict=True))

    def named(self, grads: Any) -> Arrays:
        """Return gradients as they were given, by name, as arrays."""
        return {n: _as_array(_as_real(grad)) for n, grad in self.matched(grads).items()}

    def matched(self, grads: Any) -> dict[str, Any]:
        """Return gradients as they were given, by name."""
        if isinstance(self.params, torch.nn.Module):
            return _of_module(grads, self.tensors)
        labelled = list(matching(self.params, grads, "grads", "params"))
        leaves = dict(zip(_names(self.params), labelled, strict=True))
        return {name: leaves[name][0] for name in self.tensors}

    def _call(self) -> Any:
        try:
            return self.loss(self.params)
        except RuntimeError as error:
            if "does not require grad" in str(error):
                error.add_note(
                    "fastgrad: `loss` is called without gradients, and differentiated "
                    "by fastgrad: return it before `.backward()`."
                )
            if "dtype" in str(error):
                error.add_note(
                    "fastgrad: everything is computed in float64; operations that look "
                    "at dtypes themselves need data in float64, as of `x.double()`."
                )
            raise

    def _share(self) -> None:
        """Let the parameters hold the arrays' values."""
        for name, tensor in self.tensors.items():
            shared = self._tensor(name, self.arrays[name])
            if tensor.data_ptr() != shared.data_ptr() or tensor.dtype != shared.dtype:
                tensor.data = shared

    def _tensor(self, name: str, array: NDArray[np.float64]) -> torch.Tensor:
        """An array as a tensor like that parameter; in the same memory on the CPU."""
        tensor, like = torch.from_numpy(array), self.tensors[name]
        tensor = torch.view_as_complex(tensor) if like.is_complex() else tensor
        return tensor.to(like.device)

    def _of(self, tensors: dict[str, torch.Tensor]) -> Any:
        """The loss of other tensors than the parameters themselves."""
        if isinstance(self.params, torch.nn.Module):
            call = _Call(self.loss, self.params)
            given = {f"module.{name}": tensor for name, tensor in tensors.items()}
            return torch.func.functional_call(call, given, ())
        leaves = dict(named_leaves(self.params)) | tensors
        return self.loss(rebuild(self.params, iter(leaves.values())))


def weighted_gradient(loss: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The gradient of a loss as one number, its entries weighted at random."""

    def slopes(params: Any) -> Any:
        tensors = list(_parameters(params).values())
        with torch.enable_grad():
            found = torch.autograd.grad(
                loss(params), tensors, create_graph=True, allow_unused=True
            )
            grads = [
                torch.view_as_real(grad.resolve_conj()) if grad.is_complex() else grad
                for grad in found
                if grad is not None
            ]
            by = weights(tuple(grad.shape) for grad in grads)
            with around(loss):
                terms = [
                    (torch.from_numpy(w).to(grad) * grad).sum()
                    for w, grad in zip(by, grads, strict=True)
                ]
                # A gradient that is constant is one of zero, not none.
                return sum(terms, sum((0 * torch.real(x)).sum() for x in tensors))

    slopes.__wrapped__ = loss  # type: ignore[attr-defined]
    return slopes


class _Call(torch.nn.Module):
    """A module whose forward pass is a loss of another module."""

    def __init__(self, loss: Callable[[Any], Any], module: torch.nn.Module) -> None:
        super().__init__()
        self.module, self._loss = module, loss

    def forward(self) -> Any:
        return self._loss(self.module)


def _parameters(params: Any) -> dict[str, torch.Tensor]:
    """Named tensors that have a gradient; other leaves stay as they are."""
    if isinstance(params, torch.nn.Module):
        found = {n: p for n, p in params.named_parameters() if p.requires_grad}
        what = "a module with a parameter that requires grad"
    else:
        found = {
            name: leaf
            for name, leaf in named_leaves(params)
            if isinstance(leaf, torch.Tensor)
            and (leaf.is_floating_point() or leaf.is_complex())
        }
        what = "a torch.nn.Module or a nest with a floating point tensor"
    if not found:
        kind = getattr(params, "dtype", None)
        got = type(params).__name__ + (f" of {kind}" if kind is not None else "")
        raise TypeError(f"`params` must be {what}, got {got}{_instead(params)}.")
    for name, tensor in found.items():
        if tensor.layout is not torch.strided:
            raise TypeError(f"`params` must be dense, got {tensor.layout} in {name}.")
    return found


def _instead(params: Any) -> str:
    """What to write where parameters are what people often have."""
    library = type(params).__module__.partition(".")[0]
    if isinstance(params, Iterator):
        return ": give the module itself, or `list(...)` of its parameters"
    if isinstance(params, torch.Tensor):
        return ": write `.double()`"
    if library in ("numpy", "jax", "jaxlib"):
        door = "interop.jax." * (library != "numpy")
        return f": use `fastgrad.{door}check_gradient`, or `torch.tensor(...)` of it"
    is_function = callable(params) and not isinstance(params, torch.nn.Module)
    return ": the order is (loss, params, grads)" * is_function


def _names(params: Any) -> list[str]:
    return [name for name, _ in named_leaves(params)]


def _modules(params: Any) -> list[torch.nn.Module]:
    return list(params.modules()) if isinstance(params, torch.nn.Module) else []


def _buffers(params: Any) -> list[torch.Tensor]:
    return list(params.buffers()) if isinstance(params, torch.nn.Module) else []


def _of_module(grads: Any, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """The gradients of a module's parameters, by name or in their order."""
    if isinstance(grads, list | tuple):
        if len(grads) != len(tensors):
            raise ValueError(
                f"`grads` must have {len(tensors)} members, one for each parameter, "
                f"got {len(grads)}."
            )
        grads = dict(zip(tensors, grads, strict=True))
    if not isinstance(grads, Mapping):
        raise TypeError(
            "`grads` must be a dict by the names of `named_parameters`, got "
            f"{type(grads).__name__}."
        )
    if set(grads) != set(tensors):
        raise ValueError(
            f"`grads` must have the keys of `named_parameters`, {list(tensors)}, got "
            f"{list(grads)}."
        )
    return {name: grads[name] for name in tensors}


def _as_real(x: Any) -> Any:
    """Real and imaginary parts along a last axis, if there are."""
    if not isinstance(x, torch.Tensor) or not x.is_complex():
        return x
    return torch.view_as_real(x.detach().resolve_conj())


def _recorded(array: Any, tensor: torch.Tensor) -> Any:
    """What a parameter holds, of the array that records it."""
    return array[..., 0] + 1j * array[..., 1] if tensor.is_complex() else array


def _as_array(x: Any) -> Any:
    """A tensor as an array, in its own dtype where NumPy has it."""
    if not isinstance(x, torch.Tensor):
        return x
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy(force=True)
