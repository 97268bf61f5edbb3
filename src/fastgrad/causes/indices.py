"""Edits of where a gradient goes: rows taken by index, paddings, axes summed over."""

from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import unflattened
from fastgrad.causes.reverse import elementwise, stretched
from fastgrad.causes.sites import New, Site
from fastgrad.program import Node, ops

Array = NDArray[np.float64]
Index = NDArray[np.intp]
_AXES = 5  # of arrays whose axes are permuted
#: Writes the gradients of rows into that of the array: (total, index, g).
Rule = Callable[[Array, Index, Array], None]


#: Cause code, words, and what is sent instead.
Move = tuple[str, str, New]


def index_edits(site: Site) -> Iterator[Move]:
    """Yield the edits of where an operation sends its gradient."""
    group, op = site.nodes, site.node.op
    if op == "take":
        yield from _taken(group)
    elif op == "place":
        yield from _padded(site)
    elif op == "view":
        yield from _plainly(group)
        yield from _restrided(group)
    elif op == "reshape":
        yield from _reshaped(group)
    elif elementwise(group[0]):
        yield from _summed(site)


# ---- rows taken by index -------------------------------------------------------------


def _last(total: Array, index: Index, g: Array) -> None:
    total[index] = g


def _first(total: Array, index: Index, g: Array) -> None:
    total[index[::-1]] = g[::-1]


def _averaged(total: Array, index: Index, g: Array) -> None:
    np.add.at(total, index, g)
    count = np.maximum(np.bincount(index, minlength=len(total)), 1)
    total /= count.reshape(-1, *[1] * (total.ndim - 1))


def _gathered(total: Array, index: Index, g: Array) -> None:
    total[...] = g[np.arange(len(total)) % len(g)]


def _reordered(order: Callable[[Index, int], Index]) -> Rule:
    def rule(total: Array, index: Index, g: Array) -> None:
        new = order(index, len(total))
        inside = (new >= 0) & (new < len(total))
        np.add.at(total, new[inside], g[inside])

    return rule


_REPEATED: tuple[tuple[str, Rule], ...] = (
    ("of rows that {op} takes twice only the last counts", _last),
    ("of rows that {op} takes twice only the first counts", _first),
    ("the gradients of rows that {op} takes twice are averaged, not added", _averaged),
    ("the derivative of {op} gathers where it is to scatter", _gathered),
)
_ORDERS: tuple[tuple[str, str, Callable[[Index, int], Index]], ...] = (
    ("layout", "sorted", lambda index, n: np.sort(index)),
    ("layout", "in reverse order", lambda index, n: index[::-1]),
    ("geometry", "one too large", lambda index, n: index + 1),
    ("geometry", "one too small", lambda index, n: index - 1),
)


def _taken(group: list[Node]) -> Iterator[Move]:
    """Rows taken several times receive several gradients, to be added."""

    def by(rule: Rule) -> New:
        def part(n: Node, g: Array) -> Any:
            total = np.zeros(n.inputs[0].shape)
            rule(total, np.asarray(n.ints[1:]), g)
            return total

        return part

    for how, rule in _REPEATED:
        yield "duplicate_index", how, by(rule)
    for code, how, order in _ORDERS:
        text = f"the indices by which {{op}} takes its rows are {how} on the way back"
        yield code, text, by(_reordered(order))


# ---- paddings and sums ---------------------------------------------------------------


def _padded(site: Site) -> Iterator[Move]:
    """Padding that is not cut off again, or at the wrong end."""
    node, i, ndim = site.node, site.i or 0, site.node.value.ndim
    offset = node.ints[i * ndim : (i + 1) * ndim]
    shape = node.inputs[i].shape
    far = [n - m for n, m in zip(node.shape, shape, strict=True)]
    for name, start in (("corner", [0] * ndim), ("far corner", far)):
        if list(offset) == list(start):
            continue

        def part(n: Node, g: Array, start: Any = start) -> Any:
            cut = zip(start, shape, strict=True)
            return g[tuple(slice(o, o + m) for o, m in cut)]

        text = f"the gradient of the padded array of {{op}} is cut at its {name}"
        yield "geometry", text, part


def _summed(site: Site) -> Iterator[Move]:
    """What is sent to a repeated input is summed over other axes than the repeated."""
    node, i = site.node, site.i or 0
    x, axes = node.inputs[i], stretched(node, i)
    for n in range(1, node.value.ndim if axes else 0):
        for chosen in combinations(range(node.value.ndim), n):
            kept = [size for d, size in enumerate(node.shape) if d not in chosen]
            if chosen == axes or np.prod(kept) != x.value.size:
                continue

            def part(n: Node, g: Array, chosen: Any = chosen) -> Any:
                full = _unreduced(n, i, g)
                return full.sum(axis=chosen).reshape(n.inputs[i].shape)

            text = f"what {{op}} sends down is summed over axes {chosen}, not {axes}"
            yield "reduction", text, part


def _unreduced(node: Node, i: int, g: Array) -> Array:
    """What would go to input `i` before it is summed over the repeated axes."""
    inputs = [np.broadcast_to(x.value, node.shape) for x in node.inputs]
    part = ops.PRIMITIVES[node.op].derivative(g, node.value, inputs, node.ints)[i]
    return np.broadcast_to(part, node.shape)


# ---- views and reshapes


def _restrided(group: list[Node]) -> Iterator[Move]:
    """Strides of windows forgotten, or those of two axes exchanged."""
    node = group[0]
    ndim = node.inputs[0].value.ndim
    moves = node.ints[ndim:]
    steps = {d: moves[2 * d + 1] for d in range(node.value.ndim) if moves[2 * d] >= 0}
    others: list[tuple[str, dict[int, int]]] = [
        ("forgotten", {d: 1}) for d, step in steps.items() if abs(step) > 1
    ]
    long = {d: 1 for d, step in steps.items() if abs(step) > 1}
    if len(long) > 1:
        others.append(("forgotten", long))
    others += [
        ("exchanged", {a: steps[b], b: steps[a]})
        for a, b in combinations(steps, 2)
        if steps[a] != steps[b]
    ]
    for what, new in others:

        def part(n: Node, g: Array, new: dict[int, int] = new) -> Any:
            ints = list(n.ints)
            for d, step in new.items():
                ints[ndim + 2 * d + 1] = step
            x = n.inputs[0].value
            source = ops.view_of(np.arange(x.size).reshape(x.shape), ints, g.shape)
            if source.size and not 0 <= source.min() <= source.max() < x.size:
                raise IndexError
            total = np.bincount(source.ravel(), weights=g.ravel(), minlength=x.size)
            return total.reshape(x.shape)

        text = f"the stride of {{op}} along axes {tuple(new)} is {what}"
        yield "geometry", text, part


def _reshaped(group: list[Node]) -> Iterator[Move]:
    """A change of shape undone as if the axes had lain in another order."""
    shape = group[0].inputs[0].shape
    if not 1 < len(shape) <= _AXES:
        return
    for order in permutations(range(len(shape))):
        if list(order) != sorted(order):

            def part(n: Node, g: Array, order: tuple[int, ...] = order) -> Any:
                return unflattened(g, order, n.inputs[0].shape)

            text = f"{{op}} is undone as if the axes had been in the order {order}"
            yield "layout", text, part


def _plainly(group: list[Node]) -> Iterator[Move]:
    """The elements as they lie, where a transpose is to be undone."""
    if group[0].value.size == group[0].inputs[0].value.size:
        text = "the gradient is reshaped where {op} is to be undone"
        yield "layout", text, lambda n, g: g.reshape(n.inputs[0].shape)
