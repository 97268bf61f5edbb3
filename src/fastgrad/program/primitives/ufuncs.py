"""Elementwise functions: NumPy's ufuncs, by name, in terms of the primitives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops
from fastgrad.program.primitives.table import stands_for


def elementwise(op: str, *inputs: Node, label: str) -> Node:
    """One elementwise primitive."""
    return graph.apply(op, inputs, label=label)


#: ufuncs whose result is a truth value.
BOOLEAN = frozenset(
    [
        "less",
        "less_equal",
        *(u for u, op in ops.UFUNCS.items() if ops.PRIMITIVES[op].truth),
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


_COMPOSED: dict[str, Callable[..., Node]] = {
    "power": power,
    "float_power": power,
    "less": lambda x, y, label: elementwise("greater", y, x, label=label),
    "less_equal": lambda x, y, label: elementwise("greater_equal", y, x, label=label),
    "positive": lambda x, label: x,
    "conjugate": lambda x, label: x,
}


#: Those that have a meaning in primitives.
KNOWN = frozenset(_COMPOSED) | frozenset(ops.UFUNCS)


def ufunc(name: str, inputs: Sequence[Node], label: str) -> Node | None:
    """The result of a ufunc; None where it has no meaning in primitives."""
    if name in _COMPOSED:
        return _COMPOSED[name](*inputs, label=label)
    op = ops.UFUNCS.get(name)
    return None if op is None else graph.apply(op, inputs, label=label)


def scale(x: Node, factor: float, label: str) -> Node:
    """`x` times a number."""
    return elementwise("multiply", x, number(factor), label=label)


@stands_for(np.clip, arrays=(0, 1, 2))
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


@stands_for(np.round)
def round_(x: Node, decimals: int = 0, *, label: str) -> Node:
    if decimals == 0:
        return elementwise("rint", x, label=label)
    whole = elementwise("rint", scale(x, 10.0**decimals, label=label), label=label)
    return scale(whole, 10.0**-decimals, label=label)


@stands_for(np.where, arrays=(0, 1, 2))
def where(condition: Node, x: Node, y: Node, *, label: str) -> Node:
    return elementwise("where", condition, x, y, label=label)
