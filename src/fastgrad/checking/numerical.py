"""The gradient from differences alone."""

from functools import partial
from typing import Any, Unpack

import numpy as np

from fastgrad._arguments import choice, flag, generator, public_with, refusal
from fastgrad.checking.audit import refuse_random
from fastgrad.checking.differences import (
    EPS,
    RUNGS,
    Array,
    Index,
    Slopes,
    entry_pairs,
    ladder,
)
from fastgrad.checking.exact import exact_slopes
from fastgrad.checking.extrapolation import extrapolated_slopes
from fastgrad.checking.noise import Calibration, calibrate
from fastgrad.checking.scales import Every, Given, binary
from fastgrad.losses import Losses, Options, make_losses

METHODS = ("auto", "central", "forward", "backward", "complex", "ridders")

_COMPLEX_STEP = 1e-30
_CHUNK = 4096  # entries whose ladders are held at once
_PIECE = 2**15  # entries that are looked at at once
FEW = 64  # entries: a second step each costs less than finding the first did


@public_with(make_losses)
def numerical_gradient(
    loss: Any,
    params: Any,
    *,
    method: str = "central",
    step: Any = None,
    return_error: bool = False,
    seed: int = 0,
    **options: Unpack[Options],
) -> Any:
    """Return the gradient of `loss` at `params` from differences of losses.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args, **kwargs)`` returns the loss, as for `check_gradient`.
    params : nest of arrays
        Where; left as it was.
    args, kwargs, blocks, bounds
        As for `check_gradient`; the result has None where there is no block.
    method : {"central", "forward", "backward", "complex", "ridders"}
        ``"central"`` is ``(J(x + h) - J(x - h)) / ((x + h) - (x - h))``, with the two
        points as they are stored. ``"forward"`` and ``"backward"`` take the loss on one
        side and at `params`, and lose half the
        digits. ``"complex"`` is ``imag(J(x + ih)) / h``: exact, if the loss is analytic
        and computes in complex arithmetic. ``"ridders"`` extrapolates from ten steps of
        each entry.
    step : float or nest of floats and arrays, optional
        The absolute step: one for all entries, or built like `params`, for each block
        or each entry, as ``1e-6 * np.abs(x)``. By default it follows, for each block,
        from the measured noise and curvature of the loss, and for entries that it does
        not suit from a ladder of steps.
    return_error : bool
        Also return error bars.
    reduction, engine, vectorized, workers, progress, num_threads, nondet_rtol
        As for `check_gradient`.
    seed : int
        Picks the entries on which noise and curvature are measured.

    Returns
    -------
    gradient : nest of arrays
        In the structure of `params`, float64; nan where the loss was not finite.
    error : nest of arrays
        If `return_error` is set: the derivative is in ``gradient +- error``. Infinite
        where nothing can be said; half the jump of the slope at a kink.

    Raises
    ------
    TypeError, ValueError
        As `check_gradient`; if `method` is unknown or `step` is not positive, or so
        small that adding it changes nothing; if the loss is random.

    Notes
    -----
    Costs one evaluation of the loss per entry where it is compiled and its differences
    are exact (two of up to 64 entries), and some 30 for each of a few entries per
    block. Otherwise six of up to 64 entries: central differences at h, 2h and 4h,
    extrapolated to sixth order, and six more for each time that h does not suit the
    entry and becomes an eighth. Of more entries four, of which two are a second step
    that tells whether the first suits the entry, and twenty where it does not. Two for
    `step`, one for a forward or complex step, twenty for Ridders.

    Examples
    --------
    >>> import numpy as np
    >>> gradient = numerical_gradient(lambda w: np.sum(w**2), np.array([1.0, -2.0]))
    >>> np.allclose(gradient, [2.0, -4.0])
    True

    A step for each block:

    >>> def loss(p):
    ...     return p["a"] ** 3 + np.exp(p["b"])
    >>> p = {"a": 100.0, "b": 0.0}
    >>> found = numerical_gradient(loss, p, step={"a": 1.0, "b": 1e-3})
    >>> round(float(found["a"]), 6), round(float(found["b"]), 9)
    (30001.0, 1.000000167)
    """
    method, rng = check_method(method, step), generator("seed", seed)
    flag("return_error", return_error)
    options["engine"] = engine_for(method, options.get("engine", "auto"))
    with make_losses(loss, params, **options) as losses:
        index = Every(0, losses.nest.size)
        losses.progress.plan(
            evaluations_of(method) * len(index) * (2 if return_error else 1),
            'Cheaper: `method="forward"`, `return_error=False`, `workers=` with an '
            "executor. `progress=False` says nothing.",
        )
        losses.forgive()
        refuse_random(losses)
        given, few = Given.of(losses.nest, step), len(index) <= FEW
        slopes = slopes_of(losses, index, method, given, return_error, rng, few)
        losses.let_go()
        if losses.raised is not None and not np.isfinite(slopes.value).any():
            raise losses.raised  # nothing at all is known
    unvector = losses.nest.unvector
    if return_error:
        return unvector(slopes.value), unvector(slopes.error)
    return unvector(slopes.value)


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
    for start in range(0, len(index), _PIECE):
        own = np.asarray(index[start : start + _PIECE])
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
    h = np.full(len(index), _COMPLEX_STEP) if step is None else step[index]
    value = losses.imaginary(index, h) / h
    return plain(value, 64 * EPS * np.abs(value))


def ridders_slopes(losses: Losses, index: Index, calibration: Calibration) -> Slopes:
    """Return the derivatives by a ladder of steps each: twenty evaluations."""
    parts = []
    for start in range(0, len(index), _CHUNK):
        chunk = index[start : start + _CHUNK]
        steps = binary(calibration.scale[chunk])[:, None] * RUNGS
        noise = calibration.noise[calibration.block[chunk]]
        parts.append(ladder(entry_pairs(losses, chunk, steps), noise))
    return Slopes(
        *(
            np.concatenate([getattr(part, name) for part in parts])
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
    if method == "complex":
        measure = partial(complex_slopes, losses, step=step)
    elif step is not None and not with_error:
        measure = partial(_at_step, losses, method=method, step=step)
    else:
        known = calibrate(losses, rng, method=method, step=step)
        way = {"ridders": ridders_slopes, "exact": _exactly}.get(known.method)
        measure = partial(way or _with_error, losses, calibration=known)
    value = np.empty(len(index))
    error = np.empty(len(index) if with_error else 0)
    for start in range(0, len(index), _PIECE):  # all that is known takes memory
        here = slice(start, start + _PIECE)
        found = measure(np.asarray(index[here]))
        value[here] = found.value
        if with_error:
            error[here] = found.error
    return plain(value, error)


def _few(losses: Losses, index: Index, rng: np.random.Generator) -> Slopes:
    """Exact differences, where there are; else three steps each, or a ladder."""
    if losses.engine == "compiled":
        calibration = calibrate(losses, rng)
        if calibration.method == "exact":
            return _exactly(losses, index, calibration, both_sides=True)
    value, error, again = extrapolated_slopes(losses, index, rng)
    if again.size:
        calibration = calibrate(losses, rng)
        better = ridders_slopes(losses, index[again], calibration)
        closer = again[better.error < error[again]]
        value[closer] = better.value[better.error < error[again]]
        error[closer] = better.error[better.error < error[again]]
    return plain(np.where(np.isfinite(error), value, np.nan), error)


def _exactly(
    losses: Losses, index: Index, calibration: Calibration, both_sides: bool = False
) -> Slopes:
    """One evaluation per entry; where there is a kink, or no slope, a ladder."""
    bars = calibration.truncation[calibration.block[index]]
    given = (losses, index, calibration.scale[index], bars)
    value, error, crossed = exact_slopes(*given)
    if both_sides:  # curvature shifts the two slopes by as much
        other, _, beyond = exact_slopes(*given, side=-1.0)
        value, crossed = (value + other) / 2, crossed | beyond
    again = np.flatnonzero(crossed | ~np.isfinite(error))
    if again.size:
        better = ridders_slopes(losses, index[again], calibration)
        value[again], error[again] = better.value, better.error
    return plain(value, error)


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
        # Noise, if it is more here than where it was measured, or curvature.
        error = known + change / 2
        odd = ~(change <= 4 * known)
        # A slope that jumps by as much at both steps: a kink, not curvature.
        jumps = np.abs(pairs.jump) > 0.5 * np.abs(wider.jump)
        odd |= jumps & (np.abs(pairs.jump) > 8 * known)
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
