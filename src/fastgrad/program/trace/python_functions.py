"""Python's own functions of traced arrays.

What they ask about an array (its kind), they are told as of the plain array; what they
do with it is done in operations of the program, and what they act on is guarded.
"""

from __future__ import annotations

import builtins
import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.program.trace.complexes import Complex
from fastgrad.program.trace.foreign import Foreign
from fastgrad.program.trace.traced import Traced


def kind(x: Any) -> type:
    """The type that a traced value stands for."""
    if isinstance(x, Complex):
        return np.ndarray if x.ndim else np.complex128
    if not isinstance(x, Traced):
        return type(x)
    return np.ndarray if x.ndim else x.dtype.type


def _isinstance(x: Any, classes: Any) -> bool:
    if isinstance(x, (Traced, Complex)):
        # A value without axes may be a scalar or an array: what it is asked for.
        return issubclass(kind(x), classes) or (
            not x.ndim and issubclass(np.ndarray, classes)
        )
    return isinstance(x.held if type(x) is Foreign else x, classes)


def _type(*args: Any, **kwargs: Any) -> Any:
    if len(args) == 1 and isinstance(args[0], (Traced, Complex)):
        return kind(args[0])
    return type(*args, **kwargs)


#: Of any arguments, traced or not.
ABOUT: dict[Any, Callable[..., Any]] = {
    builtins.isinstance: _isinstance,
    builtins.type: _type,
    builtins.len: len,
    builtins.id: id,
    np.isscalar: lambda x: np.isscalar(x) or (isinstance(x, Traced) and not x.ndim),
    builtins.print: lambda *args, **kwargs: print(*map(_shown, args), **kwargs),
}


def _shown(x: Any) -> Any:
    return str(x) if isinstance(x, (Traced, Complex)) else x


#: Those that look into objects: what is done instead, NotImplemented if nothing else.
OF_OBJECTS: dict[Any, Callable[..., Any]] = {}

# ---- with traced arguments -----------------------------------------------------------


def _int(call: Any, x: Any = 0, *base: Any) -> Any:
    return int(x, *base) if base else int(_single(x))


def _single(x: Any) -> Any:
    return np.reshape(x, ()) if np.ndim(x) and np.size(x) == 1 else x


def _sum(call: Any, iterable: Any, /, start: Any = 0) -> Any:
    return functools.reduce(operator.add, iterable, start)


def _map(call: Any, function: Any, *iterables: Any) -> Any:
    return (call(function, *values) for values in zip(*iterables, strict=False))


def _filter(call: Any, function: Any, iterable: Any) -> Any:
    return (x for x in iterable if (x if function is None else call(function, x)))


def _whole(function: Any) -> Callable[..., Any]:
    return lambda call, x: int(function(x))


def entry(table: dict[Any, Callable[..., Any]], function: Any) -> Any:
    """What a table says about a function; None if nothing."""
    try:
        return table.get(function)
    except TypeError:  # a callable object without a hash
        return None


_WRITING = (
    *(np.copyto, np.fill_diagonal, np.put, np.place, np.putmask),
    np.put_along_axis,
)


def writes(function: Any) -> bool:
    """Whether a function changes its first argument."""
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        return bool(function.__name__ == "at")
    return any(function is writing for writing in _WRITING)


MEANINGS: dict[Any, Callable[..., Any]] = {
    builtins.int: _int,
    builtins.bool: lambda call, x=False: bool(x),
    builtins.sum: _sum,
    builtins.map: _map,
    builtins.filter: _filter,
    builtins.memoryview: lambda call, x: x,
    builtins.abs: lambda call, x: np.abs(x),
    operator.index: lambda call, x: operator.index(x),
    operator.getitem: lambda call, x, key: x[key],
    math.floor: _whole(np.floor),
    math.ceil: _whole(np.ceil),
    math.trunc: _whole(np.trunc),
    math.isnan: lambda call, x: bool(x != x),
    math.isinf: lambda call, x: bool(np.abs(x) == math.inf),
    math.isfinite: lambda call, x: bool(np.abs(x) < math.inf),
}
