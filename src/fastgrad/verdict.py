"""The verdict on each entry: correct, wrong, undecided, at a kink, or unobservable.

An entry outside its error bar is a suspect, not yet guilty: other steps are tried
first. Nothing is called wrong but what is outside twice its bar after that, and nothing
is called correct where an error of the entry's own size could hide in the bar.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.differences import (
    RUNGS,
    Array,
    Flags,
    Index,
    Pairs,
    Slopes,
    entry_pairs,
    ladder,
)
from fastgrad.losses import Losses
from fastgrad.noise import Calibration

Kinds = NDArray[np.uint8]

CORRECT, WRONG, UNDECIDED, KINK, UNOBSERVABLE = range(5)

# What a correct gradient may differ by, from its own arithmetic.
_RTOL: dict[Any, float] = {np.float64: 1e-6, np.float32: 1e-3, np.float16: 3e-2}

_DECISIVE = 0.1  # of an entry: a wider bar decides nothing
_GOOD = 2e-3  # of an entry: a wider bar is worth another try
_FIRST_ROUND = 64  # suspects of each block tried again before the rest
_WORTHWHILE = 0.1  # share of them that must clear up for the rest to be tried too


@dataclass(frozen=True, slots=True)
class Gradient:
    """The gradient under test.

    Attributes
    ----------
    value : ndarray of float64, shape (P,)
    eps, rtol : ndarray of float64, shape (number of blocks,)
        The rounding unit of each block, and the relative difference that does not
        matter there.
    """

    value: Array
    eps: Array
    rtol: Array

    @classmethod
    def of(cls, leaves: list[NDArray[Any]], rtol: float | None) -> "Gradient":
        """Return the gradient in these arrays, one per block."""
        dtypes = [
            leaf.dtype.type if leaf.dtype.type in _RTOL else np.float64
            for leaf in leaves
        ]
        return cls(
            np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in leaves]),
            np.array([np.finfo(dtype).eps for dtype in dtypes], dtype=np.float64),
            np.array([_RTOL[dtype] if rtol is None else rtol for dtype in dtypes]),
        )


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
    response : ndarray of float64
        The steepest one-sided slope seen.
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
    response: Array
    kind: Kinds


def judge(
    losses: Losses,
    calibration: Calibration,
    gradient: Gradient,
    index: Index,
    rng: np.random.Generator,
) -> Judgement:
    """Judge entries of a gradient.

    Parameters
    ----------
    losses : Losses
    calibration : Calibration
    gradient : Gradient
    index : ndarray of int64, shape (n,)
        Which entries; sorted.
    rng : Generator
        Picks the suspects that are tried again first.

    Returns
    -------
    Judgement
    """
    pairs = calibration.pairs(losses, index)
    entries = first_verdict(pairs, calibration, gradient, index)
    _try_again(losses, calibration, entries, rng)
    return entries


def first_verdict(
    pairs: Pairs,
    calibration: Calibration,
    gradient: Gradient,
    index: Index,
) -> Judgement:
    """Judge by one pair for each entry."""
    block = calibration.block[index]
    scale = calibration.scale[index]
    own, eps = gradient.value[index], gradient.eps
    forward = calibration.method == "forward"
    numerical = pairs.forward if forward else pairs.central
    error = calibration.error(pairs, index)
    with np.errstate(all="ignore"):
        error = np.where(np.isfinite(numerical + error), error, np.inf)
        response = np.fmax(np.abs(pairs.forward), np.abs(pairs.backward))
        bend = np.abs(pairs.jump) / pairs.span * scale**2
        size = np.abs(own)
        large = max(
            np.max(size * scale, initial=0.0, where=np.isfinite(own)),
            float(np.nanmedian(np.where(np.isfinite(bend), bend, 0.0))),
        )
        floor = 100 * eps[block] * large / scale
        rounding = 32 * eps * _largest(size, block, len(eps))
        tolerance = rounding[block] + gradient.rtol[block] * np.fmax(
            size, np.abs(numerical)
        )
    result = Judgement(
        index,
        block,
        own,
        numerical,
        error,
        tolerance,
        floor,
        response,
        np.empty(len(index), dtype=np.uint8),
    )
    result.kind = classify(result)
    return result


def classify(entries: Judgement) -> Kinds:
    """Return the kind of each entry from its numbers; kinks are not seen here."""
    a, n, error = entries.analytic, entries.numerical, entries.error
    with np.errstate(all="ignore"):
        off = np.abs(a - n)
        size = np.fmax(np.abs(a), np.abs(n))
        near = off <= error + entries.tolerance
        zero = (np.abs(a) <= entries.floor) & (size <= error + entries.tolerance)
        # At a stationary point the slope is zero and the loss still responds.
        decisive = error <= _DECISIVE * np.where(zero, entries.response, size)
        wrong = (off > 2 * error + entries.tolerance) | ~np.isfinite(a)
    kind = np.full(len(a), UNDECIDED, dtype=np.uint8)
    # So small that the gradient's own rounding hides its sign.
    lost = (entries.tolerance > size) & ~zero
    kind[zero | (near & lost)] = UNOBSERVABLE
    kind[near & decisive & ~lost & (size + entries.response > 0)] = CORRECT
    kind[wrong] = WRONG
    return kind


def _try_again(
    losses: Losses,
    calibration: Calibration,
    entries: Judgement,
    rng: np.random.Generator,
) -> None:
    """Try other steps where the first did not settle it; update `entries`.

    Of each block a few suspects come first. If hardly any clears up, the block is wrong
    throughout (or too noisy throughout) and the rest is judged by the bars of the first
    pass, after these have been compared with what the few have shown.
    """
    alarm = np.abs(entries.analytic - entries.numerical)
    alarm = ~(alarm <= entries.error + entries.tolerance)
    suspects = rng.permutation(np.flatnonzero(_unsettled(entries)))
    rest = []
    for block in np.unique(entries.block[suspects]):
        own = suspects[entries.block[suspects] == block]
        few, others = own[:_FIRST_ROUND], own[_FIRST_ROUND:]
        before = entries.numerical[few].copy(), entries.error[few].copy()
        _ladder_verdict(losses, calibration, entries, few)
        settled = entries.kind[few] != WRONG
        settled &= ~_unsettled(entries)[few]
        if others.size and settled.mean() >= _WORTHWHILE:
            rest.append(others)
        elif others.size:
            _judge_by_example(entries, few, before, others)
    if rest:
        _ladder_verdict(losses, calibration, entries, _affordable(rest, alarm))


def _unsettled(entries: Judgement) -> Flags:
    """Whether another try may change or sharpen the verdict."""
    with np.errstate(all="ignore"):
        size = np.fmax(np.abs(entries.analytic), np.abs(entries.numerical))
        vague = entries.error > _GOOD * size
        at_rest = np.abs(entries.analytic) <= entries.floor
    open_case = (entries.kind == WRONG) | (entries.kind == UNDECIDED)
    open_case &= np.isfinite(entries.analytic)
    return open_case | ((entries.kind == CORRECT) & vague & ~at_rest)


def _affordable(rest: list[Index], alarm: Flags) -> Index:
    """All who are outside their bars; of the merely vague, one entry in ten."""
    everyone = np.concatenate(rest)
    outside = everyone[alarm[everyone]]
    vague = everyone[~alarm[everyone]][: len(alarm) // 10]
    return np.sort(np.concatenate([outside, vague]))


def _judge_by_example(
    entries: Judgement, few: Index, before: tuple[Array, Array], others: Index
) -> None:
    """Judge entries that were not tried again by how those that were turned out."""
    value, error = before
    with np.errstate(all="ignore"):
        surprise = np.abs(value - entries.numerical[few])
        surprise = (surprise - entries.error[few]) / error
    known = surprise[np.isfinite(surprise)]
    entries.error[others] *= max(1.0, float(known.max(initial=0.0)))
    part = take(entries, others)
    entries.kind[others] = classify(part)


def _ladder_verdict(
    losses: Losses, calibration: Calibration, entries: Judgement, which: Index
) -> None:
    """Measure a ladder of steps for some entries, and judge them by it."""
    which = np.sort(which)
    index = entries.index[which]
    step = np.exp2(np.rint(np.log2(calibration.scale[index])))[:, None] * RUNGS
    pairs = entry_pairs(losses, index, step)
    slopes = ladder(pairs, calibration.noise[entries.block[which]])
    outside = entries.kind[which] == WRONG
    better = outside | slopes.kink | (slopes.error < entries.error[which])
    entries.numerical[which] = np.where(better, slopes.value, entries.numerical[which])
    entries.error[which] = np.where(better, slopes.error, entries.error[which])
    part = take(entries, which)
    entries.kind[which] = _with_kinks(part, slopes)


def _with_kinks(entries: Judgement, slopes: Slopes) -> Kinds:
    """`classify`, and at a kink: whether the gradient lies between the two slopes."""
    low = np.fmin(slopes.left, slopes.right)
    high = np.fmax(slopes.left, slopes.right)
    outside = np.fmax(low - entries.analytic, entries.analytic - high)
    at_kink = np.full(len(low), UNDECIDED, dtype=np.uint8)
    at_kink[outside <= entries.tolerance] = KINK
    # The bars are in `low` and `high` once; half a slope apart is beyond them twice.
    at_kink[outside > entries.tolerance + 0.5 * slopes.error] = WRONG
    return np.where(slopes.kink, at_kink, classify(entries))


def take(entries: Judgement, which: Index) -> Judgement:
    return Judgement(
        *(getattr(entries, name)[which] for name in Judgement.__dataclass_fields__)
    )


def _largest(size: Array, block: Index, blocks: int) -> Array:
    largest = np.zeros(blocks)
    known = np.isfinite(size)
    np.maximum.at(largest, block[known], size[known])
    return largest
