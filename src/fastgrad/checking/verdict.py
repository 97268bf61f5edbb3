"""The verdict on each entry: correct, wrong, undecided, at a kink, or unobservable.

An entry outside its error bar is a suspect, not yet guilty: other steps are tried
first. Nothing is called wrong but what is outside twice its bar after that, and nothing
is called correct where an error of the entry's own size could hide in the bar.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import number
from fastgrad.checking.differences import (
    FAR_RATIO,
    FAR_RUNGS,
    RUNGS,
    Array,
    Flags,
    Index,
    Slopes,
    converges,
    entry_pairs,
    ladder,
)
from fastgrad.checking.noise import Calibration
from fastgrad.checking.numerical import slopes_by
from fastgrad.losses.interface import Losses

Kinds = NDArray[np.uint8]

CORRECT, WRONG, UNDECIDED, KINK, UNOBSERVABLE = range(5)

# What a correct gradient may differ by, from its own arithmetic.
_RTOL: dict[Any, float] = {np.float64: 1e-6, np.float32: 1e-3, np.float16: 3e-2}

_DECISIVE = 0.1  # of an entry: a wider bar decides nothing
_GOOD = 2e-3  # of an entry: a wider bar is worth another try
_FIRST_ROUND = 64  # suspects of each block tried again before the rest
_WORTHWHILE = 0.1  # share of them that must clear up for the rest to be tried too
_MANY = 0.1  # of a block: fewer suspects are all tried again
_CHUNK = 2048
_FAR_DOUBT = 16.0  # kinks between far points shift slopes by more than they let show
_SHARP = 0.1  # of the slope: a change this large over one step may be a kink


def check_rtol(rtol: Any) -> None:
    """Raise TypeError or ValueError unless `rtol` is None or a relative difference."""
    if rtol is None:
        return
    number("rtol", rtol, least=0)


def _precision(array: NDArray[Any]) -> Any:
    return array.dtype.type if array.dtype.type in _RTOL else np.float64


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
    def of(
        cls,
        leaves: list[NDArray[Any]],
        rtol: float | None,
        params: Sequence[NDArray[Any]] | None = None,
    ) -> "Gradient":
        """Return the gradient in these arrays, one per block.

        It is known to no more digits than the parameters that it was computed from:
        many a float32 gradient is added up in arrays that are float64 by default.
        """
        dtypes = [
            max(map(_precision, pair), key=_RTOL.__getitem__)
            for pair in zip(leaves, leaves if params is None else params, strict=True)
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
    jump : ndarray of float64
        By how much the two one-sided slopes of the first pass differ.
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
    response: Array
    jump: Array
    crossed: Flags
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
    entries = _first_pass(losses, calibration, gradient, index)
    measured = entries.numerical.copy()
    _try_again(losses, calibration, entries, rng)
    if calibration.fixed is not None:  # report what that step gives
        moved = np.abs(measured - entries.numerical)
        entries.error = np.where(moved > 0, entries.error + moved, entries.error)
        entries.numerical = measured
    return entries


def _first_pass(
    losses: Losses, calibration: Calibration, gradient: Gradient, index: Index
) -> Judgement:
    """Measure every entry once, by the method asked for, and judge by that."""
    method, block = calibration.method, calibration.block[index]
    own, nowhere = gradient.value[index], np.zeros(len(index))
    jump, crossed, bend = nowhere, nowhere.astype(bool), nowhere
    if method in ("complex", "ridders"):
        slopes = slopes_by(method, losses, index, calibration)
        value, error = slopes.value, slopes.error
        response = np.abs(value)
    else:
        pairs = calibration.pairs(losses, index)
        value = pairs.forward if method == "forward" else pairs.central
        error = calibration.error(pairs, index)
        response = np.fmax(np.abs(pairs.forward), np.abs(pairs.backward))
        jump = np.abs(pairs.jump)
        with np.errstate(all="ignore"):
            bend = np.where(np.isfinite(jump), jump, 0) / pairs.span
        crossed = crossed if pairs.crossed is None else pairs.crossed
    error = np.where(np.isfinite(value) & np.isfinite(error), error, np.inf)
    tolerance, floor = _allowances(gradient, calibration, index, value, bend)
    kind = np.empty(len(index), dtype=np.uint8)
    entries = Judgement(
        *(index, block, own, value, error, tolerance, floor, response, jump),
        crossed,
        kind,
    )
    entries.kind = classify(entries)
    return entries


def _allowances(
    gradient: Gradient,
    calibration: Calibration,
    index: Index,
    numerical: Array,
    bend: Array,
) -> tuple[Array, Array]:
    """Return what the gradient's own rounding excuses, and what it makes of zeros.

    Compared across entries as changes of the loss, so that units do not matter: an
    entry on a scale of its own is excused no more than the one that matters most.
    """
    block, scale = calibration.block[index], calibration.scale[index]
    size, eps = np.abs(gradient.value[index]), gradient.eps
    with np.errstate(all="ignore"):
        effect = np.where(np.isfinite(size), size * scale, 0.0)
        curvature = float(np.median(bend * scale**2)) if len(index) else 0.0
        largest = np.zeros(len(eps))
        np.maximum.at(largest, block, effect)
        leading = np.zeros(len(eps))  # the scale of the entry with that effect
        leads = (effect == largest[block]) & (effect > 0)
        np.maximum.at(leading, block[leads], scale[leads])
        unit = np.maximum(scale, leading[block])
        floor = 100 * eps[block] * max(effect.max(initial=0.0), curvature) / unit
        tolerance = gradient.rtol[block] * np.fmax(size, np.abs(numerical))
        tolerance += 32 * (eps * largest)[block] / unit
    return tolerance, floor


def classify(entries: Judgement) -> Kinds:
    """Return the kind of each entry from its numbers; kinks are not seen here."""
    a, n, error = entries.analytic, entries.numerical, entries.error
    with np.errstate(all="ignore"):
        off = np.abs(a - n)
        size = np.fmax(np.abs(a), np.abs(n))
        near = off <= error + entries.tolerance
        zero = (np.abs(a) <= entries.floor) & (size <= error + entries.tolerance)
        zero &= np.isfinite(n)
        # At a stationary point the slope is zero and the loss still responds.
        doubt = np.where(zero, error + entries.tolerance, error)
        decisive = doubt <= _DECISIVE * np.where(zero, entries.response, size)
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

    Of each block a few suspects come first. If hardly any clears up and there are very
    many, the block is wrong throughout (or too noisy throughout), and the rest is
    judged by the bars of the first pass, widened by what the few have shown.
    """
    suspects = rng.permutation(np.flatnonzero(_unsettled(entries)))
    if suspects.size == 0:
        return
    owner = entries.block[suspects]
    groups = [suspects[owner == block] for block in np.unique(owner)]
    first = [group[:_FIRST_ROUND] for group in groups]
    before = [
        (entries.numerical[few].copy(), entries.error[few].copy()) for few in first
    ]
    _ladder_verdict(losses, calibration, entries, np.concatenate(first))
    second = []
    for group, few, seen in zip(groups, first, before, strict=True):
        rest = group[_FIRST_ROUND:]
        settled = (entries.kind[few] != WRONG) & ~_unsettled(entries)[few]
        many = rest.size > _MANY * np.count_nonzero(
            entries.block == entries.block[few[0]]
        )
        if many and settled.mean() < _WORTHWHILE:
            unclear = _explained_by_kink(entries, rest)
            _judge_by_example(entries, few, seen, rest[~unclear])
            rest = rest[unclear]
        second.append(rest)
    again = _affordable(entries, np.concatenate(second))
    for start in range(0, len(again), _CHUNK):
        _ladder_verdict(losses, calibration, entries, again[start : start + _CHUNK])


def _unsettled(entries: Judgement) -> Flags:
    """Whether another try may change or sharpen the verdict."""
    with np.errstate(all="ignore"):
        size = np.fmax(np.abs(entries.analytic), np.abs(entries.numerical))
        vague = entries.error > _GOOD * size
        at_rest = np.abs(entries.analytic) <= entries.floor
    passed = (entries.kind == CORRECT) & ~at_rest & vague
    sharp = entries.jump > np.maximum(4 * entries.error, _SHARP * entries.response)
    passed |= (entries.kind == CORRECT) & sharp
    open_case = (entries.kind == WRONG) | (entries.kind == UNDECIDED)
    unsettled: Flags = passed | (open_case & np.isfinite(entries.analytic))
    return unsettled


def _outside(entries: Judgement) -> Flags:
    """Whether the gradient is outside its bar: a suspect, but not yet guilty."""
    with np.errstate(all="ignore"):
        off = np.abs(entries.analytic - entries.numerical)
        inside: Flags = off <= entries.error + entries.tolerance
    return ~inside


def _affordable(entries: Judgement, which: Index) -> Index:
    """All whose derivatives differ; of the merely vague, one entry in ten."""
    outside = _outside(take(entries, which))
    vague = which[~outside]
    vague = vague[np.argsort(entries.kind[vague] != UNDECIDED, kind="stable")]
    return np.concatenate(
        [which[outside], vague[: max(_CHUNK, len(entries.kind) // 10)]]
    )


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
    index, noise = entries.index[which], calibration.noise[entries.block[which]]
    scale = np.exp2(np.rint(np.log2(calibration.scale[index])))[:, None]
    slopes = ladder(entry_pairs(losses, index, scale * RUNGS), noise)
    better = _outside(take(entries, which)) | slopes.kink
    _adopt(entries, which, slopes, better | (slopes.error < entries.error[which]))
    part = take(entries, which)
    entries.kind[which] = _with_kinks(part, slopes)
    noisy = _unsettled(take(entries, which)) & (entries.kind[which] != WRONG)
    noisy &= ~slopes.kink
    if noisy.any():
        _look_far(losses, entries, which[noisy], scale[noisy], noise[noisy])


def _look_far(
    losses: Losses, entries: Judgement, which: Index, scale: Array, noise: Array
) -> None:
    """Try large steps where noise hides the slope at small ones."""
    try:
        pairs = entry_pairs(losses, entries.index[which], scale * FAR_RUNGS)
    except Exception:  # the loss cannot be computed that far away
        return
    slopes = ladder(pairs, noise, FAR_RATIO)
    slopes = dataclasses.replace(slopes, error=_FAR_DOUBT * slopes.error)
    apart = np.abs(slopes.value - entries.numerical[which])
    better = ~slopes.kink & (slopes.error < entries.error[which])
    better &= converges(pairs, noise, FAR_RATIO)
    better &= apart <= slopes.error + entries.error[which]
    _adopt(entries, which, slopes, better)
    entries.kind[which] = classify(take(entries, which))


def _adopt(entries: Judgement, which: Index, slopes: Slopes, better: Flags) -> None:
    entries.numerical[which[better]] = slopes.value[better]
    entries.error[which[better]] = slopes.error[better]


def _with_kinks(entries: Judgement, slopes: Slopes) -> Kinds:
    """`classify`, and at a kink: whether the gradient lies between the two slopes."""
    low = np.fmin(slopes.left, slopes.right)
    high = np.fmax(slopes.left, slopes.right)
    outside = np.fmax(low - entries.analytic, entries.analytic - high)
    at_kink = np.full(len(low), UNDECIDED, dtype=np.uint8)
    at_kink[outside <= entries.tolerance] = KINK
    at_kink[outside > entries.tolerance + slopes.slack] = WRONG  # twice the bar
    return np.where(slopes.kink, at_kink, classify(entries))


def take(entries: Judgement, which: Index | Flags) -> Judgement:
    """Return some of the entries, as copies."""
    return Judgement(
        *(getattr(entries, name)[which] for name in Judgement.__dataclass_fields__)
    )


def _explained_by_kink(entries: Judgement, which: Index) -> Flags:
    """Whether a kink between the two points may be all that is wrong."""
    part = take(entries, which)
    with np.errstate(all="ignore"):
        off = np.abs(part.analytic - part.numerical)
        explained: Flags = part.crossed | (off <= part.jump + 2 * part.error)
    return explained
