"""What is known of a function of a library, whatever it is called with."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from types import BuiltinFunctionType, ModuleType
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings import meaning_of
from fastgrad.program.trace import numpy_calls, python_functions
from fastgrad.program.trace.neutral import is_neutral
from fastgrad.program.trace.python_functions import entry

#: Kinds of functions that are no user's.
COMPILED = frozenset([BuiltinFunctionType, np.ufunc, type(np.sum)])
#: What takes elements one by one, as they are asked for; by id, for what is looked up
#: may have no hash.
_LAZY = frozenset(
    id(x)
    for x in (zip, enumerate, iter, map, filter, *vars(itertools).values())
    if callable(x)
)


class Known:
    """A function and what to do instead of calling it, each looked up once.

    Parameters
    ----------
    function : callable
        Held, for it is known by its id.
    """

    def __init__(self, function: Any) -> None:
        self.function = function
        #: Whether it takes elements as they are asked for.
        self.lazy = id(function) in _LAZY
        #: What it is of any arguments, see `python_functions`.
        self.of_object = entry(python_functions.OF_OBJECTS, function)
        self.about = entry(python_functions.ABOUT, function)
        #: Whether it handles traced arrays as it does any others.
        self.neutral = is_neutral(function)

    # ---- with traced arrays

    @functools.cached_property
    def writes(self) -> bool:
        """Whether it changes its first argument."""
        return python_functions.writes(self.function)

    @functools.cached_property
    def own(self) -> Callable[..., Any] | None:
        """What it is among Python's functions."""
        return entry(python_functions.MEANINGS, self.function)  # type: ignore[no-any-return]

    @functools.cached_property
    def meaning(self) -> Callable[..., Any] | None:
        """What it is in terms of other functions."""
        return meaning_of(self.function)

    @functools.cached_property
    def numpys(self) -> Callable[..., Any] | None:
        """What it is among the functions of NumPy that make operations."""
        of = getattr(self.function, "__self__", None)
        if isinstance(self.function, np.ufunc):
            return functools.partial(numpy_calls.call_ufunc, self.function, "__call__")
        if isinstance(of, np.ufunc):
            name = self.function.__name__
            return functools.partial(numpy_calls.call_ufunc, of, name)
        if numpy_calls.is_known(self.function):
            return functools.partial(numpy_calls.call, self.function)
        return None


def lasts(function: Any) -> bool:
    """Whether it is the same object each time it is looked up: no method of another."""
    of = getattr(function, "__self__", None)
    return of is None or type(of) is ModuleType
