"""Methods and in-place operators of traced arrays, in terms of NumPy's functions."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.program.sources import TraceError, current_trace
from fastgrad.program.trace.complexes import Complex
from fastgrad.program.trace.keys import tobytes
from fastgrad.program.trace.numpy_calls import call, call_ufunc
from fastgrad.program.trace.opaque import call_opaque
from fastgrad.program.trace.traced import Traced


def _method(function: Any) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return call(function, self, *args, **kwargs)

    method.__doc__ = f"As `numpy.{function.__name__}`."
    return method


def _shape_method(function: Any) -> Callable[..., Any]:
    """Transpose and reshape take their shape as one tuple or as several numbers."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) > 1 or (args and not isinstance(args[0], (tuple, list))):
            args = (args,) if args != (None,) else ()
        return call(function, self, *args, **kwargs)

    method.__doc__ = f"As `numpy.{function.__name__}`."
    return method


def _fill(self: Any, value: Any) -> None:
    """As `numpy.ndarray.fill`."""
    self[...] = value


def _compress(self: Any, condition: Any, axis: int | None = None) -> Any:
    """As `numpy.ndarray.compress`."""
    return call(np.compress, condition, self, axis)


def _sort(self: Any, axis: int = -1, **kwargs: Any) -> None:
    """As `numpy.ndarray.sort`."""
    self[...] = call(np.sort, self, axis, **kwargs)


def _view(self: Any, dtype: Any = None, type: Any = np.ndarray) -> Any:
    """As `numpy.ndarray.view`; of another class, an object made of it."""
    if isinstance(dtype, builtins.type) and issubclass(dtype, np.ndarray):
        dtype, type = None, dtype
    if self.live and dtype is None and type is not np.ndarray:
        return call_opaque(current_trace.get(), np.ndarray.view, (self, type), {})
    if type is not np.ndarray or not (dtype is None or np.dtype(dtype) == self.dtype):
        raise TraceError(f".view() as another dtype or class than {self.dtype}")
    return self[...]


_METHODS: dict[str, Callable[..., Any]] = {
    **{
        name: _method(getattr(np, name))
        for name in (
            *("sum", "mean", "max", "min", "prod", "var", "std", "cumsum", "cumprod"),
            *("argsort", "dot", "ravel", "swapaxes", "squeeze", "take", "repeat"),
            *("diagonal", "trace", "clip", "copy", "round", "conjugate"),
            *("any", "all", "argmax", "argmin", "nonzero", "searchsorted"),
        )
    },
    "conj": _method(np.conjugate),
    # of sparse matrices that are traced as dense ones
    **{
        f"to{kind}": lambda self, *args, **kwargs: self
        for kind in (
            *("array", "dense", "csr", "csc", "coo", "lil", "dia", "bsr", "dok"),
        )
    },
    "compress": _compress,
    "multiply": _method(np.multiply),
    "flatten": lambda self, *order: call(np.copy, call(np.ravel, self, *order)),
    "fill": _fill,
    "tobytes": tobytes,
    "sort": _sort,
    "view": _view,
    "reshape": _shape_method(np.reshape),
    "transpose": _shape_method(np.transpose),
}


def _in_place(symbol: str) -> Callable[..., Any]:
    operation = getattr(operator, f"__{symbol}__")

    def method(self: Traced, other: Any) -> Any:
        result = operation(self, other)
        if not self.live or not self.ndim:  # NumPy's scalars do not change
            return result
        if result.shape != self.shape:
            raise TraceError("an in-place operation that changes the shape")
        self.overwrite(result.node)
        return self

    return method


def install() -> None:
    """Give the arrays their methods."""
    Traced.call, Traced.call_ufunc = staticmethod(call), staticmethod(call_ufunc)
    for name, method in _METHODS.items():
        # By the one that of a plain array is found, by the other it is told.
        method.__name__, method.__qualname__ = name, f"ndarray.{name}"
        for owner in (Traced, Complex):
            setattr(owner, name, method)
    for name in (
        *("add", "sub", "mul", "truediv", "pow", "matmul", "mod", "floordiv"),
        *("and", "or", "xor"),
    ):
        setattr(Traced, f"__i{name}__", _in_place(name))
