"""Entries of a gradient that are wrong, and a sequence of very many of them."""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, eq=False, repr=False)
class Entries(Sequence[Entry]):
    """Wrong entries, each made when it is looked at: there may be very many.

    Attributes
    ----------
    names, shapes : tuple
        Of the blocks.
    block, place : ndarray of int64, shape (n,)
        The block of each entry, and its place there in C order.
    numbers : ndarray of float64, shape (3, n)
        Analytic, numerical, error bar.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    block: NDArray[np.int64]
    place: NDArray[np.int64]
    numbers: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.block)

    @overload
    def __getitem__(self, which: int) -> Entry: ...
    @overload
    def __getitem__(self, which: slice) -> "Entries": ...
    def __getitem__(self, which: int | slice) -> "Entry | Entries":
        block, place = self.block[which], self.place[which]
        numbers = self.numbers[:, which]
        if isinstance(which, slice):
            return Entries(self.names, self.shapes, block, place, numbers)
        name, shape = self.names[block], self.shapes[block]
        where = tuple(int(i) for i in np.unravel_index(place, shape))
        return Entry(name, where, *numbers.tolist())

    def __iter__(self) -> Iterator[Entry]:
        where: list[tuple[int, ...]] = [()] * len(self)
        for b in np.unique(self.block).tolist():
            here = np.flatnonzero(self.block == b)
            axes = np.unravel_index(self.place[here], self.shapes[b] or (1,))
            found = zip(*(axis.tolist() for axis in axes), strict=True)
            for k, index in zip(here.tolist(), found, strict=True):
                where[k] = index if self.shapes[b] else ()
        every = zip(self.block.tolist(), where, self.numbers.T.tolist(), strict=True)
        for b, index, numbers in every:
            yield Entry(self.names[b], index, *numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple | list | Entries):
            return NotImplemented
        return len(self) == len(other) and all(map(operator.eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{len(self):,} wrong entries, the worst first: {list(self[:3])}>"
