"""Jacobians of analytic functions: one complex step an input.

Whether the function is analytic, real differences tell along two random directions:
along the first before any input is moved by itself, as most functions that are not are
found out there.
"""

import numpy as np

from fastgrad._arrays import Array
from fastgrad.checking.differences import (
    REACH,
    STEP,
    random_directions,
    size_along,
    slopes_along,
    without_warnings,
)
from fastgrad.checking.jacobians.outputs import BATCH, Outputs

_EVERY = slice(None)


def analytic_jacobian(
    outputs: Outputs, rng: np.random.Generator
) -> tuple[Array, Array, Array] | None:
    """Return the Jacobian by complex steps; None unless real differences bear it out.

    And how far entries are off: at most those of a row, those of a column, multiplied.
    """
    scale = np.fmin(outputs.scale, outputs.margin() / REACH)
    if not (scale > 0).all():
        return None
    first, second = random_directions(scale, rng)
    with np.errstate(all="ignore"):
        try:
            if not _seems_analytic(outputs, first):
                return None
            jacobian = _by_columns(outputs).T
        except Exception:  # whatever it is that cannot be computed
            return None
        # Last: what the function keeps of its last call is to be of real numbers.
        noise = outputs.eps * np.fmax(
            np.abs(outputs.at_x), size_along(jacobian, outputs.x.ravel())
        )
        off = [
            slopes_along(direction, outputs.rises, noise).off(jacobian)
            for direction in (first, second)
        ]
    if off[0] is None or off[1] is None:
        return None
    return jacobian, np.fmax(off[0], off[1]), 1 / scale


def _seems_analytic(outputs: Outputs, direction: Array) -> bool:
    """Whether slopes along a direction are about the same by the complex step.

    The central difference at the usual step h is off by about h^2, and h is a lot.
    """
    moves = [(_EVERY, STEP * direction)]
    claimed = without_warnings(outputs.imaginary, moves)[0] / STEP
    h = outputs.eps ** (1 / 3)
    plus, minus = outputs.along(direction, [h, -h])
    apart = np.abs(claimed - (plus - minus) / (2 * h))
    rounding = h * h * np.abs(outputs.at_x).max()
    return bool((apart <= h * np.abs(claimed).max() + rounding).all())


def _by_columns(outputs: Outputs) -> Array:
    """Return the imaginary parts at one complex step for each input, shape (n, m)."""
    columns = np.empty((outputs.x.size, outputs.at_x.size))
    several = max(1, BATCH // max(1, outputs.at_x.size))
    for start in range(0, len(columns), several):
        own = range(start, min(start + several, len(columns)))
        columns[own.start : own.stop] = outputs.imaginary([(j, STEP) for j in own])
    columns /= STEP
    return columns
