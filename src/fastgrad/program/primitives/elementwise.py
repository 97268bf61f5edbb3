"""The elementwise primitives, one declaration each.

Name, value in NumPy, a derivative for each input, and what else is true of it. The name
is that of its lane kernel (`fastgrad._kernels`), the ufunc that gives its value is the
one that it stands for; `also` are others.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program.primitives.primitive import Primitive, unbroadcast

ELEMENTWISE: dict[str, Primitive] = {}


def _smooth(
    name: str,
    function: Callable[..., Any],
    *derivatives: Callable[..., Any],
    also: Sequence[str] = (),
    inexact: bool = True,
) -> None:
    """Declare a primitive whose derivatives take (out, *inputs), one per input."""

    def derivative(
        g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
    ) -> tuple[Any, ...]:
        with np.errstate(all="ignore"):
            return tuple(
                unbroadcast(_sent(g, d(out, *inputs)), x.shape)
                for d, x in zip(derivatives, inputs, strict=True)
            )

    ELEMENTWISE[name] = Primitive(
        lambda inputs, ints: function(*inputs),
        derivative,
        ufuncs=_ufuncs(function, also),
        inexact=inexact,
    )


def _sent(g: Array, slope: Any) -> Array:
    """``g * slope``; a result that nothing uses may have an infinite slope."""
    sent: Array = g * slope
    if np.isnan(sent).any():
        sent = np.where(g == 0, 0.0, sent)
    return sent


def _step(
    name: str,
    function: Callable[..., Any],
    *,
    also: Sequence[str] = (),
    truth: bool = False,
) -> None:
    """Declare a primitive that is constant between jumps."""
    ELEMENTWISE[name] = Primitive(
        lambda inputs, ints: np.asarray(function(*inputs), dtype=np.float64),
        lambda g, out, inputs, ints: tuple(np.zeros_like(x) for x in inputs),
        ufuncs=_ufuncs(function, also),
        steps=True,
        truth=truth,
    )


def _ufuncs(function: Any, also: Sequence[str]) -> tuple[str, ...]:
    own = (function.__name__,) if isinstance(function, np.ufunc) else ()
    return (*own, *also)


def _scipy_special(name: str) -> Callable[[Array], Array]:
    """A function of scipy.special; imported when used, which it then already is."""

    def function(x: Array) -> Array:
        from scipy import special

        return np.asarray(getattr(special, name)(x))

    return function


_digamma = _scipy_special("digamma")
_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
#: And what that takes from sqrt(1 / 2).
_ROOT_HALF, _REST_OF_ROOT_HALF = math.sqrt(0.5), -4.833646656726457e-17


def normal_below(x: float) -> float:
    """The normal distribution, also far below zero.

    There erfc of -x / sqrt(2) feels what rounding took from that.
    """
    t = -_ROOT_HALF * x
    if not abs(t) < 30:
        return 0.5 * math.erfc(t)
    rest = float(-Fraction(_ROOT_HALF) * Fraction(x) - Fraction(t))
    rest -= _REST_OF_ROOT_HALF * x
    return 0.5 * (math.erfc(t) - rest * _TWO_OVER_SQRT_PI * math.exp(-t * t))


def _ndtr(x: Array) -> Array:
    out, x = np.array(_scipy_special("ndtr")(x)), np.asarray(x)
    below = x < -1
    out[below] = [normal_below(each) for each in x[below].tolist()]
    return out


# ---- of one number ------------------------------------------------------------------

_smooth("exp", np.exp, lambda out, x: out)
_smooth("expm1", np.expm1, lambda out, x: out + 1)
_smooth("log", np.log, lambda out, x: 1 / x)
_smooth("log1p", np.log1p, lambda out, x: 1 / (1 + x))
_smooth("tanh", np.tanh, lambda out, x: 1 - out**2)
_smooth("sqrt", np.sqrt, lambda out, x: 0.5 / out)
_smooth("square", np.square, lambda out, x: 2 * x, inexact=False)
_smooth("abs", np.abs, lambda out, x: np.sign(x), also=["fabs"], inexact=False)
_smooth("reciprocal", np.reciprocal, lambda out, x: -out * out)
_smooth("negative", np.negative, lambda out, x: -1.0, inexact=False)
_smooth("sin", np.sin, lambda out, x: np.cos(x))
_smooth("cos", np.cos, lambda out, x: -np.sin(x))
_smooth("tan", np.tan, lambda out, x: 1 + out**2)
_smooth("arcsin", np.arcsin, lambda out, x: 1 / np.sqrt(1 - x**2))
_smooth("arccos", np.arccos, lambda out, x: -1 / np.sqrt(1 - x**2))
_smooth("arctan", np.arctan, lambda out, x: 1 / (1 + x**2))
_smooth("sinh", np.sinh, lambda out, x: np.cosh(x))
_smooth("cosh", np.cosh, lambda out, x: np.sinh(x))
_smooth("arcsinh", np.arcsinh, lambda out, x: 1 / np.sqrt(x**2 + 1))
_smooth("arccosh", np.arccosh, lambda out, x: 1 / np.sqrt(x**2 - 1))
_smooth("arctanh", np.arctanh, lambda out, x: 1 / (1 - x**2))
_smooth("exp2", np.exp2, lambda out, x: out * math.log(2))
_smooth("log2", np.log2, lambda out, x: 1 / (x * math.log(2)))
_smooth("log10", np.log10, lambda out, x: 1 / (x * math.log(10)))
_smooth("cbrt", np.cbrt, lambda out, x: 1 / (3 * out**2))
_smooth(
    "erf",
    _scipy_special("erf"),
    lambda out, x: _TWO_OVER_SQRT_PI * np.exp(-(x**2)),
    also=["erf", "erf (vectorized)"],
)
_smooth(
    "erfc",
    _scipy_special("erfc"),
    lambda out, x: -_TWO_OVER_SQRT_PI * np.exp(-(x**2)),
    also=["erfc", "erfc (vectorized)"],
)
_smooth(
    "ndtr",
    _ndtr,
    lambda out, x: np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi),
    also=["ndtr", "normal_below (vectorized)"],
)
_smooth(
    "lgamma",
    _scipy_special("gammaln"),
    lambda out, x: _digamma(x),
    also=["gammaln", "lgamma (vectorized)"],
)
_step("sign", np.sign)
_step("floor", np.floor)
_step("ceil", np.ceil)
_step("rint", np.rint)
_step("trunc", np.trunc)
_step("not", np.logical_not, also=["invert"], truth=True)

# ---- of two -------------------------------------------------------------------------

_smooth("add", np.add, lambda out, x, y: 1.0, lambda out, x, y: 1.0, inexact=False)
_smooth(
    "subtract",
    np.subtract,
    lambda out, x, y: 1.0,
    lambda out, x, y: -1.0,
    inexact=False,
)
_smooth(
    "multiply", np.multiply, lambda out, x, y: y, lambda out, x, y: x, inexact=False
)
_smooth(
    "divide",
    np.divide,
    lambda out, x, y: 1 / y,
    lambda out, x, y: -out / y,
    inexact=False,
)
# At a tie, half of each: the symmetric subgradient.
_smooth(
    "maximum",
    np.maximum,
    lambda out, x, y: (x > y) + 0.5 * (x == y),
    lambda out, x, y: (y > x) + 0.5 * (x == y),
    inexact=False,
)
_smooth(
    "minimum",
    np.minimum,
    lambda out, x, y: (x < y) + 0.5 * (x == y),
    lambda out, x, y: (y < x) + 0.5 * (x == y),
    inexact=False,
)
_smooth(
    "power",
    np.power,
    lambda out, x, y: np.where(y == 0, 0.0, y * x ** np.where(y == 0, 1.0, y - 1)),
    lambda out, x, y: np.where(out == 0, 0.0, out * np.log(np.where(x > 0, x, 1.0))),
    also=["float_power"],
)
_smooth(
    "logaddexp",
    np.logaddexp,
    lambda out, x, y: np.exp(x - out),
    lambda out, x, y: np.exp(y - out),
)
_smooth(
    "arctan2",
    np.arctan2,
    lambda out, x, y: y / (x**2 + y**2),
    lambda out, x, y: -x / (x**2 + y**2),
)
_smooth("hypot", np.hypot, lambda out, x, y: x / out, lambda out, x, y: y / out)
_step("greater", np.greater, truth=True)
_step("greater_equal", np.greater_equal, truth=True)
_step("equal", np.equal, truth=True)
_step("not_equal", np.not_equal, also=["bitwise_xor"], truth=True)
_step("and", np.logical_and, also=["bitwise_and"], truth=True)
_step("or", np.logical_or, also=["bitwise_or"], truth=True)

# ---- of three -----------------------------------------------------------------------


def _chosen(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Any, ...]:
    """To each branch what is asked where it is taken, whatever that is elsewhere."""
    condition, x, y = inputs
    taken = condition != 0
    return (
        np.zeros_like(condition),
        unbroadcast(np.where(taken, g, 0.0), x.shape),
        unbroadcast(np.where(taken, 0.0, g), y.shape),
    )


ELEMENTWISE["where"] = Primitive(
    lambda inputs, ints: np.where(inputs[0] != 0, inputs[1], inputs[2]),
    _chosen,
)
