"""Edits of views and reshapes: shifts, strides, parts, elements in another order."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.reverse import Instead, Reverse
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]

SOME = (
    ("the first", 0),
    ("the last", -1),
    ("all but the last", slice(None, -1)),
    ("all but the first", slice(1, None)),
)


def kept(shape: tuple[int, ...], axes: tuple[int, ...], where: Any) -> Array:
    """One at these positions along the axes, zero elsewhere."""
    kept = np.zeros(shape)
    key: list[Any] = [slice(None)] * len(shape)
    for axis in axes:
        key[axis] = where
    kept[tuple(key)] = 1.0
    return kept


def _fortran(x: Array) -> Array:
    return x.ravel().reshape(x.shape, order="F")


def turns(
    shape: tuple[int, ...],
) -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    """Ways to misplace the elements of an array that keep its shape."""
    for a, b in combinations(range(len(shape)), 2):
        if shape[a] == shape[b] > 1:
            yield (
                "layout",
                f"axes {a} and {b} exchanged",
                partial(np.swapaxes, axis1=a, axis2=b),
            )
    long = [d for d, n in enumerate(shape) if n > 1]
    if len(long) > 1:
        yield "layout", "its elements in Fortran order", _fortran
    if len(shape) > 2:
        for n in (1, 2):
            for axes in combinations(long, n):
                yield (
                    "geometry",
                    f"axes {axes} reversed",
                    partial(np.flip, axis=axes),
                )


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
