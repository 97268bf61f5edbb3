"""Mean-field theory of deep networks: the size of signals and gradients by layer.

In a wide layer of weights of variance sigma_w² / fan_in and biases of variance sigma_b²
a pre-activation is normal with some variance q, and depth acts on numbers: on q, on the
correlation c of two samples, and on the size of gradients, by the factor chi a layer
(Poole et al., 2016; Schoenholz et al., 2017).
"""

import math
import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastgrad._arguments import choice, flag, integer, number
from fastgrad._arrays import Array
from fastgrad.initializers.activations import as_activation
from fastgrad.initializers.gaussian import (
    LARGE,
    SMALL,
    AnyActivation,
    Moments,
    correlation,
    find_root,
    moments,
    normal_expectation,
)
from fastgrad.signal.finite_width import Spread, layer_spread


@dataclass(frozen=True)
class MeanField:
    """A network of equal layers in the limit of infinite width.

    Parameters
    ----------
    activation : str, callable or Activation
    sigma_w : float
        Weights have variance ``sigma_w**2 / fan_in``.
    sigma_b : float
        Biases have variance ``sigma_b**2``.

    Examples
    --------
    >>> tanh = MeanField("tanh", sigma_w=1.5**0.5, sigma_b=0.05**0.5)
    >>> q = tanh.fixed_point()
    >>> round(q, 9), round(tanh.chi(q), 9), round(tanh.correlation_depth(), 3)
    (0.418037201, 0.938636268, 15.791)
    """

    activation: AnyActivation
    sigma_w: float
    sigma_b: float = 0.0

    def __post_init__(self) -> None:
        for name in ("sigma_w", "sigma_b"):
            number(name, getattr(self, name), least=0)
        object.__setattr__(self, "activation", as_activation(self.activation))

    def length(self, q: float) -> float:
        """Return the next layer's pre-activation variance, given this one's."""
        return self.sigma_w**2 * moments(self.activation, q).square + self.sigma_b**2

    def chi(self, q: float) -> float:
        """Return the growth of squared gradients through a layer.

        It is also the slope at 1 of the correlation map: two samples grow alike if it
        is below 1 (order) and apart if it is above (chaos).
        """
        return self.sigma_w**2 * moments(self.activation, q).slope_square

    def fixed_point(self) -> float:
        """Return the variance q* that pre-activations of variance 1 tend to.

        0 if they vanish, infinity if they explode, 1 if every variance stays.
        """

        def growth(log_q: float) -> float:
            return math.log(max(self.length(math.exp(log_q)), 1e-300)) - log_q

        if abs(growth(0.0)) < 1e-12:
            return 1.0
        step = math.copysign(0.5, growth(0.0))
        log_q = 0.0
        while growth(log_q + step) * step > 0:
            log_q += step
            if not SMALL < math.exp(log_q) < LARGE:
                return math.inf if step > 0 else 0.0
        return math.exp(find_root(growth, log_q, log_q + step))

    def correlate(self, c: float, q: float) -> float:
        """Return the next layer's correlation of two samples of variance `q`.

        Parameters
        ----------
        c : float
            Their correlation in this layer, -1 to 1.
        q : float
            Usually the fixed point.
        """
        length = self.length(q)
        if length == 0:  # no signal is left that could correlate
            return c
        product = correlation(self.activation, c, q)
        return (self.sigma_w**2 * product + self.sigma_b**2) / length

    def correlation_depth(self) -> float | None:
        """Return xi_c = -1 / log(chi) at the fixed point, in layers.

        Correlations tend to 1, and gradients to 0, as exp(-depth / xi_c); networks
        train to a depth of about 6 xi_c (Schoenholz et al., 2017). Infinite where
        chi = 1 and None in the chaotic phase, where gradients explode.
        """
        q = self.fixed_point()
        chi = self.chi(q if 0 < q < math.inf else SMALL if q == 0 else LARGE)
        if chi == 0:
            return 0.0
        if abs(chi - 1) < 1e-12:
            return math.inf
        return -1 / math.log(chi) if chi < 1 else None

    def propagate(
        self, depth: int, *, q: float = 1.0, width: int | None = None
    ) -> "Curves":
        """Return what to expect of each of `depth` layers.

        Parameters
        ----------
        depth : int
        q : float
            Pre-activation variance of the first layer.
        width : int, optional
            Also give the spread between networks of this width.
        """
        depth = integer("depth", depth, least=1)
        q = number("q", q, above=0)
        log_q, slope, drift, variance = np.zeros((4, depth))
        log_q[0] = math.log(q)
        for layer in range(depth):
            here = self._step(log_q[layer])
            slope[layer] = here.chi
            if layer + 1 == depth:
                break
            log_q[layer + 1] = here.log_q
            if not math.isfinite(
                here.log_q
            ):  # nothing is left, or faster than exp(exp)
                log_q[layer + 1 :] = here.log_q
                for rest in (slope, drift, variance):
                    rest[layer + 1 :] = math.nan
                break
            if width is not None:
                mean = log_q[layer] + drift[layer]
                spread = self._spread(mean, variance[layer], width)
                drift[layer + 1] = spread.mean - here.log_q
                variance[layer + 1] = spread.variance
        with np.errstate(divide="ignore"):
            growth = np.log2(slope)
        backward = np.append(np.cumsum(growth[-2::-1])[::-1], 0.0)
        return Curves(log_q / math.log(2), slope, backward, drift, np.sqrt(variance))

    def _step(self, log_q: float) -> "_Step":
        """Return what one layer does, whether or not its variance is a float64."""
        inside = min(max(log_q, -150.0), 150.0)
        m = moments(self.activation, math.exp(inside))
        signal = self.sigma_w**2 * m.square
        after = signal + self.sigma_b**2
        if after == 0:
            return _Step(-math.inf, 0.0, 0.0, m)
        share = signal / after
        log_after = math.log(after) + share * m.elasticity * (log_q - inside)
        log_after = math.inf if math.isnan(log_after) else log_after
        return _Step(log_after, self.sigma_w**2 * m.slope_square, share, m)

    def _spread(self, mean: float, variance: float, width: int) -> Spread:
        """Return the spread of log q after a layer, by three points before it."""
        means, variances = np.zeros((2, 3))
        for i, offset in enumerate((-1, 0, 1)):
            step = self._step(mean + offset * math.sqrt(3 * variance))
            means[i] = step.log_q
            if step.share:
                layer = layer_spread(step.moments, width)
                means[i] += step.share * layer.mean
                variances[i] = step.share**2 * layer.variance
        weights = np.array([1, 4, 1]) / 6
        after = float(weights @ means)
        return Spread(after, float(weights @ (variances + (means - after) ** 2)))


class _Step(NamedTuple):
    log_q: float  # of the next layer
    chi: float
    share: float  # of its variance that comes from the weights
    moments: Moments


class Curves(NamedTuple):
    """Expected size of signals in each layer, all arrays of shape (depth,)."""

    log2_q: Array  # pre-activation variance at infinite width
    chi: Array  # nan, as all below, behind a layer whose variance is 0 or infinite
    log2_backward: Array  # squared gradient there, relative to the last layer's
    drift: Array  # expected log(q / infinite width's), a network of this width
    spread: Array  # standard deviation of log q between networks


class JacobianMoments(NamedTuple):
    """Of the squared singular values s² of the input-output Jacobian."""

    mean: float
    relative_variance: float  # variance of s² / mean²


def jacobian_moments(
    activation: AnyActivation,
    sigma_w: float,
    depth: int,
    *,
    q: float = 1.0,
    orthogonal: bool = False,
) -> JacobianMoments:
    """Return the moments of a deep network's Jacobian at a fixed point `q`.

    Parameters
    ----------
    activation : str, callable or Activation
    sigma_w : float
        Weights are normal of variance ``sigma_w**2 / fan_in``, or `sigma_w` times
        orthogonal matrices.
    depth : int
    q : float
        Pre-activation variance of all layers.
    orthogonal : bool

    References
    ----------
    .. [1] J. Pennington, S. Schoenholz & S. Ganguli, "Resurrecting the sigmoid in deep
       learning through dynamical isometry", NeurIPS 2017.

    Examples
    --------
    >>> tuple(round(m, 9) for m in jacobian_moments("relu", 2**0.5, 10))
    (1.0, 20.0)
    """
    m = moments(activation, q)
    one_layer = m.slope_kurtosis - (1 if orthogonal else 0)
    return JacobianMoments(
        (sigma_w**2 * m.slope_square) ** depth, float(depth * one_layer)
    )


def batch_norm_growth(activation: AnyActivation) -> float:
    """Return the growth of squared gradients through a layer with batch normalisation.

    For large batches and widths: E phi'² / Var phi, above 1 unless the activation is
    linear, whatever the scale of the weights (Yang et al., 2019).

    Examples
    --------
    >>> round(batch_norm_growth("relu"), 9)
    1.466942207
    """
    m = moments(activation)
    return m.slope_square / (m.square - m.mean**2)


def dead_probability(batch: int, correlation: float = 0.0) -> float:
    """Return the probability that a pre-activation is negative on a whole batch.

    Parameters
    ----------
    batch : int
        Number of samples.
    correlation : float
        Of any two samples, 0 to 1: 0 in the first layer (2^-batch), more in deeper
        ones, where it tends to 1 and the probability to one half.

    Examples
    --------
    >>> dead_probability(3), round(dead_probability(2, 0.5), 12)
    (0.125, 0.333333333333)
    """
    batch = integer("batch", batch, least=0)
    correlation = number("correlation", correlation, least=0, most=1)
    if correlation in (0, 1):
        return 0.5 if correlation else 0.5**batch
    ratio = math.sqrt(correlation / (1 - correlation) / 2)
    cdf = np.vectorize(lambda t: math.erfc(-t * ratio) / 2, otypes=[np.float64])
    steep = np.arange(-9, 10) / ratio
    return normal_expectation(lambda t: cdf(t) ** batch, steep)


# log2 of the largest number, the least normal one and half the least one.
_RANGES = {
    "float16": (math.log2(65504), -14.0, -25.0),
    "bfloat16": (math.log2(255) + 120, -126.0, -134.0),
    "float32": (128.0, -126.0, -150.0),
    "float64": (1024.0, -1022.0, -1075.0),
}


def first_depth_outside(
    log2_growth: float, dtype: str, *, subnormal: bool = False
) -> int | None:
    """Return the first depth at which ``2**(log2_growth * depth)`` leaves a dtype.

    Parameters
    ----------
    log2_growth : float
        Growth of the signal's size (not of its square) a layer.
    dtype : {"float16", "bfloat16", "float32", "float64"}
    subnormal : bool
        Count subnormal numbers as fitting: only zero does not.

    Returns
    -------
    int or None
        None if there is no growth (or a subnormal one).

    Examples
    --------
    >>> first_depth_outside(-1.0, "float16"), first_depth_outside(-2.5, "float32")
    (15, 51)
    """
    log2_growth = number("log2_growth", log2_growth)
    flag("subnormal", subnormal)
    largest, normal, zero = _RANGES[choice("dtype", dtype, _RANGES)]
    if abs(log2_growth) < sys.float_info.min:
        return None
    if log2_growth > 0:
        return math.floor(largest / log2_growth) + 1
    if subnormal:
        return math.ceil(zero / log2_growth)
    return math.floor(normal / log2_growth) + 1
