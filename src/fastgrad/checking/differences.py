"""Difference formulas: slopes, and how far they can be trusted.

Everything here works on *pairs*, the loss on both sides of a point, whichever way the
losses are computed and whatever is moved: one entry, or all along a direction. One
pair gives a slope. A *ladder* of pairs, each step an eighth of the one before, gives
the best slope with an error bar that was measured: extrapolation (Ridders) where the
loss is smooth, and the two one-sided slopes where it has a kink.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.losses import Losses

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Index = NDArray[np.int64]

EPS = float(np.finfo(np.float64).eps)

# How many standard deviations of noise an error bar holds. Among a million entries
# that pass at once some are 5 deviations out; they are tried again.
KAPPA = 4.0

RATIO = 8.0
# Of the scale of an entry. The largest keeps within the domain of most losses, the
# smallest passes most kinks by; powers of two make theta +- h exact.
RUNGS = 2.0 ** -np.arange(6.0, 34.0, 3.0)
# Where these leave it open: between the point and a kink or the border of the domain.
CLOSER = RUNGS[-1] * RATIO ** -np.arange(1.0, 7.0)
# Where noise hides the slope at all of these: as large as the entry itself.
FAR = 2.0 ** -np.arange(-1.0, 7.0, 0.5)


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


def ladder(pairs: Pairs, noise: Array) -> Slopes:
    """Return the best slope a ladder of steps gives.

    Plain, once and twice extrapolated differences compete. An estimate is believed if
    all finer differences agree with it within their noise (Lepski's rule): that finds
    the largest step that passes by every kink and is small against the curvature,
    without knowing either.

    Parameters
    ----------
    pairs : Pairs of shape (n, k)
        Along each row the steps shrink by `RATIO`.
    noise : ndarray of float64, shape (n,)
        Standard deviation of a loss difference.

    Returns
    -------
    Slopes
    """
    with np.errstate(all="ignore"):
        slopes, distance, gain = _sides(pairs)
        noise = np.fmax(noise, _scatter(slopes, distance))
        rounding = np.fmax(pairs.rounding(), 8 * EPS * np.abs(slopes))
        bars = KAPPA * np.sqrt(2) * noise[:, None] / distance + rounding
        value, error = _best(slopes, bars, _kinked(pairs, bars), gain)
        kink, left, right, slack = _one_sided(pairs, noise)
        if pairs.crossed is not None:
            kink &= pairs.crossed[:, -1]
        value = np.where(kink, (left + right) / 2, value)
        error = np.where(kink, np.abs(right - left) / 2, error)
    return Slopes(value, error, kink, left, right, slack, noise)


def _sides(pairs: Pairs) -> tuple[Array, Array, Array]:
    """Return the slopes, their distances, and what a step's error shrinks by.

    Central, unless the loss is finite on one side alone: at the border of its domain.
    """
    central = _usable(pairs.central, pairs.crossed)
    right, left = np.isfinite(pairs.plus).sum(axis=1), np.isfinite(pairs.minus).sum(1)
    border = ~np.isfinite(central).any(axis=1) & (np.minimum(right, left) == 0)
    up, down = (border & (right > 0))[:, None], (border & (right == 0))[:, None]
    slopes = np.where(up, pairs.forward, np.where(down, pairs.backward, central))
    distance = np.where(up, pairs.h_plus, np.where(down, pairs.h_minus, pairs.span))
    return slopes, distance, np.where(border, RATIO, RATIO**2)[:, None]


def _usable(slopes: Array, crossed: Flags | None) -> Array:
    """Return the slopes that are finite and cross no kink, nan for the others.

    What all steps cross lies at the point itself, and need not bend the loss.
    """
    usable = np.isfinite(slopes)
    if crossed is not None:
        usable &= ~crossed | crossed.all(axis=1, keepdims=True)
    return np.where(usable, slopes, np.nan)


def _over(difference: Array, distance: Array) -> Array:
    with np.errstate(all="ignore"):
        return difference / distance


def _scatter(slopes: Array, span: Array) -> Array:
    """Return the noise of each row, as its finest steps show it."""
    finest = slopes[:, -4:]
    noise = np.abs(np.diff(finest, axis=1)) * span[:, -finest.shape[1] + 1 :]
    counted = np.sort(np.where(np.isfinite(noise), noise, np.inf), axis=1)
    median = counted[:, counted.shape[1] // 2]
    return np.where(np.isfinite(median), median, 0.0)


def _kinked(pairs: Pairs, bars: Array) -> Array:
    """Return what a kink between the two points may add to the error of each slope.

    Half the jump of the slope, unless that is seen to shrink as smooth losses make it.
    What finer steps show for certain holds for the coarser ones.
    """
    jump = np.abs(pairs.jump)
    stays = np.ones(jump.shape, dtype=bool)
    stays[:, 1:] = jump[:, 1:] > 0.5 * jump[:, :-1]
    half = np.where(stays & np.isfinite(jump), jump / 2, 0.0)
    certain = np.where(np.isfinite(bars), np.maximum(half - 2 * bars, 0), 0.0)
    finer = np.maximum.accumulate(certain[:, ::-1], axis=1)[:, ::-1]
    return np.maximum(half, finer)


def _best(
    slopes: Array, bars: Array, kinked: Array, gain: Array
) -> tuple[Array, Array]:
    """Return the estimate with the smallest bar that all finer slopes agree with."""
    levels = _levels(slopes, bars, gain)
    limit = levels[0][1] - bars  # what the finer slopes may still be off by
    limit = np.where(np.isfinite(limit), limit, 0.0)
    best = np.full(len(slopes), np.nan)
    error = np.full(len(slopes), np.inf)
    for values, errors in levels:
        for k in range(slopes.shape[1]):
            finer = slice(k + 1, None)
            value, own = values[:, k], errors[:, k] + kinked[:, k]
            # By no more than this one: slopes that do not converge have no limit.
            reach = np.minimum(limit[:, finer], own[:, None])
            reach = reach + bars[:, finer] + kinked[:, finer]
            apart = np.abs(slopes[:, finer] - value[:, None])
            agreed = ~(apart > own[:, None] + reach).any(axis=1)
            better = agreed & (own < error)
            best = np.where(better, value, best)
            error = np.where(better, own, error)
    return best, error


def _levels(slopes: Array, bars: Array, gain: Array) -> list[tuple[Array, Array]]:
    """Return estimates ending at each rung, and errors, extrapolated 0, 1, 2 times.

    The error of a slope shrinks by `gain` from each rung to the next.
    """
    levels = []
    power, value, bar = gain, slopes, bars
    for level in range(3):
        truncation = _truncation(value, gain, plain=level == 0)
        levels.append((value, bar + truncation))
        better, wider = np.full_like(value, np.nan), np.full_like(bar, np.nan)
        better[:, 1:] = (power * value[:, 1:] - value[:, :-1]) / (power - 1)
        wider[:, 1:] = (power * bar[:, 1:] + bar[:, :-1]) / (power - 1)
        power, value, bar = power * gain, better, wider
    return levels


def _truncation(value: Array, gain: Array, *, plain: bool) -> Array:
    """Return how far each estimate may be from the limit, by how they change.

    By the last change, or an earlier one that has had no time to die out. Only plain
    differences are trusted to be better than that, as far as changes were seen to
    shrink.
    """
    change = np.full_like(value, np.nan)
    change[:, 1:] = np.abs(np.diff(value, axis=1))
    lasting = change.copy()
    for k in range(2, value.shape[1]):
        lasting[:, k] = np.fmax(change[:, k], lasting[:, k - 1] / gain[:, 0])
        lasting[np.isnan(change[:, k]), k] = np.nan
    if plain:
        shrinking = change[:, 2:] / change[:, 1:-1]
        lasting[:, 2:] *= np.clip(2 * shrinking, 2 / (RATIO - 1) ** 2, 1)
    return lasting


def _one_sided(pairs: Pairs, noise: Array) -> tuple[Flags, Array, Array, Array]:
    """Return whether each row has a kink at its point, and the slopes beside it."""
    rows = np.arange(len(pairs.plus))
    jump = np.abs(pairs.jump)
    bars = KAPPA * np.sqrt(2) * noise[:, None] / pairs.h_plus
    bars = bars + KAPPA * np.sqrt(2) * noise[:, None] / pairs.h_minus
    bars += 8 * EPS * (np.abs(pairs.forward) + np.abs(pairs.backward))
    significant = np.isfinite(jump) & (jump > 2 * bars)
    last = significant.shape[1] - 1 - np.argmax(significant[:, ::-1], axis=1)
    before, after = np.maximum(last - 1, 0), np.minimum(last + 1, jump.shape[1] - 1)
    size = jump[rows, last]
    stays = (size > 0.5 * jump[rows, before]) & (size < 2 * jump[rows, before])
    # A finer step that could have seen the kink, and did not, has passed it by.
    passed = (after > last) & np.isfinite(jump[rows, after])
    passed &= 4 * bars[rows, after] < size
    kink = significant.any(axis=1) & (last > 0) & stays & ~passed
    # The slopes of whichever step knows them best, where the jump is the same.
    change = np.full_like(jump, np.inf)
    change[:, 1:] = np.abs(np.diff(pairs.forward)) + np.abs(np.diff(pairs.backward))
    error = bars + change / (RATIO - 1)
    alike = significant & (jump > 0.5 * size[:, None]) & (jump < 2 * size[:, None])
    best = np.argmin(np.where(alike, error, np.inf), axis=1)
    kink &= alike[rows, best] & np.isfinite(error[rows, best])
    slack = np.where(kink, error[rows, best], 0.0)
    left, right = pairs.backward[rows, best], pairs.forward[rows, best]
    outward = np.where(right >= left, slack, -slack)
    return kink, left - outward, right + outward, slack
