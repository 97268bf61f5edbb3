"""What is less than the rounding of terms that cancel in a gradient.

As in X.T @ (X @ w - y) at the minimum, or p - 1 of a saturated softmax.
"""

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences import EPS, RUNGS, WITHIN
from fastgrad.checking.judgement.evidence import (
    CORRECT,
    DECISIVE,
    TINY,
    UNDECIDED,
    UNOBSERVABLE,
    WRONG,
    Judgement,
    classify,
    take,
)
from fastgrad.checking.judgement.gradient import Gradient
from fastgrad.losses import Losses


def excuse_cancellation(
    losses: Losses,
    gradient: Gradient,
    entries: Judgement,
    known: Index,
    rng: np.random.Generator,
) -> None:
    """Excuse what is less than the rounding of terms that cancel, unless it is known.

    How large they are shows in the curvature of the loss, and for what is hardly there
    at all in how much the loss changes, and how steep it gets, when parameters change
    as much as they may without losing their sign.
    """
    smooth = np.isfinite(entries.off) & (entries.bend == 0)
    wrong = np.setdiff1d(np.flatnonzero((entries.kind == WRONG) & smooth), known)
    if wrong.size == 0:
        return
    size = _curvature(losses, entries, rng)
    tiny = entries.off[wrong] * entries.unit[wrong] <= TINY * max(1, abs(losses.base))
    if tiny.any():
        changes = np.abs(_changes(losses, entries, WITHIN, rng))
        size = max(size, EPS * np.max(changes, initial=0.0, where=np.isfinite(changes)))
    largest = size / entries.unit[wrong]
    largest[tiny] = np.fmax(
        largest[tiny], EPS * _slopes_nearer_zero(losses, entries.index[wrong[tiny]])
    )
    rounding = 4 * gradient.eps[entries.block[wrong]] / EPS * largest
    entries.tolerance[wrong] += rounding
    part = take(entries, wrong)
    part.kind = classify(part)
    vague = rounding > DECISIVE * part.size
    part.kind[(part.kind == CORRECT) & vague] = UNOBSERVABLE
    entries.kind[wrong] = part.kind
    open_case = (part.kind == UNOBSERVABLE) & _beyond_the_others(entries, part)
    entries.kind[wrong[open_case]] = UNDECIDED


def _curvature(losses: Losses, entries: Judgement, rng: np.random.Generator) -> float:
    """Return the largest along some directions, times EPS: it may overflow itself.

    Closer by where the loss ends to one side.
    """
    for t in RUNGS[: len(RUNGS) // 2]:  # smaller steps see the small entries alone
        sums = np.abs(_changes(losses, entries, t, rng).sum(axis=1))
        if np.isfinite(sums).any():
            largest = np.max(sums, initial=0.0, where=np.isfinite(sums))
            return float(EPS * largest / t**2)
    return 0.0


def _slopes_nearer_zero(losses: Losses, index: Index) -> Array:
    """Return how steep the loss is where these entries are nearly zero."""
    there, step = losses.theta[index] * (1 - WITHIN), RUNGS[0]
    ahead, behind = (
        losses.at_entries(index, there * (1 + side * step))[0] for side in (1, -1)
    )
    with np.errstate(all="ignore"):
        slopes = np.abs((ahead - behind) / (2 * step * there))
    return np.where(np.isfinite(slopes), slopes, 0.0)


def _beyond_the_others(entries: Judgement, part: Judgement) -> Flags:
    """Whether some have a slope, and are off by more than the rest of their blocks.

    More, that is, than would be called wrong in any verified entry.
    """
    verified = take(entries, entries.kind == CORRECT)
    limit = np.zeros(1 + entries.block.max())
    np.maximum.at(limit, verified.block, 2 * verified.error + verified.tolerance)
    seen = np.abs(part.numerical) > 2 * part.error
    beyond: Flags = seen & (part.off > limit[part.block])
    return beyond


def _changes(
    losses: Losses, entries: Judgement, t: float, rng: np.random.Generator
) -> Array:
    """Return changes of the loss to both sides along four random directions.

    As large as one entry typically makes them.
    """
    changes, direction = np.zeros((4, 2)), np.zeros(losses.nest.size)
    for row in changes:
        sign = rng.choice([-1.0, 1.0], len(entries.index))
        direction[entries.index] = sign * entries.unit
        row[:] = losses.along(direction, [-t, t])
    return changes / float(np.sqrt(len(entries.index)))
