"""Edits of several operations at once that are one mistake of the user's.

What is written where it is to be added; a value that is another one wherever the
reverse pass reads it; the products of complex numbers.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.overwriting import overwritten
from fastgrad.causes.patterns import miscounted
from fastgrad.causes.reverse import Extra, Reverse, elementwise
from fastgrad.program import Node, ops

Array = NDArray[np.float64]
#: Cause code, words, and what the operations send beyond what is right.
Compound = tuple[str, str, dict[Node, Extra]]


def compounds(reverse: Reverse, group: list[Node]) -> Iterator[Compound]:
    """Yield the edits of several operations, of which the group is the first."""
    yield from overwritten(reverse, group)
    each = [{how: (code, new) for how, code, new in _others(n)} for n in group]
    for how, (code, _) in each[0].items():
        put = {n: t[how][1] for n, t in zip(group, each, strict=True) if how in t}
        readers = {
            m for n in put for m in (n, *(u for u, _ in reverse.users.get(n, ())))
        }
        text = f"the backward pass takes {{op}} {how}"
        yield code, text, dict.fromkeys(readers, partial(_with, put))
    if len(group) == 1:
        yield from _conjugates(reverse, group[0])


def _conjugates(reverse: Reverse, node: Node) -> Iterator[Compound]:
    """Products of complex numbers that are undone without the conjugate.

    Of the four real products only that of the imaginary parts is subtracted.
    """
    product = node.inputs[0]
    if node.op != "negative" or product.op not in ("multiply", "contract"):
        return
    call = node.source.site, node.label
    four = [n for n in reverse.nodes if n.op == product.op]
    four = [n for n in four if (n.source.site, n.label) == call]
    for k in (0, 1):
        other = product.inputs[1 - k].value
        edited: dict[Node, Extra] = {
            n: partial(_negated, reverse, i)
            for n in four
            for i in (0, 1)
            if n.inputs[i].active and np.array_equal(n.inputs[1 - i].value, other)
        }
        if len(edited) > 1:
            text = "the other factor of {op} is to be conjugated on the way back"
            yield "conjugate", text, edited


def _negated(
    reverse: Reverse, i: int, node: Node, g: Array
) -> Iterator[tuple[Node, Any]]:
    yield node.inputs[i], -2 * np.asarray(reverse.send(node, g)[i])


def _others(node: Node) -> Iterator[tuple[str, str, Array]]:
    """What may be taken for a value."""
    yield from miscounted(node)
    if not elementwise(node) or len(node.inputs) != 1:
        return
    x = node.inputs[0]
    evaluate = ops.PRIMITIVES[node.op].evaluate
    with np.errstate(all="ignore"):
        for how, code, value in miscounted(x):
            yield f"of its input {how}", code, evaluate([value], ())
        local = "local_derivative"
        yield "of itself", local, evaluate([node.value], ())
        yield "for its input", local, x.value
        yield "of its inverse", local, evaluate([1 / node.value], ())


def _with(
    put: Mapping[Node, Array], node: Node, g: Array
) -> Iterator[tuple[Node, Any]]:
    """What a node sends more if values that it reads were these."""
    rule = ops.PRIMITIVES[node.op].derivative
    own = [x.value for x in node.inputs]
    inputs = [put.get(x, x.value) for x in node.inputs]
    out = put.get(node, node.value)
    if elementwise(node):
        own = [np.broadcast_to(x, node.shape) for x in own]
        inputs = [np.broadcast_to(x, node.shape) for x in inputs]
    if node not in put and elementwise(node):
        out = ops.PRIMITIVES[node.op].evaluate(inputs, node.ints)
    with np.errstate(all="ignore"):
        right = rule(g, node.value, own, node.ints)
        parts = rule(g, out, inputs, node.ints)
    for x, one, other in zip(node.inputs, right, parts, strict=True):
        if x.active:
            yield x, np.asarray(other) - np.asarray(one)
