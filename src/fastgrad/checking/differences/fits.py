"""Slopes from many large steps, for where noise hides them at small ones.

Half the difference of the losses on both sides is an odd function of the step, half
their sum an even one, with no term of first order. Polynomials fitted to many steps
average the noise. What they leave over tells whether the loss is as smooth as that, and
a term of first order in the sum that there is a kink nearer than all the steps, which
shifts the slope by as much.
"""

import numpy as np

from fastgrad._arrays import Array, Flags
from fastgrad.checking.differences.pairs import FAR, KAPPA, Pairs

_POWERS = ([1, 3], [1, 3, 5])
_NOISY = 3.0  # the rest may exceed the noise, which grows with the loss
_DOUBT = (
    2.0  # kinks too small to show in the rest shift slopes by as much as noise does
)


def fit_slopes(pairs: Pairs, noise: Array) -> tuple[Array, Array]:
    """Return slopes and their error bars, infinite where no fit leaves noise alone.

    Fits to more and larger steps have to agree with those to fewer, as far as these
    know: kinks would show. The fewest are twice as many as coefficients.

    Parameters
    ----------
    pairs : Pairs of shape (n, len(FAR))
        At the steps `FAR` times a scale of each row.
    noise : ndarray of float64, shape (n,)
        Standard deviation of a loss difference.
    """
    plus, minus = pairs.plus, pairs.minus
    if pairs.crossed is not None:
        passed = pairs.crossed & ~pairs.crossed.all(axis=1, keepdims=True)
        plus = np.where(passed, np.nan, plus)
    with np.errstate(all="ignore"):
        unit = pairs.span[:, :1] / (2 * FAR[0])  # steps may be rounded: equally, here
        odd, even = (plus - minus) / pairs.span * FAR, (plus + minus) / pairs.span * FAR
        spread = noise / np.sqrt(2) / unit[:, 0]
        fits = [
            _slope(odd[:, first:], even[:, first:], spread, FAR[first:], powers)
            for powers in _POWERS
            for first in range(len(FAR) - 2 * len(powers), -1, -1)
        ]
    value, error = np.full(len(odd), np.nan), np.full(len(odd), np.inf)
    lower, upper = np.full(len(odd), -np.inf), np.full(len(odd), np.inf)
    for slope, bar, smooth in fits:
        agreed = smooth & (slope - bar <= upper) & (slope + bar >= lower)
        lower = np.where(smooth, np.fmax(lower, slope - bar), lower)
        upper = np.where(smooth, np.fmin(upper, slope + bar), upper)
        better = agreed & (bar < error)
        value, error = np.where(better, slope, value), np.where(better, bar, error)
    return value, error


def _slope(
    odd: Array, even: Array, spread: Array, steps: Array, powers: list[int]
) -> tuple[Array, Array, Flags]:
    """Return slopes, bars, and whether the loss is smooth, by fits of one degree."""
    value, bar, rest = _first_order(odd, spread, steps, powers)
    kink, _, other = _first_order(even, spread, steps, [1, *(p + 1 for p in powers)])
    smooth = np.fmax(rest, other) <= _NOISY * spread
    return value, bar + 2 * np.abs(kink), smooth


def _first_order(
    values: Array, spread: Array, steps: Array, powers: list[int]
) -> tuple[Array, Array, Array]:
    """Fit a polynomial to each row: its first coefficient, the bar, and the rest."""
    terms = steps[:, None] ** powers
    q, r = np.linalg.qr(terms)
    inverse = np.linalg.inv(r)
    coefficients = values @ q @ inverse.T
    rest = values - coefficients @ terms.T
    largest = np.abs(rest).max(axis=1)  # squares must neither vanish nor overflow
    unit = np.where(largest > 0, largest, 1.0)
    squares = ((rest / unit[:, None]) ** 2).sum(axis=1)
    rms = unit * np.sqrt(squares / (len(steps) - len(powers)))
    gain = _DOUBT * KAPPA * float(np.linalg.norm(inverse[0]))
    return coefficients[:, 0], gain * np.fmax(rms, spread), rms
