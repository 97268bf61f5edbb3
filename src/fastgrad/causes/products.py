"""Mistakes at matrix products, views and paddings: transposes, shifts, parts."""

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import (
    SOME,
    Mistake,
    everywhere,
    kept,
    plain,
    subsets,
    turns,
    where_active,
)
from fastgrad.causes.reverse import Instead, Reverse, elementwise, product_part
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]


def products(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivatives of a matrix product."""
    for i in (0, 1):
        some = where_active(group, i)
        if some:
            yield from _operand_moved(some, i)
            yield from _operand_replaced(reverse, some, i)
            yield from _part_of_sum(some, i)
            yield from _result_moved(some, i)


def _operand_moved(group: list[Node], i: int) -> Iterator[Mistake]:
    for code, how, turn in turns(group[0].inputs[1 - i].shape):

        def part(n: Node, g: Array, turn: Any = turn) -> Any:
            return product_part(n, i, g, turn(n.inputs[1 - i].value))

        text = f"the derivative of {{op}} uses its other operand with {how}"
        if how == "axes 0 and 1 exchanged":
            text = "the derivative of {op} lacks a transpose"
        yield Mistake(code, text, everywhere(group, Instead(i, part)), 3.3)
    for code, how, turn in turns(group[0].shape):

        def upstream(n: Node, g: Array, turn: Any = turn) -> Any:
            return product_part(n, i, turn(g), n.inputs[1 - i].value)

        text = f"what comes down to {{op}} is used with {how}"
        yield Mistake(code, text, everywhere(group, Instead(i, upstream)), 3.4)


def _result_moved(group: list[Node], i: int) -> Iterator[Mistake]:
    x = group[0].inputs[i]
    for code, how, turn in turns(x.shape):

        def part(n: Node, g: Array, turn: Any = turn) -> Any:
            return turn(product_part(n, i, g, n.inputs[1 - i].value))

        text = f"the gradient that {{op}} sends down has {how}"
        yield Mistake(code, text, everywhere(group, Instead(i, part)), 3.4)


def _part_of_sum(group: list[Node], i: int) -> Iterator[Mistake]:
    """Only part of the sum over an axis of the result is taken."""
    node = group[0]
    for chosen in subsets(tuple(d for d, n in enumerate(node.shape) if n > 1)):
        for which, where in SOME:
            if len(chosen) > 1 and isinstance(where, slice) and len(chosen) > 2:
                continue

            def part(
                n: Node, g: Array, chosen: Any = chosen, where: Any = where
            ) -> Any:
                some = g * kept(n.shape, chosen, where)
                return product_part(n, i, some, n.inputs[1 - i].value)

            axis = chosen if len(chosen) > 1 else chosen[0]
            text = f"only {which} along axis {axis} of {{op}} counts for the gradient"
            many = isinstance(where, slice)
            code = "geometry" if many else "partial"
            yield Mistake(code, text, everywhere(group, Instead(i, part)), 3.7)


def _operand_replaced(reverse: Reverse, group: list[Node], i: int) -> Iterator[Mistake]:
    """Another value of the same shape stands where the other operand is due."""
    node = group[0]
    other = node.inputs[1 - i]
    base = plain(other)
    table: list[tuple[str, str, Callable[[Node], Array | None]]] = []
    if other.active:
        table.append(
            (
                "local_derivative",
                "the gradient of the other operand of {op} is used in its place",
                lambda n: reverse.gradient.get(n.inputs[1 - i]),
            )
        )
        table.append(
            (
                "local_derivative",
                "the gradient of the other operand of {op} is used in its place",
                lambda n: np.asarray(reverse.parts(n)[1 - i]),
            )
        )
    table.append(
        (
            "local_derivative",
            "the other operand of {op} is left out",
            lambda n: np.ones(n.inputs[1 - i].shape),
        )
    )
    if base.inputs and elementwise(base) and base.inputs[0].shape == other.shape:
        table.append(
            (
                "local_derivative",
                "the derivative of {op} uses the value before "
                f"{base.label} where that after it is due",
                lambda n: next((x.value for x in n.inputs[1 - i].inputs), None),
            )
        )
    table += _other_turns(reverse, group, i)
    for code, text, value in table:

        def part(n: Node, g: Array, value: Any = value) -> Any:
            found = value(n)
            if found is None or found.shape != n.inputs[1 - i].shape:
                found = n.inputs[1 - i].value
            return product_part(n, i, g, found)

        yield Mistake(code, text, everywhere(group, Instead(i, part)), 3.5)


def _other_turns(
    reverse: Reverse, group: list[Node], i: int
) -> list[tuple[str, str, Callable[[Node], Array | None]]]:
    """The other operand of the turn before or after; states that are carried along."""
    if len(group) < 2 or not group[-1].inputs[1 - i].active:
        return []
    producer = group[-1].inputs[1 - i]
    states = next((g for g in reverse.groups if producer in g), [])
    before = {n: m.inputs[1 - i].value for n, m in zip(group[1:], group, strict=False)}
    after = {n: m.inputs[1 - i].value for n, m in pairwise(group)}
    if len(states) >= len(group) - 1:
        # The states that the turns make, the last one's too.
        made = states[-len(group) :] if len(states) >= len(group) else states
        after.update({n: m.value for n, m in zip(group, made, strict=False)})
    return [
        (
            "stale",
            "the derivative of {op} uses the state before the one that is due",
            before.get,
        ),
        (
            "stale",
            "the derivative of {op} uses the state after the one that is due",
            after.get,
        ),
    ]


def views(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Windows and slices: shifted, cut at the end, or with other strides."""
    x = group[0].inputs[0]
    for axis, n in enumerate(x.shape):
        if n < 2:
            continue
        for shift in (1, -1):

            def part(n: Node, g: Array, axis: int = axis, shift: int = shift) -> Any:
                (right,) = ops.PRIMITIVES["view"].derivative(
                    g, n.value, [n.inputs[0].value], n.ints
                )
                moved = np.roll(right, shift, axis)
                edge = slice(None, shift) if shift > 0 else slice(shift, None)
                np.moveaxis(moved, axis, 0)[edge] = 0
                return moved

            text = f"the gradient of the input of {{op}} is shifted along axis {axis}"
            yield Mistake("geometry", text, everywhere(group, Instead(0, part)), 3.5)
    yield from _view_turned(group)
    yield from _restrided(group)


def _restrided(group: list[Node]) -> Iterator[Mistake]:
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
        yield Mistake("geometry", text, everywhere(group, Instead(0, part)), 3.3)


def _view_turned(group: list[Node]) -> Iterator[Mistake]:
    if group[0].value.size == group[0].inputs[0].value.size:

        def reshaped(n: Node, g: Array) -> Any:
            return g.reshape(n.inputs[0].shape)

        text = "the gradient is reshaped where {op} is to be undone"
        yield Mistake("layout", text, everywhere(group, Instead(0, reshaped)), 3.2)
    for code, how, turn in turns(group[0].shape):

        def part(n: Node, g: Array, turn: Any = turn) -> Any:
            return ops.PRIMITIVES["view"].derivative(
                turn(g), n.value, [n.inputs[0].value], n.ints
            )[0]

        text = f"what comes down to {{op}} is used with {how}"
        yield Mistake(code, text, everywhere(group, Instead(0, part)), 3.5)
    for axis, n in enumerate(group[0].shape):
        if n < 2:
            continue
        for which, where in SOME:

            def some(n: Node, g: Array, axis: int = axis, where: Any = where) -> Any:
                return ops.PRIMITIVES["view"].derivative(
                    g * kept(n.shape, (axis,), where),
                    n.value,
                    [n.inputs[0].value],
                    n.ints,
                )[0]

            code = "geometry" if isinstance(where, slice) else "partial"
            text = f"only {which} along axis {axis} of {{op}} counts for the gradient"
            yield Mistake(code, text, everywhere(group, Instead(0, some)), 3.8)


def reshapes(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield misplaced elements of what a reshape, or an index on it, sends back."""
    for code, how, turn in turns(group[0].inputs[0].shape):

        def part(n: Node, g: Array, turn: Any = turn) -> Any:
            return turn(g.reshape(n.inputs[0].shape))

        text = f"the gradient that {{op}} sends down has {how}"
        yield Mistake(code, text, everywhere(group, Instead(0, part)), 3.6)


def paddings(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Padding that is not cut off again, or at the wrong end."""
    node = group[0]
    ndim = node.value.ndim
    for i, x in enumerate(node.inputs):
        if not x.active:
            continue
        offset = node.ints[i * ndim : (i + 1) * ndim]
        room = [n - o - m for n, o, m in zip(node.shape, offset, x.shape, strict=True)]
        for name, start in (
            ("corner", [0] * ndim),
            ("far corner", [o + r for o, r in zip(offset, room, strict=True)]),
        ):

            def part(n: Node, g: Array, start: Any = start, i: int = i) -> Any:
                shape = n.inputs[i].shape
                return g[
                    tuple(slice(o, o + m) for o, m in zip(start, shape, strict=True))
                ]

            text = f"the gradient of the padded array of {{op}} is cut at its {name}"
            yield Mistake("geometry", text, everywhere(group, Instead(i, part)), 3.0)
