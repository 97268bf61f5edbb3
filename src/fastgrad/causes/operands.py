"""Mistakes in the derivatives of functions of two values, and of branches."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere, where_active
from fastgrad.causes.reverse import Instead, Reverse, Sends, stretched
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]


def factors(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes with the factors of products."""
    for i in (0, 1):
        some = where_active(group, i)
        if some:
            yield from _factor(some, i)


def _factor(group: list[Node], i: int) -> Iterator[Mistake]:
    node = group[0]
    other = node.inputs[1 - i]
    value = other.value
    mask = not other.active and np.unique(value).size == 2 and bool((value == 0).any())

    def by(factor: Callable[[Node], Any]) -> dict[Node, Sends]:
        def part(node: Node, g: Array) -> Any:
            with np.errstate(all="ignore"):
                return g * factor(node)

        return everywhere(group, Instead(i, part))

    if mask:
        top = float(value.max())
        yield Mistake("mask", "the mask of {op} is left out", by(lambda n: 1.0), 3.0)
        yield Mistake(
            "mask",
            "the mask of {op} is left out, its factor is not",
            by(lambda n: n.inputs[1 - i].value.max()),
            3.0,
        )
        yield Mistake(
            "mask",
            "the mask of {op} is inverted",
            by(lambda n: n.inputs[1 - i].value.max() - n.inputs[1 - i].value),
            3.0,
        )
        yield Mistake(
            "mask",
            "the mask of {op} is inverted",
            by(lambda n: n.inputs[1 - i].value == 0),
            3.0,
        )
        if top != 1:
            text = f"the factor {top:.6g} beside the mask of {{op}} is left out"
            yield Mistake("scale", text, by(lambda n: n.inputs[1 - i].value != 0), 3.0)
        return
    if value.ndim or other.active:
        text = "the other factor of {op} is left out"
        yield Mistake("local_derivative", text, by(lambda n: 1.0), 3.3, True)
    yield from _along_another_axis(group, i)
    x = node.inputs[i].value
    if np.shape(x) == value.shape and value.ndim:
        text = "the factor itself is used where the other one of {op} is due"
        yield Mistake("local_derivative", text, by(lambda n: n.inputs[i].value), 3.4)
    text = "the product of {op} is used in place of the other factor"
    yield Mistake("local_derivative", text, by(lambda n: n.value), 3.8)
    text = "the other factor of {op} is applied twice"
    if value.ndim or other.active:
        yield Mistake(
            "local_derivative", text, by(lambda n: n.inputs[1 - i].value ** 2), 3.6
        )
        text = "what comes down is divided by the other factor of {op}"
        yield Mistake(
            "local_derivative", text, by(lambda n: 1 / n.inputs[1 - i].value), 3.8
        )


def _along_another_axis(group: list[Node], i: int) -> Iterator[Mistake]:
    """A factor that is repeated along one axis varies along another one instead."""
    node = group[0]
    repeated = stretched(node, 1 - i)
    for a in repeated:
        for b in set(range(node.value.ndim)) - set(repeated):
            if node.shape[a] != node.shape[b]:
                continue

            def part(n: Node, g: Array, a: int = a, b: int = b) -> Any:
                factor = np.broadcast_to(n.inputs[1 - i].value, n.shape)
                return g * factor.swapaxes(a, b)

            text = f"the other factor of {{op}} varies along axis {a}, not {b}"
            yield Mistake("layout", text, everywhere(group, Instead(i, part)), 3.4)


def quotients(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivatives of a division."""
    node = group[0]

    def by(i: int, factor: Callable[[Array, Array, Array], Any]) -> dict[Node, Sends]:
        def part(n: Node, g: Array) -> Any:
            x, y = n.inputs[0].value, n.inputs[1].value
            with np.errstate(all="ignore"):
                return g * factor(n.value, x, y)

        return everywhere(group, Instead(i, part))

    scalar = node.inputs[1].value.ndim == 0 and not node.inputs[1].active
    if node.inputs[0].active and not scalar:
        for text, factor in (
            ("the division of {op} is left out", lambda out, x, y: 1.0),
            ("{op} multiplies where it is to divide", lambda out, x, y: y),
            ("{op} divides twice", lambda out, x, y: 1 / y**2),
        ):
            yield Mistake("local_derivative", text, by(0, factor), 3.4, True)
    if node.inputs[1].active:
        for text, factor in (
            (
                "the derivative of {op} with respect to its divisor lacks a division",
                lambda out, x, y: -x,
            ),
            (
                "the derivative of {op} with respect to its divisor divides once only",
                lambda out, x, y: -x / y,
            ),
            (
                "the derivative of {op} with respect to its divisor is taken as 1 / y",
                lambda out, x, y: 1 / y,
            ),
            (
                "the derivative of {op} with respect to its divisor is left out",
                lambda out, x, y: 1.0,
            ),
            (
                "the derivative of {op} with respect to its divisor lacks the dividend",
                lambda out, x, y: -1 / y**2,
            ),
        ):
            yield Mistake("local_derivative", text, by(1, factor), 3.6, True)


def powers(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivative of x**y for a constant y."""
    if group[0].inputs[1].active:
        return

    def by(factor: Callable[[Array, Array, Array], Any]) -> dict[Node, Sends]:
        def part(n: Node, g: Array) -> Any:
            with np.errstate(all="ignore"):
                return g * factor(n.value, n.inputs[0].value, n.inputs[1].value)

        return everywhere(group, Instead(0, part))

    for text, factor in (
        ("the derivative of {op} is left out", lambda out, x, y: 1.0),
        ("the derivative of {op} lacks its exponent", lambda out, x, y: x ** (y - 1)),
        ("the derivative of {op} keeps the whole exponent", lambda out, x, y: y * out),
        ("the derivative of {op} lacks its power", lambda out, x, y: y),
        (
            "the derivative of {op} is that of the magnitude",
            lambda out, x, y: np.sign(x),
        ),
    ):
        constant = "magnitude" in text
        yield Mistake("local_derivative", text, by(factor), 3.4, constant)


def kinks(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Maximum and minimum: which side passes the gradient."""
    for i in (0, 1):
        if not group[0].inputs[i].active:
            continue
        sign = 1 if group[0].op == "maximum" else -1

        def by(
            factor: Callable[[Array, Array, Array, Array], Any], i: int = i
        ) -> dict[Node, Sends]:
            def part(n: Node, g: Array) -> Any:
                return g * factor(g, n.value, n.inputs[i].value, n.inputs[1 - i].value)

            return everywhere(group, Instead(i, part))

        for code, text, factor in (
            (
                "local_derivative",
                "the derivative of {op} is left out",
                lambda g, out, x, y: 1.0,
            ),
            (
                "mask",
                "{op} passes the gradient on the wrong side",
                lambda g, out, x, y, s=sign: (s * x < s * y) * 1.0,
            ),
            (
                "mask",
                "{op} passes gradients where they are positive, not by its input",
                lambda g, out, x, y: (g > 0) * 1.0,
            ),
            (
                "mask",
                "{op} passes gradients where they are negative, not by its input",
                lambda g, out, x, y: (g < 0) * 1.0,
            ),
            (
                "local_derivative",
                "the value of {op} is used in place of its derivative",
                lambda g, out, x, y: out,
            ),
            (
                "mask",
                "{op} decides by the sign of its input",
                lambda g, out, x, y, s=sign: (s * x > 0) * 1.0,
            ),
        ):
            yield Mistake(code, text, by(factor), 3.2)


def branches(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in which branch of np.where receives the gradient."""

    def exchanged(node: Node, g: Array) -> list[tuple[Node, Any]]:
        c, x, y = node.inputs
        on = np.broadcast_to(c.value != 0, node.shape)
        return [
            (x, ops.unbroadcast(g * ~on, x.shape)),
            (y, ops.unbroadcast(g * on, y.shape)),
        ]

    def always(i: int) -> Sends:
        def sends(node: Node, g: Array) -> list[tuple[Node, Any]]:
            x = node.inputs[i]
            return [(x, ops.unbroadcast(np.asarray(g), x.shape))]

        return sends

    def both(node: Node, g: Array) -> list[tuple[Node, Any]]:
        return [(x, ops.unbroadcast(np.asarray(g), x.shape)) for x in node.inputs[1:]]

    text = "the branches of {op} are exchanged"
    yield Mistake("mask", text, everywhere(group, exchanged), 3.0)
    for i, which in ((1, "first"), (2, "second")):
        text = f"the {which} branch of {{op}} is taken everywhere"
        yield Mistake("local_derivative", text, everywhere(group, always(i)), 3.1)
    text = "{op} passes the gradient to both branches"
    yield Mistake("mask", text, everywhere(group, both), 3.1)
    if group[0].inputs[0].op in ("greater", "greater_equal"):
        yield from _conditions(group)


def _conditions(group: list[Node]) -> Iterator[Mistake]:
    """The branch is chosen by a comparison that is not the one of the loss."""

    def inner(x: Node) -> Array:
        return (x.inputs[0] if x.op in ("abs", "square") else x).value

    table: dict[str, Callable[[Node, Node], Any]] = {
        "without the magnitude": lambda a, b: inner(a) > inner(b),
        "with zero": lambda a, b: a.value > 0 if a.value.size > 1 else b.value < 0,
        "of the sum": lambda a, b: a.value > -b.value,
    }
    for how, condition in table.items():

        def sends(
            n: Node, g: Array, condition: Callable[[Node, Node], Any] = condition
        ) -> list[tuple[Node, Any]]:
            on = np.broadcast_to(condition(*n.inputs[0].inputs), n.shape)
            return [
                (x, ops.unbroadcast(g * side, x.shape))
                for x, side in zip(n.inputs[1:], (on, ~on), strict=True)
            ]

        text = f"{{op}} is decided by a comparison {how}"
        yield Mistake("mask", text, everywhere(group, sends), 3.4)


def mean_of_means(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """A masked mean taken row by row, then averaged over rows."""
    for i in (0, 1):
        mask, x = group[0].inputs[1 - i], group[0].inputs[i]
        if mask.active or not x.active or mask.value.ndim < 2 or mask.shape != x.shape:
            continue
        for axis in range(mask.value.ndim):

            def part(n: Node, g: Array, axis: int = axis, i: int = i) -> Any:
                m = n.inputs[1 - i].value
                count = m.sum(axis=axis, keepdims=True)
                share = np.divide(m, count, out=np.zeros(m.shape), where=count != 0)
                return (g * m).sum() * share / (m.size / m.shape[axis])

            text = f"the mean over {{op}} is taken along axis {axis}, then averaged"
            yield Mistake("reduction", text, everywhere(group, Instead(i, part)), 3.3)
