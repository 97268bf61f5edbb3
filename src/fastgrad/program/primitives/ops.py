"""The primitive operations a program is made of, each defined once.

For each: its value in NumPy, and its derivative (the vector-Jacobian product), which
only the analytic side uses: naming a bug, and `Program.gradient`. The numerical
gradient never does. How a perturbation spreads and what it does is in
``_kernels/simd``, under the same names.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from fastgrad.program.primitives.matrices import LINEAR
from fastgrad.program.primitives.primitive import Array, Primitive


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum `g` over the axes along which an input of this shape was broadcast."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(d for d, n in enumerate(shape) if n == 1 and g.shape[d] != 1)
    return g.sum(axis=stretched, keepdims=True) if stretched else g


# ---- elementwise --------------------------------------------------------------------


def _map(
    function: Callable[..., Any],
    *derivatives: Callable[..., Any],
    inexact: bool = True,
) -> Primitive:
    """An elementwise primitive; derivatives take (out, *inputs), one per input."""

    def derivative(
        g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
    ) -> tuple[Any, ...]:
        with np.errstate(all="ignore"):
            return tuple(
                unbroadcast(g * d(out, *inputs), x.shape)
                for d, x in zip(derivatives, inputs, strict=True)
            )

    return Primitive(lambda inputs, ints: function(*inputs), derivative, inexact)


def _step(function: Callable[..., Any]) -> Primitive:
    return Primitive(
        lambda inputs, ints: function(*inputs),
        lambda g, out, inputs, ints: tuple(np.zeros_like(x) for x in inputs),
        steps=True,
    )


def _scipy_special(name: str) -> Callable[[Array], Array]:
    """A function of scipy.special; imported when used, which it then already is."""

    def function(x: Array) -> Array:
        from scipy import special

        return np.asarray(getattr(special, name)(x))

    return function


def _digamma(x: Array) -> Array:
    return _scipy_special("digamma")(x)


_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)

ELEMENTWISE: dict[str, Primitive] = {
    "exp": _map(np.exp, lambda out, x: out),
    "expm1": _map(np.expm1, lambda out, x: out + 1),
    "log": _map(np.log, lambda out, x: 1 / x),
    "log1p": _map(np.log1p, lambda out, x: 1 / (1 + x)),
    "tanh": _map(np.tanh, lambda out, x: 1 - out**2),
    "sqrt": _map(np.sqrt, lambda out, x: 0.5 / out),
    "square": _map(np.square, lambda out, x: 2 * x, inexact=False),
    "abs": _map(np.abs, lambda out, x: np.sign(x), inexact=False),
    "reciprocal": _map(lambda x: 1 / x, lambda out, x: -out * out, inexact=False),
    "negative": _map(np.negative, lambda out, x: -1.0, inexact=False),
    "sin": _map(np.sin, lambda out, x: np.cos(x)),
    "cos": _map(np.cos, lambda out, x: -np.sin(x)),
    "tan": _map(np.tan, lambda out, x: 1 + out**2),
    "arcsin": _map(np.arcsin, lambda out, x: 1 / np.sqrt(1 - x**2)),
    "arccos": _map(np.arccos, lambda out, x: -1 / np.sqrt(1 - x**2)),
    "arctan": _map(np.arctan, lambda out, x: 1 / (1 + x**2)),
    "sinh": _map(np.sinh, lambda out, x: np.cosh(x)),
    "cosh": _map(np.cosh, lambda out, x: np.sinh(x)),
    "arcsinh": _map(np.arcsinh, lambda out, x: 1 / np.sqrt(x**2 + 1)),
    "arccosh": _map(np.arccosh, lambda out, x: 1 / np.sqrt(x**2 - 1)),
    "arctanh": _map(np.arctanh, lambda out, x: 1 / (1 - x**2)),
    "exp2": _map(np.exp2, lambda out, x: out * math.log(2)),
    "log2": _map(np.log2, lambda out, x: 1 / (x * math.log(2))),
    "log10": _map(np.log10, lambda out, x: 1 / (x * math.log(10))),
    "cbrt": _map(np.cbrt, lambda out, x: 1 / (3 * out**2)),
    "erf": _map(
        _scipy_special("erf"), lambda out, x: _TWO_OVER_SQRT_PI * np.exp(-(x**2))
    ),
    "erfc": _map(
        _scipy_special("erfc"), lambda out, x: -_TWO_OVER_SQRT_PI * np.exp(-(x**2))
    ),
    "lgamma": _map(_scipy_special("gammaln"), lambda out, x: _digamma(x)),
    "sign": _step(np.sign),
    "floor": _step(np.floor),
    "ceil": _step(np.ceil),
    "rint": _step(np.rint),
    "trunc": _step(np.trunc),
    "not": _step(lambda x: (x == 0).astype(float)),
    "add": _map(np.add, lambda out, x, y: 1.0, lambda out, x, y: 1.0, inexact=False),
    "subtract": _map(
        np.subtract, lambda out, x, y: 1.0, lambda out, x, y: -1.0, inexact=False
    ),
    "multiply": _map(
        np.multiply, lambda out, x, y: y, lambda out, x, y: x, inexact=False
    ),
    "divide": _map(
        np.divide, lambda out, x, y: 1 / y, lambda out, x, y: -out / y, inexact=False
    ),
    # At a tie, half of each: the symmetric subgradient.
    "maximum": _map(
        np.maximum,
        lambda out, x, y: (x > y) + 0.5 * (x == y),
        lambda out, x, y: (y > x) + 0.5 * (x == y),
        inexact=False,
    ),
    "minimum": _map(
        np.minimum,
        lambda out, x, y: (x < y) + 0.5 * (x == y),
        lambda out, x, y: (y < x) + 0.5 * (x == y),
        inexact=False,
    ),
    "power": _map(
        np.power,
        lambda out, x, y: np.where(y == 0, 0.0, y * x ** np.where(y == 0, 1.0, y - 1)),
        lambda out, x, y: np.where(
            out == 0, 0.0, out * np.log(np.where(x > 0, x, 1.0))
        ),
    ),
    "logaddexp": _map(
        np.logaddexp,
        lambda out, x, y: np.exp(x - out),
        lambda out, x, y: np.exp(y - out),
    ),
    "arctan2": _map(
        np.arctan2,
        lambda out, x, y: y / (x**2 + y**2),
        lambda out, x, y: -x / (x**2 + y**2),
    ),
    "hypot": _map(np.hypot, lambda out, x, y: x / out, lambda out, x, y: y / out),
    "greater": _step(lambda x, y: (x > y).astype(float)),
    "greater_equal": _step(lambda x, y: (x >= y).astype(float)),
    "equal": _step(lambda x, y: (x == y).astype(float)),
    "not_equal": _step(lambda x, y: (x != y).astype(float)),
    "and": _step(lambda x, y: ((x != 0) & (y != 0)).astype(float)),
    "or": _step(lambda x, y: ((x != 0) | (y != 0)).astype(float)),
    "where": _map(
        lambda c, x, y: np.where(c != 0, x, y),
        lambda out, c, x, y: 0.0,
        lambda out, c, x, y: (c != 0).astype(float),
        lambda out, c, x, y: (c == 0).astype(float),
        inexact=False,
    ),
}


# ---- reductions: ints say for each axis whether it is reduced ------------------------


def _axes(ints: Sequence[int]) -> tuple[int, ...]:
    return tuple(d for d, reduced in enumerate(ints) if reduced)


def _expand(g: Array, ints: Sequence[int], shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(np.expand_dims(g, _axes(ints)), shape)


def _max_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    (x,) = inputs
    winners = (x == _expand(out, ints, x.shape)).astype(float)
    share = winners / winners.sum(axis=_axes(ints), keepdims=True)
    return (_expand(g, ints, x.shape) * share,)


def _prod_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    (x,) = inputs
    axes = _axes(ints)
    zeros = (x == 0).sum(axis=axes, keepdims=True)
    rest = np.prod(np.where(x == 0, 1.0, x), axis=axes, keepdims=True)
    with np.errstate(divide="ignore"):
        others = np.where(
            zeros == 0, rest / x, np.where((x == 0) & (zeros == 1), rest, 0)
        )
    return (_expand(g, ints, x.shape) * others,)


def _cumsum_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    axis = ints[0]
    return (np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis),)


def _cumprod_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    """By Horner's rule from the end; zeros divide nothing."""
    x = np.moveaxis(inputs[0], ints[0], 0)
    rest, g = np.empty_like(x), np.moveaxis(g, ints[0], 0)
    before = np.concatenate([np.ones_like(x[:1]), np.moveaxis(out, ints[0], 0)[:-1]])
    following = np.zeros_like(x[0]) if len(x) else x
    for i in reversed(range(len(x))):
        rest[i] = g[i] + following
        following = x[i] * rest[i]
    return (np.moveaxis(before * rest, 0, ints[0]),)


REDUCTIONS: dict[str, Primitive] = {
    "sum": Primitive(
        lambda inputs, ints: np.sum(inputs[0], axis=_axes(ints)),
        lambda g, out, inputs, ints: (_expand(g, ints, inputs[0].shape),),
    ),
    "max": Primitive(
        lambda inputs, ints: np.max(inputs[0], axis=_axes(ints)), _max_derivative
    ),
    "prod": Primitive(
        lambda inputs, ints: np.prod(inputs[0], axis=_axes(ints)), _prod_derivative
    ),
    "cumsum": Primitive(
        lambda inputs, ints: np.cumsum(inputs[0], axis=ints[0]), _cumsum_derivative
    ),
    "cumprod": Primitive(
        lambda inputs, ints: np.asarray(np.cumprod(inputs[0], axis=ints[0]), float),
        _cumprod_derivative,
    ),
}


# ---- contraction: ints are (n_labels, then the axis of each in x, y and the result) --


def contraction_labels(ints: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """For each axis of x, of y and of the result, its label."""
    table = np.reshape(np.asarray(ints[1:], dtype=int), (-1, 3))
    x, y, out = (
        [int(np.flatnonzero(column == axis)[0]) for axis in range(column.max() + 1)]
        if len(column)
        else []
        for column in table.T
    )
    return x, y, out


#: With labels as lists, a form its types leave out.
_einsum: Any = np.einsum


def _contract(inputs: Sequence[Array], ints: Sequence[int]) -> Array:
    x, y, out = contraction_labels(ints)
    return np.asarray(_einsum(inputs[0], x, inputs[1], y, out, optimize=True))


def _contract_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array, Array]:
    x, y, o = contraction_labels(ints)
    return (
        _einsum(g, o, inputs[1], y, x, optimize=True),
        _einsum(g, o, inputs[0], x, y, optimize=True),
    )


# ---- shape -------------------------------------------------------------------------


def view_of(x: NDArray[Any], ints: Sequence[int], shape: tuple[int, ...]) -> Any:
    """Strided view: input index = offset + sum of step * output index."""
    offset, moves = ints[: x.ndim], ints[x.ndim :]
    x = np.array(x, order="C", copy=None)
    start = sum(o * s for o, s in zip(offset, x.strides, strict=True)) // x.itemsize
    strides = [
        0 if moves[2 * d] < 0 else moves[2 * d + 1] * x.strides[moves[2 * d]]
        for d in range(len(shape))
    ]
    if 0 in shape:
        return np.zeros(shape, dtype=x.dtype)
    return as_strided(x.reshape(-1)[start:], shape, strides)


def _scattered(g: Array, source: NDArray[Any], shape: tuple[int, ...]) -> Array:
    """For each element, the sum over everything that was read from it."""
    total: Any = np.bincount(source.ravel(), g.ravel(), minlength=math.prod(shape))
    return np.reshape(total, shape)


def _view_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    source = view_of(np.arange(inputs[0].size).reshape(inputs[0].shape), ints, g.shape)
    return (_scattered(g, source, inputs[0].shape),)


def _take_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    rows = np.arange(inputs[0].size).reshape(inputs[0].shape)
    source = rows[np.asarray(ints[1:], dtype=np.intp)]
    return (_scattered(g, source, inputs[0].shape),)


def _windows(
    inputs: Sequence[Array], ints: Sequence[int], ndim: int
) -> list[tuple[slice, ...]]:
    return [
        tuple(
            slice(ints[i * ndim + d], ints[i * ndim + d] + n)
            for d, n in enumerate(x.shape)
        )
        for i, x in enumerate(inputs)
    ]


def _place_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array, ...]:
    return tuple(g[window] for window in _windows(inputs, ints, g.ndim))


def place(inputs: Sequence[Array], ints: Sequence[int], fill: Array) -> Array:
    """Lay the inputs into a copy of `fill` at their offsets."""
    out = fill.copy()
    for x, window in zip(inputs, _windows(inputs, ints, fill.ndim), strict=True):
        out[window] = x
    return out


def _not_from_ints(inputs: Sequence[Array], ints: Sequence[int]) -> Array:
    raise NotImplementedError("the value depends on the shape of the result")


SHAPE: dict[str, Primitive] = {
    "view": Primitive(_not_from_ints, _view_derivative),
    "reshape": Primitive(
        _not_from_ints,
        lambda g, out, inputs, ints: (g.reshape(inputs[0].shape),),
    ),
    "take": Primitive(
        lambda inputs, ints: inputs[0][np.asarray(ints[1:], dtype=np.intp)],
        _take_derivative,
    ),
    "place": Primitive(_not_from_ints, _place_derivative),
}

# ---- sorting: ints are (axis,); positions are whole numbers --------------------------


def _argsort(inputs: Sequence[Array], ints: Sequence[int]) -> Array:
    return np.argsort(inputs[0], axis=ints[0], kind="stable").astype(np.float64)


def _take_along(inputs: Sequence[Array], ints: Sequence[int]) -> Array:
    x, positions = inputs
    return np.take_along_axis(x, positions.astype(np.intp), axis=ints[0])


def _take_along_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array, Array]:
    x, positions = inputs
    numbers = np.arange(x.size).reshape(x.shape)
    source = np.take_along_axis(numbers, positions.astype(np.intp), axis=ints[0])
    return _scattered(g, source, x.shape), np.zeros_like(positions)


SORTING: dict[str, Primitive] = {
    "argsort": Primitive(
        _argsort,
        lambda g, out, inputs, ints: (np.zeros_like(inputs[0]),),
        steps=True,
    ),
    "take_along": Primitive(_take_along, _take_along_derivative),
}


PRIMITIVES: dict[str, Primitive] = {
    **ELEMENTWISE,
    **REDUCTIONS,
    "contract": Primitive(_contract, _contract_derivative),
    **SHAPE,
    **SORTING,
    **LINEAR,
}
