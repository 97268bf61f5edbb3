"""Edits of one operation of the user's gradient code that need no other array."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import Turn, arrangements
from fastgrad.causes.codes import of_excess, of_factor
from fastgrad.causes.names import Names, given, is_part
from fastgrad.causes.readings import Point
from fastgrad.causes.reverse import elementwise
from fastgrad.program import Node, Source, ops, value_of

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


class Edit(NamedTuple):
    """What an operation gives instead, of its inputs, in a turn of a loop.

    Attributes
    ----------
    code, text : str
    bits : float
    new : callable
    nodes : tuple of Node
        What it reads besides.
    given : bool
        Whether an array that goes in may be wrong where it is made.
    inserted : bool
        Whether it may as well stand further on.
    line : Source, optional
        Where it is, if that is not where the operation is.
    turns : sequence of Node
        The operations, if they are others than those that are looked at.
    """

    code: str
    text: str
    bits: float
    new: New
    nodes: tuple[Node, ...] = ()
    given: bool = False
    inserted: bool = False
    line: Source | None = None
    turns: Sequence[Node] = ()


def plain(node: Node, name: Names) -> Iterator[Edit]:
    """Yield the edits of an operation, the likelier ones first."""
    if not node.inputs:
        return
    what = name(node)
    yield Edit("sign", f"the sign of {what} is wrong", 1.5, times(-1.0))
    yield from _left_out(node, name)
    yield from _swapped(node, name)
    for factor in (0.5, 2.0):
        code = of_factor(node, factor)
        text = f"{what} is to be multiplied by {factor:.6g}"
        yield Edit(code, text, 3.5, times(factor))
    if elementwise(node):
        yield from _over_others(node, name)
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


def _swapped(node: Node, name: Names) -> Iterator[Edit]:
    op = _SWAPPED.get(node.op)
    if op is not None:
        code = "sign" if node.op in ("add", "subtract") else "local_derivative"
        text = f"np.{op} is due in {name(node)}"
        evaluate = ops.PRIMITIVES[op].evaluate
        yield Edit(code, text, 3.0, lambda n, v, p, k: evaluate(v, n.ints))
    if len(node.inputs) == 1 and elementwise(node) and node.op != "negative":
        text = f"the derivative of {node.label} is due in {name(node)}"
        yield Edit("local_derivative", text, 4.0, _slope)


def _slope(node: Node, inputs: list[Array], point: Point, k: int) -> Array:
    rule, ones = ops.PRIMITIVES[node.op].derivative, np.ones(node.shape)
    return np.asarray(rule(ones, own(node, inputs), inputs, node.ints)[0])


def _over_others(node: Node, name: Names) -> Iterator[Edit]:
    """Sums and means that are kept as axes, taken over others."""
    for i, x in enumerate(node.inputs):
        total = _total(x)
        if x.ndim < 2 or total is None or total.inputs[0].shape != node.shape:
            continue
        own_axes = tuple(d for d, summed in enumerate(total.ints) if summed)
        for count in range(1, node.ndim):
            for axes in combinations(range(node.ndim), count):
                if axes != own_axes:
                    text = f"{name(x)} is to be taken over {_axes(axes)}"
                    new = partial(_taken, i, axes)
                    yield Edit("reduction", text, 4.0, new, line=x.source)


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"


def _total(x: Node) -> Node | None:
    """The sum that a call gives, or divides by a count."""
    while x.op in ("reshape", "view", "divide") and is_part(x.inputs[0], x):
        x = x.inputs[0]
    return x if x.op == "sum" else None


def _taken(
    i: int, axes: tuple[int, ...], node: Node, inputs: list[Array], point: Point, k: int
) -> Array:
    """The operation with an input that is summed, or averaged, over these axes."""
    total = _total(node.inputs[i])
    if total is None:
        raise ValueError("this turn is another thing")
    summed = np.mean if node.inputs[i].label.endswith("mean") else np.sum
    other = summed(point.values[total.inputs[0]], axis=axes, keepdims=True)
    return value_of(node, [*inputs[:i], other, *inputs[i + 1 :]])


# ---- calls that are not due ----------------------------------------------------------


def _left_out(node: Node, name: Names) -> Iterator[Edit]:
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
        yield Edit(code, text, bits, _at(path))


def _at(path: tuple[int, ...]) -> New:
    def new(node: Node, inputs: list[Array], point: Point, k: int) -> Any:
        for i in path:
            node = node.inputs[i]
        return point.values[node]

    return new


# ---- elements that are to be elsewhere -----------------------------------------------


def _arranged(node: Node, name: Names) -> Iterator[Edit]:
    what, shape = name(node), node.shape
    for i, x in enumerate(node.inputs):
        if (
            node.op in ("contract", "solve")
            and x.ndim == 2
            and x.shape[0] == x.shape[1] > 1
        ):
            text = f"{name(x)} is to be transposed"
            yield Edit("layout", text, 2.5 + 0.5 * i, _turned(i))
    some = [one for one in arrangements(shape, parts=False) if one.undo]
    for k, one in enumerate(some):
        text = f"{what} is to be {one.how}".rstrip(",")
        bits = 4.0 + 0.5 * np.log2(1 + k)
        yield Edit(one.code, text, bits, _moved(one.turn))


def _moved(turn: Turn) -> New:
    return lambda node, inputs, point, k: turn(own(node, inputs))


def _turned(i: int) -> New:
    def new(node: Node, inputs: list[Array], point: Point, k: int) -> Any:
        return value_of(node, [*inputs[:i], inputs[i].T, *inputs[i + 1 :]])

    return new
