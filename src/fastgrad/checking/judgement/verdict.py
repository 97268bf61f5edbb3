"""The verdict on each entry: correct, wrong, undecided, at a kink, or unobservable.

Every entry is measured once, and judged by that if it is inside its bar. The others are
suspects, and tried again. What is left at a kink has to be a subgradient along
directions through all such entries, too.
"""

import itertools
from dataclasses import replace

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import (
    PIECE,
    RUNGS,
    Calibration,
    Every,
    Scale,
    binary,
    entry_pairs,
    exact_slopes,
    noise_of_stairs,
    places,
    plain,
    sharpened,
    slopes_by,
)
from fastgrad.checking.judgement.cancellation import excuse_cancellation
from fastgrad.checking.judgement.condition import excuse_condition
from fastgrad.checking.judgement.evidence import (
    CORRECT,
    FEW,
    KINK,
    UNDECIDED,
    UNOBSERVABLE,
    WRONG,
    Effects,
    Judgement,
    Jump,
    Ladders,
    Rough,
    Verdicts,
    allowances,
    classify,
    from_everywhere,
    joined,
    take,
)
from fastgrad.checking.judgement.gradient import Gradient
from fastgrad.checking.judgement.inner_rounding import InnerRounding
from fastgrad.checking.judgement.own_terms import OwnTerms
from fastgrad.checking.judgement.roughness import doubt_roughness, excuse_roughness
from fastgrad.checking.judgement.solvers import Solvers
from fastgrad.checking.judgement.steep import look_closer
from fastgrad.checking.judgement.suspects import try_again
from fastgrad.checking.judgement.ties import check_ties
from fastgrad.checking.judgement.tolerances import Tolerances
from fastgrad.checking.judgement.zeros import find_zeros, leave_open
from fastgrad.losses import Losses

_SHOWN = 2**10  # entries left open of a piece that may be named: more take memory


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
    kept, inner = _Kept(gradient, calibration, index), InnerRounding(losses)
    own_terms = OwnTerms(losses, gradient, calibration)
    solvers = Solvers(losses, calibration.scale, rng)
    for here in losses.pieces(index, PIECE):
        own = np.asarray(index[here], dtype=np.int64)
        own = own[losses.reads(own) | (gradient.value[own] != 0)]
        entries = _first_pass(losses, calibration, gradient, kept.effects, own)
        leave_open(entries, kept.effects)
        measured, usual = entries.numerical.copy(), entries.tolerance.copy()
        known, doubted = own_terms.sharpen(entries)
        kept.ladders.append(try_again(losses, calibration, entries, rng))
        look_closer(losses, calibration, entries)
        inner.excuse(entries)
        excuse_cancellation(losses, gradient, entries, known, rng)
        kept.conditions.append(excuse_condition(losses, entries))
        kept.jumps.append(solvers.excuse(entries))
        kept.rough.append(excuse_roughness(losses, calibration, entries))
        kept.rough.append(doubt_roughness(losses, calibration, entries))
        leave_open(entries, kept.effects)
        _doubt(entries, doubted)
        kept.add_examples(entries)
        if calibration.fixed is not None:  # report what that step gives
            moved = np.abs(measured - entries.numerical)
            entries.error = np.where(moved > 0, entries.error + moved, entries.error)
            entries.numerical = measured
        kept.add(entries, usual)
    tied = joined(kept.kinks)
    check_ties(losses, calibration, tied)
    kept.kind[places(index, tied.index)] = tied.kind
    kept.note_bent(tied)
    if losses.raised is not None and not np.isfinite(kept.error).any():
        raise losses.raised  # nothing at all is known
    found = replace(kept.verdicts(), cancels=inner.line)
    find_zeros(found, losses.nest.offsets, gradient, calibration)
    return found


def _doubt(entries: Judgement, which: Index) -> None:
    """Leave entries open that have passed."""
    passed = np.isin(entries.kind[which], (CORRECT, UNOBSERVABLE))
    entries.kind[which[passed]] = UNDECIDED


class _Kept:
    """What is kept of the entries that were judged piece by piece."""

    def __init__(
        self, gradient: Gradient, calibration: Calibration, index: Index | Every
    ) -> None:
        self.gradient, self.calibration, self.index = gradient, calibration, index
        self.effects = Effects(gradient, calibration, index)
        # What is said of an entry that nothing reads, and whose gradient is zero.
        self.numerical, self.error = np.zeros(len(index)), np.zeros(len(index))
        self.kind = np.full(len(index), UNOBSERVABLE, dtype=np.uint8)
        self.kinks: list[Judgement] = []
        self.controls: list[Judgement] = []
        self.open: list[Judgement] = []
        self.jumps: list[Jump | None] = []
        self.rough: list[Rough | None] = []
        self.conditions: list[float | None] = []
        self.ladders: list[Ladders] = []
        self.bent = [np.zeros(0, dtype=np.int64)]
        self._excused, self._excuses = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]

    def add_examples(self, entries: Judgement) -> None:
        """Keep all that is known about some entries of a piece."""
        self.kinks.append(take(entries, entries.kind == KINK))
        self.controls.append(take(entries, _least_certain(entries, self.effects)))
        unverified = (entries.kind == UNDECIDED) | entries.drowned
        self.open.append(take(entries, np.flatnonzero(unverified)[:_SHOWN]))

    def add(self, entries: Judgement, usual: Array) -> None:
        """Keep what there is to say about a piece; `usual` tolerances are not kept."""
        here = places(self.index, entries.index)
        self.numerical[here], self.error[here] = entries.numerical, entries.error
        self.kind[here] = entries.kind
        self.note_bent(entries)
        excused = (entries.tolerance != usual) & (entries.kind != WRONG)
        more = np.flatnonzero(excused)
        self._excused.append(here[more])
        self._excuses.append(entries.tolerance[more])

    def note_bent(self, entries: Judgement) -> None:
        """Keep which of these are wrong at kinks."""
        bent = (entries.kind == WRONG) & (entries.bend != 0)
        self.bent.append(np.asarray(entries.index[bent]))

    def verdicts(self) -> Verdicts:
        """Return it all."""
        index, value = self.index, self.gradient.value
        return Verdicts(
            index,
            value if len(index) == len(value) else value[index],
            self.numerical,
            self.error,
            tolerance=Tolerances(
                (self.gradient, self.calibration, self.effects),
                index,
                self.numerical,
                np.concatenate(self._excused),
                np.concatenate(self._excuses),
            ),
            kind=self.kind,
            edges=self.calibration.block.edges(index),
            controls=joined(self.controls),
            open=joined(self.open),
            jump=max(
                filter(None, self.jumps), key=lambda jump: jump.size, default=None
            ),
            rough=max(
                filter(None, self.rough), key=lambda rough: rough.below, default=None
            ),
            condition=max(filter(None, self.conditions), default=None),
            cancels=None,
            zero=np.zeros(len(self.gradient.eps), dtype=bool),
            bent=np.concatenate(self.bent),
            ladders=Ladders(*map(np.concatenate, zip(*self.ladders, strict=True))),
        )


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
        value, error, crossed = exact_slopes(losses, index, calibration.scale, bars)
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
        _look_around(losses, entries, calibration.scale)
    entries.kind = classify(entries)
    if method == "exact":
        _look_behind(losses, entries, calibration)
    return entries


def _look_around(losses: Losses, entries: Judgement, scale: Scale) -> None:
    """Find out whether entries without a slope have one, or the loss responds to them.

    In a block that matters far less than others; or further away.
    """
    flat = np.flatnonzero(np.abs(entries.analytic) <= entries.floor)
    if flat.size == 0:
        return
    small = flat[(entries.numerical[flat] != 0) & ~entries.crossed[flat]]
    known = plain(entries.numerical[small], entries.error[small])
    slopes = sharpened(losses, entries.index[small], known, scale)
    entries.numerical[small], entries.error[small] = slopes.value, slopes.error
    step = binary(scale[entries.index[flat]], RUNGS[2])
    pairs = entry_pairs(losses, entries.index[flat], step)
    around = np.fmax(np.abs(pairs.forward), np.abs(pairs.backward))
    entries.response[flat] = np.fmax(entries.response[flat], around)
    still = flat[entries.numerical[flat] == 0]
    few = from_everywhere(still.size, FEW)
    if _doubt_stairs(losses, entries, still[few]):
        _doubt_stairs(losses, entries, np.delete(still, few))


def _look_behind(losses: Losses, entries: Judgement, calibration: Calibration) -> None:
    """Find out which entries have a kink that only a step to the other side shows.

    Of equal numbers, what the loss acts on may change to one side of each alone. Where
    nothing is at a kink or off, nobody asks what shares it.
    """
    program = losses.program
    if program is None or not program.guards:
        return
    passed = (entries.kind == CORRECT) & ~entries.crossed
    if (passed | (entries.kind == UNOBSERVABLE)).all():
        return
    which = np.flatnonzero(passed)
    bars = calibration.truncation[entries.block[which]]
    given = losses, entries.index[which], calibration.scale, bars
    behind = which[exact_slopes(*given, side=-1.0)[2]]
    entries.crossed[behind], entries.jump[behind] = True, np.inf


def _doubt_stairs(losses: Losses, entries: Judgement, flat: Index) -> bool:
    """Doubt slopes of zero of what stands on a step of a staircase; say if any does."""
    index, scale = entries.index[flat], entries.unit[flat]
    pairs = entry_pairs(losses, index, binary(scale)[:, None] * RUNGS)
    on_step = noise_of_stairs(losses, index, scale, pairs) > 0
    doubted, index, scale = flat[on_step], index[on_step], scale[on_step]
    wide = entry_pairs(losses, index, binary(scale))
    slope = np.fmax(np.abs(wide.forward), np.abs(wide.backward))
    entries.response[doubted] = np.fmax(entries.response[doubted], slope)
    entries.error[doubted] = entries.response[doubted]
    return bool(doubted.size)
