"""Sorting: the order is found anew at every perturbed point."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives.reductions import normalize_axes
from fastgrad.program.primitives.shapes import ravel, rearranging
from fastgrad.program.primitives.table import stands_for
from fastgrad.program.sources import TraceError


def _along(x: Node, axis: int | None, label: str) -> tuple[Node, int]:
    """`x` and which of its axes; all of it in a row for None."""
    if axis is None:
        return ravel(x, label=label), 0
    return x, normalize_axes(axis, x.value.ndim)[0]


@stands_for(np.argsort, positions=True)
def argsort(
    x: Node,
    axis: int | None = -1,
    kind: str | None = None,
    order: None = None,
    *,
    stable: bool | None = None,
    label: str,
) -> Node:
    """Stable whatever `kind`: equal elements leave open how they are ordered."""
    along, at = _along(x, axis if x.shape else None, label)
    return graph.apply("argsort", [along], [at], label=label)


@stands_for(np.sort)
def sort(x: Node, axis: int | None = -1, *, label: str, **kind: Any) -> Node:
    """Elements at the positions that sort them."""
    x, axis = _along(x, axis, label)
    positions = argsort(x, axis, **kind, label=label)
    return graph.apply("take_along", [x, positions], [axis], label=label)


@stands_for(np.take_along_axis, arrays=(0, 1))
def take_along_axis(
    x: Node, positions: Node, axis: int | None = -1, *, label: str
) -> Node:
    """Of constant positions, or of an order."""
    if not positions.active:
        chosen = positions.value.astype(np.intp)
        return rearranging(np.take_along_axis)(x, chosen, axis, label=label)
    x, axis = _along(x, axis, label)
    _check_positions(positions, x.shape[axis])
    stack = list(np.broadcast_shapes(_without(x, axis), _without(positions, axis)))
    x, positions = (
        graph.broadcast_to(n, (*stack[:axis], n.shape[axis], *stack[axis + 1 :]), label)
        for n in (x, positions)
    )
    return graph.apply("take_along", [x, positions], [axis], label=label)


def _without(x: Node, axis: int) -> tuple[int, ...]:
    return (*x.shape[:axis], 1, *x.shape[axis + 1 :])


def _check_positions(positions: Node, n: int) -> None:
    """Only what an argsort of at most `n` elements gave stays within bounds."""
    node = positions
    while node.op in ("view", "reshape", "take"):
        (node,) = node.inputs
    if node.op != "argsort" or node.shape[node.ints[0]] > n:
        raise TraceError("reading at positions that depend on parameters")


def at(x: Node, positions: Node, label: str) -> Node:
    """`x[positions]`."""
    shape = (*positions.shape, *x.shape[1:])
    flat = (positions.value.size, *(1 for _ in x.shape[1:]))
    rows = graph.reshape(positions, flat, label)
    return graph.reshape(take_along_axis(x, rows, 0, label=label), shape, label)
