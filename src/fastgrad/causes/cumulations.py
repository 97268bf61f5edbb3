"""Mistakes in the derivatives of running sums and products."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.reverse import Instead, Reverse
from fastgrad.program.graph import Node

Array = NDArray[np.float64]


def _later(g: Array) -> Array:
    """The sum of each entry and all behind it, along the first axis."""
    return np.flip(np.flip(g, 0).cumsum(0), 0)


def cumulative_sums(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivative of a running sum."""
    table: dict[str, Callable[[Array], Array]] = {
        "later sums are left out: {op} passes its gradient through": lambda g: g,
        "{op} is undone by a sum in the same direction": lambda g: g.cumsum(0),
        "{op} is undone by a sum that leaves out the own step": lambda g: _later(g) - g,
        "{op} is undone by an earlier steps' sum, without the own": (
            lambda g: g.cumsum(0) - g
        ),
        "{op} is undone by the sum over the whole axis": lambda g: np.broadcast_to(
            g.sum(0), g.shape
        ),
        "{op} is undone by differences": lambda g: np.diff(g, axis=0, prepend=0),
    }
    for text, rule in table.items():

        def part(n: Node, g: Array, rule: Any = rule) -> Any:
            axis = n.ints[0]
            return np.moveaxis(rule(np.moveaxis(g, axis, 0)), 0, axis)

        yield Mistake("accumulation", text, everywhere(group, Instead(0, part)), 3.2)


def _before(x: Array, out: Array) -> Array:
    """The product of all earlier factors."""
    return np.concatenate([np.ones_like(out[:1]), out[:-1]])


def _rightly(g: Array, x: Array, out: Array) -> Array:
    return _later(g * out) / x


def cumulative_products(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivative of a running product."""
    table: dict[str, Callable[[Array, Array, Array], Array]] = {
        "only the own step of {op} counts, not the later ones": (
            lambda g, x, out: g * _before(x, out)
        ),
        "the later factors are left out of the derivative of {op}": (
            lambda g, x, out: _later(g) * _before(x, out)
        ),
        "the earlier factors are left out of the derivative of {op}": (
            lambda g, x, out: _rightly(g, x, out) / _before(x, out)
        ),
        "the factor itself is not divided out in the derivative of {op}": (
            lambda g, x, out: _later(g * out)
        ),
        "the own step is left out of the derivative of {op}": (
            lambda g, x, out: _rightly(g, x, out) - g * _before(x, out)
        ),
        "the derivative of {op} sums over earlier steps, not later ones": (
            lambda g, x, out: (g * out).cumsum(0) / x
        ),
        "the derivative of {op} sums over all steps, not the later ones": (
            lambda g, x, out: (g * out).sum(0) / x
        ),
        "{op} passes its gradient through": lambda g, x, out: g,
        "{op} multiplies what comes down by its value": lambda g, x, out: g * out,
        "the derivative of {op} is that of a running sum": lambda g, x, out: _later(g),
        "each step of {op} is taken for a derivative of the last product": (
            lambda g, x, out: g * out[-1:] / x
        ),
    }
    for text, rule in table.items():

        def part(n: Node, g: Array, rule: Any = rule) -> Any:
            axis = n.ints[0]
            arrays = (np.moveaxis(a, axis, 0) for a in (g, n.inputs[0].value, n.value))
            return np.moveaxis(rule(*arrays), 0, axis)

        yield Mistake("accumulation", text, everywhere(group, Instead(0, part)), 3.2)
