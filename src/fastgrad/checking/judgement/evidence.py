"""What is known about each entry, and what that makes of it.

Nothing is called wrong but what is outside twice its error bar, and nothing is called
correct where an error of the entry's own size could hide in the bar.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences import EPS, PIECE, RUNGS, Calibration
from fastgrad.checking.judgement.gradient import Gradient
from fastgrad.program import Source

Kinds = NDArray[np.uint8]

CORRECT, WRONG, UNDECIDED, KINK, UNOBSERVABLE = range(5)

FEW = 6  # entries looked at before the rest, where each takes long
AGREED = 0.25  # of the discrepancy: what another loss has to agree with a gradient by

# Of an entry: a wider bar decides nothing. Of a block: what is smaller may be lost in
# low precision, which leaves such bars.
DECISIVE = 0.1
COARSE = 2.0**-27  # of the loss: more noise than that is low precision
# Roundings of its largest terms that a gradient may be off by, and that may be left of
# them where it is zero.
ROUNDINGS, LEFT = 32.0, 100.0
TINY = 1e-12  # changes of the loss that may be the rounding of the gradient


@dataclass(frozen=True)
class Jump:
    """Where the loss jumps because a loop runs once more or less.

    Attributes
    ----------
    distance : float
        From theta, in units of the direction.
    size : float
        Of the jump of the loss.
    share : float
        Of the slope, by which it changes there.
    line : str
        That runs another number of times, as ``file.py, line 12``.
    """

    distance: float
    size: float
    share: float
    line: str

    def slack(self, slope: float) -> float:
        """Return by how much a slope along the direction may be off."""
        return max(2 * self.size / self.distance, self.share * slope)


class Rough(NamedTuple):
    """Over which steps the loss is smooth, with another slope than over smaller ones.

    Attributes
    ----------
    entry : int
        Moved by these steps.
    below, up_to : float
        Over smaller steps than `below` it is another loss.
    height : float
        What the loss is off by over a step of `below`.
    meant : bool
        Whether the gradient has the slope of the larger steps.
    """

    entry: int
    below: float
    up_to: float
    height: float
    meant: bool


@dataclass(slots=True)
class Judgement:
    """What is known about the entries that were checked; one element for each.

    Attributes
    ----------
    index, block : ndarray of int64
        The entries and their blocks.
    analytic, numerical, error : ndarray of float64
        The gradient under test, the derivative measured, and its error bar.
    tolerance : ndarray of float64
        What the arithmetic of the gradient itself may be off by.
    floor : ndarray of float64
        An analytic derivative below this is zero but for rounding.
    resolution : ndarray of float64
        A derivative below this is lost in arithmetic of low precision.
    unit : ndarray of float64
        A change of the entry that matters, to compare entries of a block by.
    response : ndarray of float64
        The steepest one-sided slope seen.
    jump : ndarray of float64
        By how much the two one-sided slopes of the first pass differ.
    bend : ndarray of float64
        At a kink, by how much the slope to the right is more than that to the left.
    crossed : ndarray of bool
        Whether the program saw a kink between the two points.
    kind : ndarray of uint8
        `CORRECT`, `WRONG`, `UNDECIDED`, `KINK` or `UNOBSERVABLE`.
    """

    index: Index
    block: Index
    analytic: Array
    numerical: Array
    error: Array
    tolerance: Array
    floor: Array
    resolution: Array
    unit: Array
    response: Array
    jump: Array
    bend: Array
    crossed: Flags
    kind: Kinds

    @property
    def drowned(self) -> Flags:
        """Whether rounding hides what is not zero, or need not be."""
        seen = (self.size > self.floor) | (np.abs(self.numerical) > self.error)
        seen |= (self.analytic != 0) & (self.error > self.size)
        drowned: Flags = (self.kind == UNOBSERVABLE) & seen
        return drowned

    @property
    def off(self) -> Array:
        """By how much the two derivatives differ."""
        with np.errstate(all="ignore"):
            return np.abs(self.analytic - self.numerical)

    @property
    def size(self) -> Array:
        """The larger of the two."""
        return np.fmax(np.abs(self.analytic), np.abs(self.numerical))

    @property
    def zero(self) -> Flags:
        """Whether both are zero, as far as can be told."""
        with np.errstate(all="ignore"):
            zero: Flags = np.abs(self.analytic) <= self.floor
            zero &= self.size <= self.error + self.tolerance
        return zero & np.isfinite(self.numerical)

    @property
    def decisive(self) -> Flags:
        """Whether the bar is small beside the slope.

        At a stationary point that is zero, and the loss still responds.
        """
        zero = self.zero
        with np.errstate(all="ignore"):
            doubt = np.where(zero, self.error + self.tolerance, self.error)
            small: Flags = doubt <= DECISIVE * np.where(zero, self.response, self.size)
        return small


class Effects:
    """How large the gradient is in each block, as changes of the loss.

    Compared across entries in this way, so that units do not matter: an entry on a
    scale of its own is excused no more than the one that matters most.

    Attributes
    ----------
    largest, typical, leading : ndarray of float64, shape (number of blocks,)
        The largest effect of an entry moved by its scale, the root mean square of
        them, and the scale of the entry with the largest.
    """

    def __init__(
        self, gradient: Gradient, calibration: Calibration, index: Any
    ) -> None:
        blocks = len(gradient.eps)
        self.largest, self.typical, self.leading = np.zeros((3, blocks))
        edges = calibration.block.edges(index)
        for b, (start, stop) in enumerate(itertools.pairwise(edges.tolist())):
            squares = 0.0  # of the effects, over the largest so far
            for first in range(start, stop, PIECE):
                here = np.asarray(index[first : min(first + PIECE, stop)])
                scale = calibration.scale[here]
                with np.errstate(all="ignore"):
                    effect = np.abs(gradient.value[here]) * scale
                effect[~np.isfinite(effect)] = 0.0
                largest = float(effect.max())
                if largest > self.largest[b]:
                    squares *= (self.largest[b] / largest) ** 2
                    self.largest[b], self.leading[b] = largest, 0.0
                if self.largest[b]:
                    leads = scale[effect == self.largest[b]]
                    self.leading[b] = leads.max(initial=self.leading[b])
                    share = effect / self.largest[b]
                    squares += float(share @ share)
            self.typical[b] = np.sqrt(squares / max(stop - start, 1)) * self.largest[b]


def allowances(
    gradient: Gradient,
    calibration: Calibration,
    effects: Effects,
    index: Index,
    numerical: Array,
) -> tuple[Array, Array, Array, Array]:
    """Return tolerance, floor, resolution and unit of sorted entries.

    See `Judgement`.
    """
    block, scale = calibration.block[index], calibration.scale[index]
    if block.size and block[0] == block[-1]:
        block = block[:1]  # one for all
    size, eps = np.abs(gradient.value[index]), gradient.eps
    largest = effects.largest
    largest_of_all = max(largest.max(initial=0.0), calibration.curvature)
    with np.errstate(all="ignore"):
        unit = np.maximum(scale, effects.leading[block])
        floor = (LEFT * eps * largest_of_all)[block] / unit
        tolerance = gradient.rtol[block] * np.fmax(size, np.abs(numerical))
        tolerance += (ROUNDINGS * eps * largest)[block] / unit
        coarse = calibration.noise > COARSE * max(calibration.base, largest.max())
        coarse |= eps > EPS
        lost = DECISIVE * np.where(coarse, effects.typical, 0.0)
    return tolerance, floor, lost[block] / unit, unit


def classify(entries: Judgement) -> Kinds:
    """Return the kind of each entry from its numbers; kinks are not seen here."""
    a, error, off, size = entries.analytic, entries.error, entries.off, entries.size
    with np.errstate(all="ignore"):
        near = off <= error + entries.tolerance
        zero, decisive = entries.zero, entries.decisive
        wrong = (off > 2 * error + entries.tolerance) | ~np.isfinite(a)
        # So small that rounding hides its sign: its own, or that of the loss.
        lost = (entries.tolerance > size) & ~zero
        hidden = near & ~decisive & (size + error <= entries.resolution)
    kind = np.full(len(a), UNDECIDED, dtype=np.uint8)
    kind[zero | (near & lost) | hidden] = UNOBSERVABLE
    kind[near & decisive & ~lost & (size + entries.response > 0)] = CORRECT
    kind[wrong] = WRONG
    return kind


def take(entries: Judgement, which: Index | Flags) -> Judgement:
    """Return some of the entries, as copies."""
    which = np.flatnonzero(which) if which.dtype == bool else which
    return Judgement(
        *(getattr(entries, name)[which] for name in Judgement.__dataclass_fields__)
    )


def from_everywhere(count: int, most: int) -> Index:
    """Return places among so many, at most some, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


class Ladders(NamedTuple):
    """Slopes of some entries by the step they were measured with.

    Attributes
    ----------
    entry : ndarray of int64, shape (k,)
        The entries.
    step, slope : ndarray of float64, shape (k, rungs)
        Half the distance of the two points, and the central difference there.
    """

    entry: Index
    step: Array
    slope: Array

    @classmethod
    def none(cls) -> "Ladders":
        """Of no entries."""
        return cls(np.empty(0, dtype=np.int64), *np.empty((2, 0, len(RUNGS))))


@dataclass(slots=True)
class Verdicts:
    """What is kept of the entries that were checked; one element for each, in order.

    Attributes
    ----------
    index : ndarray of integers, or Every
        The entries.
    analytic, numerical, error, kind
        See `Judgement`.
    tolerance : Tolerances
        The same, found when it is asked for.
    edges : ndarray of int64, shape (number of blocks + 1,)
        Where each block begins among them, and where the last ends.
    controls : Judgement
        A correct entry of every block that has one, or a few: those known least well.
    open : Judgement
        Entries of which nothing is verified, and that are not simply zero.
    jump : Jump or None
        Of a loss that iterates until something is small.
    rough : Rough or None
        Of a loss that is another one over small steps than over larger ones.
    condition : float or None
        Of a matrix that the loss inverts, if that leaves entries open.
    cancels : Source or None
        Where terms of the loss cancel, if that leaves entries open.
    zero : ndarray of bool, shape (number of blocks,)
        Whether all entries of a block were measured, and are zero.
    bent : ndarray of int64
        Entries that are wrong where the loss has a kink.
    ladders : Ladders
        Of entries that were tried again.
    """

    index: Any
    analytic: Array
    numerical: Array
    error: Array
    tolerance: Any
    kind: Kinds
    edges: Index
    controls: Judgement
    open: Judgement
    jump: Jump | None
    rough: Rough | None
    condition: float | None
    cancels: Source | None
    zero: Flags
    bent: Index
    ladders: Ladders

    def of_block(self, b: int) -> "Verdicts":
        """Return the entries of one block, as views."""
        here = slice(int(self.edges[b]), int(self.edges[b + 1]))
        return self._part(here, np.array([0, here.stop - here.start]))

    def pieces(self) -> Iterator["Verdicts"]:
        """Yield them piece by piece, where a pass over all would take memory."""
        for start in range(0, len(self.kind), PIECE):
            yield self._part(slice(start, start + PIECE), self.edges)

    def _part(self, here: slice, edges: Index) -> "Verdicts":
        return Verdicts(
            self.index[here],
            self.analytic[here],
            self.numerical[here],
            self.error[here],
            self.tolerance.part(here),
            self.kind[here],
            edges,
            self.controls,
            self.open,
            self.jump,
            self.rough,
            self.condition,
            self.cancels,
            self.zero,
            self.bent,
            self.ladders,
        )


def joined(parts: Sequence[Judgement]) -> Judgement:
    """Return some entries after each other."""
    names = Judgement.__dataclass_fields__
    return Judgement(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in names)
    )
