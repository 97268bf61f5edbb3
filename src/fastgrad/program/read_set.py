"""Which entries of the parameters a program reads at all.

Of an embedding a batch reads few rows. Whatever reads a part of its input is a view, an
index or a window, so counting how often these hand on each entry settles it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastgrad.program.gradient import derivative
from fastgrad.program.graph import Node
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
    count = {node: np.full(node.shape, float(node is result)) for node in moved}
    for node in reversed(nodes):
        reaching = [x for x in node.inputs if x in moved]
        if not reaching:
            continue
        if node in moved:
            parts = zip(node.inputs, derivative(node, count[node]), strict=True)
            for x, part in parts:
                if x in moved:
                    count[x] = count[x] + part
        else:
            for x in reaching:
                count[x] = count[x] + 1.0
    return np.concatenate([count[p].ravel() > 0 for p in parameters])
