"""The complex step by itself: exact derivatives of functions that are analytic.

``Im J(x + ih e) / h`` has no cancellation, and h may be tiny: it is the derivative to
the last digits, if every operation of J is the analytic one of complex numbers. Nothing
about a function says so: absolute values, real parts, norms, comparisons are not. So it
is taken only where real differences, within their error bars, say the same of every
entry.
"""

import threading
import warnings

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.losses import Losses

STEP = 1e-30
_ROOM = 8.0  # error bars: some are too narrow, and what they hide is no more than that


#: Filters of warnings are those of all threads.
_TURN = threading.RLock()
_PATIENCE = 10.0  # seconds


def imaginary_slopes(losses: Losses, index: Index) -> Array | None:
    """Return what would be the derivatives of an analytic function.

    None where the function does not compute in complex arithmetic, which the first of
    the evaluations, one for each entry, shows.
    """
    if index.size == 0:
        return None
    h = np.full(len(index), STEP)
    try:
        found = _without_warnings(losses, index[:1], h[:1])
        if len(index) > 1:
            found = np.append(found, losses.imaginary(index[1:], h[1:]))
    except Exception:  # whatever it is that cannot be computed
        return None
    slopes: Array = found / h
    return slopes


def _without_warnings(losses: Losses, index: Index, h: Array) -> Array:
    """Return imaginary parts; raise where one is discarded on the way."""
    if not _TURN.acquire(timeout=_PATIENCE):
        raise TimeoutError
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            return losses.imaginary(index, h)
    finally:
        _TURN.release()


def is_borne_out(slopes: Array, value: Array, error: Array) -> bool:
    """Whether real differences say the same, within some error bars."""
    with np.errstate(invalid="ignore"):
        agree = np.isfinite(error) & (np.abs(slopes - value) <= _ROOM * error)
    return bool(agree.all())
