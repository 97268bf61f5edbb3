"""Edits of where a gradient goes: rows taken by index, paddings, axes summed over."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.reverse import Reverse, elementwise, stretched
from fastgrad.causes.sites import Edit, New, Site
from fastgrad.program import Node, ops

Array = NDArray[np.float64]


def index_edits(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """Rows, windows, paddings and maxima whose gradient goes elsewhere."""
    if elementwise(site.node):
        yield from _summed(site)
    elif site.node.op == "take":
        for how, write in _REPEATED:
            yield Edit("duplicate_index", how, _by_row(write))
    for code, text, ints in _OTHER_INTS.get(site.node.op, lambda site: ())(site):

        def part(n: Node, g: Array, ints: Any = ints) -> Any:
            inputs = [x.value for x in n.inputs]
            rule = ops.PRIMITIVES[n.op].derivative
            return rule(g, n.value, inputs, ints(n))[site.i or 0]

        yield Edit(code, text, part)


# ---- rows taken several times, whose gradients are to be added -----------------------


def _last(total: Array, index: Any, g: Array) -> None:
    total[index] = g


def _first(total: Array, index: Any, g: Array) -> None:
    total[index[::-1]] = g[::-1]


def _averaged(total: Array, index: Any, g: Array) -> None:
    np.add.at(total, index, g)
    count = np.maximum(np.bincount(index, minlength=len(total)), 1)
    total /= count.reshape(-1, *[1] * (total.ndim - 1))


def _gathered(total: Array, index: Any, g: Array) -> None:
    total[...] = g[np.arange(len(total)) % len(g)]


_REPEATED: tuple[tuple[str, Callable[[Array, Any, Array], None]], ...] = (
    ("of rows that {op} takes twice only the last counts", _last),
    ("of rows that {op} takes twice only the first counts", _first),
    ("the gradients of rows that {op} takes twice are averaged, not added", _averaged),
    ("the derivative of {op} gathers where it is to scatter", _gathered),
)


def _by_row(write: Callable[[Array, Any, Array], None]) -> New:
    def part(n: Node, g: Array) -> Any:
        total = np.zeros(n.inputs[0].shape)
        write(total, np.asarray(n.ints[1:]), g)
        return total

    return part


# ---- the derivative of the operation with other indices, offsets or steps ------------

#: Cause code, words, and of a node the other numbers.
_Other = tuple[str, str, Callable[[Node], Sequence[int]]]


def _other_corner(site: Site) -> Iterator[_Other]:
    """Padding that is not cut off again, or at the wrong end."""
    node, i, ndim = site.node, site.i or 0, site.node.ndim
    far = [n - m for n, m in zip(node.shape, node.inputs[i].shape, strict=True)]
    for name, start in (("corner", [0] * ndim), ("far corner", far)):
        if list(node.ints[i * ndim : (i + 1) * ndim]) != start:

            def ints(n: Node, start: Any = start) -> list[int]:
                return [*n.ints[: i * ndim], *start, *n.ints[(i + 1) * ndim :]]

            text = f"the gradient of the padded array of {{op}} is cut at its {name}"
            yield "geometry", text, ints


def _other_steps(site: Site) -> Iterator[_Other]:
    """Steps of windows and slices forgotten."""
    ndim = site.node.inputs[0].ndim

    def ints(n: Node) -> list[int]:
        moves = list(n.ints)
        moves[ndim + 1 :: 2] = np.sign(moves[ndim + 1 :: 2]).tolist()
        return moves

    if ints(site.node) != list(site.node.ints):
        yield "geometry", "the stride of {op} is forgotten", ints


_OTHER_INTS: dict[str, Callable[[Site], Iterator[_Other]]] = {
    "place": _other_corner,
    "view": _other_steps,
}


# ---- sums ----------------------------------------------------------------------------


def _summed(site: Site) -> Iterator[Edit]:
    """What is sent to a repeated input is summed over other axes than the repeated."""
    node, i = site.node, site.i or 0
    x, axes = node.inputs[i], stretched(node, i)
    for n in range(1, node.ndim if axes else 0):
        for chosen in combinations(range(node.ndim), n):
            kept = [size for d, size in enumerate(node.shape) if d not in chosen]
            if chosen == axes or np.prod(kept) != x.size:
                continue

            def part(n: Node, g: Array, chosen: Any = chosen) -> Any:
                inputs = [np.broadcast_to(y.value, n.shape) for y in n.inputs]
                rule = ops.PRIMITIVES[n.op].derivative
                full = np.broadcast_to(rule(g, n.value, inputs, n.ints)[i], n.shape)
                return full.sum(axis=chosen).reshape(n.inputs[i].shape)

            text = f"what {{op}} sends down is summed over axes {chosen}, not {axes}"
            yield Edit("reduction", text, part)
