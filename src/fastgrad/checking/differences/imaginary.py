"""The complex step by itself: exact derivatives of functions that are analytic.

``Im J(x + ih e) / h`` has no cancellation, and h may be tiny: it is the derivative to
the last digits, if every operation of J is the analytic one of complex numbers. Nothing
about a function says so: absolute values, real parts, norms, comparisons are not. So it
is taken only where real differences, within their error bars, say the same of every
entry.
"""

import warnings

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.losses import Losses

STEP = 1e-30
_ROOM = 8.0  # error bars: some are too narrow, and what they hide is no more than that


def imaginary_slopes(losses: Losses, index: Index) -> Array | None:
    """Return what would be the derivatives of an analytic function.

    None where the function does not compute in complex arithmetic, which the first of
    the evaluations, one for each entry, shows.
    """
    if index.size == 0:
        return None
    h = np.full(len(index), STEP)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            first = losses.imaginary(index[:1], h[:1])
        rest = losses.imaginary(index[1:], h[1:])
    except Exception:  # whatever it is that cannot be computed
        return None
    slopes: Array = np.concatenate([first, rest]) / h
    return slopes


def is_borne_out(slopes: Array, value: Array, error: Array) -> bool:
    """Whether real differences say the same, within some error bars."""
    with np.errstate(invalid="ignore"):
        agree = np.isfinite(error) & (np.abs(slopes - value) <= _ROOM * error)
    return bool(agree.all())
