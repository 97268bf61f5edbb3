"""Patterns in a program: what is several operations here and one for the user."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.reverse import elementwise, stretched
from fastgrad.program import Node

Array = NDArray[np.float64]
_LOCAL = ("sum", "view", "reshape")


def plain(node: Node) -> Node:
    """The value before it was reshaped or repeated."""
    while node.op in ("reshape", "view"):
        node = node.inputs[0]
    return node


def miscounted(node: Node) -> Iterator[tuple[str, Array]]:
    """Values of a sum of which a term is left out, or has the wrong sign."""
    for term, sign in _terms(node):
        name = term.label if term.inputs or term.op == "parameter" else "the data"
        part = sign * np.broadcast_to(term.value, node.shape)
        yield f"without {name}", node.value - part
        yield f"with the wrong sign for {name}", node.value - 2 * part


def _terms(node: Node, depth: int = 3) -> list[tuple[Node, int]]:
    """What a value is the sum of, with signs; nothing if it is no sum."""
    if node.op not in ("add", "subtract") or not depth:
        return []
    found = []
    signs = (1, -1 if node.op == "subtract" else 1)
    for x, sign in zip(node.inputs, signs, strict=True):
        inner = _terms(x, depth - 1)
        found += [(term, sign * s) for term, s in inner] or [(x, sign)]
    return found


# ---- functions of one value ----------------------------------------------------------


def sigmoid_input(node: Node) -> Node | None:
    """The x of 1 / (1 + exp(-x))."""
    if node.op == "reciprocal":
        total = node.inputs[0]
    elif node.op == "divide" and _is_one(node.inputs[0]):
        total = node.inputs[1]
    else:
        return None
    if total.op != "add" or not any(_is_one(x) for x in total.inputs):
        return None
    e = next((x for x in total.inputs if x.op == "exp"), None)
    return e.inputs[0].inputs[0] if e and e.inputs[0].op == "negative" else None


def _is_one(node: Node) -> bool:
    return not node.active and bool((node.value == 1).all())


# ---- sums of exponentials ------------------------------------------------------------


def summed_axes(total: Node) -> tuple[int, ...]:
    """The axes over which a sum goes."""
    return tuple(d for d, reduced in enumerate(total.ints) if reduced)


def scores_of(x: Node) -> Node:
    """The x of x - max(x)."""
    shifted = x.op == "subtract" and plain(x.inputs[1]).op == "max"
    return x.inputs[0] if shifted else x


# ---- normalisations ------------------------------------------------------------------


def _local(node: Node, limit: int = 60) -> set[Node]:
    """The node and what it comes from by elementwise operations and sums."""
    found, stack = {node}, [node]
    while stack and len(found) < limit:
        here = stack.pop()
        if not (elementwise(here) or here.op in _LOCAL):
            continue
        for x in here.inputs:
            if x.active and x not in found:
                found.add(x)
                stack.append(x)
    return found


def is_statistic(node: Node, i: int) -> bool:
    """Whether input `i` is a sum over the very values it is combined with."""
    if len(node.inputs) != 2 or not elementwise(node) or not stretched(node, i):
        return False
    other = node.inputs[1 - i]
    if not other.active:
        return False
    sums = [n for n in _local(node.inputs[i]) if n.op == "sum"]
    beside = _local(other)
    return any(_local(n) & beside for n in sums)


class Normalization(NamedTuple):
    """``n = c / s`` (or ``c * inverse``), ``c`` being x or x minus its mean.

    ``axes`` are those of the statistics; ``centred``: whether a mean is subtracted;
    ``mean``: whether the deviation is of a mean of squares, not of their sum.
    """

    x: Node
    axes: tuple[int, ...]
    centred: bool
    mean: bool
    inverse: Array


def normalization(node: Node) -> Normalization | None:
    """Recognise the last step of a normalisation."""
    if node.op not in ("divide", "multiply") or len(node.inputs) != 2:
        return None
    i = next((i for i in (1, 0) if is_statistic(node, i)), None)
    if i is None or (node.op == "divide" and i == 0):
        return None
    c, s = node.inputs[1 - i], node.inputs[i]
    if c.shape != node.shape:
        return None
    centred = c.op == "subtract" and is_statistic(c, 1)
    axes = stretched(node, i)
    with np.errstate(all="ignore"):
        inverse = s.value if node.op == "multiply" else 1 / s.value
    mean = bool((np.sum(node.value**2, axis=axes) > 1 + 1e-9).any())
    return Normalization(c.inputs[0] if centred else c, axes, centred, mean, inverse)
