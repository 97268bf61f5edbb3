"""Losses that oscillate faster than the steps: what looks like noise has a slope.

The sine of 1e12 x changes by as much over a tiny step as over a large one, and its
derivative is far steeper than what differences make of it. Only the gradient under test
can tell how close to look: where it is right, the loss is a straight line over
distances at which it changes by less than it does over all those steps. So before a
gradient that is steeper than the measured slopes is called wrong, the loss is looked at
there.

An oscillation of a small height hides in what is taken for the noise of the loss, and
its slope with it. Where noise is more than rounding, a gradient that it may explain is
compared to slopes within it; these have to be others nearby, as they are not on the
steps of a staircase, whose slope is not that of the loss.
"""

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences import (
    EPS,
    RATIO,
    RUNGS,
    SHRUNK,
    Calibration,
    Pairs,
    binary,
    entry_pairs,
    ladder,
)
from fastgrad.checking.judgement.evidence import (
    AGREED,
    DECISIVE,
    UNDECIDED,
    WRONG,
    Judgement,
    classify,
    take,
)
from fastgrad.losses import Losses

# Of the usual steps, each a little shorter: where the smallest of those is a number of
# whole waves, all are, and the loss looks as smooth as what is left of it is. What is
# whole waves of one of these is so of no other.
_ENDS = np.array([15, 13, 11, 9]) / 16 * RUNGS[[0, -3, -2, -1]]
# Of the distance at which the slope makes as much of a change as there is.
_STEPS = 0.5 * RATIO ** -np.arange(6.0)
_ROUNDINGS = 4.0  # of an entry, that its way to the loss may make
_FEW = 8  # entries looked at before the rest: up to three ladders each
_LOUD = 16.0  # roundings of the loss: more noise than that may be something else
_PLACES = np.array([-8.0, -5.6, -3.6, -2.0, 2.0, 3.6, 5.6, 8.0])  # of the reach


def look_closer(losses: Losses, calibration: Calibration, entries: Judgement) -> None:
    """Judge entries by steps that suit the gradient, where the usual ones are too wide.

    Twenty evaluations each, and up to forty within noise; if none of a few is excused,
    the rest is not looked at.
    """
    for judge in (_judge, _judge_within_noise):
        wrong = np.flatnonzero((entries.kind == WRONG) & np.isfinite(entries.off))
        judge(losses, calibration, entries, wrong[:_FEW])
        if (entries.kind[wrong[:_FEW]] != WRONG).any():
            judge(losses, calibration, entries, wrong[_FEW:])


def too_wide(pairs: Pairs) -> tuple[Flags, Array]:
    """Return where changes do not shrink along the steps, and how large they are."""
    changes = np.fmax(np.abs(pairs.plus), np.abs(pairs.minus))
    least = np.max(changes[:, -3:], axis=1)
    return (least > 0) & (least >= SHRUNK * changes[:, 0]), changes.max(axis=1)


def steps_for(change: Array, slope: Array) -> Array:
    """Return steps over which a slope makes less than these changes, along the rows."""
    distance = change / slope
    return binary(np.fmax(distance, np.finfo(float).tiny))[:, None] * _STEPS


def _judge(
    losses: Losses, calibration: Calibration, entries: Judgement, which: Index
) -> None:
    """Judge by the slopes seen there; leave open what is not seen anywhere."""
    index = entries.index[which]
    usual = binary(calibration.scale[index])[:, None] * _ENDS
    wide, change = too_wide(entry_pairs(losses, index, usual))
    which, change = which[wide], change[wide]
    part = take(entries, which)
    known = np.abs(part.numerical) + part.error
    slope = np.fmax(np.abs(part.analytic), known)
    x = np.abs(losses.theta[part.index])
    pairs = entry_pairs(losses, part.index, steps_for(change, slope))
    # What rounds as the parameter does is in the way of so steep a slope.
    rounding = _ROUNDINGS * slope * np.spacing(x)
    slopes = ladder(pairs, np.fmax(rounding, losses.rounding))
    size = np.abs(slopes.value)
    # Between two steps of a staircase there is nothing to see.
    other = np.abs(slopes.value - part.numerical) > slopes.error + part.error
    resolved = (size > known) & (slopes.error <= DECISIVE * np.fmax(slope, size))
    better = which[resolved]
    entries.numerical[better] = slopes.value[resolved]
    entries.error[better] = slopes.error[resolved]
    entries.response[better] = size[resolved]
    entries.kind[better] = classify(take(entries, better))
    vague = part.error > DECISIVE * np.abs(part.numerical)
    entries.kind[which[(vague | other) & ~resolved]] = UNDECIDED


def _judge_within_noise(
    losses: Losses, calibration: Calibration, entries: Judgement, which: Index
) -> None:
    """Judge by slopes over changes less than the noise, if the gradient has these."""
    noise = calibration.noise[entries.block[which]]
    which = which[noise > _LOUD * (losses.rounding + EPS * abs(losses.base))]
    if which.size == 0:
        return
    part = take(entries, which)
    noise, off = calibration.noise[part.block], part.off
    steep = np.fmax(np.abs(part.analytic), off)
    steps = steps_for(noise, off)
    x = np.abs(losses.theta[part.index])
    rounding = EPS * abs(losses.base) + _ROUNDINGS * steep * np.spacing(x)
    value, error = _best(losses, part.index, steps, np.fmax(rounding, losses.rounding))
    with np.errstate(all="ignore"):
        nearer = np.abs(value - part.analytic) + error < np.abs(value - part.numerical)
    for k in np.flatnonzero(nearer).tolist():
        places, step = _PLACES * float(noise[k] / off[k]), float(steps[k, 3])
        if _is_another_beside(losses, part, k, float(value[k]), places, step):
            entries.numerical[which[k]] = value[k]
            entries.error[which[k]] = error[k]
            entries.kind[which[k]] = classify(take(entries, which[k : k + 1]))[0]


def _best(
    losses: Losses, index: Index, steps: Array, noise: Array
) -> tuple[Array, Array]:
    """Return slopes and their bars, each from the better of two ladders.

    Between the length of a wave and that of a rounding there is room for few steps.
    """
    found = [
        ladder(entry_pairs(losses, index, steps * wider), noise) for wider in (1, 4)
    ]
    value, error = np.array([(s.value, s.error) for s in found]).transpose(1, 0, 2)
    best = error.argmin(axis=0), np.arange(index.size)
    return value[best], error[best]


def _is_another_beside(
    losses: Losses, part: Judgement, k: int, value: float, places: Array, step: float
) -> bool:
    """Whether slopes over a step are others at two fifths of places around an entry.

    Steps of a staircase have one slope, but where the places are beside a jump.
    """
    x = losses.theta[part.index[k]] + np.concatenate([places + step, places - step])
    index = np.full(len(x), part.index[k])
    x = losses.representable(index, x)
    with np.errstate(all="ignore"):
        ahead, behind = losses.at_entries(index, x)[0].reshape(2, -1)
        span = np.subtract(*x.reshape(2, -1))
        apart = np.abs((ahead - behind) / span - value)
        # Where numbers are too far apart for such a step, nothing is known.
        return not np.quantile(apart, 0.6) <= AGREED * part.off[k]
