"""Mean-field theory of deep networks: what happens to signals on average, and how much
one network differs from that.

In a wide layer of weights of variance sigma_w² / fan_in and biases of variance sigma_b²
a pre-activation is normal with some variance q, and depth acts on numbers: on q, on the
correlation c of two samples, and on the size of gradients, by the factor chi a layer
(Poole et al., 2016; Schoenholz et al., 2017).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.activations import as_activation
from fastgrad.finite_width import layer_spread
from fastgrad.gaussian import (
    LARGE,
    SMALL,
    AnyActivation,
    correlation,
    find_root,
    moments,
    normal_expectation,
)

Float64 = NDArray[np.float64]


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
    (0.29935..., ...)
    """

    activation: AnyActivation
    sigma_w: float
    sigma_b: float = 0.0

    def __post_init__(self) -> None:
        for name in ("sigma_w", "sigma_b"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"`{name}` must be finite and not negative, "
                    f"got {getattr(self, name)}."
                )
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
        product = correlation(self.activation, c, q)
        return (self.sigma_w**2 * product + self.sigma_b**2) / self.length(q)

    def correlation_depth(self) -> float | None:
        """Return xi_c = -1 / log(chi) at the fixed point, in layers.

        Correlations tend to 1, and gradients to 0, as exp(-depth / xi_c); networks
        train to a depth of about 6 xi_c (Schoenholz et al., 2017). Infinite where
        chi = 1 and None in the chaotic phase, where gradients explode.
        """
        q = self.fixed_point()
        chi = self.chi(q if 0 < q < math.inf else SMALL if q == 0 else LARGE)
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
        log2_q, chi, drift, spread = np.zeros((4, depth))
        mean = variance = 0.0
        for layer in range(depth):
            log2_q[layer], drift[layer], spread[layer] = math.log2(q), mean, variance
            m = moments(self.activation, q)
            chi[layer] = self.sigma_w**2 * m.slope_square
            after = self.sigma_w**2 * m.square + self.sigma_b**2
            if width is not None:
                share = self.sigma_w**2 * m.square / after
                step = layer_spread(m, width)
                mean = share * (m.elasticity * mean + step.mean)
                variance = share**2 * (m.elasticity**2 * variance + step.variance)
            q = after
        growth = np.log2(chi)
        backward = np.append(np.cumsum(growth[:0:-1])[::-1], 0.0)
        return Curves(log2_q, chi, backward, drift, spread**0.5)


class Curves(NamedTuple):
    """Expected size of signals in each layer, all arrays of shape (depth,)."""

    log2_q: Float64  # pre-activation variance at infinite width
    chi: Float64
    log2_backward: Float64  # squared gradient there, relative to the last layer's
    drift: Float64  # expected log(q / infinite width's), a network of this width
    spread: Float64  # standard deviation of log q between networks


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
    one_layer = m.slope_fourth / m.slope_square**2 - (1 if orthogonal else 0)
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
    if not 0 <= correlation <= 1:
        raise ValueError(f"`correlation` must be from 0 to 1, got {correlation}.")
    if correlation in (0, 1):
        return 0.5 if correlation else 0.5**batch
    ratio = math.sqrt(correlation / (1 - correlation) / 2)
    cdf = np.vectorize(lambda t: math.erfc(-t * ratio) / 2, otypes=[np.float64])
    return normal_expectation(lambda t: cdf(t) ** batch, np.array([0.0]))
