"""Pairs: the loss on both sides of a point, and the slopes they give.

Everything in this room works on pairs, whichever way the losses are computed and
whatever is moved: one entry, or all along a direction. One pair gives a slope; a ladder
of them, each step an eighth of the one before, the best slope with an error bar.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.losses import Losses

EPS = float(np.finfo(np.float64).eps)

# How many standard deviations of noise an error bar holds. Among a million entries
# that pass at once some are 5 deviations out; they are tried again.
KAPPA = 4.0

CLOSE = EPS ** (2 / 3)  # of a slope: what the usual central differences leave
SURE = 8.0  # error bars: by more than that slopes differ, though some are too narrow
DIRECTIONS = 2  # an error that one hides by chance shows along the other

RATIO = 8.0
# Of the scale of an entry. The largest keeps within the domain of most losses, the
# smallest passes most kinks by; powers of two make theta +- h exact.
RUNGS = 2.0 ** -np.arange(6.0, 34.0, 3.0)
# Where these leave it open: between the point and a kink or the border of the domain.
CLOSER = RUNGS[-1] * RATIO ** -np.arange(1.0, 7.0)
# Where noise hides the slope at all of these: as large as the entry itself.
FAR = 2.0 ** -np.arange(-1.0, 7.0, 0.5)
SHRUNK = 0.02  # of a change: over steps a million times smaller it is less than that


@dataclass(frozen=True, slots=True)
class Pairs:
    """The loss on both sides of some points, as differences from the loss there.

    Attributes
    ----------
    plus, minus : ndarray of float64, any shape
        J(x + h_plus) - J(x) and J(x - h_minus) - J(x).
    h_plus, h_minus : ndarray of float64
        The steps as stored: (x + h) - x and x - (x - h) after rounding.
    crossed : ndarray of bool, or None
        Whether a kink of the program lies between; None where nobody can tell.
    """

    plus: Array
    minus: Array
    h_plus: Array
    h_minus: Array
    crossed: Flags | None

    @property
    def span(self) -> Array:
        """The distance between the two points."""
        return self.h_plus + self.h_minus

    @property
    def central(self) -> Array:
        """(J(x+h) - J(x-h)) / ((x+h) - (x-h))."""
        with np.errstate(all="ignore"):
            return _over(self.plus - self.minus, self.span)

    @property
    def forward(self) -> Array:
        """The slope to the right."""
        return _over(self.plus, self.h_plus)

    @property
    def backward(self) -> Array:
        """The slope to the left."""
        return _over(-self.minus, self.h_minus)

    def slopes(self, method: str) -> Array:
        """The slopes by a formula: ``"forward"``, ``"backward"``, else central."""
        if method == "forward":
            return self.forward
        return self.backward if method == "backward" else self.central

    def distance(self, method: str) -> Array:
        """The distance of the two points that a formula takes."""
        if method == "forward":
            return self.h_plus
        return self.h_minus if method == "backward" else self.span

    @property
    def jump(self) -> Array:
        """Right minus left slope: h J'' where smooth, constant across a kink."""
        with np.errstate(all="ignore"):
            jump: Array = self.forward - self.backward
        return jump

    def rounding(self) -> Array:
        """Error of `central` from rounding the differences and the points."""
        with np.errstate(all="ignore"):
            rounded = 8 * EPS * (np.abs(self.plus) + np.abs(self.minus))
            uneven = np.abs(self.h_plus - self.h_minus) * np.abs(self.jump)
            return _over(rounded + uneven, self.span)

    def __getitem__(self, rows: Any) -> "Pairs":
        parts: Any = (p if p is None else p[rows] for p in self._parts())
        return Pairs(*parts)

    def joined(self, other: "Pairs") -> "Pairs":
        """Return these steps of each row, then those of `other`."""
        both = zip(self._parts(), other._parts(), strict=True)
        parts: Any = (
            None if a is None else np.concatenate([a, b], axis=1) for a, b in both
        )
        return Pairs(*parts)

    def _parts(self) -> tuple[Any, ...]:
        return self.plus, self.minus, self.h_plus, self.h_minus, self.crossed


@dataclass(frozen=True, slots=True)
class Slopes:
    """Derivatives of n entries, each with its error bar.

    Attributes
    ----------
    value, error : ndarray of float64, shape (n,)
        The derivative and its bar; the bar is infinite where nothing is known.
    kink : ndarray of bool, shape (n,)
        Whether the loss has a kink at the point itself, as far as steps can tell.
    left, right : ndarray of float64, shape (n,)
        One-sided slopes at a kink, their bars included: no subgradient lies outside.
    slack : ndarray of float64, shape (n,)
        The bar of those two.
    noise : ndarray of float64, shape (n,)
        Of a loss difference, as far as the steps show it.
    """

    value: Array
    error: Array
    kink: Flags
    left: Array
    right: Array
    slack: Array
    noise: Array


def entry_pairs(losses: Losses, index: Index, step: Array) -> Pairs:
    """Measure the loss on both sides of entries: two evaluations per step.

    Parameters
    ----------
    losses : Losses
    index : ndarray of int64, shape (n,)
        Entries.
    step : ndarray of float64, shape (n,) or (n, k)
        Positive steps of each.

    Returns
    -------
    Pairs
        Of the shape of `step`.
    """
    rows = index.reshape(-1, *[1] * (step.ndim - 1))
    both = np.repeat(np.broadcast_to(rows, step.shape).ravel(), 2)
    x = losses.theta[both[::2]]
    value = np.empty(both.size)
    value[::2] = x + step.ravel()
    value[1::2] = x - step.ravel()
    value = losses.representable(both, value)
    with np.errstate(all="ignore"):  # a perturbed point may lie outside the domain
        difference, crossed = losses.at_entries(both, value)
    return Pairs(
        difference[::2].reshape(step.shape),
        difference[1::2].reshape(step.shape),
        (value[::2] - x).reshape(step.shape),
        (x - value[1::2]).reshape(step.shape),
        None if crossed is None else (crossed[::2] | crossed[1::2]).reshape(step.shape),
    )


def direction_pairs(losses: Losses, direction: Array, step: Array) -> Pairs:
    """Measure the loss on both sides along a direction, for steps of shape (k,)."""
    with np.errstate(all="ignore"):
        difference = losses.along(direction, np.concatenate([step, -step]))
    k = len(step)
    return Pairs(difference[:k], difference[k:], step, step.copy(), None)


def _over(difference: Array, distance: Array) -> Array:
    with np.errstate(all="ignore"):
        return difference / distance
