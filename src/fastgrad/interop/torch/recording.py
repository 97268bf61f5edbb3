"""A torch function as a program: its aten operations, given their meaning in NumPy.

`Recorder` sees every operation below autograd, modules and the forward passes of custom
`autograd.Function`s included. It runs the operation, computes its meaning (`aten`) on
the arrays that record, and compares the two values. What has no meaning is taken apart
by torch's own decompositions, or is called as it is. Tensors that share memory are kept
together, so that writing into one shows in the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch._decomp import decomposition_table
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from fastgrad.interop.meanings import (
    asked,
    called,
    depends,
    put,
    same_value,
)
from fastgrad.interop.torch import aten
from fastgrad.program import Traced, TraceError, calling_line, spoken

PACKAGE = os.path.join(os.path.dirname(os.path.abspath(torch.__file__)), "")

#: Where a tensor lies in its memory: offset, shape, strides, all in elements, and the
#: bytes of one.
Place = tuple[int, tuple[int, ...], tuple[int, ...], int]


_NOT_MEANT = (TypeError, ValueError, ArithmeticError, LookupError)


class Recorder(TorchDispatchMode):
    """While it is active, what torch computes from these tensors is recorded.

    Parameters
    ----------
    known : iterable of (tensor, recorded array)
        The parameters.
    """

    def __init__(self, known: Iterable[tuple[torch.Tensor, Any]]) -> None:
        super().__init__()
        self._memories: dict[int, _Memory] = {}
        for tensor, value in known:
            self._keep(tensor, value)

    def value(self, x: Any) -> Any:
        """Return what was recorded for a tensor; the tensor itself if nothing was."""
        if not isinstance(x, torch.Tensor):
            return x
        memory = self._memories.get(_storage(x))
        if memory is None:
            return x
        value = memory.read(_place(x))
        if x.is_conj():  # what lies there is not conjugated, nor negated
            value = np.conj(value)
        return np.negative(value) if x.is_neg() else value

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run one operation and record it if it depends on the parameters."""
        kwargs = kwargs or {}
        name = func._schema.name.partition("::")[2]
        given = pytree.tree_map(self.value, (list(args), kwargs))
        if name in aten.OF_SHAPE or not depends(pytree.tree_leaves(given)):
            return func(*args, **kwargs)
        source = calling_line(PACKAGE)
        with spoken(f"torch.{name.strip('_')}", source):
            given = pytree.tree_map(asked, given)
            if func._schema.is_mutable:
                return self._write(func, name, args, kwargs, given)
            meaning = aten.meaning(name, func._overloadname)
            if meaning is None:
                with self:
                    out = _taken_apart(func, args, kwargs)
                if out is not NotImplemented:
                    return out
            out = func(*args, **kwargs)
            self._record(func, name, meaning, given, out)
            return out

    def _record(self, func: Any, name: str, meaning: Any, given: Any, out: Any) -> None:
        if meaning is None and _is_view(func):
            return  # read where it lies
        given = pytree.tree_map(_constant, given)
        pairs = _meant(meaning, given, out) if meaning else None
        if pairs is None:
            tensors = [
                x for x in pytree.tree_leaves(out) if isinstance(x, torch.Tensor)
            ]
            device = tensors[0].device if tensors else None
            pairs = _pairs(out, _called(func, name, given, device))
        for tensor, value in pairs:
            self._keep(tensor, _as_whole(value) if _is_whole(tensor) else value)

    def _write(self, func: Any, name: str, args: Any, kwargs: Any, given: Any) -> Any:
        """Run an operation that writes into its first argument."""
        target = args[0]
        if torch.Tag.inplace_view in func.tags:
            return func(*args, **kwargs)  # the same memory, seen in another way
        filling = name in aten.FILLING and not depends(pytree.tree_leaves(given[0][1:]))
        if name == "copy_" or filling:
            memory = self._memory_before(target)
            new: Any = None if filling else _constant(given[0][1])
            func(*args, **kwargs)
            value = _constant(target) if filling else new
            memory.write(_place(target), np.broadcast_to(value, tuple(target.shape)))
            return target
        functional = getattr(torch.ops.aten, name.rstrip("_"), None)
        if not name.endswith("_") or functional is None:
            raise TraceError(f"torch.{name} has no meaning here")
        with self:
            new = getattr(functional, func._overloadname)(*args, **kwargs)
            return target.copy_(new)

    def _memory_before(self, target: torch.Tensor) -> _Memory:
        """The memory of a tensor about to be written into."""
        memory = self._memories.get(_storage(target))
        if memory is None:
            memory = self._memories[_storage(target)] = _Memory(target)
            memory.flat = _constant(target.as_strided([memory.size], [1], 0))
        return memory

    def _keep(self, tensor: torch.Tensor, value: Any) -> None:
        """Remember what the result of an operation holds."""
        memory = self._memories.setdefault(_storage(tensor), _Memory(tensor))
        memory.views[_place(tensor)] = value


class _Memory:
    """The memory of some tensors: what it holds, and what they are known to hold."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._storage = tensor.untyped_storage()  # kept, so that its number stays his
        self._itemsize = tensor.element_size()
        self.size = self._storage.nbytes() // self._itemsize
        self.flat: Any = None
        self.views: dict[Place, Any] = {}

    def read(self, place: Place) -> Any:
        """Return the tensor that lies there."""
        if place not in self.views:
            self.views = {at: asked(value) for at, value in self.views.items()}
            self.views[place] = self._all()[self._positions(place)]
        return self.views[place]

    def write(self, place: Place, value: Any) -> None:
        """Overwrite the tensor that lies there."""
        self.flat = put(self._all(), self._positions(place), value)
        self.views = {place: value}

    def _all(self) -> Any:
        """Everything, from the views; what none of them covers is never looked at."""
        if self.flat is None:
            self.flat = np.zeros(self.size)
            for place, value in self.views.items():
                self.flat = put(self.flat, self._positions(place), value)
        return self.flat

    def _positions(self, place: Place) -> Any:
        offset, shape, strides, itemsize = place
        if itemsize != self._itemsize:
            raise TraceError("looks at the memory of a tensor in another dtype")
        everything = np.arange(self.size)[offset:]
        step = everything.itemsize
        return np.lib.stride_tricks.as_strided(
            everything, shape, [step * stride for stride in strides]
        )


def _taken_apart(func: Any, args: Any, kwargs: Any) -> Any:
    """What an operation gives, by simpler ones; NotImplemented where torch has none."""
    if func in decomposition_table:
        out = decomposition_table[func](*args, **kwargs)
        if out is not NotImplemented:
            return out
    return func.decompose(*args, **kwargs)


def _called(func: Any, name: str, given: Any, device: Any) -> Any:
    """An operation without a meaning: torch is called, on the device it ran on."""
    leaves, structure = pytree.tree_flatten(given)
    at = [i for i, x in enumerate(leaves) if isinstance(x, Traced | np.ndarray)]

    def function(*arrays: Any) -> Any:
        moved = list(leaves)
        for i, array in zip(at, arrays, strict=True):
            moved[i] = torch.as_tensor(array, device=device)
        args, kwargs = pytree.tree_unflatten(moved, structure)
        out = func(*args, **kwargs)
        several = isinstance(out, list | tuple)
        return [_constant(x) for x in out] if several else _constant(out)

    return called(f"torch.{name}", function, *(leaves[i] for i in at))


def _is_whole(tensor: torch.Tensor) -> bool:
    """Whether it holds integers, which are constants between guards."""
    return (
        not tensor.is_floating_point()
        and not tensor.is_complex()
        and (tensor.dtype is not torch.bool)
    )


def _as_whole(value: Any) -> Any:
    return value.astype("int64") if isinstance(value, Traced) else value


def _is_view(func: Any) -> bool:
    return any(returned.alias_info is not None for returned in func._schema.returns)


def _storage(tensor: torch.Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except NotImplementedError:  # sparse tensors have none
        return id(tensor)


def _place(tensor: torch.Tensor) -> Place:
    shape, strides = tuple(tensor.shape), tensor.stride()
    return tensor.storage_offset(), shape, strides, tensor.element_size()


def _constant(x: Any) -> Any:
    """A copy of a tensor as an array; anything else as it is."""
    if not isinstance(x, torch.Tensor):
        return x
    wide = x.double() if x.dtype == torch.bfloat16 else x
    return wide.numpy(force=True).copy()


def _meant(meaning: Any, given: Any, out: Any) -> Any:
    """Tensors with their meanings; None where that is not what torch computes."""
    try:
        with np.errstate(all="ignore"):
            pairs = _pairs(out, meaning(*given[0], **given[1]))
    except _NOT_MEANT:  # called in a way that the table does not know
        return None
    right = all(
        same_value(value, _constant(tensor))
        for tensor, value in pairs
        if isinstance(value, Traced)
    )
    return pairs if right else None


def _pairs(out: Any, meanings: Any) -> list[tuple[torch.Tensor, Any]]:
    """Tensors that an operation gave, each with its meaning."""
    if isinstance(out, torch.Tensor):
        return [(out, meanings)]
    if not isinstance(out, list | tuple):
        return []  # a number of Python
    return [
        pair
        for pair in zip(out, meanings, strict=False)
        if isinstance(pair[0], torch.Tensor)
    ]
