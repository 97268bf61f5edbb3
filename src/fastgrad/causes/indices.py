"""Edits of where a gradient goes: rows taken by index, paddings, axes summed over."""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.reverse import Instead, Reverse, elementwise, stretched
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]
Index = NDArray[np.intp]
#: Writes the gradients of rows into that of the array: (total, index, g).
Rule = Callable[[Array, Index, Array], None]


def index_edits(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield the edits of where the operations of a group send their gradient."""
    op = group[0].op
    if op == "take":
        yield from _taken(reverse, group)
    elif op == "place":
        yield from _padded(group)
    elif elementwise(group[0]):
        yield from _summed(group)


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
    ("layout", "each other's next", lambda index, n: np.roll(index, -1)),
    ("layout", "each other's previous", lambda index, n: np.roll(index, 1)),
    ("geometry", "one too large", lambda index, n: index + 1),
    ("geometry", "one too small", lambda index, n: index - 1),
    ("geometry", "one too large, going round,", lambda index, n: (index + 1) % n),
    ("geometry", "one too small, going round,", lambda index, n: (index - 1) % n),
)


def _taken(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Rows taken several times receive several gradients, to be added."""

    def by(rule: Rule) -> dict[Node, Any]:
        def part(n: Node, g: Array) -> Any:
            total = np.zeros(n.inputs[0].shape)
            rule(total, np.asarray(n.ints[1:]), g)
            return total

        return everywhere(group, Instead(0, part))

    def row_by_row(total: Array, index: Index, g: Array) -> None:
        n = _rows(reverse, group[0])
        for some, part in zip(np.split(index, n), np.split(g, n), strict=True):
            own = np.zeros_like(total)
            own[some] = part
            total += own

    text = "of indices repeated in a row of {op} only one counts"
    for how, rule in (*_REPEATED, (text, row_by_row)):
        yield Mistake("duplicate_index", how, by(rule), 3.0)
    for code, how, order in (*_ORDERS, *_labels(group[0])):
        text = f"the indices by which {{op}} takes its rows are {how}".rstrip(",")
        yield Mistake(code, f"{text} on the way back", by(_reordered(order)), 3.0)


def _rows(reverse: Reverse, node: Node) -> int:
    """How many rows the array of indices has."""
    users = [u for u, _ in reverse.users[node] if u.op == "reshape"]
    tail = node.inputs[0].value.ndim - 1
    lead = users[0].shape[: users[0].value.ndim - tail] if users else ()
    return lead[0] if len(lead) > 1 else 1


def _labels(node: Node) -> Iterator[tuple[str, str, Callable[[Index, int], Index]]]:
    """The same orders of labels, where one entry of each row is taken by its label."""
    x, index = node.inputs[0], np.asarray(node.ints[1:])
    if (
        x.op not in ("reshape", "view")
        or not x.inputs[0].value.ndim
        or x.value.ndim > 1
    ):
        return
    width = x.inputs[0].shape[-1]
    if np.array_equal(index // width, np.arange(len(index))):
        for code, how, order in _ORDERS:

            def labels(index: Index, n: int, order: Any = order) -> Index:
                return np.asarray(index // width * width + order(index % width, width))

            yield code, f"labels {how}", labels


# ---- paddings and sums ---------------------------------------------------------------


def _padded(group: list[Node]) -> Iterator[Mistake]:
    """Padding that is not cut off again, or at the wrong end."""
    node = group[0]
    ndim = node.value.ndim
    for i, x in enumerate(node.inputs):
        offset = node.ints[i * ndim : (i + 1) * ndim]
        far = [n - m for n, m in zip(node.shape, x.shape, strict=True)]
        for name, start in (("corner", [0] * ndim), ("far corner", far)):
            if not x.active or list(offset) == list(start):
                continue

            def part(n: Node, g: Array, start: Any = start, i: int = i) -> Any:
                cut = zip(start, n.inputs[i].shape, strict=True)
                return g[tuple(slice(o, o + m) for o, m in cut)]

            text = f"the gradient of the padded array of {{op}} is cut at its {name}"
            yield Mistake("geometry", text, everywhere(group, Instead(i, part)), 3.0)


def _summed(group: list[Node]) -> Iterator[Mistake]:
    """What is sent to a repeated input is summed over other axes than the repeated."""
    node = group[0]
    for i, x in enumerate(node.inputs):
        axes = stretched(node, i) if x.active else ()
        for n in range(1, node.value.ndim if axes else 0):
            for chosen in combinations(range(node.value.ndim), n):
                kept = [size for d, size in enumerate(node.shape) if d not in chosen]
                if chosen == axes or np.prod(kept) != x.value.size:
                    continue

                def part(n: Node, g: Array, chosen: Any = chosen, i: int = i) -> Any:
                    full = _unreduced(n, i, g)
                    return full.sum(axis=chosen).reshape(n.inputs[i].shape)

                text = (
                    f"what {{op}} sends down is summed over axes {chosen}, not {axes}"
                )
                yield Mistake("reduction", text, everywhere(group, Instead(i, part)))


def _unreduced(node: Node, i: int, g: Array) -> Array:
    """What would go to input `i` before it is summed over the repeated axes."""
    inputs = [np.broadcast_to(x.value, node.shape) for x in node.inputs]
    part = ops.PRIMITIVES[node.op].derivative(g, node.value, inputs, node.ints)[i]
    return np.broadcast_to(part, node.shape)
