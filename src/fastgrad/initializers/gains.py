"""How large weights should be: gains, critical points, residual branches."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fastgrad._arguments import choice, integer, number
from fastgrad._public import public
from fastgrad.initializers.activations import Activation, as_activation, slopes_at_zero
from fastgrad.initializers.gaussian import AnyActivation, find_root, moments


class Gain(NamedTuple):
    """Weights of variance gain² / fan_in, under several definitions of the gain.

    `unit`
        1 / sqrt(E phi(z)²), z standard normal: from pre-activations of variance 1 the
        next ones have variance 1.
    `backward`
        1 / sqrt(E phi'(z)²): gradients keep their size.
    `fixed_point`
        sigma with E phi(sigma z)² = 1: activations of mean square 1 stay so.
    `chi_forward`
        Factor by which a deviation from that mean square grows, a layer.
    `chi_gradient`
        Factor by which squared gradients grow, a layer, at the fixed point; where there
        is none (bounded activations), at the unit gain.

    None where there is none.
    """

    unit: float | None
    backward: float | None
    fixed_point: float | None
    chi_forward: float | None
    chi_gradient: float | None


class Critical(NamedTuple):
    """Deviations of weights (times sqrt(fan_in)) and biases, and the variance kept."""

    sigma_w: float
    sigma_b: float
    q: float


class ResidualScale(NamedTuple):
    """Factors for the weights of a residual branch, and what they lead to."""

    inner: float  # all layers of the branch but the last
    last: float  # the last layer of the branch
    log2_growth: float  # log2 of (mean square after all blocks / before)


@public
def gain(activation: AnyActivation) -> Gain:
    """Return the gains of an activation.

    Parameters
    ----------
    activation : str or callable
        relu, leaky_relu (slope 0.01), tanh, sigmoid, softsign, elu, selu, gelu, silu,
        mish, softplus, erf, linear, or a function of float64 arrays.

    Returns
    -------
    Gain

    Notes
    -----
    `unit` and `fixed_point` are the same for ReLU but not in general (SiLU: 1.677 and
    1.559): the first ignores that weights so scaled change the variance at which the
    activation is used. Forward and backward differ too: at the fixed point of GELU,
    gradients grow by 6 % a layer.

    Examples
    --------
    >>> round(gain("relu").unit, 6), round(gain("relu").backward, 6)
    (1.414214, 1.414214)
    >>> round(gain("silu").unit, 4), round(gain("silu").fixed_point, 4)
    (1.6765, 1.5588)
    >>> round(gain(lambda x: x / (1 + abs(x))).unit, 4), gain("tanh").fixed_point
    (2.3375, None)
    """
    phi = as_activation(activation)
    m = moments(phi)
    unit = m.square**-0.5 if m.square else None
    backward = m.slope_square**-0.5 if m.slope_square else None
    sigma = _fixed_point(phi)
    if sigma is None:
        return Gain(
            unit, backward, None, None, unit**2 * m.slope_square if unit else None
        )
    at = moments(phi, sigma**2)
    return Gain(unit, backward, sigma, at.elasticity, sigma**2 * at.slope_square)


@public
def critical_init(
    activation: AnyActivation, *, q: float | None = None, sigma_b: float | None = None
) -> Critical | None:
    """Return weights and biases for which gradients neither grow nor vanish, chi = 1.

    Parameters
    ----------
    activation : str or callable
        As for `gain`.
    q : float, optional
        Pre-activation variance to keep; 1 if neither this nor `sigma_b` is given.
    sigma_b : float, optional
        Deviation of the biases; then `q` follows from it.

    Returns
    -------
    Critical or None
        None where there is no such point: not at this `q`, or at no `q` from 1e-6 to 16
        with this `sigma_b`.

    Raises
    ------
    ValueError
        If both `q` and `sigma_b` are given.

    Notes
    -----
    chi = sigma_w² E phi'² = 1 gives sigma_w, and q = sigma_w² E phi² + sigma_b² the
    other one. With ``sigma_b=0`` an activation with phi(0) = 0 is critical at q = 0,
    with sigma_w = 1 / phi'(0), or, like ReLU, at every q; then q = 1 is returned.

    Examples
    --------
    >>> tuple(round(x, 6) for x in critical_init("relu"))
    (1.414214, 0.0, 1.0)
    >>> critical_init("sigmoid") is None
    True
    """
    phi = as_activation(activation)
    if q is not None and sigma_b is not None:
        raise ValueError(
            f"`q` and `sigma_b` must not both be given, got {q} and {sigma_b}: each "
            "gives the other."
        )
    if sigma_b is None:
        q = number("q", 1.0 if q is None else q, above=0)
        square = _critical_bias(phi, q)
        if square is None or square < -1e-10 * q:
            return None
        sigma_b = math.sqrt(max(square, 0.0)) if square > 1e-10 * q else 0.0
    else:
        sigma_b = number("sigma_b", sigma_b, least=0)
        q = _critical_variance(phi, sigma_b)
        if q is None:
            return None
    if q:
        slope_square = moments(phi, q).slope_square
    else:
        slope_square = float(np.mean(np.square(slopes_at_zero(phi))))
    return Critical(slope_square**-0.5, sigma_b, q) if slope_square else None


@public
def residual_scale(
    blocks: int, rule: str = "depth", *, layers_per_block: int = 2
) -> ResidualScale:
    """Return factors for the He weights of residual branches, x + branch(x).

    Parameters
    ----------
    blocks : int
        Number of residual blocks.
    rule : {"depth", "zero", "fixup", "none"}
        "depth": the last weight of each branch times 1 / sqrt(blocks). "zero": times 0
        (as ReZero and zero-initialised last layers). "fixup": times 0, and the others
        times blocks^(-1 / (2 layers - 2)) (Zhang et al., 2019). "none": as they are.
    layers_per_block : int
        For "fixup": weight layers of a branch, at least 2.

    Returns
    -------
    ResidualScale
        With a branch that keeps the mean square (He weights with ReLU), each block
        multiplies it by ``1 + (factor of the branch)**2``.

    Examples
    --------
    >>> residual_scale(10, "none").log2_growth
    10.0
    >>> scale = residual_scale(100)
    >>> round(scale.last, 3), round(2**scale.log2_growth, 3)
    (0.1, 2.705)
    """
    blocks = integer("blocks", blocks, least=1)
    choice("rule", rule, ("depth", "zero", "fixup", "none"))
    least = 2 if rule == "fixup" else 1
    layers_per_block = integer("layers_per_block", layers_per_block, least=least)
    factors = {
        "depth": (1.0, blocks**-0.5),
        "zero": (1.0, 0.0),
        "fixup": (blocks ** (-0.5 / max(layers_per_block - 1, 1)), 0.0),
        "none": (1.0, 1.0),
    }
    inner, last = factors[rule]
    return ResidualScale(inner, last, blocks * math.log2(1 + last**2))


def _fixed_point(phi: Activation) -> float | None:
    """Return the least sigma with E phi(sigma z)² = 1 where that grows with sigma."""

    def excess(log_sigma: float) -> float:
        return moments(phi, math.exp(2 * log_sigma)).square - 1

    grid = np.linspace(math.log(1e-3), math.log(1e3), 56)
    low = excess(grid[0])
    for left, right in pairwise(grid.tolist()):
        high = excess(right)
        if low < 0 <= high:
            return math.exp(find_root(excess, left, right))
        low = high
    return None


def _critical_bias(phi: Activation, q: float) -> float | None:
    """Return the sigma_b² at which chi = 1 and q stays; negative if there is none."""
    m = moments(phi, q)
    return q - m.square / m.slope_square if m.slope_square else None


def _critical_variance(phi: Activation, sigma_b: float) -> float | None:
    """Return the least q at which sigma_b is critical."""

    def excess(log_q: float) -> float:
        bias = _critical_bias(phi, math.exp(log_q))
        return math.nan if bias is None else bias - sigma_b**2

    if sigma_b == 0 and float(phi(np.zeros(1))[0]) == 0:
        return 1.0 if abs(excess(0.0)) < 1e-10 else 0.0
    grid = np.linspace(math.log(1e-6), math.log(16), 56)
    low = excess(grid[0])
    for left, right in pairwise(grid.tolist()):
        high = excess(right)
        if (low < 0) != (high < 0):
            return math.exp(find_root(excess, left, right))
        low = high
    return None
