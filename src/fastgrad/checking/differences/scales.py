"""How far entries are moved: sizes of changes that matter, and steps.

Nothing here is kept for every entry: it follows from the parameters when it is asked
for.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._arguments import number, refusal
from fastgrad._arrays import Array, Index
from fastgrad.params import Nest, spread

PIECE = 2**15  # entries that are looked at at once: more take memory
_TYPICAL = 2**14  # entries of a block that stand for all: more take time
WITHIN = 0.95  # of an entry: how far it is moved at most, where it is to keep its sign
_LEAST = float(np.finfo(float).tiny)  # of an entry that is moved by a part of itself


@dataclass(frozen=True, slots=True)
class Every:
    """The entries from `start` to before `stop`: an array of them in no memory."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            first, last, _ = which.indices(len(self))
            return Every(self.start + first, self.start + max(first, last))
        which = np.asarray(which)
        chosen = np.flatnonzero(which) if which.dtype == bool else which
        return self.start + chosen

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Index:
        return np.arange(self.start, self.stop)


def places(index: Index | Every, entries: Index) -> Index:
    """Return where in an ascending index entries stand, or would."""
    if isinstance(index, Every):
        return np.clip(entries, index.start, index.stop) - index.start
    return np.searchsorted(index, entries)


def typical(start: int, stop: int) -> Index:
    """Return some of the entries from `start` to before `stop` that stand for all."""
    # An odd distance: rows are mostly even.
    return np.arange(start, stop, (stop - start) // _TYPICAL | 1)


class Scale:
    """The size of a change that matters, for each entry: ``scale[index]``.

    That is its own size or the typical one of its block, whichever is larger: an entry
    of a weight matrix near zero by chance is moved as the others are. A block whose
    entries span many decades has no typical size, and each entry its own.
    """

    def __init__(self, theta: Array, offsets: Index) -> None:
        self._theta, self._offsets = theta, offsets
        blocks = len(offsets) - 1
        self._least, self._of_zero = np.zeros(blocks), np.zeros(blocks)
        for b, (start, stop) in enumerate(itertools.pairwise(offsets)):
            sizes = np.abs(theta[typical(start, stop)])
            sizes = sizes[sizes > 0]
            if sizes.size:
                median, small = np.quantile(sizes, [0.5, 0.1])
                spans_decades = sizes.size > 1 and small < 0.02 * median
                self._of_zero[b] = median
                self._least[b] = 0.0 if spans_decades else median
        known = self._of_zero[self._of_zero > 0]
        default = float(np.median(known)) if known.size else 1.0
        self._of_zero[self._of_zero == 0] = default

    def __len__(self) -> int:
        return len(self._theta)

    def __getitem__(self, index: Index | slice) -> Array:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self._theta))
            scale = np.ones(max(stop - start, 0))
            self.stretch(scale, start)
            return scale[::step]
        block = Owner(self._offsets)[index]
        size = np.maximum(np.abs(self._theta[index]), self._least[block])
        zero = size == 0
        if zero.any():
            size[zero] = self._of_zero[block[zero]]
        return size

    def own(self, index: Index) -> Array:
        """Return the sizes of the entries themselves; their scales where that is zero.

        Over steps that are small against that an entry keeps its sign, and a function
        that is another beyond zero, or has a pole there, its course.
        """
        size = np.maximum(np.abs(self._theta[index]), _LEAST)
        zero = self._theta[index] == 0
        size[zero] = self[index[zero]]
        return size

    def stretch(self, direction: Array, begin: int = 0) -> None:
        """Multiply a direction by the scales from entry `begin` on, in place."""
        end = begin + len(direction)
        for b, (start, stop) in enumerate(itertools.pairwise(self._offsets.tolist())):
            for first in range(max(start, begin), min(stop, end), PIECE):
                here = slice(first, min(first + PIECE, stop, end))
                size = np.maximum(np.abs(self._theta[here]), self._least[b])
                size[size == 0] = self._of_zero[b]
                direction[here.start - begin : here.stop - begin] *= size


class Given:
    """Steps that were asked for: ``given[index]``; all the same, or one for each entry.

    Attributes
    ----------
    asked : float or nest
        As they were given.
    """

    def __init__(self, asked: Any, each: Array | None) -> None:
        self.asked, self._each = asked, each

    @classmethod
    def of(cls, nest: Nest, step: Any) -> "Given | None":
        """Return the steps that an argument `step` asks for.

        Raises
        ------
        TypeError, ValueError
            Unless it is a positive number, or built like the parameters of such.
        """
        if step is None:
            return None
        if not isinstance(step, Mapping | list | tuple) and np.ndim(step) == 0:
            return cls(number("step", step, above=0), None)
        each = spread(nest, step, "step")
        bad = np.flatnonzero(~((each > 0) & np.isfinite(each)))
        if bad.size:
            where = nest.label(int(bad[0]))
            got = float(each[bad[0]])
            raise refusal(ValueError, "step", f"be positive at {where}", got)
        return cls(step, each)

    def __getitem__(self, index: Index | slice) -> Array:
        if self._each is not None:
            return self._each[index]
        return np.full(np.shape(index), float(self.asked))  # type: ignore[arg-type]

    def of_columns(self, column: Index) -> "Given":
        """Return the steps of entries that move these."""
        each = None if self._each is None else self._each[column]
        return Given(self.asked, each)


class Step:
    """The step for each entry, ``step[index]``: relative to its scale, or fixed."""

    def __init__(
        self, scale: Scale, owner: "Owner", relative: Array, fixed: Given | None
    ) -> None:
        self._scale, self._owner = scale, owner
        self._relative, self._fixed = relative, fixed

    def __getitem__(self, index: Index | slice) -> Array:
        if self._fixed is not None:
            if isinstance(index, slice):
                index = np.arange(len(self._scale))[index]
            return self._fixed[index]
        scale = self._scale[index]
        return binary(scale, self._relative[self._owner[index]])


class Owner:
    """The block of each entry: ``owner[index]``."""

    def __init__(self, offsets: Index) -> None:
        self._offsets = offsets

    def __getitem__(self, index: Index | slice) -> Index:
        if isinstance(index, slice):
            index = np.arange(*index.indices(int(self._offsets[-1])))
        if index.size:  # mostly of one block, which takes no search to see
            first, last = self._find(index.min()), self._find(index.max())
            if first == last:
                return np.full(index.shape, first)
        return self._find(index)

    def edges(self, index: Index | Every) -> Index:
        """Return where each block begins among sorted entries, and the last ends."""
        return places(index, self._offsets)

    def _find(self, index: Any) -> Index:
        block: Index = np.searchsorted(self._offsets, index, side="right") - 1
        return block


def keeping_sign(scale: Array, theta: Array, times: float) -> Array:
    """Return scales, shrunk so that no entry changes its sign so many times as far.

    Beyond zero a loss may be another, or never return: a loop that ends for positive
    numbers alone. An entry that is zero has no sign to keep.
    """
    own = np.abs(theta)
    return np.where(own > 0, np.minimum(scale, WITHIN / times * own), scale)


def binary(size: Array, relative: Array | float = 1.0) -> Array:
    """Return `relative * size` as powers of two, so that theta +- h is exact."""
    part, power = np.frexp(relative * size)
    step: Array = np.ldexp(1.0, power - (part < 0.5**0.5))
    return step
