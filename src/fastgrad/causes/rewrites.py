"""Edits of operations of the user's gradient code that need no other array."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import Turn, arrangements
from fastgrad.causes.codes import is_complex, of_excess, of_factor, total_of
from fastgrad.causes.names import Names, given
from fastgrad.causes.readings import Point
from fastgrad.causes.reverse import elementwise
from fastgrad.program import Node, ops, topological, value_of

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
    yield from _over_others(node, name)
    yield from _arranged(node, name)


def exchanged(groups: Sequence[Sequence[Node]], name: Names) -> Iterator[Rewrite]:
    """Yield what two operations of a line read, one for the other."""
    for some, others in combinations(groups, 2):
        one, two = some[0], others[0]
        if one.source != two.source or len(some) != len(others) or one is two:
            continue
        for (i, x), (j, y) in product(enumerate(one.inputs), enumerate(two.inputs)):
            alike = x is not y and x.shape == y.shape and x.size > 1
            # What is made of an operation cannot go into it.
            if alike and one not in topological(y) and two not in topological(x):
                text = f"{name(x)} and {name(y)} are exchanged"
                new = partial(_reads_of_the_other, some, others, (i, j))
                yield Rewrite("layout", text, 5.0, new, turns=[*some, *others])


def _reads_of_the_other(
    some: Sequence[Node],
    others: Sequence[Node],
    inputs: tuple[int, int],
    node: Node,
    values: list[Array],
    point: Point,
    k: int,
) -> Array:
    mine, its = inputs if k < len(some) else inputs[::-1]
    other = [*others, *some][k].inputs[its]
    return value_of(node, [*values[:mine], point.values[other], *values[mine + 1 :]])


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


def _over_others(node: Node, name: Names) -> Iterator[Rewrite]:
    """Sums and means, taken over other axes: what an operation gives, or reads."""
    for i, x in enumerate((*node.inputs, node)):
        total = total_of(x)
        if total is None or (x is node and total is not node):
            continue
        whole = total.inputs[0].shape
        own_axes = tuple(d for d, summed in enumerate(total.ints) if summed)
        for count in range(1, len(whole) + 1):
            for axes in combinations(range(len(whole)), count):
                left = tuple(n for d, n in enumerate(whole) if d not in axes)
                kept = x is not node and elementwise(node) and whole == node.shape
                if axes != own_axes and (kept or (left == node.shape and x is node)):
                    text = f"{name(x)} is to be taken over {_axes(axes)}"
                    new = partial(_taken, i, axes)
                    yield Rewrite("reduction", text, 3.5, new)


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"


def _taken(
    i: int, axes: tuple[int, ...], node: Node, inputs: list[Array], point: Point, k: int
) -> Array:
    """The operation, or with an input, that is summed or averaged over these axes."""
    if i == len(inputs):
        return np.asarray(np.sum(inputs[0], axis=axes))
    total = total_of(node.inputs[i])
    if total is None:
        raise ValueError("this turn is another thing")
    summed = np.mean if node.inputs[i].label.endswith("mean") else np.sum
    other = summed(point.values[total.inputs[0]], axis=axes, keepdims=True)
    return value_of(node, [*inputs[:i], other, *inputs[i + 1 :]])


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
            text = f"{name(x)} is due as it is, without `{node.source.quoted}`"
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


# ---- complex products ----------------------------------------------------------------


def conjugated(nodes: Sequence[Node], name: Names) -> Iterator[Rewrite]:
    """Yield factors of a line's complex products, one or two, as their conjugates."""
    for line in {n.source for n in nodes if is_complex(n)}:
        some = [n for n in nodes if n.source == line and n.op == "multiply"]
        read: dict[Any, list[Node]] = defaultdict(list)
        for x in (x for n in some for x in n.inputs):
            read[x.value.tobytes()].append(x)
        parts = [group for group in read.values() if len(group) > 1]
        for others in (*combinations(parts, 1), *combinations(parts, 2)):
            turned = {x for group in others for x in group}
            readers = [n for n in some if not turned.isdisjoint(n.inputs)]
            text = f"the conjugate is due of what has {name(others[0][0])}"
            new = partial(_negated, turned)
            yield Rewrite("conjugate", text, 5.0, new, turns=readers)


def _negated(
    some: Collection[Node], node: Node, inputs: list[Array], point: Point, k: int
) -> Any:
    """The operation with the sign of some values changed where it reads them."""
    pairs = zip(node.inputs, inputs, strict=True)
    return value_of(node, [-a if x in some else a for x, a in pairs])
