"""Activation functions as mean-field theory needs them: with their kinks.

An activation is any callable from float64 arrays to arrays of the same shape, or one of
the names in `NAMED`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from fastgrad._arguments import refusal
from fastgrad._arrays import Array

Function = Callable[[Array], Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])
_SELU_SCALE = 1.0507009873554804934
_SELU_ALPHA = 1.6732632423543772848


def _sigmoid(x: Array) -> Any:
    return (1 + np.tanh(x / 2)) / 2


def _softplus(x: Array) -> Any:
    return np.logaddexp(0, x)


def _elu(x: Array) -> Any:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x: Array) -> Any:
    return _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0)))


NAMED: dict[str, Function] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softsign": lambda x: x / (1 + abs(x)),
    "elu": _elu,
    "selu": _selu,
    "gelu": lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x * _sigmoid(x),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "softplus": _softplus,
    "erf": _erf,
}


@dataclass(frozen=True, eq=False)
class Activation:
    """A function and where it is not smooth.

    `edges` are the ends of panels on which it is a polynomial to float64 precision,
    `kinks` those of them where it, or a derivative, jumps.
    """

    name: str
    function: Function = field(repr=False)
    kinks: Array
    edges: Array = field(repr=False)

    def __call__(self, x: Array) -> Array:
        """Return the function's values."""
        with np.errstate(all="ignore"):
            y = self.function(x)
        try:
            return np.asarray(y, dtype=np.float64)
        except (TypeError, ValueError):
            raise refusal(TypeError, "activation", "return numbers", y) from None


def as_activation(activation: "str | Function | Activation") -> Activation:
    """Return the activation of this name or function, its kinks found.

    Parameters
    ----------
    activation : str, callable or Activation
        Kinks of a callable are sought within ±64, by bisection, to 11 digits or more.

    Raises
    ------
    ValueError
        If the name is unknown, the callable does not keep the shape of its argument,
        gives nan, or is not smooth on pieces in float64 (a float32 function is not).
    TypeError
        If it is neither a string nor callable.

    Examples
    --------
    >>> as_activation("relu").kinks
    array([0.])
    >>> as_activation(lambda x: np.clip(x, -1, 1)).kinks.round(12).tolist()
    [-1.0, 1.0]
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str) and activation in NAMED:
        return _named(activation)
    if not callable(activation):
        kind = ValueError if isinstance(activation, str) else TypeError
        must = f"be callable or one of {', '.join(NAMED)}"
        raise refusal(kind, "activation", must, activation)
    return _examine(getattr(activation, "__name__", repr(activation)), activation)


def slopes_at_zero(phi: Activation) -> tuple[float, float]:
    """Return the derivatives at 0 from the left and from the right.

    Examples
    --------
    >>> tuple(round(slope, 12) for slope in slopes_at_zero(as_activation("relu")))
    (0.0, 1.0)
    """
    step = 2.0**-3
    x = step * (1 + NODES) / 2
    left, right = phi(-x), phi(x)
    scale = 2 / step
    return (
        float((left[0] - left) @ _END_SLOPE * scale),
        float((right - right[0]) @ _END_SLOPE * scale),
    )


# Gauss-Legendre nodes on (-1, 1), and values there to Legendre coefficients.
ORDER = 16
NODES, WEIGHTS = legendre.leggauss(ORDER)
_TO_COEFFICIENTS = (
    (np.arange(ORDER) + 0.5)[:, None] * legendre.legvander(NODES, ORDER - 1).T * WEIGHTS
)
# Values at the nodes to the derivative there.
DERIVATIVE = (
    legendre.legval(NODES, legendre.legder(np.eye(ORDER), axis=0)).T @ _TO_COEFFICIENTS
)

_ENDS = legendre.legvander(np.array([-1.0, 1.0]), ORDER - 1) @ _TO_COEFFICIENTS

# Values at the nodes to the derivative at -1.
_END_SLOPE = legendre.legval(-1, legendre.legder(np.eye(ORDER))) @ _TO_COEFFICIENTS

# Kinks are at round numbers, so that the first edges must not be.
_FIRST_EDGES = 0.0137 + np.sort(np.outer([-1, 1], 2.0 ** np.arange(7)).ravel())
_NARROW, _FINEST = 2.0**-5, 2.0**-28
_BEYOND = 2.0**-6  # of a panel
_MOST_PANELS = 5000


@cache
def _named(name: str) -> Activation:
    return _examine(name, NAMED[name])


def _examine(name: str, function: Function) -> Activation:
    """Bisect panels until the function is a polynomial on each, or the panel tiny."""
    bare = Activation(name, function, np.empty(0), np.empty(0))
    typical = np.abs(_values(bare, np.linspace(-1, 1, 101))).max()
    left, right = _FIRST_EDGES[:-1], _FIRST_EDGES[1:]
    kinks, edges, count = np.empty(0), _FIRST_EDGES, 0
    while len(left):
        count += len(left)
        if count > _MOST_PANELS:
            raise ValueError(
                f"`activation` must be smooth on pieces, in float64, got {name}, "
                "which is not."
            )
        middle = (left + right) / 2
        rough = _is_rough(bare, left, right, typical)
        tiny = right - left < _FINEST * np.maximum(1, np.abs(middle))
        kinks = np.append(kinks, _locate(bare, left[rough & tiny], right[rough & tiny]))
        edges = np.append(edges, middle[rough & (right - left > _NARROW)])
        split = rough & ~tiny
        left, right = (
            np.append(left[split], middle[split]),
            np.append(middle[split], right[split]),
        )
    kinks = _distinct(kinks)
    return Activation(name, function, kinks, np.unique(np.append(edges, kinks)))


def _distinct(kinks: Array) -> Array:
    """Return the kinks in order, those that two panels have found once."""
    kinks = np.unique(kinks)
    apart = np.diff(kinks, prepend=-np.inf) > 4 * _FINEST * np.maximum(1, np.abs(kinks))
    return kinks[apart]


def _locate(activation: Activation, left: Array, right: Array) -> Array:
    """Return the kinks in tiny panels: where the lines from either side meet."""
    step = 4 * (right - left)
    y = _values(activation, np.stack([left - step, left, right, right + step], axis=1))
    before, after = (y[:, 1] - y[:, 0]) / step, (y[:, 3] - y[:, 2]) / step
    with np.errstate(all="ignore"):
        x = (y[:, 2] - y[:, 1] + before * left - after * right) / (before - after)
    within = (x >= left - step) & (x <= right + step)
    x = np.where(within, x, (left + right) / 2)
    rounded = x.round(6) + 0.0
    return np.where((rounded >= left) & (rounded <= right), rounded, x)


def _is_rough(
    activation: Activation, left: Array, right: Array, typical: float
) -> NDArray[np.bool_]:
    """Whether the function on each panel is no polynomial of degree 15.

    And a little beyond: a kink at its edge would hardly show on either side.
    """
    beyond = _BEYOND * (right - left)
    left, right = left - beyond, right + beyond
    half = (right - left)[:, None] / 2
    x = left[:, None] + half * (1 + NODES)
    y = _values(activation, x)
    ends = _values(activation, np.stack([left, right], axis=1))
    by_argument = np.abs(x).max(axis=1) * np.ptp(y, axis=1) / (right - left)
    size = np.maximum.reduce(  # of what rounds: the value, and its argument
        [np.abs(y).max(axis=1), by_argument, np.full(len(y), typical)]
    )
    tail = np.abs(y @ _TO_COEFFICIENTS[-2:].T).max(axis=1)
    miss = np.abs(y @ _ENDS.T - ends).max(axis=1)
    rough: NDArray[np.bool_] = np.maximum(tail, miss) > 1e-12 * size
    return rough


def _values(activation: Activation, x: Array) -> Array:
    y = activation(x)
    if y.shape != x.shape:
        raise ValueError(
            "`activation` must keep the shape of its argument "
            f"{x.shape}, got {y.shape}."
        )
    if np.isnan(y).any():
        raise ValueError(
            f"`activation` must not give nan, got it at x = {x[np.isnan(y)][0]:.6g}."
        )
    # An overflow far out carries no weight under the normal distribution.
    return np.clip(y, -1e300, 1e300)
