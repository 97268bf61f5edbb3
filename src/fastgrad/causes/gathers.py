"""Mistakes where rows are taken by index: rows repeated, out of order, off by one."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.reverse import Instead, Reverse, Sends
from fastgrad.program.graph import Node

Array = NDArray[np.float64]
Index = NDArray[np.intp]
#: Writes the gradients of the rows taken into that of the array: (total, index, g).
Rule = Callable[[Array, Index, Array], None]


def labels(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """The entry of each row that its label names is taken; or another label does."""
    node = group[0]
    x, index = node.inputs[0], np.asarray(node.ints[1:])
    if x.op not in ("reshape", "view") or x.inputs[0].value.ndim < 2:
        return
    width = x.inputs[0].shape[-1]
    if x.value.ndim > 1 or not np.array_equal(index // width, np.arange(len(index))):
        return
    for how, order in (
        ("sorted", np.sort),
        ("in reverse order", np.flip),
        ("of the next row", lambda y: np.roll(y, -1)),
        ("of the row before", lambda y: np.roll(y, 1)),
        ("one too large", lambda y: (y + 1) % width),
        ("one too small", lambda y: (y - 1) % width),
    ):

        def part(n: Node, g: Array, order: Any = order) -> Any:
            y = np.asarray(n.ints[1:])
            total = np.zeros(n.inputs[0].shape)
            np.add.at(total, y // width * width + order(y % width), g)
            return total

        code = "geometry" if how.startswith("one") else "layout"
        text = f"the labels by which {{op}} takes one entry of each row are {how}"
        yield Mistake(code, text, everywhere(group, Instead(0, part)), 3.1)


def gathers(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Rows taken several times receive several gradients, to be added."""

    def by(rule: Rule) -> dict[Node, Sends]:
        def part(n: Node, g: Array) -> Any:
            total = np.zeros(n.inputs[0].shape)
            rule(total, np.asarray(n.ints[1:]), g)
            return total

        return everywhere(group, Instead(0, part))

    def last(total: Array, index: Index, g: Array) -> None:
        total[index] = g

    def first(total: Array, index: Index, g: Array) -> None:
        total[index[::-1]] = g[::-1]

    def rows(n: Node) -> int:
        """How many rows the array of indices has."""
        users = [u for u, _ in reverse.users[n] if u.op == "reshape"]
        tail = n.inputs[0].value.ndim - 1
        lead = users[0].shape[: users[0].value.ndim - tail] if users else ()
        return max(lead[0], 1) if len(lead) > 1 else 1

    def each(total: Array, index: Index, g: Array) -> None:
        n = rows(group[0])
        for index_, g_ in zip(np.split(index, n), np.split(g, n), strict=True):
            part = np.zeros_like(total)
            last(part, index_, g_)
            total += part

    def averaged(total: Array, index: Index, g: Array) -> None:
        np.add.at(total, index, g)
        count = np.maximum(np.bincount(index, minlength=len(total)), 1)
        total /= count.reshape(-1, *[1] * (total.ndim - 1))

    def shifted(by: int) -> Rule:
        def rule(total: Array, index: Index, g: Array) -> None:
            np.add.at(total, (index + by) % len(total), g)

        return rule

    def cut(by: int) -> Rule:
        def rule(total: Array, index: Index, g: Array) -> None:
            inside = (index + by >= 0) & (index + by < len(total))
            np.add.at(total, (index + by)[inside], g[inside])

        return rule

    def gathered(total: Array, index: Index, g: Array) -> None:
        total[...] = g[np.arange(len(total)) % len(g)]

    def reordered(order: Callable[[Index], Index]) -> Rule:
        def rule(total: Array, index: Index, g: Array) -> None:
            np.add.at(total, order(index), g)

        return rule

    for code, text, rule in (
        ("duplicate_index", "of rows that {op} takes twice only the last counts", last),
        (
            "duplicate_index",
            "of indices repeated in a row of {op} only one counts",
            each,
        ),
        (
            "duplicate_index",
            "of rows that {op} takes twice only the first counts",
            first,
        ),
        (
            "duplicate_index",
            "the gradients of rows that {op} takes twice are averaged, not added",
            averaged,
        ),
        (
            "duplicate_index",
            "the derivative of {op} gathers where it is to scatter",
            gathered,
        ),
        (
            "layout",
            "the gradients of {op} are added as if its indices were sorted",
            reordered(np.sort),
        ),
        (
            "layout",
            "the gradients of {op} are added with its indices in reverse order",
            reordered(lambda index: index[::-1]),
        ),
        (
            "layout",
            "the gradients of {op} are added with each other's next index",
            reordered(lambda index: np.roll(index, -1)),
        ),
        (
            "layout",
            "the gradients of {op} are added with each other's previous index",
            reordered(lambda index: np.roll(index, 1)),
        ),
        ("geometry", "the indices of {op} are one too large", shifted(1)),
        ("geometry", "the indices of {op} are one too small", shifted(-1)),
        ("geometry", "the indices of {op} are one too large", cut(1)),
        ("geometry", "the indices of {op} are one too small", cut(-1)),
    ):
        yield Mistake(code, text, by(rule), 3.0)
