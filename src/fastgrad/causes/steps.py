"""A step of an algorithm returned in place of the gradient: an average of the data.

Newton's method on a sum of weighted squares, least squares and the M-step of EM divide
the gradient of each parameter by its second derivative, and so turn weighted sums into
weighted means. Second derivatives are those of the squares, the weights held fixed:
they go back through the program as gradients do, by the squares of the derivatives.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.evidence import Evidence, Guess
from fastgrad.causes.reverse import Reverse, einsum, elementwise, labels
from fastgrad.causes.watch import Watch
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]
_SELECTING = ("view", "reshape", "sum", "take", "place")


def steps(evidence: Evidence, reverse: Reverse) -> Iterator[Guess]:
    """Yield wrong blocks that are the gradient over the second derivative."""
    with np.errstate(all="ignore"):
        second = _second_derivatives(reverse)
    for b in evidence.wrong:
        parameter, block = reverse.program.parameters[b], evidence.blocks[b]
        h = second.get(parameter)
        if h is None or block.right.size < 2 or not np.all(h):
            continue
        if np.ptp(np.abs(h)) <= 1e-6 * np.abs(h).max():
            continue  # a constant factor
        base = [-x.right if k == b else None for k, x in enumerate(evidence.blocks)]
        watch = Watch(evidence, None, base=base, strict=False)
        watch(b, block.right / h - block.right)
        if watch.explained and watch.certain:
            text = (
                "a step of Newton's method or of EM is returned in place of the "
                "gradient, which is divided by the second derivatives"
            )
            users = reverse.users[parameter]
            yield watch.guess("local_derivative", text, 4.2, users[0][0])


def _second_derivatives(reverse: Reverse) -> dict[Node, Array]:
    """The diagonals of second derivatives, as long as operations keep them diagonal."""
    found: dict[Node, Array] = {}
    for node in reversed(reverse.nodes):
        if _is_square(node):
            x = node.inputs[0]
            _add(found, x, 2 * reverse.gradient[node])
        h = found.get(node)
        if h is not None:
            for x, part in zip(node.inputs, _sent(reverse, node, h), strict=True):
                if x.active and part is not None:
                    _add(found, x, np.asarray(part))
    return found


def _add(found: dict[Node, Array], x: Node, part: Array) -> None:
    part = np.broadcast_to(part, x.shape)
    found[x] = found[x] + part if x in found else part


def _is_square(node: Node) -> bool:
    if node.op == "power":
        exponent = node.inputs[1]
        return not exponent.active and bool((exponent.value == 2).all())
    same = node.op == "multiply" and node.inputs[0] is node.inputs[1]
    return node.op == "square" or same


def _sent(reverse: Reverse, node: Node, h: Array) -> list[Any]:
    if elementwise(node):
        slopes = _slopes(node)
        return [
            None if s is None else ops.unbroadcast(h * s, x.shape)
            for x, s in zip(node.inputs, slopes, strict=True)
        ]
    if node.op == "contract":
        one, two, out = labels(node.ints)
        x, y = node.inputs
        return [
            einsum(h, out, y.value**2, two, one) if x.active else None,
            einsum(h, out, x.value**2, one, two) if y.active else None,
        ]
    if node.op in _SELECTING:
        return reverse.send(node, h)
    return [None] * len(node.inputs)


def _slopes(node: Node) -> list[Array | None]:
    """The squares of the derivatives of an elementwise operation."""
    full = [np.broadcast_to(x.value, node.shape) for x in node.inputs]
    rule = ops.PRIMITIVES[node.op].derivative
    slopes = rule(np.ones(node.shape), node.value, full, node.ints)
    return [
        np.asarray(s) ** 2 if x.active else None
        for x, s in zip(node.inputs, slopes, strict=True)
    ]
