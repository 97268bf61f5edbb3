"""The random generators that a loss may draw from, and which of them it has."""

import random
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

import numpy as np

_FUNCTIONS = 256  # that are looked into: more take time


class Generators:
    """The random generators a function can reach, and which of them it has used."""

    def __init__(self, function: Any) -> None:
        self._reachable = list(_reachable_generators(function))
        self._before = self._states()

    def moved(self) -> list[str]:
        """Return the names of those that are not where they were."""
        pairs = zip(self._before, self._states(), strict=True)
        return list(dict.fromkeys(name for (name, a), (_, b) in pairs if a != b))

    def _states(self) -> list[tuple[str, Any]]:
        states = [(f"`{name}`", _frozen(g.state)) for name, g in self._reachable]
        own = _frozen(np.random.get_state())  # noqa: NPY002
        of_python = ("the generator of `random`", random.getstate())
        return [*states, ("NumPy's global generator", own), of_python]


def _frozen(state: Any) -> Any:
    """Return a copy of the state of a generator that compares by value."""
    if isinstance(state, Mapping):
        return {key: _frozen(value) for key, value in state.items()}
    if isinstance(state, tuple):
        return tuple(_frozen(value) for value in state)
    return state.tobytes() if isinstance(state, np.ndarray) else state


def _reachable_generators(function: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and bit generator of what a function and those it calls find."""
    ahead, seen = deque([function]), set[int]()
    while ahead and len(seen) < _FUNCTIONS:
        function = ahead.popleft()
        if id(function) in seen:
            continue
        seen.add(id(function))
        for name, value in _found_by(function):
            if isinstance(value, np.random.Generator):
                yield name, value.bit_generator
            elif isinstance(value, np.random.RandomState):
                yield name, value._bit_generator
            elif isinstance(value, FunctionType | MethodType | partial):
                ahead.append(value)


def _found_by(function: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a function finds by name, in self, or among its arguments."""
    if isinstance(function, partial):
        yield "func", function.func
        yield from (("args", value) for value in function.args)
        yield from function.keywords.items()
    owner = getattr(function, "__self__", None)
    yield from getattr(owner, "__dict__", {}).items()
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):  # not what merely looks like one
        return
    code = function.__code__
    names = set(code.co_names) & set(function.__globals__)
    yield from ((name, function.__globals__[name]) for name in names)
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    empty = CellType()
    yield from ((name, cell.cell_contents) for name, cell in cells if cell != empty)
