"""How much one network of finite width differs from infinitely wide ones."""

import math
from typing import NamedTuple

import numpy as np

from fastgrad._arguments import integer
from fastgrad._arrays import Array
from fastgrad.initializers.gaussian import Moments


class Spread(NamedTuple):
    """Mean and variance of a logarithm (natural)."""

    mean: float
    variance: float


def layer_spread(m: Moments, width: int) -> Spread:
    """Return the spread of log(mean of phi(x)² over `width` units / its expectation).

    Parameters
    ----------
    m : Moments
        Of the activation at the pre-activations' variance.
    width : int

    Notes
    -----
    The number of units that are not exactly zero is binomial; the mean of phi² over
    those is taken as gamma distributed with the right mean and variance. That is exact
    for linear and ReLU networks, with log 2 and the digamma function for log(chi²),
    and right to first order in 1 / width for all. If all units may be zero, with
    probability ``m.silent**width``, the spread is that of the other networks.

    Examples
    --------
    >>> from fastgrad.initializers.gaussian import moments
    >>> spread = layer_spread(moments("relu"), 100)
    >>> round(spread.mean, 6), round(spread.variance, 6)
    (-0.025421, 0.05194)
    """
    width = integer("width", width, least=1)
    active = 1 - m.silent
    if not m.square or active <= 0:
        return Spread(-math.inf, 0.0)
    cv2 = max(active * m.kurtosis - 1, 1e-15)
    if m.silent < 1e-12:
        count, share = np.array([float(width)]), np.ones(1)
    else:
        count = np.arange(1.0, width + 1)
        share = _binomial(width, active)
        share /= share.sum()
    shape = count / cv2
    log_mean = np.log(count / (width * active)) + digamma(shape) - np.log(shape)
    mean = float(share @ log_mean)
    variance = float(share @ (trigamma(shape) + (log_mean - mean) ** 2))
    return Spread(mean, variance)


def lyapunov_spectrum(width: int) -> Array:
    """Return the exponents, per layer, of products of Gaussian matrices, in order.

    For square matrices with entries of variance 1 / width (Newman, 1986): the growth
    rates of the singular values of a deep linear network.

    Examples
    --------
    >>> lyapunov_spectrum(2).round(4).tolist()
    [-0.2886, -0.9818]
    """
    i = np.arange(1, width + 1)
    return (math.log(2 / width) + digamma((width - i + 1) / 2)) / 2


def digamma(x: Array) -> Array:
    """Return psi(x), the derivative of log gamma, for positive x."""
    x = np.asarray(x, dtype=np.float64)
    below = np.zeros_like(x)
    for _ in range(10):
        below, x = below + np.where(x < 10, 1 / x, 0), np.where(x < 10, x + 1, x)
    y = 1 / x**2
    series = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
    return np.asarray(np.log(x) - 1 / (2 * x) - _horner(series, y) * y - below)


def trigamma(x: Array) -> Array:
    """Return psi'(x) for positive x."""
    x = np.asarray(x, dtype=np.float64)
    below = np.zeros_like(x)
    for _ in range(10):
        below, x = below + np.where(x < 10, 1 / x**2, 0), np.where(x < 10, x + 1, x)
    y = 1 / x**2
    series = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
    return np.asarray(1 / x + y / 2 + _horner(series, y) * y / x + below)


def _horner(coefficients: tuple[float, ...], y: Array) -> Array:
    total: Array = np.zeros_like(y)
    for coefficient in reversed(coefficients):
        total = total * y + coefficient
    return total


def _binomial(n: int, p: float) -> Array:
    """Return P(k) for k = 1 .. n of a binomial distribution."""
    k = np.arange(1, n + 1)
    log_factorial = np.append(0.0, np.cumsum(np.log(k)))
    log_choose = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
    chance: Array = np.exp(log_choose + k * math.log(p) + (n - k) * math.log1p(-p))
    return chance
