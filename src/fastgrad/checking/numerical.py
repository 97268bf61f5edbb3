"""The gradient from differences alone."""

from typing import Any, Unpack

import numpy as np

from fastgrad._arguments import flag, generator
from fastgrad._public import public_with
from fastgrad.checking.audit import refuse_random
from fastgrad.checking.differences import (
    SEVERAL,
    Every,
    Given,
    check_method,
    engine_for,
    evaluations_of,
    slopes_of,
)
from fastgrad.checking.judgement import InnerRounding
from fastgrad.losses import OUTSIDE, Options, make_losses


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
    block. Otherwise, of up to 1024 entries, a complex step, and 16 to 50 evaluations
    along two random directions, whose slopes have to bear it out. Where these do not,
    ten: central differences at h, 2h, 3h and 4h, extrapolated to eighth order, and at
    h / 51; eight more for each time that h does not suit the entry and is an eighth. Of
    more entries four, of which two are a second step that tells whether the first suits
    the entry, and twenty where it does not. Two for `step`, one for a forward or
    complex step, twenty for Ridders, as many again where small steps change nothing.

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
        losses.forgive(OUTSIDE)
        refuse_random(losses)
        given, few = Given.of(losses.nest, step), len(index) <= SEVERAL
        slopes = slopes_of(losses, index, method, given, return_error, rng, few)
        error = slopes.error
        if return_error and step is None:
            own = np.asarray(index)
            error = error + InnerRounding(losses).bars(own, slopes.value, error)
        losses.let_go()
        if losses.raised is not None and not np.isfinite(slopes.value).any():
            raise losses.raised  # nothing at all is known
    unvector = losses.nest.unvector
    if return_error:
        return unvector(slopes.value), unvector(error)
    return unvector(slopes.value)
