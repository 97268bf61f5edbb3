"""Reductions: sums, means, extremes, variances and norms over axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastgrad.program import graph
from fastgrad.program.graph import Node, TraceError
from fastgrad.program.primitives.ufuncs import elementwise, number, power

Axis = int | Sequence[int] | None


def normalize_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    if not ndim and axes in ((0,), (-1,)):  # as NumPy takes it
        return ()
    return tuple(np.lib.array_utils.normalize_axis_index(int(a), ndim) for a in axes)


def _reduce(op: str, x: Node, axis: Axis, keepdims: bool, label: str) -> Node:
    axes = normalize_axes(axis, x.value.ndim)
    if not axes:
        return x
    ints = [int(d in axes) for d in range(x.value.ndim)]
    out = graph.apply(op, [x], ints, label=label)
    return graph.expand(out, axes, label) if keepdims else out


def sum_(x: Node, axis: Axis = None, *, keepdims: bool = False, label: str) -> Node:
    """Sum over axes."""
    return _reduce("sum", x, axis, keepdims, label)


def mean(x: Node, axis: Axis = None, *, keepdims: bool = False, label: str) -> Node:
    """Mean over axes."""
    count = math.prod(x.shape[a] for a in normalize_axes(axis, x.value.ndim))
    total = sum_(x, axis, keepdims=keepdims, label=label)
    return elementwise("divide", total, number(count), label=label)


def max_(x: Node, axis: Axis = None, *, keepdims: bool = False, label: str) -> Node:
    return _reduce("max", x, axis, keepdims, label)


def min_(x: Node, axis: Axis = None, *, keepdims: bool = False, label: str) -> Node:
    flipped = elementwise("negative", x, label=label)
    largest = max_(flipped, axis, keepdims=keepdims, label=label)
    return elementwise("negative", largest, label=label)


def prod(x: Node, axis: Axis = None, *, keepdims: bool = False, label: str) -> Node:
    return _reduce("prod", x, axis, keepdims, label)


def var(
    x: Node, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False, label: str
) -> Node:
    axes = normalize_axes(axis, x.value.ndim)
    centred = elementwise(
        "subtract", x, mean(x, axes, keepdims=True, label=label), label=label
    )
    squares = sum_(
        elementwise("square", centred, label=label),
        axes,
        keepdims=keepdims,
        label=label,
    )
    count = math.prod(x.shape[a] for a in axes) - ddof
    return elementwise("divide", squares, number(count), label=label)


def std(
    x: Node, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False, label: str
) -> Node:
    variance = var(x, axis, ddof=ddof, keepdims=keepdims, label=label)
    return elementwise("sqrt", variance, label=label)


def cumulative(op: str) -> Callable[..., Node]:
    """cumsum, cumprod."""

    def accumulate(x: Node, axis: int | None = None, *, label: str) -> Node:
        if axis is None or not x.value.ndim:
            x, axis = graph.reshape(x, (x.value.size,), label), 0
        (axis,) = normalize_axes(axis, x.value.ndim)
        return graph.apply(op, [x], [axis], label=label)

    return accumulate


def average(
    x: Node, axis: Axis = None, weights: Node | None = None, *, label: str
) -> Node:
    if weights is None:
        return mean(x, axis, label=label)
    if weights.shape != x.shape:
        raise TraceError("np.average with weights of another shape")
    weighted = elementwise("multiply", x, weights, label=label)
    return elementwise(
        "divide",
        sum_(weighted, axis, label=label),
        sum_(weights, axis, label=label),
        label=label,
    )


def norm(
    x: Node,
    ord: Any = None,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    label: str,
) -> Node:
    """Every norm that needs no singular values."""
    axes = normalize_axes(axis, x.value.ndim)
    if (
        ord is None
        or (ord == "fro" and len(axes) == 2)
        or (ord == 2 and len(axes) == 1)
    ):
        squares = elementwise("square", x, label=label)
        total = sum_(squares, axes, keepdims=keepdims, label=label)
        return elementwise("sqrt", total, label=label)
    size = elementwise("abs", x, label=label)
    if len(axes) == 1:
        return _vector_norm(size, ord, axes, keepdims, label)
    if len(axes) != 2 or ord not in (1, -1, np.inf, -np.inf):
        raise TraceError(f"uses np.linalg.norm with ord={ord!r}")
    rows = abs(ord) == np.inf
    sums = sum_(size, axes[1] if rows else axes[0], keepdims=True, label=label)
    extreme = max_ if ord > 0 else min_
    out = extreme(sums, axes, keepdims=True, label=label)
    return out if keepdims else _without(out, axes, label)


def _without(x: Node, axes: Sequence[int], label: str) -> Node:
    shape = tuple(n for d, n in enumerate(x.shape) if d not in axes)
    return graph.reshape(x, shape, label)


def _vector_norm(
    size: Node, ord: Any, axes: tuple[int, ...], keepdims: bool, label: str
) -> Node:
    if ord == np.inf:
        return max_(size, axes, keepdims=keepdims, label=label)
    if ord == -np.inf:
        return min_(size, axes, keepdims=keepdims, label=label)
    if ord == 2:
        squares = elementwise("square", size, label=label)
        total = sum_(squares, axes, keepdims=keepdims, label=label)
        return elementwise("sqrt", total, label=label)
    if ord == 0:
        some = elementwise("not_equal", size, number(0.0), label=label)
        return sum_(some, axes, keepdims=keepdims, label=label)
    if not isinstance(ord, (int, float)):
        raise TraceError(f"uses np.linalg.norm with ord={ord!r}")
    powers = power(size, number(ord), label)
    total = sum_(powers, axes, keepdims=keepdims, label=label)
    return power(total, number(1 / ord), label)


def vector_norm(
    x: Node,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    ord: Any = 2,
    label: str,
) -> Node:
    axes = normalize_axes(axis, x.value.ndim)
    size = elementwise("abs", x, label=label)
    return _vector_norm(size, ord, axes, keepdims, label)


def matrix_norm(
    x: Node, *, keepdims: bool = False, ord: Any = "fro", label: str
) -> Node:
    return norm(x, ord, (-2, -1), keepdims, label=label)
