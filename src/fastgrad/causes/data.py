"""The data that values are compared with, misarranged in the derivative only."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastgrad.causes.arrangements import arrangements
from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.reverse import Array, Reverse, elementwise
from fastgrad.causes.sieve import independent
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

_LARGE = 50_000  # entries of data that are left as they are
_LINEAR = ("add", "subtract", "negative")


def misarranged_data(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """A function of a difference from data, taken from other rows or columns of it."""
    node = group[0]
    if node.op in _LINEAR or not (elementwise(node) or node.op == "contract"):
        return
    if not independent(reverse, dict.fromkeys(group)):
        return  # each way would have to be propagated
    for i, x in enumerate(node.inputs):
        k = _data(x)
        if k is None or x in node.inputs[:i]:
            continue
        for one in arrangements(x.inputs[k].shape):

            def sends(
                n: Node, g: Array, i: int = i, k: int = k, turn: Any = one.turn
            ) -> list[tuple[Node, Any]]:
                return _with(n, g, n.inputs[i], k, turn)

            code = "local_derivative" if one.code == "mask" else one.code
            text = f"the derivative of {{op}} uses the data of {x.label} {one.how}"
            broken = everywhere(group, sends)
            yield Mistake(code, text.rstrip(","), broken, 4.0)


def _data(x: Node) -> int | None:
    """Which input of a difference is data."""
    if x.op not in ("add", "subtract") or not x.active:
        return None
    sizes = [0 if y.active else y.value.size for y in x.inputs]
    k = int(np.argmax(sizes))
    return k if 1 < sizes[k] <= _LARGE else None


def _with(
    node: Node, g: Array, x: Node, k: int, turn: Callable[[Array], Array]
) -> list[tuple[Node, Any]]:
    """What the node would send if the data in `x` were misarranged."""
    data = [y.value for y in x.inputs]
    data[k] = turn(data[k])
    other = data[0] + data[1] if x.op == "add" else data[0] - data[1]
    inputs = [other if y is x else y.value for y in node.inputs]
    if elementwise(node):
        inputs = [np.broadcast_to(y, node.shape) for y in inputs]
    rule = ops.PRIMITIVES[node.op]
    with np.errstate(all="ignore"):
        out = rule.evaluate(inputs, node.ints)
        parts = rule.derivative(g, out, inputs, node.ints)
    shaped = [
        ops.unbroadcast(np.broadcast_to(part, y.shape), z.shape)
        for part, y, z in zip(parts, inputs, node.inputs, strict=True)
    ]
    return list(zip(node.inputs, shaped, strict=True))
