"""Ladders: the slope from pairs at many steps, and how far it can be trusted.

Each step is an eighth of the one before. The best slope has an error bar that was
measured: by extrapolation (Ridders) where the loss is smooth, and from the two
one-sided slopes where it has a kink.
"""

import numpy as np

from fastgrad._arrays import Array, Flags
from fastgrad.checking.differences.pairs import (
    EPS,
    KAPPA,
    RATIO,
    SHRUNK,
    SURE,
    Pairs,
    Slopes,
)

UNLIKE = KAPPA * SURE  # times the noise: a change as large is none


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
        stands = _stands_out(pairs, noise)
        noise = np.fmax(noise, _scatter(slopes, distance))
        rounding = np.fmax(pairs.rounding(), 8 * EPS * np.abs(slopes))
        bars = KAPPA * np.sqrt(2) * noise[:, None] / distance + rounding
        value, error = _best(slopes, bars, _kinked(pairs, bars), gain)
        error = np.where(stands | _jumps(pairs, noise), np.inf, error)
        kink, left, right, slack = _one_sided(pairs, noise)
        if pairs.crossed is not None:
            kink &= pairs.crossed[:, -1]
        value = np.where(kink, (left + right) / 2, value)
        error = np.where(kink, np.abs(right - left) / 2, error)
    return Slopes(value, error, kink, left, right, slack, noise)


def _jumps(pairs: Pairs, noise: Array) -> Flags:
    """Return whether the loss jumps closer by than all steps, as beside a pole.

    Then changes hardly shrink with the steps, and yet they are no noise: what differs
    between the two sides is not the slope.
    """
    sides = np.abs([pairs.plus, pairs.minus])
    known = np.isfinite(sides)
    change = np.where(known, sides, 0.0).max(axis=0)
    least = np.where(known.any(axis=0), change, np.inf).min(axis=1)
    most = change.max(axis=1)
    jumps: Flags = (least >= SHRUNK * most) & (least > UNLIKE * noise) & (most > 0)
    return jumps


def _stands_out(pairs: Pairs, noise: Array) -> Flags:
    """Return whether the loss is far above or below what it is at all steps.

    By much the same everywhere, as closer to a pole than these are.
    """
    even = pairs.plus + pairs.minus
    size = np.abs(even)
    one_way = (np.sign(even) == np.sign(even[:, :1])).all(axis=1)
    one_way &= np.isfinite(even).all(axis=1)
    least = size.min(axis=1)
    alike = (least >= SHRUNK * size.max(axis=1)) & (least > UNLIKE * noise)
    stands: Flags = one_way & alike
    return stands


def _sides(pairs: Pairs) -> tuple[Array, Array, Array]:
    """Return the slopes, their distances, and what a step's error shrinks by.

    Central, unless the loss is finite on one side alone: at the border of its domain.
    """
    central = _usable(pairs.central, pairs.crossed)
    right, left = np.isfinite(pairs.plus).sum(axis=1), np.isfinite(pairs.minus).sum(1)
    border = ~np.isfinite(central).any(axis=1) & (np.minimum(right, left) == 0)
    ahead, border = (right > 0)[:, None], border[:, None]
    beside = np.where(ahead, pairs.forward, pairs.backward)
    apart = np.where(ahead, pairs.h_plus, pairs.h_minus)
    slopes = np.where(border, beside, central)
    distance = np.where(border, apart, pairs.span)
    return slopes, distance, np.where(border, RATIO, RATIO**2)


def _usable(slopes: Array, crossed: Flags | None) -> Array:
    """Return the slopes that are finite and cross no kink, nan for the others.

    What all steps cross lies at the point itself, and need not bend the loss.
    """
    usable = np.isfinite(slopes)
    if crossed is not None:
        usable &= ~crossed | crossed.all(axis=1, keepdims=True)
    return np.where(usable, slopes, np.nan)


def _scatter(slopes: Array, span: Array) -> Array:
    """Return the noise of each row, as its finest steps show it."""
    finest = slopes[:, -4:]
    noise = np.abs(np.diff(finest, axis=1)) * span[:, -finest.shape[1] + 1 :]
    counted = np.sort(np.where(np.isfinite(noise), noise, np.inf), axis=1)
    median = counted[:, counted.shape[1] // 2]
    return np.where(np.isfinite(median), median, 0.0)


def _kinked(pairs: Pairs, bars: Array) -> Array:
    """Return what a kink between the two points may add to the error of each slope.

    Half the jump of the slope, without what shrinks of it as curvature does. What finer
    steps show for certain holds for the coarser ones.
    """
    jump = pairs.jump
    half = np.abs(jump) / 2
    half[:, 1:] = np.abs(RATIO * jump[:, 1:] - jump[:, :-1]) / (2 * (RATIO - 1))
    half[~np.isfinite(half)] = 0.0
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
    # Where steps pass a pole, the slope turns the other way.
    turned = pairs.jump * np.sign(pairs.jump[rows, last])[:, None]
    stays = (size > 0.5 * turned[rows, before]) & (size < 2 * turned[rows, before])
    # A finer step that could have seen the kink, and did not, has passed it by.
    passed = (after > last) & (size - turned[rows, after] > 2 * bars[rows, after])
    kink = (last > 0) & stays & ~passed
    # The slopes of whichever step knows them best, where the jump is the same.
    change = np.full_like(jump, np.inf)
    change[:, 1:] = np.abs(np.diff(pairs.forward)) + np.abs(np.diff(pairs.backward))
    error = bars + change / (RATIO - 1)
    alike = significant & (turned > 0.5 * size[:, None]) & (turned < 2 * size[:, None])
    best = np.argmin(np.where(alike, error, np.inf), axis=1)
    kink &= alike[rows, best] & np.isfinite(error[rows, best])
    slack = np.where(kink, error[rows, best], 0.0)
    left, right = pairs.backward[rows, best], pairs.forward[rows, best]
    outward = np.where(right >= left, slack, -slack)
    return kink, left - outward, right + outward, slack
