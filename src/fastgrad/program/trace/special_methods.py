"""What Python does with objects of the user's classes: their special methods.

Python's operators and functions call these from compiled code, which no trace sees
into; here they run rewritten, as any other function of the user.
"""

from __future__ import annotations

import builtins
import collections
import functools
import inspect
import math
import operator
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from fastgrad.program.trace import calls, python_functions
from fastgrad.program.trace.foreign import Foreign
from fastgrad.program.trace.recording import Recording
from fastgrad.program.trace.stand_ins import itself
from fastgrad.program.trace.traced import Traced

_SIMPLE = frozenset(
    [list, tuple, dict, str, range, Traced, ModuleType, np.ndarray]
    + [float, int, bool, np.float64, type(None)]
)


def defined(recording: Recording, of: Any, name: str) -> Any:
    """What the user's class of an object defines under a name, if anything."""
    kind = type(of)
    if kind in _SIMPLE:
        return None
    key = (kind, name)
    if key not in recording.definitions:
        found = inspect.getattr_static(kind, name, None)
        recording.definitions[key] = found if _is_users(found) else None
    return recording.definitions[key]


def _is_users(found: Any) -> bool:
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, functools.cached_property):
        found = found.func
    elif not isinstance(found, FunctionType):
        found = inspect.getattr_static(type(found), "__get__", None)
    return isinstance(found, FunctionType) and calls.is_users(found)


# ---- operators -----------------------------------------------------------------------


def special(
    recording: Recording,
    site: Any,
    name: str,
    operation: Callable[..., Any],
    *operands: Any,
) -> Any:
    """An operator of objects."""
    operands = tuple([recording.dense_again(itself(recording, x)) for x in operands])
    x = operands[0]
    if Foreign in map(type, operands):
        return calls.call_opaque_at(recording, site, operation, *operands)
    if name == "mod" and isinstance(x, str):
        return operation(x, shown(operands[1]))
    for method, given in _methods(recording, name, operands):
        result = calls.call(recording, site, method, given, {})
        if result is not NotImplemented:
            return result
    return operation(*operands)


def _methods(
    recording: Recording, name: str, operands: Any
) -> Iterator[tuple[Any, Any]]:
    """The user's methods for an operator, in Python's order, and their arguments."""
    word = name.rstrip("_")
    found = defined(recording, operands[0], f"__{word}__")
    if found is not None:
        yield found, operands
    of_other = type(operands[0]) is not type(operands[-1]) or word in _REFLECTED
    if len(operands) == 2 and of_other:
        found = defined(recording, operands[1], _REFLECTED.get(word, f"__r{word}__"))
        if found is not None:
            yield found, operands[::-1]


_REFLECTED = {
    "lt": "__gt__",
    "le": "__ge__",
    "gt": "__lt__",
    "ge": "__le__",
    "eq": "__eq__",
    "ne": "__ne__",
}


def is_special(recording: Recording, name: str, *operands: Any) -> bool:
    """Whether the user's classes say what an operator does."""
    return next(_methods(recording, name, operands), None) is not None


def shown(x: Any) -> Any:
    """Numbers for a text: those at theta."""
    if isinstance(x, tuple):
        return tuple(map(shown, x))
    if type(x) is Traced:
        return x.node.value if x.ndim else float(x.node.value)
    return x


def truth(recording: Recording, site: Any, of: Any) -> Any:
    """What a condition asks for."""
    for name in ("__bool__", "__len__"):
        found = defined(recording, of, name)
        if found is not None:
            return calls.call(recording, site, found, (of,), {})
    return of


# ---- iteration -----------------------------------------------------------------------


def iterate(recording: Recording, site: Any, of: Any) -> Any:
    """``iter(of)``."""
    if type(of) is np.ndarray:
        return recording.turns(of)
    if type(of) is Foreign:
        return _elements(recording, site, of)
    found = defined(recording, of, "__iter__")
    if found is not None:
        of = calls.call(recording, site, found, (of,), {})
    found = defined(recording, of, "__next__")
    return of if found is None else _Iterator(recording, site, found, of)


def _elements(recording: Recording, site: Any, of: Foreign) -> Any:
    """What an object made of traced arrays gives when it is iterated over."""
    whole = calls.call_opaque_at(recording, site, list, of)
    if type(whole) is not Foreign:
        return whole
    at = functools.partial(calls.call_opaque_at, recording, site, operator.getitem)
    return [at(whole, i) for i in range(len(whole.held))]


class _Iterator:
    """An iterator of the user's."""

    def __init__(self, recording: Recording, site: Any, method: Any, of: Any) -> None:
        self._of = of
        self._next = functools.partial(calls.call, recording, site, method, (of,), {})

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._next()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


# ---- functions -----------------------------------------------------------------------


def _by_method(
    name: str, recording: Recording, site: Any, *args: Any, **kwargs: Any
) -> Any:
    found = defined(recording, args[0], name) if args else None
    if found is None:
        return NotImplemented
    return calls.call(recording, site, found, args, kwargs)


def _by_operator(
    name: str, operation: Any, recording: Recording, site: Any, *operands: Any
) -> Any:
    if not operands or not is_special(recording, name, *operands):
        return NotImplemented
    return special(recording, site, name, operation, *operands)


def _of_elements(
    function: Any, recording: Recording, site: Any, *args: Any, **kwargs: Any
) -> Any:
    """A function that goes through what it is given."""
    compared = function in (min, max) and len(args) > 1
    if compared or not any([_is_iterated(recording, x) for x in args]):
        return NotImplemented
    turns = [iterate(recording, site, x) for x in args]
    return calls.call(recording, site, function, tuple(turns), kwargs)


def _is_iterated(recording: Recording, of: Any) -> bool:
    names = ("__iter__", "__next__")
    return any([defined(recording, of, name) is not None for name in names])


def _bool(recording: Recording, site: Any, of: Any = False) -> Any:
    found = truth(recording, site, of)
    return NotImplemented if found is of else bool(found)


def _iter(recording: Recording, site: Any, of: Any, *until: Any) -> Any:
    if until or not _is_iterated(recording, of):
        return NotImplemented
    return iterate(recording, site, of)


def _next(recording: Recording, site: Any, of: Any, *default: Any) -> Any:
    if defined(recording, of, "__next__") is None:
        return NotImplemented
    return next(iterate(recording, site, of), *default)


def _reduce(
    recording: Recording, site: Any, function: Any, of: Any, *first: Any
) -> Any:
    def both(x: Any, y: Any) -> Any:
        return calls.call(recording, site, function, (x, y), {})

    return functools.reduce(both, iterate(recording, site, of), *first)


def _sum(recording: Recording, site: Any, of: Any = (), start: Any = 0) -> Any:
    if type(of) not in (list, tuple):
        if type(of) in (np.ndarray, Traced):
            return NotImplemented
        items = list(iterate(recording, site, of))
        return calls.call(recording, site, sum, (items, start), {})
    kinds = {type(x): x for x in of}.values()
    if not any([is_special(recording, "add", start, x) for x in kinds]):
        return NotImplemented
    add = functools.partial(special, recording, site, "add", operator.add)
    return functools.reduce(add, of, start)


_METHODS: dict[Any, str] = {
    builtins.abs: "__abs__",
    builtins.float: "__float__",
    builtins.int: "__int__",
    builtins.complex: "__complex__",
    builtins.len: "__len__",
    builtins.reversed: "__reversed__",
    builtins.round: "__round__",
    math.ceil: "__ceil__",
    math.floor: "__floor__",
    math.trunc: "__trunc__",
    operator.neg: "__neg__",
}
_OPERATORS = {
    builtins.divmod: "divmod",
    builtins.pow: "pow",
    **{
        getattr(operator, name): name
        for name in (
            *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
            *("lt", "le", "gt", "ge", "eq", "ne"),
        )
    },
}
_ITERATING = (
    *(list, tuple, set, frozenset, zip, enumerate, map, filter, sorted),
    *(min, max, any, all, collections.deque, math.fsum),
)
python_functions.OF_OBJECTS.update(
    {
        **{f: functools.partial(_by_method, name) for f, name in _METHODS.items()},
        **{
            f: functools.partial(_by_operator, name, f)
            for f, name in _OPERATORS.items()
        },
        **{f: functools.partial(_of_elements, f) for f in _ITERATING},
        builtins.bool: _bool,
        builtins.iter: _iter,
        builtins.next: _next,
        builtins.sum: _sum,
        functools.reduce: _reduce,
    }
)
