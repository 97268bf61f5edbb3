"""How large the terms are that reverse mode adds up to each entry of a gradient.

What they leave, where they cancel, is known to a few roundings of these, and no better;
a small entry without large terms is known to its own last digits. It is the gradient
with the absolute value of everything in place of that.

A formula may take one term of a sum for what is left of the sum without the other: the
derivative s (1 - s) of a sigmoid does, near 1. So each is as large as the sum.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program.gradient import backpropagate, leaves
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops
from fastgrad.program.program import Program

_LARGEST = 1 << 18  # numbers that a program computes: a gradient of each is kept
#: Operations whose derivatives add up terms of both signs.
_PRODUCTS = frozenset({"contract", "multiply", "divide"})
#: Those whose derivatives cancel inside.
_OPAQUE = frozenset({"opaque", "solve", "det", "logabsdet", "cholesky"})


def terms_of_gradient(program: Program) -> Array | None:
    """Return the sum of the sizes of all terms of each entry's derivative.

    Cost: a reverse pass. None for programs that are too large for that, or have
    operations that cannot be looked into.
    """
    nodes = program.nodes
    if sum(node.size for node in nodes) > _LARGEST:
        return None
    if any(node.op in _OPAQUE for node in nodes):
        return None
    with np.errstate(all="ignore"):
        rules = dict.fromkeys(nodes, _sizes)
        found = backpropagate(nodes, program.result, rules)
    terms = program.nest.join(leaves(found, program.parameters))
    return np.where(np.isnan(terms), np.inf, terms)


def _sizes(node: Node, g: Array) -> Sequence[Any]:
    """Return what an operation sends to its inputs, nothing of it cancelled."""
    out, inputs = node.value, [x.value for x in node.inputs]
    if node.op in _SUMS:
        whole = _SUMS[node.op](out, *inputs)
        sent: list[Any] = [ops.unbroadcast(g * share, x.shape) for share, x in whole]
        return sent
    if node.op in _PRODUCTS:
        out, inputs = np.abs(out), [np.abs(x) for x in inputs]
    sent = [*ops.PRIMITIVES[node.op].derivative(g, out, inputs, node.ints)]
    return [part if part is None else np.abs(part) for part in sent]


def _of_sum(out: Array, x: Array, y: Array) -> list[tuple[Array, Array]]:
    whole = np.abs(x) + np.abs(y)
    return [(whole / np.abs(x), x), (whole / np.abs(y), y)]


#: (out, *inputs) -> (size of the derivative, input) for each: of sums, open or hidden.
_SUMS: dict[str, Callable[..., list[tuple[Array, Array]]]] = {
    "add": _of_sum,
    "subtract": _of_sum,
    "tanh": lambda out, x: [(1 + out**2, x)],
    "expm1": lambda out, x: [(1 + np.abs(out), x)],
    "log1p": lambda out, x: [((1 + np.abs(x)) / np.abs(x * (1 + x)), x)],
    "logaddexp": lambda out, x, y: [(np.ones_like(x), x), (np.ones_like(y), y)],
}
