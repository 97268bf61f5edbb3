"""Which functions handle traced arrays as they do any other objects."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import Any

from fastgrad.program.trace.complexes import is_live
from fastgrad.program.trace.definitions import package_of

#: Of Python's own library: what handles traced arrays as any other objects.
_NEUTRAL = frozenset(
    ["builtins", "collections", "itertools", "functools", "operator", "copy", "types"]
    + ["dataclasses", "contextlib", "typing", "enum", "logging", "warnings", "abc"]
    + ["contextvars", "_contextvars", "_operator", "_functools", "_collections", "_io"]
    + ["io", "time", "heapq", "_heapq", "bisect", "_bisect", "threading", "weakref"]
    + ["gc", "inspect", "pprint", "sys", "collections.abc"]
)


def is_neutral(function: Any) -> bool:
    """Whether a function handles traced arrays as it does any others."""
    if isinstance(function, type):
        return function.__module__ in _NEUTRAL or not is_foreign(function)
    code = getattr(function, "__func__", function)
    if type(code) is FunctionType:
        return _of(code.__globals__.get("__name__", ""))
    module = getattr(function, "__module__", None) or type(function).__module__
    of = getattr(function, "__self__", None)
    if of is not None and not isinstance(of, ModuleType):
        module = type(of).__module__
    return _of(module)


def _of(module: str) -> bool:
    return module in _NEUTRAL or module.partition(".")[0] == "fastgrad"


def is_foreign(cls: type) -> bool:
    """Whether a class is of an installed package rather than the user's."""
    if _of(cls.__module__):  # such as named tuples, which look at who calls
        return False
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file is not None and package_of(file) is not None


def concerned(x: Any) -> bool:
    """Whether something traced is in these arguments, or among their elements."""
    if type(x) is float or type(x) is int:
        return False
    if isinstance(x, (list, tuple)):
        return any(map(concerned, x))
    if isinstance(x, dict):
        return any(map(concerned, x.values()))
    if type(x) in (zip, map, filter, enumerate, type(iter([]))):
        return True
    return is_live(x)
