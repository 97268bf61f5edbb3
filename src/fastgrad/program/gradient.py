"""Reverse mode over a program: the gradient by the primitives' derivative rules.

The numerical gradient never uses this. It is what `Program.gradient` returns, and what
naming a bug starts from: the gradient with one rule broken on purpose.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops
from fastgrad.program.windows import in_pieces

#: What a node sends to its inputs: (node, gradient of its output) -> one per input.
Rule = Callable[[Node, Array], Sequence[Any]]


def derivative(node: Node, g: Array, out: Array | None = None) -> Sequence[Any]:
    """The vector-Jacobian product of one operation, one array per input.

    With `out` for its value, where that is given.
    """
    inputs, out = [x.value for x in node.inputs], node.value if out is None else out
    return ops.PRIMITIVES[node.op].derivative(g, out, inputs, node.ints)


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
    return dict(backward(nodes, result, rules))


def gradients(
    nodes: Sequence[Node],
    result: Node,
    parameters: Sequence[Node],
    rules: Mapping[Node, Rule] | None = None,
) -> list[Array]:
    """The gradient with respect to each parameter; no other is kept."""
    own = set(parameters)
    found = ((n, g) for n, g in backward(nodes, result, rules) if n in own)
    return leaves(dict(found), parameters)


def leaves(found: Mapping[Node, Array], parameters: Sequence[Node]) -> list[Array]:
    """The gradients found of the parameters: zero of those that nothing depends on."""
    return [found.get(p, np.zeros(p.shape)) for p in parameters]


def backward(
    nodes: Sequence[Node],
    result: Node,
    rules: Mapping[Node, Rule] | None = None,
) -> Iterator[tuple[Node, Array]]:
    """Yield each active node and its gradient, outputs first; see `backpropagate`.

    Only what is still to be handed on is kept.
    """
    yield from handed_on(nodes, {result: np.ones(())}, rules or {})


def handed_on(
    nodes: Sequence[Node], gradients: dict[Node, Array], rules: Mapping[Node, Rule]
) -> Iterator[tuple[Node, Array]]:
    """See `backward`, from the gradients of several nodes."""
    for node in reversed(nodes):
        if node not in gradients:
            continue
        own = gradients.pop(node)
        yield node, own
        if not node.inputs or not node.active:
            continue
        parts = rules.get(node, derivative)(node, own)
        for x, part in zip(node.inputs, parts, strict=True):
            if x.active and part is not None:
                if np.shape(part) != x.shape:
                    part = np.broadcast_to(part, x.shape)
                gradients[x] = gradients[x] + part if x in gradients else part


def rounds(node: Node) -> bool:
    """Whether the differences of a node, as kernels form them, round by its value."""
    return computes(node) and ops.PRIMITIVES[node.op].inexact


def computes(node: Node) -> bool:
    """Whether the function itself rounds a value at a node."""
    return node.active and bool(node.inputs)


def rounding_of(
    nodes: Sequence[Node], result: Node, rounded: Callable[[Node], bool] = rounds
) -> float:
    """A bound of the rounding of a replayed difference, far above it.

    An ulp of each value that a function rounds, brought to the loss through its
    derivative there. The kernels round relative to the differences themselves. Where
    all values are `rounded`, it is what the function's own differences round by. What
    comes before an opaque operation, whose derivative would take many calls, is left
    out.
    """
    behind: set[Node] = set()
    last = []
    for node in nodes:
        if node.op == "opaque" or behind.isdisjoint(node.inputs):
            last.append(node)
        if rounded(node) or not behind.isdisjoint(node.inputs):
            behind.add(node)
    rules: dict[Node, Rule] = dict.fromkeys(last, stops)
    local = [node for node in nodes if node.local]
    total = 0.0
    with np.errstate(all="ignore"):
        ends = {**rules, **dict.fromkeys(local, stops)}
        come: dict[Node, Array] = {}
        for node, g in backward(nodes, result, ends):
            if node.local:
                come[node] = g
            elif rounded(node):
                total = np.hypot(total, _effect(g, node.value))
        for pieces, start, stop in in_pieces(local):
            there = {
                pieces[node]: np.ravel(g.flat[start:stop])
                for node, g in come.items()
                if node in pieces
            }
            own = {pieces[node]: stops for node in last if node in pieces}
            for node, g in handed_on(list(pieces.values()), there, own):
                if rounded(node):
                    total = np.hypot(total, _effect(g, node.value))
    return float(np.finfo(np.float64).eps * total)


def _effect(g: Array, value: Array) -> float:
    """What an ulp of each value does to the loss, but for the ulp."""
    if value.size == 1:
        one = abs(g.item() * value.item())
        return one if math.isfinite(one) else 0.0
    effect = np.multiply(g, value, out=np.empty(value.shape))
    np.copyto(effect, 0.0, where=~np.isfinite(effect))
    largest = max(effect.max(initial=0.0), -effect.min(initial=0.0))
    if largest == 0:
        return 0.0
    effect /= largest  # squares must neither vanish nor overflow
    return float(largest * np.sqrt(np.vdot(effect, effect)))


def stops(node: Node, _: Array) -> Sequence[None]:
    """Send nothing to the inputs: a `Rule`."""
    return [None] * len(node.inputs)
