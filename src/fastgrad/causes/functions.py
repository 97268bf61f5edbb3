"""Mistakes in the derivative of a function of one value, primitive or composed."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import (
    Mistake,
    everywhere,
    is_one,
)
from fastgrad.causes.reverse import Instead, Reverse, Sends, elementwise
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]


_SLOPES: dict[str, tuple[str, Callable[[Array, Array, Array], Any]]] = {
    "tanh": ("tanh", lambda g, out, x: 1 - out**2),
    "sigmoid": ("the sigmoid", lambda g, out, x: out * (1 - out)),
    "sigmoid at its input": ("", lambda g, out, x: x * (1 - x)),
    "tanh at its input": ("", lambda g, out, x: 1 - x**2),
    "relu": ("relu", lambda g, out, x: (x > 0) * 1.0),
    "relu of upstream": ("", lambda g, out, x: (g > 0) * 1.0),
    "value": ("", lambda g, out, x: out),
    "input": ("", lambda g, out, x: x),
    "reciprocal": ("", lambda g, out, x: 1 / out),
    "reciprocal input": ("", lambda g, out, x: 1 / x),
    "square of the reciprocal": ("", lambda g, out, x: out**2),
    "sin": ("sin", lambda g, out, x: np.cos(x)),
    "cos": ("cos", lambda g, out, x: np.sin(x)),
    "exp": ("exp", lambda g, out, x: np.exp(x)),
    "upstream": ("", lambda g, out, x: g),
    "sign(x)": ("", lambda g, out, x: np.sign(x)),
    "sigmoid(x) (1 - sigmoid(x))": ("", lambda g, out, x: 0.25 / np.cosh(x / 2) ** 2),
    "sigmoid(x)": ("", lambda g, out, x: 0.5 + 0.5 * np.tanh(x / 2)),
    "1 - tanh(x)**2": ("", lambda g, out, x: 1 / np.cosh(x) ** 2),
    "1 + y**2": ("", lambda g, out, x: 1 + out**2),
    "1 - y": ("", lambda g, out, x: 1 - out),
    "2 - y**2": ("", lambda g, out, x: 2 - out**2),
    "-y**2": ("", lambda g, out, x: -(out**2)),
    "1 - y**3": ("", lambda g, out, x: 1 - out**3),
    "y (1 + y)": ("", lambda g, out, x: out * (1 + out)),
    "y (2 - y)": ("", lambda g, out, x: out * (2 - out)),
}


_SAID = {
    "sigmoid at its input": "the derivative of {op} is taken as x (1 - x), x its input",
    "tanh at its input": "the derivative of {op} is taken as 1 - x**2, x its input",
    "relu of upstream": "{op} passes gradients where they are positive, not where its "
    "input is",
    "value": "the value of {op} is used in place of its derivative",
    "input": "the input of {op} is used in place of its derivative",
    "reciprocal": "one over the value of {op} is used in place of its derivative",
    "reciprocal input": "one over the input of {op} is used in place of its derivative",
    "square of the reciprocal": "the square of {op} is used in place of its derivative",
    "upstream": "the gradient that comes down to {op} is used twice",
}


def _slope(op: str) -> Callable[[Array, Array], Array]:
    """The derivative of a unary primitive, of (out, x)."""

    def slope(out: Array, x: Array) -> Array:
        one = np.ones(np.shape(out))
        return np.asarray(ops.PRIMITIVES[op].derivative(one, out, [x], ())[0])

    return slope


def _value(op: str, x: Array) -> Array:
    return ops.PRIMITIVES[op].evaluate([x], ())


def _unary(
    group: Sequence[Node],
    source: Callable[[Node], Node],
    slope: Callable[[Array, Array], Array],
    value: Callable[[Array], Array],
) -> Iterator[Mistake]:
    """Mistakes in the derivative of an elementwise function, primitive or composed."""

    def put(part: Callable[[Array, Array, Array], Any]) -> dict[Node, Sends]:
        def sends(node: Node, g: Array) -> list[tuple[Node, Any]]:
            x = source(node)
            with np.errstate(all="ignore"):
                return [(x, part(g, node.value, x.value))]

        return everywhere(group, sends)

    def through(factor: Callable[[Array, Array, Array], Any]) -> dict[Node, Sends]:
        return put(lambda g, out, x: g * factor(g, out, x))

    yield Mistake(
        "local_derivative",
        "the derivative of {op} is left out",
        through(lambda g, out, x: 1.0),
        3.0,
        True,
    )
    yield Mistake(
        "local_derivative",
        "the derivative of {op} is taken at its output",
        through(lambda g, out, x: slope(value(out), out)),
        3.1,
    )
    yield Mistake(
        "local_derivative",
        "the derivative of {op} is applied twice",
        through(lambda g, out, x: slope(out, x) ** 2),
        3.5,
    )
    yield Mistake(
        "local_derivative",
        "what comes down is divided by the derivative of {op}",
        through(lambda g, out, x: 1 / slope(out, x)),
        3.8,
    )
    yield Mistake(
        "local_derivative",
        "the derivative of {op} is taken at the magnitude",
        through(lambda g, out, x: np.abs(slope(out, x))),
        3.8,
    )
    if group[0].value.ndim == 2:
        for how, product in (
            ("", lambda g, out, x: g @ slope(out, x)),
            (" from the left", lambda g, out, x: slope(out, x) @ g),
        ):
            text = f"the derivative of {{op}} is multiplied as a matrix{how}"
            yield Mistake("local_derivative", text, put(product), 3.8)
    for name, (of, factor) in _SLOPES.items():
        said = f"the derivative of {of} is used for {{op}}"
        if not of:
            said = _SAID.get(name, f"the derivative of y = {{op}} is taken as {name}")
        code = "mask" if name == "relu of upstream" else "local_derivative"
        yield Mistake(code, said, through(factor), 3.6, True)


def derivatives(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivative of an elementwise primitive."""
    op = group[0].op
    if not elementwise(group[0]):
        return
    if op == "logaddexp":
        yield from _softplus(group)
    if len(group[0].inputs) != 1:
        return
    if ops.PRIMITIVES[op].steps or op == "negative":
        return
    yield from _unary(
        group, lambda node: node.inputs[0], _slope(op), lambda x: _value(op, x)
    )
    inner = group[0].inputs[0]
    constants = [y for y in inner.inputs if not y.active]
    if inner.op == "add" and constants:
        slope = _slope(op)

        def without(node: Node, g: Array) -> Any:
            u = next(y for y in node.inputs[0].inputs if y.active).value
            with np.errstate(all="ignore"):
                return g * slope(_value(op, u), u)

        text = (
            "the derivative of {op} leaves out the constant that is added to its input"
        )
        broken = everywhere(group, Instead(0, without))
        yield Mistake("local_derivative", text, broken, 3.5)


def _softplus(group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivative of logaddexp(0, x)."""
    if sum(x.active for x in group[0].inputs) == 1:
        yield from _unary(
            group,
            lambda node: next(x for x in node.inputs if x.active),
            lambda out, x: np.exp(x - out),
            lambda x: np.logaddexp(0.0, x),
        )


def chains(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield functions in a row, say log(1 + exp(x)), whose slope is left out."""
    for length in range(2, 7):
        starts = {node: _start(node, length) for node in group}
        x = starts[group[0]]
        if x is None or any(start is None for start in starts.values()):
            return
        of_parameter = x.op == "parameter"
        code = "reparametrized" if of_parameter else "local_derivative"
        what = x.label if of_parameter else "its innermost argument"
        for how, factor in (
            (f"the derivative of {{op}} with respect to {what} is left out", 0),
            (f"the value of {{op}} is used for its derivative by {what}", 1),
        ):

            def sends(
                node: Node, g: Array, factor: int = factor, starts: Any = starts
            ) -> list[tuple[Node, Any]]:
                return [(starts[node], g * node.value if factor else g)]

            yield Mistake(code, how, everywhere(group, sends), 3.3 + factor, True)


def _start(node: Node, length: int) -> Node | None:
    """Where a chain of so many elementwise functions of one value begins."""
    shape = node.shape
    for _ in range(length):
        active = [x for x in node.inputs if x.active]
        if not elementwise(node) or len(active) != 1 or active[0].shape != shape:
            return None
        (node,) = active
    return node


def sigmoids(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivative of 1 / (1 + exp(-x))."""
    if all(sigmoid_input(node) is not None for node in group):
        yield from _unary(
            group,
            lambda node: sigmoid_input(node) or node,
            lambda out, x: out * (1 - out),
            lambda x: 1 / (1 + np.exp(-x)),
        )


def sigmoid_input(node: Node) -> Node | None:
    """The x of 1 / (1 + exp(-x))."""
    if node.op == "reciprocal":
        total = node.inputs[0]
    elif node.op == "divide" and is_one(node.inputs[0]):
        total = node.inputs[1]
    else:
        return None
    if total.op != "add" or not any(is_one(x) for x in total.inputs):
        return None
    e = next((x for x in total.inputs if x.op == "exp"), None)
    return e.inputs[0].inputs[0] if e and e.inputs[0].op == "negative" else None


def prelus(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """max(x, 0) + slope * min(x, 0), whose side is read from the output."""
    if any(_prelu_inputs(node) is None for node in group):
        return

    def sends(node: Node, g: Array) -> list[tuple[Node, Any]]:
        x, slope = _prelu_inputs(node) or (node, node)
        on = node.value > 0
        off = g * np.where(on, 0.0, x.value)
        return [
            (x, g * np.where(on, 1.0, slope.value)),
            (slope, ops.unbroadcast(off, slope.shape)),
        ]

    text = "the side of {op} is read from the sign of its output, not of its input"
    yield Mistake("mask", text, everywhere(group, sends), 3.2)


def _prelu_inputs(node: Node) -> tuple[Node, Node] | None:
    if len(node.inputs) != 2:
        return None
    for on, product in (node.inputs, node.inputs[::-1]):
        if on.op != "maximum" or product.op != "multiply":
            continue
        for slope, off in (product.inputs, product.inputs[::-1]):
            shared = [x for x in on.inputs if x in off.inputs and x.active]
            if off.op == "minimum" and shared:
                return shared[0], slope
    return None
