"""Reductions: sums, means, extremes, variances and norms over axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives.table import stands_for
from fastgrad.program.primitives.ufuncs import elementwise, number

Axis = int | Sequence[int] | None


def normalize_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    if not ndim and axes in ((0,), (-1,)):  # as NumPy takes it
        return ()
    return tuple(np.lib.array_utils.normalize_axis_index(int(a), ndim) for a in axes)


def _reduction(
    op: str, of_two: str, neutral: float, *, mirrored: bool = False
) -> Callable[..., Node]:
    """A reduction, of two elements the operation `of_two`; a minimum is mirrored."""

    def reduce(
        x: Node,
        axis: Axis = None,
        *,
        keepdims: bool = False,
        initial: float | None = None,
        where: Node | None = None,
        label: str,
    ) -> Node:
        axes = normalize_axes(axis, x.value.ndim)
        if mirrored:
            x = elementwise("negative", x, label=label)
        if where is not None:
            x = elementwise("where", where, x, number(neutral), label=label)
        if initial is not None and not x.value.size:  # NumPy's starts from there
            nothing = np.max(x.value, axes, initial=neutral, keepdims=keepdims)
            x = graph.constant(nothing)
        elif axes:
            ints = [int(d in axes) for d in range(x.value.ndim)]
            x = graph.apply(op, [x], ints, label=label)
            x = graph.expand(x, axes, label) if keepdims else x
        if initial is not None:
            start = number(-initial if mirrored else initial)
            x = elementwise(of_two, x, start, label=label)
        return elementwise("negative", x, label=label) if mirrored else x

    return reduce


sum_ = stands_for(np.sum)(_reduction("sum", "add", 0.0))
prod = stands_for(np.prod)(_reduction("prod", "multiply", 1.0))
max_ = stands_for(np.max, np.amax)(_reduction("max", "maximum", -math.inf))
min_ = stands_for(np.min, np.amin)(
    _reduction("max", "maximum", -math.inf, mirrored=True)
)


@stands_for(np.mean)
def mean(
    x: Node,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    where: Node | None = None,
    label: str,
) -> Node:
    """Mean over axes."""
    total = sum_(x, axis, keepdims=keepdims, where=where, label=label)
    axes = normalize_axes(axis, x.value.ndim)
    count = number(math.prod(x.shape[a] for a in axes))
    if where is not None:
        chosen = graph.broadcast_to(where, x.shape, label)
        count = sum_(chosen, axis, keepdims=keepdims, label=label)
    return elementwise("divide", total, count, label=label)


def cumulative(op: str) -> Callable[..., Node]:
    """cumsum, cumprod."""

    def accumulate(x: Node, axis: int | None = None, *, label: str) -> Node:
        if axis is None or not x.value.ndim:
            x, axis = graph.reshape(x, (x.value.size,), label), 0
        (axis,) = normalize_axes(axis, x.value.ndim)
        return graph.apply(op, [x], [axis], label=label)

    return accumulate


stands_for(np.cumsum)(cumulative("cumsum"))
stands_for(np.cumprod)(cumulative("cumprod"))
