"""Mistakes where values are summed, repeated, gathered, or the largest is taken."""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import SOME, Mistake, everywhere, kept, subsets
from fastgrad.causes.reverse import Instead, Reverse, Sends, stretched
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]


def broadcasts(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """An input is repeated: its gradient is the sum over the repetitions."""
    node = group[0]
    for i, x in enumerate(node.inputs):
        if not x.active:
            continue
        axes = stretched(node, i)
        if not axes:
            continue
        yield from _one_of(group, i, axes)
        yield from _wrong_axes(group, i, axes)


def _unreduced(node: Node, i: int, g: Array) -> Array:
    """What would go to input `i` before it is summed over the repeated axes."""
    x = node.inputs[i]
    if node.op == "view":
        return g
    # A derivative with inputs of full shape is not summed.
    inputs = [np.broadcast_to(y.value, node.shape) for y in node.inputs]
    part = ops.PRIMITIVES[node.op].derivative(g, node.value, inputs, node.ints)[i]
    assert x is node.inputs[i]
    return np.broadcast_to(part, node.shape)


def _reduced(node: Node, i: int, full: Array) -> Array:
    """Sum over the repeated axes, into the shape of the input."""
    x = node.inputs[i]
    if node.op == "view":
        return np.asarray(
            ops.PRIMITIVES["view"].derivative(full, node.value, [x.value], node.ints)[0]
        )
    return ops.unbroadcast(full, x.shape)


def _one_of(group: list[Node], i: int, axes: tuple[int, ...]) -> Iterator[Mistake]:
    """Only one repetition, or all but one, is counted."""
    node = group[0]
    for chosen in subsets(axes):
        if len(chosen) > 2:
            continue
        for which, where in SOME:
            if isinstance(where, slice) and len(chosen) > 1:
                continue

            def part(
                n: Node, g: Array, chosen: Any = chosen, where: Any = where
            ) -> Any:
                full = _unreduced(n, i, g) * kept(n.shape, chosen, where)
                return _reduced(n, i, full)

            many = isinstance(where, slice)
            text = (
                f"the gradient of an input that {{op}} repeats has {which} of its "
                + ("uses" if many else "use")
                + f" along axis {chosen if len(chosen) > 1 else chosen[0]} only"
            )
            code = "geometry" if many else "reduction"
            broken = everywhere(group, Instead(i, part))
            yield Mistake(code, text, broken, 3.6)
    assert node is group[0]


def _wrong_axes(group: list[Node], i: int, axes: tuple[int, ...]) -> Iterator[Mistake]:
    """Reduced over other axes than those of the repetition, or averaged over some."""
    node = group[0]
    x = node.inputs[i]
    for chosen in subsets(axes):
        if chosen == axes:
            continue

        def averaged(n: Node, g: Array, chosen: Any = chosen) -> Any:
            count = np.prod([n.shape[d] for d in chosen])
            return _reduced(n, i, _unreduced(n, i, g) / count)

        text = f"the gradient that {{op}} sends down is averaged over axes {chosen}"
        yield Mistake("reduction", text, everywhere(group, Instead(i, averaged)), 3.5)
    for n_axes in range(1, node.value.ndim):
        for chosen in combinations(range(node.value.ndim), n_axes):
            shape = tuple(n for d, n in enumerate(node.shape) if d not in chosen)
            if chosen == axes or np.prod(shape) != x.value.size:
                continue

            def other(n: Node, g: Array, chosen: Any = chosen) -> Any:
                full = _unreduced(n, i, g)
                return full.sum(axis=chosen).reshape(n.inputs[i].shape)

            text = f"the gradient that {{op}} sends down is summed over axes {chosen}, "
            text += f"not {axes}"
            yield Mistake("reduction", text, everywhere(group, Instead(i, other)), 3.4)


def sums(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Only some of the summands receive the gradient of their sum."""
    node = group[0]
    axes = tuple(d for d, reduced in enumerate(node.ints) if reduced)
    for chosen in subsets(axes):
        if len(chosen) > 2:
            continue
        for which, where in SOME:

            def part(
                n: Node, g: Array, chosen: Any = chosen, where: Any = where
            ) -> Any:
                shape = n.inputs[0].shape
                axes = tuple(d for d, reduced in enumerate(n.ints) if reduced)
                return np.expand_dims(g, axes) * kept(shape, chosen, where)

            code = "partial" if not isinstance(where, slice) else "geometry"
            text = f"only {which} along axis {chosen} receives the gradient of {{op}}"
            count = int(np.prod([node.inputs[0].shape[d] for d in axes]))
            assert count >= 1
            yield Mistake(code, text, everywhere(group, Instead(0, part)), 3.7, True)


#: Usual tolerances within which values are taken to be equal.
_TOLERANCES = [m * 10.0**e for e in range(-8, 1) for m in (1, 2, 3, 5)]


def maxima(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """The gradient of a maximum goes to its winner."""

    def by(
        share: Callable[[Array, Array, tuple[int, ...]], Array],
    ) -> dict[Node, Sends]:
        def part(n: Node, g: Array) -> Any:
            axes = tuple(d for d, reduced in enumerate(n.ints) if reduced)
            return np.expand_dims(g, axes) * share(n.inputs[0].value, n.value, axes)

        return everywhere(group, Instead(0, part))

    def count(x: Array, axes: tuple[int, ...]) -> Any:
        return np.prod([x.shape[d] for d in axes])

    def first(x: Array, out: Array, axes: tuple[int, ...]) -> Array:
        return kept(x.shape, axes, 0)

    def last(x: Array, out: Array, axes: tuple[int, ...]) -> Array:
        return kept(x.shape, axes, -1)

    def smallest(x: Array, out: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray((x == x.min(axis=axes, keepdims=True)) * 1.0)

    def near(tolerance: float) -> Callable[..., Array]:
        return lambda x, out, axes: (
            (np.abs(x - np.expand_dims(out, axes)) <= tolerance) * 1.0
        )

    def crossed(x: Array, out: Array, axes: tuple[int, ...]) -> Array:
        won = np.asarray((x == np.expand_dims(out, axes)) * 1.0)
        if len(axes) == 2 and x.shape[axes[0]] == x.shape[axes[1]]:
            return won.swapaxes(*axes)
        return won

    yield Mistake(
        "mask",
        "all entries receive the gradient of {op}, not its winner",
        by(lambda x, out, axes: np.ones(x.shape)),
        3.2,
        True,
    )
    yield Mistake(
        "mask",
        "the gradient of {op} is shared by all entries, as of an average",
        by(lambda x, out, axes: np.full(x.shape, 1 / count(x, axes))),
        3.2,
    )
    yield Mistake(
        "mask",
        "the first entry receives the gradient of {op}, not the winner",
        by(first),
        3.2,
    )
    yield Mistake(
        "mask",
        "the last entry receives the gradient of {op}, not its winner",
        by(last),
        3.2,
    )
    yield Mistake(
        "mask", "the smallest entry receives the gradient of {op}", by(smallest), 3.2
    )
    yield Mistake(
        "mask",
        "the winner's places along two axes of {op} are exchanged",
        by(crossed),
        3.2,
    )
    for tolerance in _TOLERANCES:
        text = (
            f"all entries within {tolerance:g} of the largest receive the gradient of"
        )
        yield Mistake("mask", text + " {op}", by(near(tolerance)), 3.5)
    yield from _winner_of_all(group)


def _winner_of_all(group: list[Node]) -> Iterator[Mistake]:
    def part(n: Node, g: Array) -> Any:
        x = n.inputs[0].value
        axes = tuple(d for d, reduced in enumerate(n.ints) if reduced)
        return np.expand_dims(g, axes) * (x == x.max())

    def total(n: Node, g: Array) -> Any:
        return g.sum() * (n.inputs[0].value == n.inputs[0].value.max())

    for rule in (part, total):
        text = "only the largest of the whole array receives the gradient of {op}"
        yield Mistake("mask", text, everywhere(group, Instead(0, rule)), 3.4)
