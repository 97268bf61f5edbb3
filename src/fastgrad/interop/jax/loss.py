"""A JAX loss as fastgrad sees it: a function of named arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import refusal
from fastgrad.interop.jax.jaxpr import Line, evaluate, narrows
from fastgrad.program import TraceError, defining_line

Arrays = dict[str, NDArray[Any]]


class JaxLoss:
    """A JAX loss of named arrays.

    Parameters
    ----------
    loss : callable
        ``loss(params)`` returns an array or a number.
    params : pytree
        Leaves that are no floating point arrays stay as they are.
    derivative : callable
        ``jax.grad``, or ``jax.jacfwd`` for the gradient by forward mode.

    Attributes
    ----------
    arrays : dict of str to ndarray
        The parameters by name.
    wide : bool
        Whether they are float64; float32 where the loss does not take float64.
    """

    def __init__(
        self,
        loss: Callable[[Any], Any],
        params: Any,
        derivative: Callable[..., Any] = jax.grad,
    ) -> None:
        if not callable(loss):
            raise TypeError(f"`loss` must be callable, got {type(loss).__name__}.")
        self.loss = self.__wrapped__ = loss
        paths, self._tree = jax.tree_util.tree_flatten_with_path(params)
        self._leaves = [leaf for _, leaf in paths]
        self._names = [_name(path) for path, _ in paths]
        self._at = [i for i, leaf in enumerate(self._leaves) if is_parameter(leaf)]
        if not self._at:
            must = "be a pytree with a floating point array"
            raise refusal(TypeError, "params", must, params, _instead(self._leaves))
        self.arrays = self._as(np.float64)
        self.wide = self._is_wide()
        if not self.wide:
            self.arrays = self._as(np.float32)
        self._fast: Callable[..., Any] | None = jax.jit(self._of)
        self._backward = derivative(self._of, tuple(range(len(self.arrays))))
        self._fast_backward = jax.jit(self._backward)
        self._many = jax.jit(jax.vmap(self._of))

    def __call__(self, arrays: Arrays) -> Any:
        """Return the loss as an array."""
        with jax.enable_x64(self.wide):
            if self._fast is not None:
                try:
                    return _as_number(self._fast(*arrays.values()))
                except jax.errors.JAXTypeError:  # it looks at values
                    self._fast = None
            return _as_number(self._of(*arrays.values()))

    def in_numpy(self, recorded: Mapping[str, Any]) -> Any:
        """Return what the loss means in NumPy, of arrays that record."""
        (result,) = self.meaning(self._of, self.loss, recorded)
        return result

    def meaning(
        self, function: Any, users: Any, recorded: Mapping[str, Any]
    ) -> list[Any]:
        """Return what a function of the arrays, around one of the user's, means."""
        line = Line(defining_line(users))
        with jax.enable_x64(self.wide):
            try:
                closed = jax.make_jaxpr(function)(*self.arrays.values())
            except jax.errors.JAXTypeError as error:
                reason = str(error).splitlines()[0]
                raise TraceError(f"has no jaxpr: {reason}", line.source) from error
            return evaluate(closed, list(recorded.values()), line)

    def batched(self, stacked: Arrays) -> Any:
        """Return the losses at many points: every array has a leading axis."""
        count = len(next(iter(stacked.values())))
        # A power of two, so that few shapes are compiled.
        rows = np.minimum(np.arange(1 << (count - 1).bit_length()), count - 1)
        with jax.enable_x64(self.wide):
            losses = self._many(*(array[rows] for array in stacked.values()))
        return np.asarray(losses)[:count]

    def gradient(self, arrays: Arrays) -> Arrays:
        """Return the gradient by `derivative`."""
        with jax.enable_x64(self.wide):
            backward = self._backward if self._fast is None else self._fast_backward
            grads = backward(*map(jax.numpy.asarray, arrays.values()))
        return dict(zip(arrays, map(np.asarray, grads), strict=True))

    def named(self, grads: Any) -> Arrays:
        """Return gradients as they were given, by name, as arrays."""
        return dict(zip(self.arrays, map(np.asarray, self.matched(grads)), strict=True))

    def matched(self, grads: Any) -> list[Any]:
        """Return gradients as they were given, by parts, as dL/dRe + i dL/dIm."""
        if grads is None:
            raise TypeError("`grads` returned None: is its `return` missing?")
        leaves, tree = jax.tree_util.tree_flatten(grads)
        if not len(leaves) == len(self._at) != len(self._leaves):
            if tree != self._tree:
                raise ValueError(
                    f"`grads` must be built as `params`, {self._tree}, got {tree}."
                )
            leaves = [leaves[i] for i in self._at]
        return list(map(_gradient, leaves))

    def _as(self, dtype: type) -> Arrays:
        return {
            self._names[i]: np.array(in_parts(self._leaves[i]), dtype=dtype)
            for i in self._at
        }

    def _is_wide(self) -> bool:
        """Whether the loss takes float64, and keeps it to the end."""
        try:
            with jax.enable_x64(True):
                return not narrows(jax.make_jaxpr(self._of)(*self.arrays.values()))
        except jax.errors.JAXTypeError:
            return True  # it looks at values
        except TypeError as error:  # `jax.lax` wants all data in one dtype
            return "dtype" not in str(error)

    def _of(self, *arrays: Any) -> Any:
        return self.loss(self.rebuilt(arrays))

    def rebuilt(self, arrays: Sequence[Any]) -> Any:
        """Return the parameters with these arrays in them."""
        leaves = list(self._leaves)
        for i, array in zip(self._at, arrays, strict=True):
            array = jax.numpy.asarray(array)
            leaves[i] = whole(array) if _is_complex(leaves[i]) else array
        return jax.tree_util.tree_unflatten(self._tree, leaves)


def _as_number(result: Any) -> NDArray[Any] | None:
    """What a loss returned, as an array."""
    if isinstance(result, tuple | list | dict):
        raise refusal(
            TypeError,
            "loss",
            "return one number",
            result,
            ": its gradient is taken here, write it without `value_and_grad`, and "
            "without what `has_aux` adds",
        )
    return None if result is None else np.asarray(result)


def is_parameter(leaf: Any) -> bool:
    """Whether it is a floating point or complex array, or such a number."""
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return isinstance(leaf, float | complex)
    try:
        return bool(jax.numpy.issubdtype(dtype, jax.numpy.inexact))
    except TypeError:  # of another library
        return False


def _instead(leaves: Sequence[Any]) -> str:
    """What to write where none of these is a parameter."""
    if any(hasattr(leaf, "detach") for leaf in leaves):
        return ": use `fastgrad.interop.torch.check_gradient`"
    if any(hasattr(leaf, "astype") for leaf in leaves):
        return ": write `.astype(float)`"
    return ""


def _is_complex(leaf: Any) -> bool:
    dtype = jax.numpy.result_type(leaf)
    return bool(jax.numpy.issubdtype(dtype, jax.numpy.complexfloating))


def in_parts(leaf: Any) -> Any:
    """Real and imaginary parts along a last axis, if there are."""
    if not _is_complex(leaf):
        return leaf
    return jax.numpy.stack([jax.numpy.real(leaf), jax.numpy.imag(leaf)], -1)


def whole(parts: Any) -> Any:
    """The complex array of these parts."""
    return jax.lax.complex(parts[..., 0], parts[..., 1])


def _gradient(leaf: Any) -> Any:
    """A gradient by parts, of one as JAX has it: dL/dRe - i dL/dIm."""
    if isinstance(leaf, jax.core.Tracer):
        return in_parts(jax.numpy.conj(leaf))
    return in_parts(np.conj(leaf))


def _name(path: Any) -> str:
    """The keys to a leaf, joined with dots."""
    keys = (
        getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))
        for key in path
    )
    return ".".join(map(str, keys)) or "params"
