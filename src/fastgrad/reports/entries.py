"""Entries of a gradient that are wrong, and a sequence of very many of them."""

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from fastgrad._arrays import Array
from fastgrad.params import entry_name


@dataclass(frozen=True)
class Entry:
    """One entry of the gradient that is wrong.

    Attributes
    ----------
    block : str
        Name of the block.
    index : tuple of int
        Place in the block.
    analytic, numerical : float
        The gradient that was given, and the one that was measured.
    error : float
        Error bar of `numerical`.
    """

    block: str
    index: tuple[int, ...]
    analytic: float
    numerical: float
    error: float

    @property
    def name(self) -> str:
        """``W1[3, 17]``."""
        return entry_name(self.block, self.index)

    @property
    def difference(self) -> float:
        """Analytic minus numerical."""
        return self.analytic - self.numerical


@dataclass(frozen=True, eq=False)
class Ladder:
    """Slopes of an entry that is wrong, by the step they were measured with.

    Attributes
    ----------
    name : str
        ``W1[3, 17]``.
    analytic, numerical : float
        The gradient that was given, and what the slopes tend to.
    step, slope : ndarray of float64, shape (n,)
        Central differences; nan where there is none.
    """

    name: str
    analytic: float
    numerical: float
    step: NDArray[np.float64]
    slope: NDArray[np.float64]


_AT_ONCE = 2**12  # entries that are made together


@dataclass(frozen=True, eq=False, repr=False)
class Entries(Sequence[Entry]):
    """Wrong entries, each made when it is looked at: there may be very many.

    Attributes
    ----------
    names, shapes : tuple
        Of the blocks.
    checked : sequence of int
        Entries that were checked, counted through all blocks in C order.
    order : ndarray of integers, shape (n,)
        Which of these are wrong.
    numbers : tuple of ndarray of float64
        Analytic, numerical, error bar of those that were checked.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    checked: Any
    order: NDArray[np.integer[Any]]
    numbers: tuple[Array, Array, Array]

    def __len__(self) -> int:
        return len(self.order)

    @overload
    def __getitem__(self, which: int) -> Entry: ...
    @overload
    def __getitem__(self, which: slice) -> "Entries": ...
    def __getitem__(self, which: int | slice) -> "Entry | Entries":
        order = self.order[which]
        if isinstance(which, slice):
            return replace(self, order=order)
        [entry] = self._made(np.atleast_1d(order))
        return entry

    def __iter__(self) -> Iterator[Entry]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self._made(self.order[start : start + _AT_ONCE])

    def _made(self, order: NDArray[np.integer[Any]]) -> list[Entry]:
        """Return some of the entries."""
        offsets = np.cumsum([0, *map(math.prod, self.shapes)])
        index = np.asarray(self.checked[order])
        block = np.searchsorted(offsets, index, side="right") - 1
        places = zip(block.tolist(), (index - offsets[block]).tolist(), strict=True)
        numbers = zip(*(part[order].tolist() for part in self.numbers), strict=True)
        return [
            Entry(self.names[b], _unraveled(place, self.shapes[b]), *of)
            for (b, place), of in zip(places, numbers, strict=True)
        ]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple | list | Entries):
            return NotImplemented
        return len(self) == len(other) and all(map(operator.eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{len(self):,} wrong entries, the worst first: {list(self[:3])}>"


def _unraveled(place: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the index at a place in C order."""
    index: list[int] = []
    for length in reversed(shape):
        place, at = divmod(place, length)
        index.append(at)
    return tuple(reversed(index))
