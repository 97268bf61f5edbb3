"""The random generators that a loss may draw from, and which of them it has."""

from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any

import numpy as np


class Generators:
    """The random generators a function can reach, and which of them it has used."""

    def __init__(self, function: Any) -> None:
        self._reachable = dict(_reachable_generators(function))
        self._before = self._states()

    def moved(self) -> list[str]:
        """Return the names of those that are not where they were."""
        now = self._states()
        return [name for name in now if now[name] != self._before[name]]

    def _states(self) -> dict[str, Any]:
        states = {f"`{k}`": _frozen(g.state) for k, g in self._reachable.items()}
        own = _frozen(np.random.get_state())  # noqa: NPY002
        return states | {"NumPy's global generator": own}


def _frozen(state: Any) -> Any:
    """Return a copy of the state of a generator that compares by value."""
    if isinstance(state, Mapping):
        return {key: _frozen(value) for key, value in state.items()}
    if isinstance(state, tuple):
        return tuple(_frozen(value) for value in state)
    return state.tobytes() if isinstance(state, np.ndarray) else state


def _reachable_generators(function: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and bit generator of what a function finds by name or in self."""
    owner = getattr(function, "__self__", None)
    function = getattr(function, "__func__", function)
    found = dict(getattr(owner, "__dict__", {}))
    if isinstance(function, FunctionType):  # not what merely looks like one
        code = function.__code__
        names = set(code.co_names) & set(function.__globals__)
        found |= {name: function.__globals__[name] for name in names}
        cells = function.__closure__ or ()
        found |= {
            name: cell.cell_contents
            for name, cell in zip(code.co_freevars, cells, strict=True)
            if cell != type(cell)()
        }
    for name, value in found.items():
        if isinstance(value, np.random.Generator):
            yield name, value.bit_generator
        elif isinstance(value, np.random.RandomState):
            yield name, value._bit_generator
