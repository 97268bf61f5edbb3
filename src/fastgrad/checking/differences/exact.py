"""One evaluation an entry, where the losses are differences without cancellation.

A compiled program forms the difference of a loss operation by operation, by identities
that do not cancel, however small the step. One step so small that neither curvature nor
a kink comes into play then gives the derivative to the last digits. Whether that holds
is measured, on a few entries of each block: on the other side, at a larger step, and by
a ladder of steps of ordinary size, which knows nothing of it.
"""

import dataclasses
import math

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences.pairs import (
    CLOSE,
    EPS,
    RATIO,
    SURE,
    Slopes,
    entry_pairs,
)
from fastgrad.checking.differences.scales import Scale, binary
from fastgrad.losses import Losses

# Of the entry: its last digits but a few, so that theta + h is exact.
FINE = EPS * RATIO**2
_MULTIPLES = FINE * np.array([7.0, 5.0, 3.0])
INVERTING = frozenset({"solve", "det", "logabsdet", "cholesky"})
_LEAST = math.ulp(0.0)  # of a difference: what it is rounded to


def exact_bars(
    losses: Losses, index: Index, scale: Scale, owner: Index, known: Slopes, blocks: int
) -> Array | None:
    """Return the error bars of exact slopes, times the scale, for each block.

    Parameters
    ----------
    losses : Losses
    index, owner : ndarray of int64, shape (n,)
        A sample of entries, and their blocks.
    scale : Scale
    known : Slopes
        Of each, by a ladder of steps.
    blocks : int

    Returns
    -------
    ndarray of float64, shape (blocks,), or None
        None if the differences are not exact.
    """
    steps = binary(scale.own(index)[:, None], FINE * np.array([RATIO, 1.0]))
    pairs = entry_pairs(losses, index, steps)
    smooth = ~known.kink & losses.reads(index)
    if pairs.crossed is not None:
        smooth &= ~pairs.crossed.any(axis=1)
    if not smooth.any():
        return None
    with np.errstate(all="ignore"):
        slope, beside = pairs.forward[:, 1], pairs.backward[:, 1]
        spread = np.abs(slope - pairs.forward[:, 0]) + np.abs(slope - beside)
        size, spread = np.abs(slope) * scale[index], spread * scale[index]
        largest = np.zeros(blocks)
        np.maximum.at(largest, owner, size)
        least = _LEAST / steps[:, 1] * scale[index]
        exact = spread <= CLOSE * (size + 1e-3 * largest[owner]) + least
        off = np.abs(slope - known.value)
        exact &= off <= 2 * known.error + CLOSE * np.abs(slope)
    if not exact[smooth].all():
        return None
    bars = np.zeros(blocks)
    np.maximum.at(bars, owner[smooth], spread[smooth])
    unseen = np.setdiff1d(np.arange(blocks), owner[smooth])
    bars[unseen] = bars.max()
    return SURE * bars  # what the worst of a few entries may be exceeded by


def exact_slopes(
    losses: Losses, index: Index, scale: Scale, bars: Array, side: float = 1.0
) -> tuple[Array, Array, Flags]:
    """Return slopes to one side, their bars, and where a kink is at the point.

    One evaluation each; `bars` are those of their blocks.
    """
    x = losses.theta[index]
    step = side * binary(scale.own(index), np.array(FINE))
    value = losses.representable(index, x + step)
    with np.errstate(all="ignore"):
        difference, crossed = losses.at_entries(index, value)
        slope = difference / (value - x)
        error = bars / scale[index] + 64 * EPS * np.abs(slope)
        error += _LEAST / np.abs(step)
    if crossed is None:
        crossed = np.zeros(len(index), dtype=bool)
    return slope, np.where(np.isfinite(slope), error, np.inf), crossed


def sharpened(losses: Losses, index: Index, known: Slopes, scale: Scale) -> Slopes:
    """Return slopes, better known where exact ones are within their bars.

    An entry may be far below the noise of a ladder, or the bar of its block. Its own is
    by how much slopes at small steps differ: of multiples that round in other ways.
    """
    steps = binary(scale.own(index))[:, None] * _MULTIPLES
    pairs = entry_pairs(losses, index, steps)
    slopes = np.concatenate([pairs.forward, pairs.backward], axis=1)
    with np.errstate(all="ignore"):
        value = slopes.mean(axis=1)
        error = SURE * np.ptp(slopes, axis=1) + 64 * EPS * np.abs(value)
        better = ~known.kink & (error < known.error) & (value != 0)
        better &= np.abs(value - known.value) <= known.error
    if pairs.crossed is not None:
        better &= ~pairs.crossed.any(axis=1)
    return dataclasses.replace(
        known,
        value=np.where(better, value, known.value),
        error=np.where(better, error, known.error),
    )


def has_one_course(losses: Losses) -> bool:
    """Whether the course of the loss does not depend on the parameters.

    Then rounding of the gradient is of the order of its largest terms, times the
    condition of what it inverts.
    """
    program = losses.program
    if program is None:
        return False
    return not program.guards and not program.python_operations
