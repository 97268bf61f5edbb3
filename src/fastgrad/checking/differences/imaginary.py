"""The complex step by itself: exact derivatives of functions that are analytic.

``Im f(x + ih e) / h`` has no cancellation, and h may be tiny: it is the derivative to
the last digits, if every operation of f is the analytic one of complex numbers. Nothing
about a function says so: absolute values, real parts, norms, comparisons are not. So it
is taken only where real differences, within their error bars, say the same: along
random directions, which see all entries at once, or of every entry.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._arrays import Array, Flags
from fastgrad.checking.differences.extrapolation import MULTIPLES, extrapolated
from fastgrad.checking.differences.pairs import (
    CLOSE,
    DIRECTIONS,
    RATIO,
    SURE,
    Pairs,
)

STEP = 1e-30
_FIRST = 2.0**-7  # of a direction: the smallest of the steps along it
_LEVELS = 3
REACH = float(_FIRST * MULTIPLES.max())  # how many times a direction is gone along
_LEAST = 0.5  # of its scale: how far each entry is moved


#: Filters of warnings are those of all threads.
_TURN = threading.RLock()
_PATIENCE = 10.0  # seconds


def without_warnings(imaginary: Callable[..., Any], *given: Any) -> Any:
    """Return imaginary parts; raise where one is discarded on the way."""
    if not _TURN.acquire(timeout=_PATIENCE):
        raise TimeoutError
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            return imaginary(*given)
    finally:
        _TURN.release()


def imaginary_slopes(
    imaginary: Callable[[Any, Array], Array], moves: Any
) -> Array | None:
    """Return what would be the derivatives of an analytic function.

    None where the function does not compute in complex arithmetic, which the first of
    the evaluations, one for each of the `moves`, shows.
    """
    if len(moves) == 0:
        return None
    h = np.full(len(moves), STEP)
    try:
        found = without_warnings(imaginary, moves[:1], h[:1])
        if len(moves) > 1:
            found = np.append(found, imaginary(moves[1:], h[1:]), axis=0)
    except Exception:  # whatever it is that cannot be computed
        return None
    slopes: Array = found / STEP
    return slopes


@dataclass(frozen=True, slots=True)
class Along:
    """Slopes of m outputs along a direction, by real differences of eighth order.

    `limited` where noise leaves no more to be known.
    """

    direction: Array
    value: Array
    error: Array
    limited: Flags

    def contradicts(self, claimed: Array) -> bool:
        """Whether some of these are not the slopes along it, or nobody can tell."""
        with np.errstate(invalid="ignore"):
            agree = np.abs(claimed - self.value) <= SURE * self.error
        return not agree.all()

    def off(self, jacobian: Array) -> Array | None:
        """Return how far entries of each row, times their scales, may be off.

        None if the slopes are not known well, or others than those of the Jacobian.
        """
        moved = self.direction
        with np.errstate(all="ignore"):
            claimed = jacobian @ moved
            size = size_along(jacobian, moved)
            off: Array = (self.error + np.abs(claimed - self.value)) / _LEAST
            known = (self.error <= CLOSE * size) | self.limited
        if not known.all() or self.contradicts(claimed):
            return None
        return off


def size_along(jacobian: Array, direction: Array) -> Array:
    """Return how large the terms of the slopes along a direction are, by row."""
    squares = np.einsum("ij,ij,j->i", jacobian, jacobian, direction * direction)
    size: Array = np.sqrt(squares)
    return size


def random_directions(
    scale: Array, rng: np.random.Generator, count: int = DIRECTIONS
) -> Iterator[Array]:
    """Yield directions that move every entry by much of its scale."""
    for _ in range(count):
        size = scale * rng.uniform(_LEAST, 1.0, len(scale))
        yield size * rng.choice([-1.0, 1.0], len(scale))


def slopes_along(
    direction: Array, rises: Callable[[Array, Array], Array], noise: Array
) -> Along:
    """Return the slopes of outputs along a direction.

    Parameters
    ----------
    direction : ndarray of float64, shape (n,)
    rises : callable
        ``rises(direction, t)`` returns by how much the outputs at ``x + t direction``
        are above those at x, shape (len(t), m).
    noise : ndarray of float64, shape (m,)
        Of the outputs.
    """
    value, error = np.full((2, len(noise)), np.nan)
    limited = np.zeros(len(noise), dtype=bool)
    for level in range(_LEVELS):
        t = _FIRST * RATIO**-level * MULTIPLES
        change = rises(direction, np.concatenate([t, -t])).T
        steps = np.broadcast_to(t, (len(noise), len(t)))
        pairs = Pairs(change[:, : len(t)], change[:, len(t) :], steps, steps, None)
        found = extrapolated(pairs, noise)
        better = ~(found.error >= error)
        value = np.where(better, found.value, value)
        error = np.where(better, found.error, error)
        limited |= found.settled
        if limited.all():
            break
    return Along(direction, value, error, limited)


def is_borne_out(slopes: Array, value: Array, error: Array) -> bool:
    """Whether real differences say the same of every entry, within some error bars."""
    with np.errstate(invalid="ignore"):
        agree = np.isfinite(error) & (np.abs(slopes - value) <= SURE * error)
    return bool(agree.all())
