"""Reductions: sums, means, extremes, variances and norms over axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives.ufuncs import elementwise, number

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


def cumulative(op: str) -> Callable[..., Node]:
    """cumsum, cumprod."""

    def accumulate(x: Node, axis: int | None = None, *, label: str) -> Node:
        if axis is None or not x.value.ndim:
            x, axis = graph.reshape(x, (x.value.size,), label), 0
        (axis,) = normalize_axes(axis, x.value.ndim)
        return graph.apply(op, [x], [axis], label=label)

    return accumulate
