"""Expectations of activations under the normal distribution.

Gauss-Legendre sums over panels between the activation's kinks, to about 12 digits; its
derivative is that of the polynomial through the nodes of a panel.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from fastgrad._arguments import number
from fastgrad._arrays import Array
from fastgrad.initializers.activations import (
    DERIVATIVE,
    NODES,
    WEIGHTS,
    Activation,
    Function,
    as_activation,
)

AnyActivation = str | Function | Activation

_CUT = 12  # normal deviations; beyond lies a probability of 4e-33
_FAR_EDGES = np.outer([-1.0, 1.0], 2.0 ** np.arange(7, 18)).ravel()
SMALL, LARGE = 1e-10, 1e8  # variances are extrapolated beyond


class Moments(NamedTuple):
    """Expectations for a normal x of variance q."""

    mean: float  # E phi(x)
    square: float  # E phi(x)^2
    kurtosis: float  # E phi(x)^4 / (E phi(x)^2)^2
    slope_square: float  # E phi'(x)^2
    slope_kurtosis: float  # E phi'(x)^4 / (E phi'(x)^2)^2
    elasticity: float  # d log E phi(x)^2 / d log q
    silent: float  # P(phi(x) = 0)


def moments(activation: AnyActivation, q: float = 1.0) -> Moments:
    """Return the expectations of an activation at a normal of variance `q`.

    Parameters
    ----------
    activation : str, callable or Activation
    q : float
        Positive. Below 1e-10 and above 1e8 they are extrapolated; values of the
        activation are clipped at ±1e75.

    Examples
    --------
    >>> relu = moments("relu")
    >>> round(relu.square, 12), round(relu.slope_square, 12), round(relu.elasticity, 12)
    (0.5, 0.5, 1.0)
    """
    phi = as_activation(activation)
    q = number("q", q, above=0)
    if SMALL <= q <= LARGE:
        return _moments(phi, q)
    end, inner = (SMALL, 4 * SMALL) if q < SMALL else (LARGE, LARGE / 4)
    pairs = zip(_moments(phi, end), _moments(phi, inner), strict=True)
    return Moments(*(_extrapolate(q / end, end / inner, *pair) for pair in pairs))


def _extrapolate(ratio: float, step: float, at_end: float, at_inner: float) -> float:
    """Return a power law through the last two points, `ratio` beyond the end."""
    if not (at_end and at_inner):
        return at_end
    power = math.log(at_end / at_inner) / math.log(step)
    half_integer = round(2 * power) / 2
    if abs(power - half_integer) < 0.01:  # as of all activations in use
        power = half_integer
    with np.errstate(over="ignore", under="ignore"):
        return float(at_end * np.float64(ratio) ** power)


def correlation(activation: AnyActivation, c: float, q: float) -> float:
    """Return E phi(x) phi(y) for normals x, y of variance `q` and correlation `c`.

    Notes
    -----
    With x, y = sqrt(q) (a s ± b t), s and t independent: a rule in t for each s, with
    an edge wherever x or y crosses a kink. About 10⁵ evaluations of the activation.

    Examples
    --------
    >>> round(correlation("relu", 0.0, 1.0) * 2 * math.pi, 12)
    1.0
    """
    phi = as_activation(activation)
    c = number("c", c, least=-1, most=1)
    a, b = math.sqrt((1 + c) / 2), math.sqrt((1 - c) / 2)
    kinks = phi.kinks / math.sqrt(q)
    fine = phi.edges / math.sqrt(q)  # as sharp features are at large q
    if min(a, b) < 1e-9:
        z, weights = _normal_rule(fine)
        x = math.sqrt(q) * z
        return float((weights * phi(x) * phi(x if b < a else -x)).sum())
    near = (kinks[:, None] + b * np.arange(-9, 10)).ravel()
    s, outer = _normal_rule(np.append(near, fine if q > 4 else []) / a, cut=9)
    s, outer = s.ravel(), outer.ravel()
    # The integrand is even in t.
    edges = np.abs((fine if q > 4 else kinks) - a * s[:, None]) / b
    fixed = np.broadcast_to(np.arange(10.0), (len(s), 10))
    edges = np.sort(np.append(fixed, np.minimum(edges, 9), axis=1), axis=1)
    half = np.diff(edges)[:, :, None] / 2
    t = edges[:, :-1, None] + half * (1 + NODES)
    inner = half * WEIGHTS * _density(t) * 2
    x, y = a * s[:, None, None] + b * t, a * s[:, None, None] - b * t
    product = phi(math.sqrt(q) * x) * phi(math.sqrt(q) * y)
    return float(outer @ (inner * product).sum(axis=(1, 2)))


def normal_expectation(function: Callable[[Array], Array], edges: Array) -> float:
    """Return E f(z), z standard normal, for f smooth between the edges."""
    z, weights = _normal_rule(edges)
    return float((weights * function(z)).sum())


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return a root between two points of opposite sign (the Illinois method)."""
    f_low, f_high = function(low), function(high)
    last = math.inf
    for _ in range(200):
        root = low if f_low == f_high else low - f_low * (high - low) / (f_high - f_low)
        value = function(root)
        if value == 0 or abs(root - last) < 1e-15 * max(1, abs(root)):
            break
        if (value > 0) == (f_high > 0):
            high, f_high, f_low = root, value, f_low / 2
        else:
            low, f_low, f_high = root, value, f_high / 2
        last = root
    return root


@lru_cache(maxsize=256)
def _moments(phi: Activation, q: float) -> Moments:
    root = math.sqrt(q)
    z, weights = _normal_rule(np.append(phi.edges, _FAR_EDGES) / root)
    half = (z[:, -1:] - z[:, :1]) / (NODES[-1] - NODES[0])
    # Overflows far out, where the normal distribution gives no weight.
    y = np.clip(phi(root * z), -1e75, 1e75)
    slope = (y - y[:, :1]) @ DERIVATIVE.T / (half * root)

    def mean(values: Array) -> float:
        return float((weights * values).sum())

    square, slope_square = mean(y**2), mean(slope**2)
    return Moments(
        mean(y),
        square,
        mean(y**4) / square**2 if square else 0.0,
        slope_square,
        mean(slope**4) / slope_square**2 if slope_square else 0.0,
        root * mean(y * slope * z) / square if square else 0.0,
        mean((y == 0).astype(np.float64)),
    )


def _normal_rule(edges: Array, cut: int = _CUT) -> tuple[Array, Array]:
    """Return nodes and weights, of shape (panels, 16), for a standard normal."""
    edges = np.append(edges[np.abs(edges) < cut], np.arange(-cut, cut + 1))
    edges = np.unique(edges)
    edges = edges[np.append(True, np.diff(edges) > 1e-13)]
    half = np.diff(edges)[:, None] / 2
    z = edges[:-1, None] + half * (1 + NODES)
    return z, half * WEIGHTS * _density(z)


def _density(z: Array) -> Array:
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
