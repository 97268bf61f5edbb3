"""The user's own function has the last word on what a program measured.

A program is traced, and computes differences in its own way: a mistake in either would
pass for a property of the loss. So the function itself is called along random
directions through each block, and its difference quotients have to agree with the
derivatives that the program gave, as far as its own noise lets them be known.
"""

import itertools

import numpy as np

from fastgrad.checking.differences import RUNGS, Array, direction_pairs, ladder
from fastgrad.checking.judgement import KINK, PIECE, Verdicts
from fastgrad.checking.locate import norm
from fastgrad.checking.noise import Calibration, noise_along
from fastgrad.losses import CompiledLosses, Losses

_STEPS = RUNGS[1:8]
_FIRST = RUNGS[[5, 7]]  # where noise and curvature are least; and closer, for kinks
_BLOCKS = 8  # a direction each; of more blocks, through several at once
_CLOSE = 1e-6  # of the derivative along the direction, typically


def first_disagreement(
    losses: Losses, found: Verdicts, calibration: Calibration, rng: np.random.Generator
) -> str | None:
    """Return the block along which function and program differ, if there is one.

    Costs two evaluations of the function for each of at most eight directions. Where
    these do not settle it, 16 more, and some to measure its noise.
    """
    complete = len(found.index) == losses.nest.size and calibration.fixed is None
    if not isinstance(losses, CompiledLosses) or not complete:
        return None
    before = losses.here.evaluations
    try:
        return _disagreement(losses.here, found, calibration, rng)
    finally:
        losses.evaluations += losses.here.evaluations - before


def _disagreement(
    function: Losses,
    found: Verdicts,
    calibration: Calibration,
    rng: np.random.Generator,
) -> str | None:
    u = rng.standard_normal(function.nest.size)
    calibration.scale.stretch(u)
    u *= np.isfinite(found.numerical) & (found.kind != KINK)
    offsets = function.nest.offsets
    edges = offsets[np.linspace(0, len(offsets) - 1, _BLOCKS + 1).round().astype(int)]
    noise = None
    for start, stop in itertools.pairwise(np.unique(edges).tolist()):
        direction = u
        if stop - start < u.size:
            direction = np.zeros(u.size)
            direction[start:stop] = u[start:stop]
        slope, size = _expected(found, u, start, stop)
        if _is_slope(function, direction, slope, _CLOSE * size):
            continue
        if noise is None:
            noise = noise_along(function, calibration.scale, rng)
        pairs = direction_pairs(function, direction, _STEPS)
        slopes = ladder(pairs[None], np.array([noise]))
        allowed = 2 * float(slopes.error[0]) + _CLOSE * size
        if not slopes.kink[0] and abs(float(slopes.value[0]) - slope) > allowed:
            return function.nest.names[int(function.nest.block_of(start))]
    return None


def _is_slope(function: Losses, direction: Array, slope: float, close: float) -> bool:
    """Whether a central difference says so, with no allowance for noise or bending."""
    for step in _FIRST:
        [quotient] = direction_pairs(function, direction, np.array([step])).central
        if abs(quotient - slope) <= close:
            return True
    return False


def _expected(found: Verdicts, u: Array, start: int, stop: int) -> tuple[float, float]:
    """Return what entries make of the derivative along u, and its typical size."""
    sums, sizes = [], []
    for first in range(start, stop, PIECE):
        here = slice(first, min(first + PIECE, stop))
        terms = np.where(u[here] != 0, found.numerical[here], 0.0) * u[here]
        sums.append(terms.sum())
        sizes.append(norm(terms))
    return float(np.sum(sums)), norm(np.array(sizes))
