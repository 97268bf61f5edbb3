"""The user's own function has the last word on what a program measured.

A program is traced, and computes differences in its own way: a mistake in either would
pass for a property of the loss. So the function itself is called along random
directions, and its difference quotients have to agree with the derivatives that the
program gave, as far as its own noise lets them be known. One direction goes through
many blocks, each moved so far that all change the loss by as much: a block whose slopes
are small is seen as well as any other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import (
    PIECE,
    RUNGS,
    WITHIN,
    Calibration,
    direction_pairs,
    ladder,
    noise_along,
)
from fastgrad.checking.directions.bisection import Search, norm
from fastgrad.checking.judgement import KINK, Verdicts, steps_for, too_wide
from fastgrad.losses import Losses, keep_signs

_STEPS = RUNGS[1:8]
_FIRST = RUNGS[[5, 7, 8]]  # where noise and curvature are least; and closer, for kinks
_ALIKE = 10  # powers of two: blocks whose slopes differ by more are not moved together
_PARTS = 8  # of those that disagree, each with a direction of its own: more calls
_CLOSE = 1e-6  # of the derivative along the direction, typically


def first_disagreement(
    losses: Losses, found: Verdicts, calibration: Calibration, rng: np.random.Generator
) -> str | None:
    """Return the block along which function and program differ, if there is one.

    Costs two evaluations of the function where all blocks matter about as much. Where
    these do not settle it, four more, and some for each of at most eight directions.
    """
    function = losses.function
    if function is None or calibration.fixed is not None:
        return None
    seed, offsets = int(rng.integers(2**63)), losses.nest.offsets

    def draw() -> Array:
        again, u = np.random.default_rng(seed), np.zeros(int(offsets[-1]))
        for piece in found.pieces():
            moved = np.isfinite(piece.error) & (piece.kind != KINK)
            # of variance 1
            moves = moved * again.uniform(-(3**0.5), 3**0.5, len(moved))
            u[np.asarray(piece.index)] = moves
        calibration.scale.stretch(u)
        keep_signs(u, losses.theta, WITHIN / float(_STEPS[0]))
        return function.inward(u, float(_STEPS[0]))

    directions = _Directions.of(found, draw, offsets, alone=function.bounded)
    return _counted(losses, directions, calibration, rng)


def first_disagreement_along(
    losses: Losses,
    searches: list[Search],
    calibration: Calibration,
    rng: np.random.Generator,
) -> str | None:
    """Return the same for blocks that were searched, along their last directions."""
    if losses.function is None:
        return None
    slope = np.array([search.slope for search in searches])
    size = np.array([search.size for search in searches])
    directions = _Directions(
        lambda: np.concatenate([search.direction for search in searches]),
        losses.nest.offsets,
        slope,
        np.fmax(size, np.abs(slope)),
        np.array([search.error for search in searches]),
    )
    return _counted(losses, directions, calibration, rng)


def _counted(
    losses: Losses,
    directions: "_Directions",
    calibration: Calibration,
    rng: np.random.Generator,
) -> str | None:
    function = losses.function
    assert function is not None
    before = function.evaluations
    try:
        return _disagreement(function, directions, calibration, rng)
    finally:
        losses.evaluations += function.evaluations - before


def _disagreement(
    function: Losses,
    directions: "_Directions",
    calibration: Calibration,
    rng: np.random.Generator,
) -> str | None:
    noise = None
    for blocks in directions.alike():
        if _is_slope(function, *directions.through(blocks)):
            continue
        if noise is None:
            noise = noise_along(function, calibration.scale, rng)
            noise = max(noise, function.rounding)
        for part in np.array_split(blocks, min(_PARTS, len(blocks))):
            through = directions.through(part)
            if len(part) < len(blocks) and _is_slope(function, *through):
                continue
            if not _may_be_slope(function, *through, noise):
                return function.nest.names[int(part[0])]
    return None


@dataclass(frozen=True)
class _Directions:
    """A random direction, block by block; drawn anew whenever it is wanted.

    Attributes
    ----------
    draw : callable
        Returns the direction, shape (P,), which is then the caller's.
    offsets : ndarray of int64, shape (number of blocks + 1,)
        Where each block begins.
    slope, size, bar : ndarray of float64, shape (number of blocks,)
        What entries make of the derivative along each block, its typical size, and by
        how much it may typically be off.
    alone : bool
        Whether there may be no room to move a block further for the sake of others.
    """

    draw: Callable[[], Array]
    offsets: Index
    slope: Array
    size: Array
    bar: Array
    alone: bool = False

    @classmethod
    def of(
        cls,
        found: Verdicts,
        draw: Callable[[], Array],
        offsets: Index,
        *,
        alone: bool,
    ) -> "_Directions":
        """Return a direction with the slopes that were found."""
        u, blocks = draw(), len(offsets) - 1
        slope, size, bar = np.zeros((3, blocks))
        for b in range(blocks):
            for here in _pieces(int(found.edges[b]), int(found.edges[b + 1])):
                own = u[np.asarray(found.index[here])]
                terms, bars = (
                    np.where(own != 0, some[here], 0.0) * own
                    for some in (found.numerical, found.error)
                )
                slope[b] += terms.sum()
                size[b] = np.hypot(size[b], norm(terms))
                bar[b] = np.hypot(bar[b], norm(bars))
        first = [u]  # used up at once, for it is as large as theta
        again = lambda: first.pop() if first else draw()  # noqa: E731
        return cls(again, offsets, slope, size, bar, alone)

    def alike(self) -> Iterator[Index]:
        """Yield the blocks that have entries, those of about the same size together.

        What overflows is compared with nothing.
        """
        filled = np.flatnonzero((np.diff(self.offsets) > 0) & np.isfinite(self.size))
        with np.errstate(all="ignore"):
            below = np.log2(self.size[filled].max(initial=0.0) / self.size[filled])
            rank = np.where(self.size[filled] > 0, below // _ALIKE, np.inf)
        if self.alone:
            rank = np.arange(len(filled))
        for one in np.unique(rank):
            yield filled[rank == one]

    def through(self, blocks: Index) -> tuple[Array, float, float]:
        """Return the direction through some blocks, its slope, and what is close."""
        largest = float(self.size[blocks].max())
        with np.errstate(all="ignore"):
            weight = largest / self.size[blocks] if largest else np.ones(len(blocks))
        factors = np.zeros(len(self.size))
        factors[blocks] = weight
        direction = self.draw()
        for start, stop, factor in zip(
            self.offsets, self.offsets[1:], factors, strict=False
        ):
            direction[start:stop] *= factor
        close = _CLOSE * largest + float(norm(weight * self.bar[blocks]))
        return direction, float(weight @ self.slope[blocks]), close


def _pieces(start: int, stop: int) -> Iterator[slice]:
    for first in range(start, stop, PIECE):
        yield slice(first, min(first + PIECE, stop))


def _is_slope(function: Losses, direction: Array, slope: float, close: float) -> bool:
    """Whether a central difference says so, with no allowance for noise or bending."""
    for step in _FIRST:
        [quotient] = direction_pairs(function, direction, np.array([step])).central
        if abs(quotient - slope) <= close:
            return True
    return False


def _may_be_slope(
    function: Losses, direction: Array, slope: float, close: float, noise: float
) -> bool:
    """Whether a ladder of differences leaves it open."""
    pairs = direction_pairs(function, direction, _STEPS)[None]
    wide, change = too_wide(pairs)
    if wide[0] and slope:
        [steps] = steps_for(change, np.array([abs(slope)]))
        pairs = direction_pairs(function, direction, steps)[None]
    slopes = ladder(pairs, np.array([noise]))
    allowed = 2 * float(slopes.error[0]) + close
    off = abs(float(slopes.value[0]) - slope)
    return bool(slopes.kink[0]) or off <= allowed or np.isinf(allowed)
