"""Reverse mode over a program: the gradient by the primitives' derivative rules.

The numerical gradient never uses this. It is what `Program.gradient` returns, and what
naming a bug starts from: the gradient with one rule broken on purpose.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]
#: What a node sends to its inputs: (node, gradient of its output) -> one per input.
Rule = Callable[[Node, Array], Sequence[Any]]


def derivative(node: Node, g: Array) -> Sequence[Any]:
    """The vector-Jacobian product of one operation, one array per input."""
    inputs = [x.value for x in node.inputs]
    return ops.PRIMITIVES[node.op].derivative(g, node.value, inputs, node.ints)


def backpropagate(
    nodes: Sequence[Node],
    result: Node,
    rules: Mapping[Node, Rule] | None = None,
) -> dict[Node, Array]:
    """The gradient of `result` with respect to every active node it depends on.

    Parameters
    ----------
    nodes : sequence of Node
        Inputs before outputs, `result` among them.
    result : Node
        A scalar.
    rules : mapping, optional
        Instead of `derivative`, for some nodes.
    """
    rules = rules or {}
    gradients: dict[Node, Array] = {result: np.ones(())}
    for node in reversed(nodes):
        if not node.inputs or not node.active or node not in gradients:
            continue
        rule = rules.get(node, derivative)
        parts = rule(node, gradients[node])
        for x, part in zip(node.inputs, parts, strict=True):
            if x.active and part is not None:
                part = np.broadcast_to(part, x.shape)
                gradients[x] = gradients[x] + part if x in gradients else part
    return gradients
