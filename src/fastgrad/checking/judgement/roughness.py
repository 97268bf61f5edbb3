"""Losses that are rough: smooth as larger steps see them, something else to small ones.

A table that is interpolated, a threshold on samples, rounding or a tolerance inside:
the slope over tiny steps is that of one step of a staircase, however well it is known.
It refutes a gradient only if the scales around agree with it. Where the quotients over
a range of larger steps agree with the gradient instead, to both sides, and small steps
contradict larger ones elsewhere too, the entry is left open. A kink or a dead zone does
that at one place alone, and excuses nothing.

The other way round, a gradient that has the slope of the small steps is left open where
larger ones all see another: so it is the derivative almost everywhere of a loss that is
rounded, and lacks what was rounded. Steps of a staircase that are no finer than a ten
thousandth of the parameters are meant, and their slope is that of the loss.

Other entries of such a block, which may not be moved far enough to see that, are as
rough: what the height of those steps makes of the slope over the widest is left open.
"""

from collections.abc import Iterator

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences import (
    RUNGS,
    SURE,
    Calibration,
    Pairs,
    binary,
    entry_pairs,
    keeping_sign,
)
from fastgrad.checking.judgement.evidence import (
    AGREED,
    CORRECT,
    FEW,
    UNDECIDED,
    WRONG,
    Judgement,
    Rough,
    from_everywhere,
    take,
)
from fastgrad.losses import Losses

_RATIO = 4.0
_STEPS = _RATIO ** -np.arange(-0.5, 25.5)  # of the scale, as far as signs allow
_FARTHEST = 2 * _STEPS[0]  # in scales: a place, and the largest step from there
_RANGE = 2  # in turn: extrapolated slopes that agree, pairs of steps of one slope
_PLACES = np.linspace(-1, 1, 8)  # of the range: none at which steps of tables begin


def excuse_roughness(
    losses: Losses, calibration: Calibration, entries: Judgement
) -> Rough | None:
    """Leave open what larger steps agree with, where the loss is rough.

    Eight evaluations each, and 84 for each that one of them agrees with; if none of a
    few is excused, the rest is not looked at.

    Returns
    -------
    Rough or None
        What there is to say of such a loss.
    """
    wrong = np.flatnonzero((entries.kind == WRONG) & np.isfinite(entries.off))
    if wrong.size == 0:
        return None
    wrong = wrong[np.argsort(-(entries.off * entries.unit)[wrong], kind="stable")]
    few = from_everywhere(wrong.size, FEW)
    found = _excused(losses, calibration, entries, wrong[few])
    found = found or _rough_beside(losses, calibration, entries, wrong)
    if not found:
        return None
    found += _excused(losses, calibration, entries, np.delete(wrong, few))
    _excuse_rest(losses, calibration, entries, found)
    return max(found, key=lambda rough: rough.below)


def doubt_roughness(
    losses: Losses, calibration: Calibration, entries: Judgement
) -> Rough | None:
    """Leave open what agrees with small steps alone, where the loss is rough.

    No evaluations unless a ladder of the calibration has two slopes: then 32, and
    twenty for each entry of its block if it is rough.
    """
    if calibration.ladders is None:
        return None
    sample, pairs = calibration.ladders
    _, mine, theirs = np.intersect1d(entries.index, sample, return_indices=True)
    found = None
    for k, far, middle, gap in _two_slopes(pairs[theirs], take(entries, mine)):
        one = int(mine[k])
        if entries.kind[one] != CORRECT:
            continue
        steps = middle, float(pairs.span[theirs[k], -1] / 2)
        wide, close = _beside(losses, int(entries.index[one]), far, steps)
        # Not of an oscillation, whose slopes over small steps are all others.
        like = np.abs(close - entries.numerical[one]) <= AGREED * gap
        like &= np.abs(wide - close) > AGREED * gap
        if np.count_nonzero(~like) <= 1:
            found = Rough(int(entries.index[one]), middle, far, gap * middle, False)
            _doubt_rest(losses, calibration, entries, int(entries.block[one]))
    return found


def _doubt_rest(
    losses: Losses, calibration: Calibration, entries: Judgement, block: int
) -> None:
    """Leave open the entries of a block of which larger steps see another slope."""
    which = np.flatnonzero((entries.block == block) & (entries.kind == CORRECT))
    index = entries.index[which]
    pairs = entry_pairs(
        losses, index, binary(calibration.scale[index])[:, None] * RUNGS
    )
    rows = [k for k, *_ in _two_slopes(pairs, take(entries, which))]
    entries.kind[which[rows]] = UNDECIDED


def _two_slopes(
    pairs: Pairs, part: Judgement
) -> Iterator[tuple[int, float, float, float]]:
    """Yield rows of ladders with several steps in turn of a slope that is another.

    The largest and the smallest of these steps, and by how much it is. To both sides,
    as it is not around a kink, and other than at the end of the ladder.
    """
    with np.errstate(all="ignore"):
        gap = np.abs(pairs.central - part.numerical[:, None])
        kinked = np.fmax(np.abs(pairs.jump) / 2, gap[:, -1:])
        sure = gap > (SURE * part.error + part.tolerance)[:, None]
        steady = np.abs(np.diff(pairs.central, axis=1)) <= AGREED * gap[:, 1:]
        other = sure & (kinked <= AGREED * gap)
    pair = other[:, :-1] & other[:, 1:] & steady
    turns = np.lib.stride_tricks.sliding_window_view(pair, _RANGE, axis=1)
    runs: Flags = np.logical_and.reduce(turns, axis=-1)
    for k in np.flatnonzero(runs.any(axis=1)).tolist():
        first = int(np.argmax(runs[k]))
        last = first + _RANGE
        far, middle = (pairs.span[k, [first, last]] / 2).tolist()
        yield k, far, middle, float(gap[k, last])


def _excused(
    losses: Losses, calibration: Calibration, entries: Judgement, which: Index
) -> list[Rough]:
    """Leave some entries open; return over which steps each is another loss."""
    index = entries.index[which]
    scale = _widest(losses, calibration, index)
    first = entry_pairs(losses, index, scale[:, None] * _STEPS[1:8:2])  # one sees it
    with np.errstate(all="ignore"):
        off = np.abs(first.central - entries.analytic[which, None])
        near = (off <= entries.off[which, None] / 2).any(axis=1)
    which = which[near]
    part = take(entries, which)
    pairs = entry_pairs(losses, part.index, scale[near, None] * _STEPS)
    steps = pairs.span / 2
    found = []
    last_agreed = _agreed(pairs, part)
    for k in np.flatnonzero(last_agreed).tolist():
        last = int(last_agreed[k])
        small = last + 1 + _first_like(pairs.central[k, last + 1 :], part, k)
        far, middle, near = steps[k, [last - _RANGE, last, small]].tolist()
        if _is_rough(losses, part.index[k], float(part.off[k]), far, middle, near):
            entries.kind[which[k]] = UNDECIDED
            height = float(part.off[k]) * middle
            found.append(Rough(int(part.index[k]), middle, far, height, True))
    return found


def _rough_beside(
    losses: Losses,
    calibration: Calibration,
    entries: Judgement,
    wrong: Index,
) -> list[Rough]:
    """Return the same of others of a block, if there is no room to see it at these.

    Their slopes over the smallest steps have to be exact.
    """
    if calibration.method != "exact":
        return []
    room = _widest(losses, calibration, entries.index[wrong])
    cramped = wrong[room * _FARTHEST**2 < calibration.scale[entries.index[wrong]]]
    beside = np.isin(entries.block, entries.block[cramped]) & (entries.kind != WRONG)
    others = np.flatnonzero(beside & (entries.analytic != 0))
    part = take(entries, others[from_everywhere(others.size, FEW)])
    smallest = _widest(losses, calibration, part.index) * _STEPS[-1]
    part.numerical = entry_pairs(losses, part.index, smallest).central
    part.kind[:] = WRONG
    known = np.flatnonzero(np.isfinite(part.numerical))
    return _excused(losses, calibration, part, known)


def _excuse_rest(
    losses: Losses, calibration: Calibration, entries: Judgement, found: list[Rough]
) -> None:
    """Leave open what is off by no more than such heights over the widest steps."""
    height = np.zeros(len(losses.nest.names))
    rough = calibration.block[np.array([one.entry for one in found])]
    np.maximum.at(height, rough, [one.height for one in found])
    wrong = (entries.kind == WRONG) & np.isfinite(entries.off)
    which = np.flatnonzero(wrong & (height[entries.block] > 0))
    index = entries.index[which]
    scale = _widest(losses, calibration, index)
    pairs = entry_pairs(losses, index, scale[:, None] * _STEPS[:2])
    with np.errstate(all="ignore"):
        off = np.abs(pairs.central - entries.analytic[which, None])
        near = off <= height[entries.block[which], None] / (pairs.span / 2)
    entries.kind[which[near.any(axis=1)]] = UNDECIDED


def _widest(losses: Losses, calibration: Calibration, index: Index) -> Array:
    """Return how far entries may be moved without another sign."""
    scale, theta = calibration.scale[index], losses.theta[index]
    return binary(keeping_sign(scale, theta, _FARTHEST))


def _first_like(slopes: Array, part: Judgement, k: int) -> int:
    """Return a step that sees the slope measured, as all smaller ones may."""
    with np.errstate(all="ignore"):
        like = np.abs(slopes - part.numerical[k]) <= AGREED * part.off[k]
    first = int(np.argmax(np.append(like[:-1], True)))
    return min(first + 1, len(slopes) - 1)  # the first may be a whole step of a stair


def _agreed(pairs: Pairs, part: Judgement) -> Index:
    """Return the last step of a range that agrees with the gradient, or zero.

    Where the slopes to both sides come together, too, as they do not around a kink.
    """
    with np.errstate(all="ignore"):
        slopes, jump, gap = pairs.central, pairs.jump, part.off[:, None]
        square = _RATIO**2
        better = (square * slopes[:, 1:] - slopes[:, :-1]) / (square - 1)
        kink = (_RATIO * jump[:, 1:] - jump[:, :-1]) / (_RATIO - 1)
        near = np.abs(better - part.analytic[:, None]) <= AGREED * gap
        near &= np.abs(kink) <= 2 * AGREED * gap
    run = np.zeros(len(near), dtype=np.int64)
    last = np.zeros(len(near), dtype=np.int64)
    for k in range(near.shape[1] - 1):  # a step is left to contradict it
        going = (last == 0) | (last == k)
        run = np.where(near[:, k], run + 1, 0)
        last = np.where(going & (run >= _RANGE), k + 1, last)
    return last


def _is_rough(
    losses: Losses, entry: int, gap: float, far: float, middle: float, small: float
) -> bool:
    """Whether small steps contradict larger ones at most places within a distance."""
    wide, close = _beside(losses, entry, far, (middle, small))
    apart = np.abs(wide - close) > AGREED * gap
    return 2 * int(np.count_nonzero(apart)) >= len(apart)


def _beside(
    losses: Losses, entry: int, far: float, steps: tuple[float, float]
) -> tuple[Array, Array]:
    """Return the slopes over two steps at places within a distance."""
    places = losses.theta[entry] + far * _PLACES
    moves = np.array([side * step for step in steps for side in (1.0, -1.0)])
    value = (places[:, None] + moves).ravel()
    index = np.full(value.size, entry)
    value = losses.representable(index, value)
    with np.errstate(all="ignore"):
        rises = losses.at_entries(index, value)[0].reshape(-1, 4)
        points = value.reshape(-1, 4)
        wide, close = (
            (rises[:, k] - rises[:, k + 1]) / (points[:, k] - points[:, k + 1])
            for k in (0, 2)
        )
    return wide, close
