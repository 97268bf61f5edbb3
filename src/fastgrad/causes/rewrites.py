"""Edits of one operation of the user's gradient code that need no other array."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import Turn, arrangements
from fastgrad.causes.codes import of_excess, of_factor
from fastgrad.causes.names import Names, given
from fastgrad.causes.readings import Point
from fastgrad.program import Node, ops, value_of

Array = NDArray[np.float64]
New = Callable[[Node, list[Array], Point, int], Any]

_SWAPPED = {
    "add": "subtract",
    "subtract": "add",
    "multiply": "divide",
    "divide": "multiply",
    "sin": "cos",
    "cos": "sin",
    "maximum": "minimum",
    "minimum": "maximum",
}


class Rewrite(NamedTuple):
    """What an operation gives instead, of its inputs, in a turn of a loop."""

    code: str
    text: str
    bits: float
    new: New
    nodes: tuple[Node, ...] = ()  # that it reads besides
    given: bool = False  # whether an array that goes in may be wrong where it is made
    inserted: bool = False  # whether it may as well stand further on
    turns: Sequence[Node] = ()  # the operations, if they are others


def plain(node: Node, name: Names) -> Iterator[Rewrite]:
    """Yield the edits of an operation, the likelier ones first."""
    if not node.inputs:
        return
    what = name(node)
    yield Rewrite("sign", f"the sign of {what} is wrong", 1.5, times(-1.0))
    yield from _left_out(node, name)
    yield from _swapped(node, name)
    for factor in (0.5, 2.0):
        code = of_factor(node, factor)
        text = f"{what} is to be multiplied by {factor:.6g}"
        yield Rewrite(code, text, 3.5, times(factor))
    yield from _arranged(node, name)


def own(node: Node, inputs: list[Array]) -> Array:
    """What the operation gives without an edit."""
    return value_of(node, inputs) if node.inputs else node.value


def goes(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether an array of one shape can be broadcast to another one."""
    lead = len(large) - len(small)
    pairs = zip(small, large[max(lead, 0) :], strict=False)
    return lead >= 0 and all(a in (1, b) for a, b in pairs)


def times(factor: float) -> New:
    """What the operation gives, multiplied."""
    return lambda node, inputs, point, k: factor * own(node, inputs)


def _swapped(node: Node, name: Names) -> Iterator[Rewrite]:
    op = _SWAPPED.get(node.op)
    if op is not None:
        code = "sign" if node.op in ("add", "subtract") else "local_derivative"
        text = f"np.{op} is due in {name(node)}"
        evaluate = ops.PRIMITIVES[op].evaluate
        yield Rewrite(code, text, 3.0, lambda n, v, p, k: evaluate(v, n.ints))


# ---- calls that are not due ----------------------------------------------------------


def _left_out(node: Node, name: Names) -> Iterator[Rewrite]:
    """What a call is applied to is due, as it is."""
    some = [*given(node, ())]
    for i, (x, path) in enumerate(some):
        if not goes(x.shape, node.shape) or node.op in ("place", "contract"):
            continue
        others = [y for y, other in some if other != path]
        text = f"{name(x)} is due where {name(node)} stands"
        if name(x) == name(node):
            text = f"{name(x)} is due as it is, without `{node.source.code}`"
        code = of_excess(node, x, others)
        constant = not x.active and node.active
        bits = 2.5 + 0.5 * i + 4.0 * constant + 4.0 * (code == "partial")
        yield Rewrite(code, text, bits, _at(path))


def _at(path: tuple[int, ...]) -> New:
    def new(node: Node, inputs: list[Array], point: Point, k: int) -> Any:
        for i in path:
            node = node.inputs[i]
        return point.values[node]

    return new


# ---- elements that are to be elsewhere -----------------------------------------------


def _arranged(node: Node, name: Names) -> Iterator[Rewrite]:
    what, shape = name(node), node.shape
    for i, x in enumerate(node.inputs):
        if (
            node.op in ("contract", "solve")
            and x.ndim == 2
            and x.shape[0] == x.shape[1] > 1
        ):
            text = f"{name(x)} is to be transposed"
            yield Rewrite("layout", text, 2.5 + 0.5 * i, _turned(i))
    some = [one for one in arrangements(shape, parts=False) if one.undo]
    for k, one in enumerate(some):
        text = f"{what} is to be {one.how}".rstrip(",")
        bits = 4.0 + 0.5 * np.log2(1 + k)
        yield Rewrite(one.code, text, bits, _moved(one.turn))


def _moved(turn: Turn) -> New:
    return lambda node, inputs, point, k: turn(own(node, inputs))


def _turned(i: int) -> New:
    def new(node: Node, inputs: list[Array], point: Point, k: int) -> Any:
        return value_of(node, [*inputs[:i], inputs[i].T, *inputs[i + 1 :]])

    return new
