"""Elementwise functions: NumPy's ufuncs, by name, in terms of the primitives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from fastgrad.program import graph
from fastgrad.program.graph import Node


def elementwise(op: str, *inputs: Node, label: str) -> Node:
    """One elementwise primitive."""
    return graph.apply(op, inputs, label=label)


_SAME = frozenset(
    [
        "exp",
        "expm1",
        "log",
        "log1p",
        "tanh",
        "sqrt",
        "square",
        "sign",
        "reciprocal",
        "negative",
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "arcsinh",
        "arccosh",
        "arctanh",
        "exp2",
        "log2",
        "log10",
        "cbrt",
        "erf",
        "erfc",
        "floor",
        "ceil",
        "rint",
        "trunc",
        "add",
        "subtract",
        "multiply",
        "divide",
        "maximum",
        "minimum",
        "logaddexp",
        "arctan2",
        "hypot",
        "greater",
        "greater_equal",
        "equal",
        "not_equal",
    ]
)
_RENAMED = {
    "absolute": "abs",
    "fabs": "abs",
    "true_divide": "divide",
    "fmax": "maximum",
    "fmin": "minimum",
    "gammaln": "lgamma",
    **{f"{name} (vectorized)": name for name in ("erf", "erfc", "lgamma")},
    "logical_not": "not",
    "logical_and": "and",
    "logical_or": "or",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "logical_xor": "not_equal",
    "bitwise_xor": "not_equal",
    "invert": "not",
}
#: ufuncs whose result is a truth value.
BOOLEAN = frozenset(
    [
        "greater",
        "greater_equal",
        "less",
        "less_equal",
        "equal",
        "not_equal",
        "logical_not",
        "logical_and",
        "logical_or",
        "logical_xor",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "invert",
    ]
)


def number(x: float) -> Node:
    return graph.constant(x)


def power(x: Node, y: Node, label: str) -> Node:
    exponent = float(y.value) if not y.active and y.value.ndim == 0 else math.nan
    if exponent == 1:
        return x
    if exponent in (2, 3, 4):
        squared = elementwise("square", x, label=label)
        if exponent == 2:
            return squared
        if exponent == 4:
            return elementwise("square", squared, label=label)
        return elementwise("multiply", squared, x, label=label)
    if exponent == 0.5:
        return elementwise("sqrt", x, label=label)
    if exponent == -1:
        return elementwise("reciprocal", x, label=label)
    return elementwise("power", x, y, label=label)


def _sigmoid(x: Node, label: str) -> Node:
    e = elementwise("exp", elementwise("negative", x, label=label), label=label)
    one = number(1.0)
    return elementwise(
        "reciprocal", elementwise("add", one, e, label=label), label=label
    )


def _xlogy(x: Node, y: Node, label: str) -> Node:
    nothing = elementwise("equal", x, number(0.0), label=label)
    product = elementwise(
        "multiply", x, elementwise("log", y, label=label), label=label
    )
    return elementwise("where", nothing, number(0.0), product, label=label)


def _remainder(x: Node, y: Node, label: str) -> Node:
    whole = elementwise("floor", elementwise("divide", x, y, label=label), label=label)
    product = elementwise("multiply", whole, y, label=label)
    return elementwise("subtract", x, product, label=label)


_COMPOSED: dict[str, Callable[..., Node]] = {
    "power": power,
    "float_power": power,
    "less": lambda x, y, label: elementwise("greater", y, x, label=label),
    "less_equal": lambda x, y, label: elementwise("greater_equal", y, x, label=label),
    "positive": lambda x, label: x,
    "conjugate": lambda x, label: x,
    "expit": _sigmoid,
    "log_expit": lambda x, label: elementwise(
        "negative",
        elementwise(
            "logaddexp",
            number(0.0),
            elementwise("negative", x, label=label),
            label=label,
        ),
        label=label,
    ),
    "xlogy": _xlogy,
    "remainder": _remainder,
    "floor_divide": lambda x, y, label: elementwise(
        "floor", elementwise("divide", x, y, label=label), label=label
    ),
    "heaviside": lambda x, y, label: elementwise(
        "where",
        elementwise("equal", x, number(0.0), label=label),
        y,
        elementwise("greater", x, number(0.0), label=label),
        label=label,
    ),
    "deg2rad": lambda x, label: scale(x, math.pi / 180, label=label),
    "radians": lambda x, label: scale(x, math.pi / 180, label=label),
}


def ufunc(name: str, inputs: Sequence[Node], label: str) -> Node | None:
    """The result of a ufunc; None where it has no meaning in primitives."""
    if name in _COMPOSED:
        return _COMPOSED[name](*inputs, label=label)
    primitive = name if name in _SAME else _RENAMED.get(name)
    return None if primitive is None else elementwise(primitive, *inputs, label=label)


def scale(x: Node, factor: float, label: str) -> Node:
    """`x` times a number."""
    return elementwise("multiply", x, number(factor), label=label)


def clip(
    x: Node,
    a_min: Node | None = None,
    a_max: Node | None = None,
    *,
    min: Node | None = None,
    max: Node | None = None,
    label: str,
) -> Node:
    a_min = min if a_min is None else a_min
    a_max = max if a_max is None else a_max
    if a_min is not None:
        x = elementwise("maximum", x, a_min, label=label)
    if a_max is not None:
        x = elementwise("minimum", x, a_max, label=label)
    return x


def round_(x: Node, decimals: int = 0, *, label: str) -> Node:
    if decimals == 0:
        return elementwise("rint", x, label=label)
    whole = elementwise("rint", scale(x, 10.0**decimals, label=label), label=label)
    return scale(whole, 10.0**-decimals, label=label)


def where(condition: Node, x: Node, y: Node, *, label: str) -> Node:
    return elementwise("where", condition, x, y, label=label)
