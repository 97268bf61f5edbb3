"""Slopes of entries by each method, with or without their error bars."""

from functools import partial
from typing import Any

import numpy as np

from fastgrad._arguments import choice, refusal
from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences.exact import exact_slopes
from fastgrad.checking.differences.extrapolation import WIDTHS, extrapolated_slopes
from fastgrad.checking.differences.imaginary import (
    REACH,
    STEP,
    imaginary_slopes,
    is_borne_out,
    random_directions,
    slopes_along,
)
from fastgrad.checking.differences.ladders import ladder
from fastgrad.checking.differences.noise import Calibration, calibrate
from fastgrad.checking.differences.pairs import EPS, RUNGS, Slopes, entry_pairs
from fastgrad.checking.differences.scales import PIECE, Every, Given, Scale, binary
from fastgrad.checking.differences.stairs import noise_of_stairs
from fastgrad.losses import Losses

METHODS = ("auto", "central", "forward", "backward", "complex", "ridders")

CHUNK = 2048  # entries whose ladders are held at once: more take memory
FEW = 64  # entries: a second step each costs less than finding the first did
SEVERAL = 1024  # entries: of more, two steps each are quicker than four


def check_method(method: str, step: Any) -> str:
    """Return the method, "auto" resolved; raise if the two make no sense together."""
    choice("method", method, METHODS)
    if step is not None and method == "ridders":
        must = 'be None with `method="ridders"`, which takes many'
        raise refusal(ValueError, "step", must, step)
    return "central" if method == "auto" else method


def evaluations_of(method: str) -> int:
    """Return how many evaluations an entry takes, once the step is known."""
    return {"exact": 1, "complex": 1, "ridders": 20}.get(method, 2)


def engine_for(method: str, engine: str) -> str:
    """Return the engine, where "auto" and only one can do the method: that one."""
    return "python" if method == "complex" and engine == "auto" else engine


def refuse_lost_step(losses: Losses, index: Any, step: Given) -> None:
    """Raise ValueError if adding `step` changes nothing at one of the entries."""
    for start in range(0, len(index), PIECE):
        own = np.asarray(index[start : start + PIECE])
        x, h, there = losses.theta[own], step[own], losses.representable
        lost = there(own, x + h) == there(own, x - h)
        if lost.any():
            k = int(np.argmax(lost))
            raise ValueError(
                f"`step` must change the parameters, but {h[k]} is lost in rounding "
                f"at {losses.nest.label(int(own[k]))}."
            )


def complex_slopes(losses: Losses, index: Index, step: Given | None) -> Slopes:
    """Return the derivatives by the complex step: one evaluation each."""
    h = np.full(len(index), STEP) if step is None else step[index]
    value = losses.imaginary(index, h) / h
    return plain(value, 64 * EPS * np.abs(value))


def ridders_slopes(losses: Losses, index: Index, calibration: Calibration) -> Slopes:
    """Return the derivatives by a ladder of steps each: twenty evaluations.

    As many again where the smaller of the steps change nothing.
    """
    parts, places, all_of = [], [], np.arange(len(index))
    for here in losses.pieces(index, CHUNK):
        chunk = index[here]
        places.append(all_of[here])
        scale = calibration.scale[chunk]
        pairs = entry_pairs(losses, chunk, binary(scale)[:, None] * RUNGS)
        stairs = 2 * noise_of_stairs(losses, chunk, scale, pairs)
        noise = np.fmax(calibration.noise[calibration.block[chunk]], stairs)
        parts.append(ladder(pairs, noise))
    back = np.argsort(np.concatenate(places))
    return Slopes(
        *(
            np.concatenate([getattr(part, name) for part in parts])[back]
            for name in Slopes.__dataclass_fields__
        )
    )


def slopes_by(
    method: str, losses: Losses, index: Index, calibration: Calibration
) -> Slopes:
    """Return the derivatives by ``"complex"`` or ``"ridders"``."""
    if method == "complex":
        return complex_slopes(losses, index, calibration.fixed)
    return ridders_slopes(losses, index, calibration)


def slopes_of(
    losses: Losses,
    index: Index | Every,
    method: str,
    step: Given | None,
    with_error: bool,
    rng: np.random.Generator,
    few: bool = False,
) -> Slopes:
    """Return the derivatives of some entries; their error bars only if asked for.

    Of `few` things that are moved they are known better.
    """
    if step is not None and method != "complex":
        refuse_lost_step(losses, index, step)
    if few and method == "central" and step is None:
        return _few(losses, np.asarray(index), rng)
    chosen = method
    if method == "complex":
        measure = partial(complex_slopes, losses, step=step)
    elif step is not None and not with_error:
        measure = partial(_at_step, losses, method=method, step=step)
    else:
        known = calibrate(losses, rng, method=method, step=step)
        chosen = known.method
        way = {"ridders": ridders_slopes, "exact": _exactly}.get(chosen)
        measure = partial(way or _with_error, losses, calibration=known)
    value = np.empty(len(index))
    error = np.empty(len(index) if with_error else 0)
    for here in losses.pieces(index, PIECE):  # all that is known takes memory
        own = np.asarray(index[here])
        found = measure(own)
        if chosen in ("exact", "central") and step is None:
            found = _asking_the_function(losses, own, found, rng)
        value[here] = found.value
        if with_error:
            error[here] = found.error
    return plain(value, error)


def _few(losses: Losses, index: Index, rng: np.random.Generator) -> Slopes:
    """Exact differences or a complex step, where borne out; else four, or a ladder."""
    if losses.engine == "compiled":
        calibration, both_sides = calibrate(losses, rng), len(index) <= FEW
        if calibration.method == "exact":
            found = _exactly(losses, index, calibration, both_sides)
            return _asking_the_function(losses, index, found, rng)
    # First: what the function keeps of its last call is to be of real parameters.
    analytic = imaginary_slopes(losses.imaginary, index)
    if analytic is not None:
        off = _off_along_directions(losses, analytic, rng)
        if off is not None:
            return plain(analytic, off + 64 * EPS * np.abs(analytic))
    value, error, again = extrapolated_slopes(losses, index, rng)
    if analytic is not None and is_borne_out(analytic, value, error):
        return plain(analytic, error + np.abs(analytic - value))
    if again.size and losses.engine == "compiled" and losses.function is not None:
        return _few(losses.function, index, rng)  # it takes no step for a kink
    if again.size:
        calibration = calibrate(losses, rng)
        better = ridders_slopes(losses, index[again], calibration)
        closer = better.error < error[again]
        value[again[closer]] = better.value[closer]
        error[again[closer]] = better.error[closer]
    found = plain(np.where(np.isfinite(error), value, np.nan), error)
    return _asking_the_function(losses, index, found, rng)


def _off_along_directions(
    losses: Losses, slopes: Array, rng: np.random.Generator
) -> Array | None:
    """Return how far each slope may be off, if differences bear all of them out."""
    if len(slopes) != len(losses.theta):  # a direction moves the others as well
        return None
    scale = Scale(losses.theta, losses.nest.offsets)[:]
    eps = max(float(np.finfo(dtype).eps) for dtype in losses.nest.dtypes)
    noise = np.array([max(eps * abs(losses.base), losses.rounding)])
    off = 0.0
    for direction in random_directions(scale, rng):
        inward = losses.inward(direction, REACH)
        along = slopes_along(inward, lambda d, t: losses.along(d, t)[:, None], noise)
        here = along.off(slopes[None])
        if here is None:
            return None
        off = max(off, float(here[0]))
    return off / scale


def _exactly(
    losses: Losses, index: Index, calibration: Calibration, both_sides: bool = False
) -> Slopes:
    """One evaluation per entry; where there is a kink, or no slope, a ladder."""
    bars = calibration.truncation[calibration.block[index]]
    given = (losses, index, calibration.scale, bars)
    value, error, crossed = exact_slopes(*given)
    if both_sides:  # curvature shifts the two slopes by as much
        other, _, beyond = exact_slopes(*given, side=-1.0)
        value, crossed = (value + other) / 2, crossed | beyond
    again = np.flatnonzero(crossed | ~np.isfinite(error))
    if again.size:
        better = ridders_slopes(losses, index[again], calibration)
        value[again], error[again] = better.value, better.error
    return plain(value, error)


def _asking_the_function(
    losses: Losses, index: Index, found: Slopes, rng: np.random.Generator
) -> Slopes:
    """Return the slopes, by the function where a program has none.

    On a step of a staircase it is flat, though not further away, and it takes the edge
    of every step for a kink.
    """
    function = losses.function
    if function is None or losses.engine != "compiled":
        return found
    lost = np.flatnonzero(~np.isfinite(found.value))
    flat = np.flatnonzero((found.value == 0) & losses.reads(index))
    which = np.concatenate([lost, flat[_responds(losses, index[flat])]])
    if which.size == 0:
        return found
    value, error = found.value.copy(), np.full(len(index), np.nan)
    error[: len(found.error)] = found.error
    better = _few(function, index[which], rng)
    value[which], error[which] = better.value, better.error
    return plain(value, error)


def _responds(losses: Losses, flat: Index) -> Flags:
    """Whether a loss that is flat at some entries is another further away.

    On both sides, and not the same. If none of a few is, no further ones are asked.
    """
    scale = binary(Scale(losses.theta, losses.nest.offsets)[flat])
    responds = np.zeros(len(flat), dtype=bool)
    for some in (slice(FEW), slice(FEW, None)):
        pairs = entry_pairs(losses, flat[some], scale[some, None] * WIDTHS)
        both = (pairs.plus != 0) & (pairs.minus != 0) & (pairs.central != 0)
        responds[some] = both.any(axis=1)
        if not responds.any():
            break
    # Where most do the loss is a staircase, and the others on wider steps of it.
    if responds.sum() > len(flat) / 2:
        responds[:] = True
    return responds


def _at_step(losses: Losses, index: Index, method: str, step: Given) -> Slopes:
    if method in ("forward", "backward"):
        x, side = losses.theta[index], 1.0 if method == "forward" else -1.0
        value = losses.representable(index, x + side * step[index])
        with np.errstate(all="ignore"):
            slope = losses.at_entries(index, value)[0] / (value - x)
    else:
        slope = entry_pairs(losses, index, step[index]).central
    return plain(slope, np.full(len(index), np.nan))


def _with_error(losses: Losses, index: Index, calibration: Calibration) -> Slopes:
    """Two steps per entry; where they contradict each other, a ladder.

    Where the step was asked for, the values at that step.
    """
    keep = calibration.fixed is not None
    pairs = calibration.pairs(losses, index)
    # Not a power of two: that would round in the same way.
    wider = entry_pairs(losses, index, 3 * calibration.step[index])
    value = pairs.slopes(calibration.method)
    other = wider.slopes(calibration.method)
    with np.errstate(all="ignore"):
        known = calibration.error(pairs, index)
        change = np.abs(other - value)
        # What jumps keep that curvature does not explain: of a kink nearer than both.
        shift = np.abs(3 * pairs.jump - wider.jump) / 4
        shift *= 1 if calibration.method == "central" else 2
        # Noise, if it is more here than where it was measured, or curvature.
        error = known + change / 2 + shift
        odd = ~(np.fmax(change, shift) <= 4 * known)
    if pairs.crossed is not None:
        odd |= pairs.crossed
    again = np.flatnonzero(odd)
    better = ridders_slopes(losses, index[again], calibration) if again.size else None
    if better is not None and keep:
        error[again] = np.abs(better.value - value[again]) + better.error
    elif better is not None:
        value[again], error[again] = better.value, better.error
    error = np.where(np.isfinite(value), error, np.inf)
    return plain(value, error)


def plain(value: Array, error: Array) -> Slopes:
    """Return slopes with their bars where nothing is known of kinks."""
    nowhere, smooth = (np.broadcast_to(x, value.shape) for x in (np.nan, False))
    return Slopes(value, error, smooth, *[nowhere] * 4)
