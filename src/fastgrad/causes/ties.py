"""Values that tie: a loss has several slopes there, and code takes one of them.

To a side of a tie means as if what depends on parameters were a little more (1), or
less (-1); of equal elements the first or the last is then the largest. To no side (0)
is what the primitives' rules say: the mean.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.program import Node, ops

Array = NDArray[np.float64]

#: What has two slopes where its inputs are equal, or its one input is zero.
_TYING = ("maximum", "minimum", "abs", "greater", "greater_equal")
#: What takes one of two.
_CHOOSING = ("maximum", "minimum", "where")


def has_ties(nodes: Iterable[Node]) -> bool:
    """Whether a maximum or comparison among these is of equal values."""
    for node in (n for n in nodes if n.active):
        if node.op == "max":
            if np.count_nonzero(winners(node)) > node.size:
                return True
        elif np.any(_tied(node, [x.value for x in node.inputs])[1]):
            return True
    return False


def seen(node: Node, side: int) -> list[Array]:
    """What an elementwise operation is applied to: to a side of ties."""
    inputs = [np.broadcast_to(_told(x, side), node.shape) for x in node.inputs]
    if side:
        k, tied = _tied(node, inputs)
        inputs[k] = np.where(tied, np.nextafter(inputs[k], side * np.inf), inputs[k])
    return inputs


def _told(x: Node, side: int) -> Array:
    """A value; of truths about ties those to a side of them."""
    if side and x.op in ops.ELEMENTWISE and ops.PRIMITIVES[x.op].truth:
        return ops.PRIMITIVES[x.op].evaluate(seen(x, side), x.ints)
    return x.value


def _tied(node: Node, inputs: Sequence[Array]) -> tuple[int, Any]:
    """Which input depends on parameters, and where it equals the other one."""
    if node.op not in _TYING:
        return 0, False
    k = [x.active for x in node.inputs].index(True)
    return k, inputs[k] == (inputs[1 - k] if len(inputs) > 1 else 0.0)


def with_one_winner(node: Node, side: int) -> Node:
    """A maximum of which, of equal elements, the first has won, or the last."""
    x, won = node.inputs[0], winners(node)
    order = np.where(won, side * np.arange(x.size).reshape(x.shape), np.inf)
    lost = won & (order > order.min(axis=reduced_axes(node), keepdims=True))
    value = np.where(lost, np.nextafter(x.value, -np.inf), x.value)
    return node.replaced((x.replaced((), value),), node.value)


def equal_winners(node: Node) -> dict[int, Array]:
    """For each input of a choice of the largest, where others are as large."""
    if node.op == "max":
        won = winners(node)
        return {0: won} if np.count_nonzero(won) > node.size else {}
    if node.op not in _CHOOSING or not all(x.active for x in node.inputs[-2:]):
        return {}
    one, two = (np.broadcast_to(x.value, node.shape) for x in node.inputs[-2:])
    last = len(node.inputs) - 1
    return dict.fromkeys((last - 1, last), one == two) if np.any(one == two) else {}


def winners(node: Node) -> Array:
    """Where the largest elements are."""
    top = np.expand_dims(node.value, reduced_axes(node))
    return np.asarray(node.inputs[0].value == top)


def reduced_axes(node: Node) -> tuple[int, ...]:
    """The axes over which a sum or a maximum goes."""
    return tuple(d for d, reduced in enumerate(node.ints) if reduced)
