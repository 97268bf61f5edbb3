"""Which entries of the parameters a program reads at all.

Of an embedding a batch reads few rows. Whatever reads a part of its input is a view, an
index or a window, so counting how often these hand on each entry settles it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastgrad.program.gradient import derivative
from fastgrad.program.graph import Node, topological
from fastgrad.program.primitives import ops


def read_set(
    nodes: Sequence[Node], parameters: Sequence[Node], result: Node
) -> NDArray[np.bool_]:
    """Return for each entry of all parameters whether any operation reads it.

    Parameters
    ----------
    nodes : sequence of Node
        Of the program, inputs before outputs.
    parameters : sequence of Node
        Among them, in order.
    result : Node
        What the program returns, which may be one of them.

    Notes
    -----
    One that is read may still have no effect; one that is not has none.
    """
    moved = set(parameters)
    for node in nodes:
        if node.op in ops.SHAPE and moved.intersection(node.inputs):
            moved.add(node)
    whole = {x for n in nodes if n not in moved for x in n.inputs if x in moved}
    whole.add(result)
    count: dict[Node, NDArray[np.float64]] = {}
    for node in reversed(nodes):
        if node not in moved or not node.inputs:
            continue
        own = count.pop(node, None)
        if node in whole:
            own = np.ones(node.shape)
        if own is None:
            continue
        for x, part in zip(node.inputs, derivative(node, own), strict=True):
            if x in moved and x not in whole:
                count[x] = count[x] + part if x in count else part
    return np.concatenate(
        [_read(p, p in whole or p is result, count.get(p)) for p in parameters]
    )


def seen_by(
    operations: Sequence[Node], parameters: Sequence[Node]
) -> NDArray[np.bool_]:
    """Return for each entry of all parameters whether it may reach one of these."""
    return read_set(topological(*operations), parameters, operations[0])


def _read(
    parameter: Node, all_of_it: bool, count: NDArray[np.float64] | None
) -> NDArray[np.bool_]:
    if count is None:
        return np.full(parameter.size, all_of_it)
    read: NDArray[np.bool_] = np.ravel(count) > 0
    return read
