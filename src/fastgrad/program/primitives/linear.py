"""Linear algebra: solve, inv, determinants, cholesky, and what follows from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives import matrices
from fastgrad.program.primitives.table import stands_for
from fastgrad.program.sources import TraceError

_SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))


def _square(x: Node) -> Node:
    if x.value.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    return x


@stands_for(np.matrix_transpose, np.linalg.matrix_transpose, shares=True)
def transposed(x: Node, *, label: str) -> Node:
    """`x` with its last two axes swapped."""
    ndim = x.value.ndim
    return graph.transpose(x, [*range(ndim - 2), ndim - 1, ndim - 2], label)


@stands_for(np.linalg.solve, arrays=(0, 1))
def solve(a: Node, b: Node, *, label: str) -> Node:
    """One vector where `b` has one axis, else stacks of matrices, as NumPy 2 has it."""
    n, vector = _square(a).shape[-1], b.value.ndim == 1
    if vector:
        b = graph.reshape(b, (*b.shape, 1), label)
    if b.shape[-2] != n:
        raise ValueError(f"operands do not match: {a.shape} and {b.shape}")
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = graph.broadcast_to(a, (*stack, n, n), label)
    b = graph.broadcast_to(b, (*stack, *b.shape[-2:]), label)
    x = graph.apply("solve", [a, b], label=label)
    return graph.reshape(x, x.shape[:-1], label) if vector else x


@stands_for(np.linalg.inv)
def inv(a: Node, *, label: str) -> Node:
    """As LAPACK does it: solve for the columns of the identity."""
    return solve(a, graph.constant(np.eye(_square(a).shape[-1])), label=label)


@stands_for(np.linalg.det)
def det(a: Node, *, label: str) -> Node:
    """Of a singular matrix too, if only the last of its pivots is zero."""
    node = graph.apply("det", [_square(a)], label=label)
    if not node.value.all():
        pivots = np.diagonal(matrices.factors([a.value]), axis1=-2, axis2=-1)
        if not pivots[..., :-1].all():
            raise TraceError(f"{label} of a singular matrix")
    return node


@stands_for(np.linalg.slogdet)
def slogdet(a: Node, *, label: str) -> Any:
    """Sign and logarithm of the determinant, both from the same factors."""
    parts = [
        graph.apply(op, [_square(a)], label=label) for op in ("signdet", "logabsdet")
    ]
    if not np.isfinite(parts[1].value).all():
        raise TraceError(f"{label} of a singular matrix")
    return _SlogdetResult(*parts)


@stands_for(np.linalg.cholesky)
def cholesky(a: Node, *, upper: bool = False, label: str) -> Node:
    """Reads one triangle: the lower one, or the upper if `upper`."""
    _square(a)
    if upper:
        a = transposed(a, label=label)
    factor = graph.apply("cholesky", [a], label=label)
    return transposed(factor, label=label) if upper else factor
