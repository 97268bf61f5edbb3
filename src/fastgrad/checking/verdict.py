"""The verdict on each entry: correct, wrong, undecided, at a kink, or unobservable.

Every entry is measured once, and judged by that if it is inside its bar. The others are
suspects, and tried again. What is left at a kink has to be a subgradient along
directions through all such entries, too.
"""

import itertools

import numpy as np

from fastgrad.checking.cancellation import excuse_cancellation
from fastgrad.checking.condition import excuse_condition
from fastgrad.checking.differences import RUNGS, Array, Index, entry_pairs
from fastgrad.checking.exact import exact_slopes, sharpened
from fastgrad.checking.judgement import (
    CORRECT,
    KINK,
    PIECE,
    UNDECIDED,
    Effects,
    Gradient,
    Judgement,
    Ladders,
    Verdicts,
    allowances,
    classify,
    joined,
    take,
)
from fastgrad.checking.noise import Calibration
from fastgrad.checking.numerical import plain, slopes_by
from fastgrad.checking.scales import Every, binary, places
from fastgrad.checking.solvers import excuse_solver
from fastgrad.checking.steep import look_closer
from fastgrad.checking.suspects import try_again
from fastgrad.checking.ties import check_ties
from fastgrad.checking.tolerances import Tolerances
from fastgrad.checking.zeros import find_zeros
from fastgrad.losses import Losses

_SHOWN = 2**10  # entries left open of a piece, to be named in the report


def judge(
    losses: Losses,
    calibration: Calibration,
    gradient: Gradient,
    index: Index | Every,
    rng: np.random.Generator,
) -> Verdicts:
    """Judge entries of a gradient, piece by piece.

    Parameters
    ----------
    losses : Losses
    calibration : Calibration
    gradient : Gradient
    index : ndarray of int64, shape (n,), or Every
        Which entries; sorted.
    rng : Generator
        Picks the suspects that are tried again first.

    Returns
    -------
    Verdicts
    """
    effects = Effects(gradient, calibration, index)
    n = len(index)
    kept = {name: np.empty(n) for name in ("numerical", "error")}
    kind = np.empty(n, dtype=np.uint8)
    kinks, controls, left_open, jumps, conditions = [], [], [], [], []
    ladders = []
    excused, excuses = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for start in range(0, max(1, n), PIECE):
        here = slice(start, start + PIECE)
        own = np.asarray(index[here], dtype=np.int64)
        entries = _first_pass(losses, calibration, gradient, effects, own)
        measured, usual = entries.numerical.copy(), entries.tolerance.copy()
        ladders.append(try_again(losses, calibration, entries, rng))
        look_closer(losses, calibration, entries)
        excuse_cancellation(losses, gradient, entries, rng)
        conditions.append(excuse_condition(losses, entries))
        jumps.append(excuse_solver(losses, entries, rng))
        kinks.append(take(entries, entries.kind == KINK))
        controls.append(take(entries, _least_certain(entries, effects)))
        unverified = (entries.kind == UNDECIDED) | entries.drowned
        left_open.append(take(entries, np.flatnonzero(unverified)[:_SHOWN]))
        if calibration.fixed is not None:  # report what that step gives
            moved = np.abs(measured - entries.numerical)
            entries.error = np.where(moved > 0, entries.error + moved, entries.error)
            entries.numerical = measured
        more = np.flatnonzero(entries.tolerance != usual)
        excused.append(start + more)
        excuses.append(entries.tolerance[more])
        kind[here] = entries.kind
        for name, values in kept.items():
            values[here] = getattr(entries, name)
    tied = joined(kinks)
    check_ties(losses, calibration, tied)
    kind[places(index, tied.index)] = tied.kind
    if losses.raised is not None and not np.isfinite(kept["error"]).any():
        raise losses.raised  # nothing at all is known
    found = Verdicts(
        index,
        gradient.value if n == len(gradient.value) else gradient.value[index],
        **kept,
        tolerance=Tolerances(
            (gradient, calibration, effects),
            index,
            kept["numerical"],
            np.concatenate(excused),
            np.concatenate(excuses),
        ),
        kind=kind,
        edges=calibration.block.edges(index),
        controls=joined(controls),
        open=joined(left_open),
        jump=max(filter(None, jumps), key=lambda jump: jump.size, default=None),
        condition=max(filter(None, conditions), default=None),
        zero=np.zeros(len(gradient.eps), dtype=bool),
        ladders=Ladders(*map(np.concatenate, zip(*ladders, strict=True))),
    )
    find_zeros(found, losses.nest.offsets, gradient, calibration)
    return found


def _least_certain(entries: Judgement, effects: Effects) -> Index:
    """Return the correct entry that is known least well of every block that has one."""
    with np.errstate(all="ignore"):
        size = np.fmax(entries.size, effects.typical[entries.block] / entries.unit)
        doubt = np.fmax((2 * entries.error + entries.tolerance) / size, 0.0)
    doubt[entries.kind != CORRECT] = -1.0
    edges = np.searchsorted(entries.block, np.arange(len(effects.typical) + 1))
    worst = [
        start + int(np.argmax(doubt[start:stop]))
        for start, stop in itertools.pairwise(edges.tolist())
        if stop > start
    ]
    return np.array([k for k in worst if doubt[k] >= 0], dtype=np.int64)


def _first_pass(
    losses: Losses,
    calibration: Calibration,
    gradient: Gradient,
    effects: Effects,
    index: Index,
) -> Judgement:
    """Measure every entry once, by the method asked for, and judge by that."""
    method, block = calibration.method, calibration.block[index]
    own, jump = gradient.value[index], np.zeros(len(index))
    crossed = np.zeros(len(index), dtype=bool)
    if method in ("complex", "ridders"):
        slopes = slopes_by(method, losses, index, calibration)
        value, error = slopes.value, slopes.error
        response = np.abs(value)
    elif method == "exact":
        bars = calibration.truncation[block]
        value, error, crossed = exact_slopes(
            losses, index, calibration.scale[index], bars
        )
        response = np.abs(value)
        jump = np.where(crossed, np.inf, 0.0)
    else:
        pairs = calibration.pairs(losses, index)
        value = pairs.slopes(method)
        error = calibration.error(pairs, index)
        response = np.fmax(np.abs(pairs.forward), np.abs(pairs.backward))
        jump = np.abs(pairs.jump)
        crossed = crossed if pairs.crossed is None else pairs.crossed
    value = np.where(np.isfinite(value), value, np.nan)
    error = np.where(np.isfinite(value) & np.isfinite(error), error, np.inf)
    response = np.where(np.isfinite(response), response, 0.0)
    entries = Judgement(
        *(index, block, own, value, error),
        *allowances(gradient, calibration, effects, index, value),
        *(response, jump, np.zeros(len(index)), crossed),
        np.empty(len(index), dtype=np.uint8),
    )
    if method == "exact":
        _look_around(losses, entries, calibration.scale[index])
    entries.kind = classify(entries)
    return entries


def _look_around(losses: Losses, entries: Judgement, scale: Array) -> None:
    """Find out whether entries without a slope have one, or the loss responds to them.

    In a block that matters far less than others; or further away.
    """
    flat = np.flatnonzero(np.abs(entries.analytic) <= entries.floor)
    small = flat[(entries.numerical[flat] != 0) & ~entries.crossed[flat]]
    known = plain(entries.numerical[small], entries.error[small])
    slopes = sharpened(losses, entries.index[small], known, scale[small])
    entries.numerical[small], entries.error[small] = slopes.value, slopes.error
    step = binary(scale[flat], RUNGS[2])
    pairs = entry_pairs(losses, entries.index[flat], step)
    around = np.fmax(np.abs(pairs.forward), np.abs(pairs.backward))
    entries.response[flat] = np.fmax(entries.response[flat], around)
