"""Plausible mistakes at each operation of a program, as what it then sends down.

One table by operation; every mistake is done to all turns of a loop at once, as in code.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.normalizations import deviations, forms, normalization, stretched
from fastgrad.causes.reverse import Instead, Reverse, Sends, einsum, elementwise
from fastgrad.program import ops
from fastgrad.program.graph import Node

Array = NDArray[np.float64]


@dataclass
class Mistake:
    """A mistake at one place of the code.

    Attributes
    ----------
    code : str
        The cause code.
    text : str
        What is wrong, `{op}` standing for the operation.
    broken : dict of Node to Sends
    cost : float
        How far-fetched it is.
    constant : bool
        Whether a constant factor may be wrong besides.
    step : bool
        Whether any multiple of the change is the same mistake.
    """

    code: str
    text: str
    broken: dict[Node, Sends]
    cost: float = 5.0
    constant: bool = False
    step: bool = False

    @property
    def node(self) -> Node:
        """The operation it is about."""
        return next(iter(self.broken))


def mistakes(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes at the operations of one group."""
    node = group[0]
    if len(node.inputs) == 1 and elementwise(node):
        yield from _derivatives(group, node.inputs[0].value)
    if len(node.inputs) == 2 and elementwise(node):
        yield from _operands(group)
    for kind in (_composites, _normalizations, *_TABLE.get(node.op, ())):
        yield from kind(reverse, group)
    yield from _broadcasts(reverse, group)
    yield from _upstream(reverse, group)
    yield from _of_function(reverse, group)


def _everywhere(group: Sequence[Node], sends: Sends) -> dict[Node, Sends]:
    return {node: sends for node in group}


# ---- derivatives of functions of one value --------------------------------------------

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
}
_SAID = {
    "sigmoid at its input": "the derivative of {op} is taken as x (1 - x) at its input x",
    "tanh at its input": "the derivative of {op} is taken as 1 - x**2 at its input x",
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

    def through(factor: Callable[[Array, Array, Array], Any]) -> dict[Node, Sends]:
        def sends(node: Node, g: Array) -> list[tuple[Node, Any]]:
            x = source(node)
            with np.errstate(all="ignore"):
                return [(x, g * factor(g, node.value, x.value))]

        return _everywhere(group, sends)

    yield Mistake(
        "local_derivative", "the derivative of {op} is left out",
        through(lambda g, out, x: 1.0), 3.0, True,
    )  # fmt: skip
    yield Mistake(
        "local_derivative", "the derivative of {op} is taken at its output, not its input",
        through(lambda g, out, x: slope(value(out), out)), 3.1,
    )  # fmt: skip
    yield Mistake(
        "local_derivative", "the derivative of {op} is applied twice",
        through(lambda g, out, x: slope(out, x) ** 2), 3.5,
    )  # fmt: skip
    yield Mistake(
        "local_derivative", "what comes down is divided by the derivative of {op}",
        through(lambda g, out, x: 1 / slope(out, x)), 3.8,
    )  # fmt: skip
    yield Mistake(
        "local_derivative", "the derivative of {op} is taken at the magnitude",
        through(lambda g, out, x: np.abs(slope(out, x))), 3.8,
    )  # fmt: skip
    for name, (of, factor) in _SLOPES.items():
        said = _SAID.get(name, f"the derivative of {of} is used for {{op}}")
        code = "mask" if name == "relu of upstream" else "local_derivative"
        yield Mistake(code, said, through(factor), 3.6, True)


def _derivatives(group: list[Node], x: Array) -> Iterator[Mistake]:
    op = group[0].op
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
        broken = _everywhere(group, Instead(0, without))
        yield Mistake("local_derivative", text, broken, 3.5)


# ---- composed functions: sigmoid, softmax, log-softmax ----------------------------------


def _composites(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    if all(_sigmoid_input(node) is not None for node in group):
        yield from _unary(
            group,
            lambda node: _sigmoid_input(node) or node,
            lambda out, x: out * (1 - out),
            lambda x: 1 / (1 + np.exp(-x)),
        )
    if all(_softmax_input(node) is not None for node in group):
        yield from _softmax(group)
    if all(_log_softmax_input(node) is not None for node in group):
        yield from _log_softmax(group)


def _normalizations(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """The closed form of a normalisation's gradient, with a term wrong."""
    one = normalization(group[0])
    if one is not None:
        for code, text, form in forms(one):

            def sends(n: Node, g: Array, form: Any = form) -> list[tuple[Node, Any]]:
                found = normalization(n)
                assert found is not None
                return [(found.x, form(found, g))]

            yield Mistake(code, text, _everywhere(group, sends), 3.1)
    for k, (how, _) in enumerate(deviations(reverse, group[0])):
        broken: dict[Node, Sends] = {}
        for node in group:
            found = list(deviations(reverse, node))
            if k < len(found):
                broken |= _another_value(reverse, node, found[k][1])
        text = f"the backward pass of {{op}} {how}"
        yield Mistake("local_derivative", text, broken, 3.5)


def _another_value(reverse: Reverse, node: Node, value: Array) -> dict[Node, Sends]:
    """Derivatives of a value and of what uses it, computed with another value."""

    def own(n: Node, g: Array) -> Any:
        x = [y.value for y in n.inputs]
        with np.errstate(all="ignore"):
            return ops.PRIMITIVES[n.op].derivative(g, value, x, n.ints)[0]

    broken: dict[Node, Sends] = {node: Instead(0, own)}
    for user, _ in reverse.users[node]:
        if not elementwise(user):
            continue

        def used(n: Node, g: Array) -> list[tuple[Node, Any]]:
            x = [value if y is node else y.value for y in n.inputs]
            with np.errstate(all="ignore"):
                out = ops.PRIMITIVES[n.op].evaluate(x, n.ints)
                parts = ops.PRIMITIVES[n.op].derivative(g, out, x, n.ints)
            return list(zip(n.inputs, parts, strict=True))

        broken[user] = used
    return broken


def _is_one(node: Node) -> bool:
    return not node.active and bool((node.value == 1).all())


def _sigmoid_input(node: Node) -> Node | None:
    """The x of 1 / (1 + exp(-x))."""
    if node.op == "reciprocal":
        total = node.inputs[0]
    elif node.op == "divide" and _is_one(node.inputs[0]):
        total = node.inputs[1]
    else:
        return None
    if total.op != "add" or not any(_is_one(x) for x in total.inputs):
        return None
    e = next((x for x in total.inputs if x.op == "exp"), None)
    return e.inputs[0].inputs[0] if e and e.inputs[0].op == "negative" else None


def _plain(node: Node) -> Node:
    """The value before it was reshaped or repeated."""
    while node.op in ("reshape", "view"):
        node = node.inputs[0]
    return node


def _prelu(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
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
    yield Mistake("mask", text, _everywhere(group, sends), 3.2)


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


def _softmax_input(node: Node) -> tuple[Node, int] | None:
    """The x and the axis of exp(x) / sum(exp(x))."""
    if node.op != "divide" or node.inputs[0].op != "exp":
        return None
    total = _plain(node.inputs[1])
    if total.op != "sum" or total.inputs[0] is not node.inputs[0]:
        return None
    axes = [d for d, reduced in enumerate(total.ints) if reduced]
    return (node.inputs[0].inputs[0], axes[0]) if len(axes) == 1 else None


def _log_softmax_input(node: Node) -> tuple[Node, int] | None:
    """The x and the axis of x - log(sum(exp(x)))."""
    if node.op != "subtract":
        return None
    log = _plain(node.inputs[1])
    total = _plain(log.inputs[0]) if log.op == "log" else log
    if log.op != "log" or total.op != "sum" or total.inputs[0].op != "exp":
        return None
    x = total.inputs[0].inputs[0]
    axes = [d for d, reduced in enumerate(total.ints) if reduced]
    return (x, axes[0]) if x is node.inputs[0] and len(axes) == 1 else None


def _extreme(x: Array) -> Any:
    """The entry of the largest magnitude."""
    return x.flat[np.argmax(np.abs(x))]


def _softmax(group: list[Node]) -> Iterator[Mistake]:
    def jacobian(g: Array, p: Array, axis: int) -> Array:
        return p * (g - np.sum(g * p, axis=axis, keepdims=True))

    def other(g: Array, p: Array, axis: int) -> Array:
        return jacobian(g, p, (axis - 1) % g.ndim if g.ndim > 1 else axis)

    table: dict[str, tuple[str, Callable[[Array, Array, int], Any]]] = {
        "the softmax passes its gradient through unchanged": (
            "cross_term", lambda g, p, axis: g),
        "the softmax Jacobian has its diagonal p (1 - p) only": (
            "cross_term", lambda g, p, axis: g * p * (1 - p)),
        "the softmax Jacobian lacks the term -p p^T": (
            "cross_term", lambda g, p, axis: g * p),
        "the softmax Jacobian lacks its diagonal": (
            "cross_term", lambda g, p, axis: jacobian(g, p, axis) - g * p),
        "the softmax Jacobian lacks the factor p": (
            "cross_term", lambda g, p, axis: g - np.sum(g * p, axis=axis, keepdims=True)),
        "the gradient behind the softmax is multiplied by the upstream again": (
            "local_derivative", lambda g, p, axis: g * jacobian(g, p, axis)),
        "the softmax Jacobian is applied twice": (
            "local_derivative",
            lambda g, p, axis: jacobian(jacobian(g, p, axis), p, axis)),
        "the softmax Jacobian averages where it is to sum": (
            "reduction",
            lambda g, p, axis: p * (g - np.mean(g * p, axis=axis, keepdims=True))),
        "the softmax Jacobian sums over the wrong axis": ("reduction", other),
    }  # fmt: skip
    for text, (code, part) in table.items():

        def sends(node: Node, g: Array, part: Any = part) -> list[tuple[Node, Any]]:
            found = _softmax_input(node)
            assert found is not None
            return [(found[0], part(g, node.value, found[1]))]

        yield Mistake(code, text, _everywhere(group, sends), 3.2)


def _log_softmax(group: list[Node]) -> Iterator[Mistake]:
    table: dict[str, tuple[str, Callable[[Array, Array, int], Any]]] = {
        "the log-softmax passes its gradient through, without the term from its sum": (
            "cross_term", lambda g, p, axis: g),
        "the log-softmax subtracts p, not p times the sum of what comes down": (
            "cross_term", lambda g, p, axis: g - p),
        "the log-softmax has the diagonal 1 - p of its Jacobian only": (
            "cross_term", lambda g, p, axis: g * (1 - p)),
        "places that are masked out behind the log-softmax receive p all the same": (
            "mask", lambda g, p, axis: g - p * _extreme(np.sum(g, axis, keepdims=True))),
        "the log-softmax is taken for a softmax": (
            "local_derivative",
            lambda g, p, axis: p * (g - np.sum(g * p, axis=axis, keepdims=True))),
        "the log-softmax sums over the wrong axis": (
            "reduction",
            lambda g, p, axis: g - p * np.sum(
                g, axis=(axis - 1) % g.ndim if g.ndim > 1 else axis, keepdims=True)),
        "the log-softmax averages where it is to sum": (
            "reduction",
            lambda g, p, axis: g - p * np.mean(g, axis=axis, keepdims=True)),
    }  # fmt: skip
    for text, (code, part) in table.items():

        def sends(node: Node, g: Array, part: Any = part) -> list[tuple[Node, Any]]:
            found = _log_softmax_input(node)
            assert found is not None
            return [(found[0], part(g, np.exp(node.value), found[1]))]

        yield Mistake(code, text, _everywhere(group, sends), 3.2)


# ---- functions of two values ------------------------------------------------------------


def _operands(group: list[Node]) -> Iterator[Mistake]:
    node = group[0]
    if node.op == "multiply":
        for i in (0, 1):
            yield from _factor(group, i)
    elif node.op == "divide":
        yield from _quotient(group)
    elif node.op in ("maximum", "minimum"):
        yield from _kink(group)
    elif node.op == "power":
        exponent = node.inputs[1]
        if not exponent.active:
            yield from _power(group)


def _factor(group: list[Node], i: int) -> Iterator[Mistake]:
    node = group[0]
    if not node.inputs[i].active:
        return
    other = node.inputs[1 - i]
    value = other.value
    mask = not other.active and np.unique(value).size == 2 and bool((value == 0).any())

    def by(factor: Callable[[Node], Any]) -> dict[Node, Sends]:
        def part(node: Node, g: Array) -> Any:
            with np.errstate(all="ignore"):
                return g * factor(node)

        return _everywhere(group, Instead(i, part))

    if mask:
        top = float(value.max())
        kept = lambda n: (n.inputs[1 - i].value != 0) * 1.0  # noqa: E731
        yield Mistake("mask", "the mask of {op} is left out", by(lambda n: 1.0), 3.0)
        yield Mistake(
            "mask", "the mask of {op} is left out, its factor is not",
            by(lambda n: n.inputs[1 - i].value.max()), 3.0,
        )  # fmt: skip
        yield Mistake(
            "mask", "the mask of {op} is inverted",
            by(lambda n: n.inputs[1 - i].value.max() - n.inputs[1 - i].value), 3.0,
        )  # fmt: skip
        yield Mistake(
            "mask", "the mask of {op} is inverted", by(lambda n: 1 - kept(n)), 3.0
        )
        if top != 1:
            text = f"the factor {top:.6g} beside the mask of {{op}} is left out"
            yield Mistake("scale", text, by(kept), 3.0)
        return
    if value.ndim or other.active:
        text = "the other factor of {op} is left out"
        yield Mistake("local_derivative", text, by(lambda n: 1.0), 3.3, True)
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


def _quotient(group: list[Node]) -> Iterator[Mistake]:
    node = group[0]

    def by(i: int, factor: Callable[[Array, Array, Array], Any]) -> dict[Node, Sends]:
        def part(n: Node, g: Array) -> Any:
            x, y = n.inputs[0].value, n.inputs[1].value
            with np.errstate(all="ignore"):
                return g * factor(n.value, x, y)

        return _everywhere(group, Instead(i, part))

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
            ("the derivative of {op} with respect to its divisor lacks a division",
             lambda out, x, y: -x),
            ("the derivative of {op} with respect to its divisor divides once only",
             lambda out, x, y: -x / y),
            ("the derivative of {op} with respect to its divisor is taken as 1 / y",
             lambda out, x, y: 1 / y),
            ("the derivative of {op} with respect to its divisor is left out",
             lambda out, x, y: 1.0),
            ("the derivative of {op} with respect to its divisor lacks the dividend",
             lambda out, x, y: -1 / y**2),
        ):  # fmt: skip
            yield Mistake("local_derivative", text, by(1, factor), 3.6, True)


def _power(group: list[Node]) -> Iterator[Mistake]:
    def by(factor: Callable[[Array, Array, Array], Any]) -> dict[Node, Sends]:
        def part(n: Node, g: Array) -> Any:
            with np.errstate(all="ignore"):
                return g * factor(n.value, n.inputs[0].value, n.inputs[1].value)

        return _everywhere(group, Instead(0, part))

    for text, factor in (
        ("the derivative of {op} is left out", lambda out, x, y: 1.0),
        ("the derivative of {op} lacks its exponent", lambda out, x, y: x ** (y - 1)),
        ("the derivative of {op} keeps the whole exponent", lambda out, x, y: y * out),
        ("the derivative of {op} lacks its power", lambda out, x, y: y),
    ):
        yield Mistake("local_derivative", text, by(factor), 3.4)


def _kink(group: list[Node]) -> Iterator[Mistake]:
    """maximum and minimum: which side passes the gradient."""
    for i in (0, 1):
        if not group[0].inputs[i].active:
            continue
        sign = 1 if group[0].op == "maximum" else -1

        def by(
            factor: Callable[[Array, Array, Array, Array], Any], i: int = i
        ) -> dict[Node, Sends]:
            def part(n: Node, g: Array) -> Any:
                return g * factor(g, n.value, n.inputs[i].value, n.inputs[1 - i].value)

            return _everywhere(group, Instead(i, part))

        for code, text, factor in (
            ("local_derivative", "the derivative of {op} is left out",
             lambda g, out, x, y: 1.0),
            ("mask", "{op} passes the gradient on the wrong side",
             lambda g, out, x, y, s=sign: (s * x < s * y) * 1.0),
            ("mask", "{op} passes gradients where they are positive, not by its input",
             lambda g, out, x, y: (g > 0) * 1.0),
            ("mask", "{op} passes gradients where they are negative, not by its input",
             lambda g, out, x, y: (g < 0) * 1.0),
            ("local_derivative", "the value of {op} is used in place of its derivative",
             lambda g, out, x, y: out),
            ("mask", "{op} decides by the sign of its input",
             lambda g, out, x, y, s=sign: (s * x > 0) * 1.0),
        ):  # fmt: skip
            yield Mistake(code, text, by(factor), 3.2)


def _where(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
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
    yield Mistake("mask", text, _everywhere(group, exchanged), 3.0)
    for i, which in ((1, "first"), (2, "second")):
        text = f"the {which} branch of {{op}} is taken everywhere"
        yield Mistake("local_derivative", text, _everywhere(group, always(i)), 3.1)
    text = "{op} passes the gradient to both branches"
    yield Mistake("mask", text, _everywhere(group, both), 3.1)


# ---- reductions and broadcasts -----------------------------------------------------------


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


def _broadcasts(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
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


def _kept(shape: tuple[int, ...], axes: tuple[int, ...], where: Any) -> Array:
    kept = np.zeros(shape)
    key: list[Any] = [slice(None)] * len(shape)
    for axis in axes:
        key[axis] = where
    kept[tuple(key)] = 1.0
    return kept


_SOME = (
    ("the first", 0),
    ("the last", -1),
    ("all but the last", slice(None, -1)),
    ("all but the first", slice(1, None)),
)


def _subsets(axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [s for n in range(1, len(axes) + 1) for s in combinations(axes, n)]


def _one_of(group: list[Node], i: int, axes: tuple[int, ...]) -> Iterator[Mistake]:
    """Only one repetition, or all but one, is counted."""
    node = group[0]
    for chosen in _subsets(axes):
        if len(chosen) > 2:
            continue
        for which, where in _SOME:
            if isinstance(where, slice) and len(chosen) > 1:
                continue

            def part(
                n: Node, g: Array, chosen: Any = chosen, where: Any = where
            ) -> Any:
                full = _unreduced(n, i, g) * _kept(n.shape, chosen, where)
                return _reduced(n, i, full)

            many = isinstance(where, slice)
            text = (
                f"the gradient of an input that {{op}} repeats has {which} of its "
                + ("uses" if many else "use")
                + f" along axis {chosen if len(chosen) > 1 else chosen[0]} only"
            )
            code = "geometry" if many else "reduction"
            broken = _everywhere(group, Instead(i, part))
            yield Mistake(code, text, broken, 3.6)
    assert node is group[0]


def _wrong_axes(group: list[Node], i: int, axes: tuple[int, ...]) -> Iterator[Mistake]:
    """Reduced over other axes than those of the repetition, or averaged over some."""
    node = group[0]
    x = node.inputs[i]
    for chosen in _subsets(axes):
        if chosen == axes:
            continue

        def averaged(n: Node, g: Array, chosen: Any = chosen) -> Any:
            count = np.prod([n.shape[d] for d in chosen])
            return _reduced(n, i, _unreduced(n, i, g) / count)

        text = f"the gradient that {{op}} sends down is averaged over axes {chosen}"
        yield Mistake("reduction", text, _everywhere(group, Instead(i, averaged)), 3.5)
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
            yield Mistake("reduction", text, _everywhere(group, Instead(i, other)), 3.4)


def _sum(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Only some of the summands receive the gradient of their sum."""
    node = group[0]
    axes = tuple(d for d, reduced in enumerate(node.ints) if reduced)
    for chosen in _subsets(axes):
        if len(chosen) > 2:
            continue
        for which, where in _SOME:

            def part(
                n: Node, g: Array, chosen: Any = chosen, where: Any = where
            ) -> Any:
                shape = n.inputs[0].shape
                axes = tuple(d for d, reduced in enumerate(n.ints) if reduced)
                return np.expand_dims(g, axes) * _kept(shape, chosen, where)

            code = "partial" if not isinstance(where, slice) else "geometry"
            text = f"only {which} along axis {chosen} receives the gradient of {{op}}"
            count = int(np.prod([node.inputs[0].shape[d] for d in axes]))
            assert count >= 1
            yield Mistake(code, text, _everywhere(group, Instead(0, part)), 3.7, True)


#: Usual tolerances within which values are taken to be equal.
_TOLERANCES = [m * 10.0**e for e in range(-8, 1) for m in (1, 2, 3, 5)]


def _max(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """The gradient of a maximum goes to its winner."""

    def by(
        share: Callable[[Array, Array, tuple[int, ...]], Array],
    ) -> dict[Node, Sends]:
        def part(n: Node, g: Array) -> Any:
            axes = tuple(d for d, reduced in enumerate(n.ints) if reduced)
            return np.expand_dims(g, axes) * share(n.inputs[0].value, n.value, axes)

        return _everywhere(group, Instead(0, part))

    def count(x: Array, axes: tuple[int, ...]) -> Any:
        return np.prod([x.shape[d] for d in axes])

    def first(x: Array, out: Array, axes: tuple[int, ...]) -> Array:
        return _kept(x.shape, axes, 0)

    def last(x: Array, out: Array, axes: tuple[int, ...]) -> Array:
        return _kept(x.shape, axes, -1)

    def smallest(x: Array, out: Array, axes: tuple[int, ...]) -> Array:
        return (x == x.min(axis=axes, keepdims=True)) * 1.0

    def near(tolerance: float) -> Callable[..., Array]:
        return lambda x, out, axes: (
            (np.abs(x - np.expand_dims(out, axes)) <= tolerance) * 1.0
        )

    def crossed(x: Array, out: Array, axes: tuple[int, ...]) -> Array:
        won = (x == np.expand_dims(out, axes)) * 1.0
        if len(axes) == 2 and x.shape[axes[0]] == x.shape[axes[1]]:
            return won.swapaxes(*axes)
        return won

    yield Mistake("mask", "all entries receive the gradient of {op}, not its winner",
                  by(lambda x, out, axes: np.ones(x.shape)), 3.2, True)  # fmt: skip
    yield Mistake(
        "mask",
        "the gradient of {op} is shared by all entries, as of an average",
        by(lambda x, out, axes: np.full(x.shape, 1 / count(x, axes))),
        3.2,
    )
    yield Mistake("mask", "the first entry receives the gradient of {op}, not its winner",
                  by(first), 3.2)  # fmt: skip
    yield Mistake("mask", "the last entry receives the gradient of {op}, not its winner",
                  by(last), 3.2)  # fmt: skip
    yield Mistake("mask", "the smallest entry receives the gradient of {op}",
                  by(smallest), 3.2)  # fmt: skip
    yield Mistake("mask", "the winner's places along two axes of {op} are exchanged",
                  by(crossed), 3.2)  # fmt: skip
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
        yield Mistake("mask", text, _everywhere(group, Instead(0, rule)), 3.4)


def _cumsum(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    table: dict[str, Callable[[Node, Array], Any]] = {
        "later sums are left out: {op} passes its gradient through": lambda n, g: g,
        "{op} is undone by a sum in the same direction": lambda n, g: np.cumsum(
            g, axis=n.ints[0]
        ),
    }
    for text, part in table.items():
        yield Mistake("accumulation", text, _everywhere(group, Instead(0, part)), 3.2)


# ---- products, gathers and views --------------------------------------------------------


def _contract(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    for i in (0, 1):
        if group[0].inputs[i].active:
            yield from _operand_moved(group, i)
            yield from _operand_replaced(reverse, group, i)
            yield from _part_of_sum(group, i)
            yield from _result_moved(group, i)


def _product(node: Node, i: int, g: Array, other: Array) -> Any:
    """What input `i` of a contraction receives, with this for the other input."""
    x, y, out = ops.contraction_labels(node.ints)
    mine, theirs = (x, y) if i == 0 else (y, x)
    return einsum(g, out, other, theirs, mine)


def _turns(
    shape: tuple[int, ...],
) -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    """Ways to misplace the elements of an array that keep its shape."""
    for a, b in combinations(range(len(shape)), 2):
        if shape[a] == shape[b] > 1:
            yield (
                "layout",
                f"axes {a} and {b} exchanged",
                (lambda x, a=a, b=b: np.swapaxes(x, a, b)),
            )
    long = [d for d, n in enumerate(shape) if n > 1]
    if len(shape) > 2:
        for n in (1, 2):
            for axes in combinations(long, n):
                yield (
                    "geometry",
                    f"axes {axes} reversed",
                    (lambda x, axes=axes: np.flip(x, axes)),
                )


def _operand_moved(group: list[Node], i: int) -> Iterator[Mistake]:
    for code, how, turn in _turns(group[0].inputs[1 - i].shape):

        def part(n: Node, g: Array, turn: Any = turn) -> Any:
            return _product(n, i, g, turn(n.inputs[1 - i].value))

        text = f"the derivative of {{op}} uses its other operand with {how}"
        if how == "axes 0 and 1 exchanged":
            text = "the derivative of {op} lacks a transpose"
        yield Mistake(code, text, _everywhere(group, Instead(i, part)), 3.3)
    for code, how, turn in _turns(group[0].shape):

        def upstream(n: Node, g: Array, turn: Any = turn) -> Any:
            return _product(n, i, turn(g), n.inputs[1 - i].value)

        text = f"what comes down to {{op}} is used with {how}"
        yield Mistake(code, text, _everywhere(group, Instead(i, upstream)), 3.4)


def _result_moved(group: list[Node], i: int) -> Iterator[Mistake]:
    x = group[0].inputs[i]
    for code, how, turn in _turns(x.shape):

        def part(n: Node, g: Array, turn: Any = turn) -> Any:
            return turn(_product(n, i, g, n.inputs[1 - i].value))

        text = f"the gradient that {{op}} sends down has {how}"
        yield Mistake(code, text, _everywhere(group, Instead(i, part)), 3.4)


def _part_of_sum(group: list[Node], i: int) -> Iterator[Mistake]:
    """Only part of the sum over an axis of the result is taken."""
    node = group[0]
    for chosen in _subsets(tuple(d for d, n in enumerate(node.shape) if n > 1)):
        for which, where in _SOME:
            if len(chosen) > 1 and isinstance(where, slice) and len(chosen) > 2:
                continue

            def part(
                n: Node, g: Array, chosen: Any = chosen, where: Any = where
            ) -> Any:
                kept = _kept(n.shape, chosen, where)
                return _product(n, i, g * kept, n.inputs[1 - i].value)

            axis = chosen if len(chosen) > 1 else chosen[0]
            text = f"only {which} along axis {axis} of {{op}} counts for the gradient"
            many = isinstance(where, slice)
            code = "geometry" if many else "partial"
            yield Mistake(code, text, _everywhere(group, Instead(i, part)), 3.7)


def _operand_replaced(reverse: Reverse, group: list[Node], i: int) -> Iterator[Mistake]:
    """Another value of the same shape stands where the other operand is due."""
    node = group[0]
    other = node.inputs[1 - i]
    base = _plain(other)
    table: list[tuple[str, str, Callable[[Node], Array | None]]] = []
    if other.active:
        table.append((
            "local_derivative", "the gradient of the other operand of {op} is used in "
            "its place",
            lambda n: reverse.gradient.get(n.inputs[1 - i]),
        ))  # fmt: skip
        table.append((
            "local_derivative", "the gradient of the other operand of {op} is used in "
            "its place",
            lambda n: np.asarray(reverse.parts(n)[1 - i]),
        ))  # fmt: skip
    table.append((
        "local_derivative", "the other operand of {op} is left out",
        lambda n: np.ones(n.inputs[1 - i].shape),
    ))  # fmt: skip
    if base.inputs and elementwise(base) and base.inputs[0].shape == other.shape:
        table.append((
            "local_derivative", "the derivative of {op} uses the value before "
            f"{base.label} where that after it is due",
            lambda n: n.inputs[1 - i].inputs[0].value if n.inputs[1 - i].inputs else None,
        ))  # fmt: skip
    table += _other_turns(reverse, group, i)
    yield from _updated_operand(reverse, group, i)
    for code, text, value in table:

        def part(n: Node, g: Array, value: Any = value) -> Any:
            found = value(n)
            if found is None or found.shape != n.inputs[1 - i].shape:
                found = n.inputs[1 - i].value
            return _product(n, i, g, found)

        yield Mistake(code, text, _everywhere(group, Instead(i, part)), 3.5)


def _updated_operand(reverse: Reverse, group: list[Node], i: int) -> Iterator[Mistake]:
    """The other operand has been moved along its gradient already, by any step."""
    if not group[0].inputs[1 - i].active:
        return
    text = "the derivative of {op} uses its other operand after it has been updated"

    def part(n: Node, g: Array) -> Any:
        right = _product(n, i, g, n.inputs[1 - i].value)
        return right + _product(n, i, g, np.asarray(reverse.parts(n)[1 - i]))

    yield Mistake("stale", text, _everywhere(group, Instead(i, part)), 3.6, step=True)


def _other_turns(
    reverse: Reverse, group: list[Node], i: int
) -> list[tuple[str, str, Callable[[Node], Array | None]]]:
    """The other operand of the turn before or after; states that are carried along."""
    if len(group) < 2 or not group[-1].inputs[1 - i].active:
        return []
    producer = group[-1].inputs[1 - i]
    states = next((g for g in reverse.groups if producer in g), [])
    before = {n: m.inputs[1 - i].value for n, m in zip(group[1:], group, strict=False)}
    after = {n: m.inputs[1 - i].value for n, m in zip(group, group[1:], strict=False)}
    if len(states) >= len(group) - 1:
        # The states that the turns make, the last one's too.
        made = states[-len(group) :] if len(states) >= len(group) else states
        after.update({n: m.value for n, m in zip(group, made, strict=False)})
    return [
        ("stale", "the derivative of {op} uses the state before the one that is due",
         before.get),
        ("stale", "the derivative of {op} uses the state after the one that is due",
         after.get),
    ]  # fmt: skip


def _take(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Rows taken several times receive several gradients, to be added."""

    def by(rule: Callable[[Array, Array, Array], None]) -> dict[Node, Sends]:
        def part(n: Node, g: Array) -> Any:
            total = np.zeros(n.inputs[0].shape)
            rule(total, np.asarray(n.ints[1:]), g)
            return total

        return _everywhere(group, Instead(0, part))

    def last(total: Array, index: Array, g: Array) -> None:
        for k, row in enumerate(index):
            total[row] = g[k]

    def first(total: Array, index: Array, g: Array) -> None:
        for k, row in reversed(list(enumerate(index))):
            total[row] = g[k]

    def rows(n: Node) -> int:
        """How many rows the array of indices has."""
        users = [u for u, _ in reverse.users[n] if u.op == "reshape"]
        tail = n.inputs[0].value.ndim - 1
        lead = users[0].shape[: users[0].value.ndim - tail] if users else ()
        return lead[0] if len(lead) > 1 else 1

    def each(total: Array, index: Array, g: Array) -> None:
        n = rows(group[0])
        for index_, g_ in zip(np.split(index, n), np.split(g, n), strict=True):
            part = np.zeros_like(total)
            last(part, index_, g_)
            total += part

    def averaged(total: Array, index: Array, g: Array) -> None:
        np.add.at(total, index, g)
        count = np.maximum(np.bincount(index, minlength=len(total)), 1)
        total /= count.reshape(-1, *[1] * (total.ndim - 1))

    def shifted(by: int) -> Callable[[Array, Array, Array], None]:
        def rule(total: Array, index: Array, g: Array) -> None:
            np.add.at(total, (index + by) % len(total), g)

        return rule

    def cut(by: int) -> Callable[[Array, Array, Array], None]:
        def rule(total: Array, index: Array, g: Array) -> None:
            inside = (index + by >= 0) & (index + by < len(total))
            np.add.at(total, (index + by)[inside], g[inside])

        return rule

    def gathered(total: Array, index: Array, g: Array) -> None:
        total[...] = g[np.arange(len(total)) % len(g)]

    for code, text, rule in (
        ("duplicate_index", "of rows that {op} takes several times only the last counts",
         last),
        ("duplicate_index", "of indices that a row of {op} repeats only one counts", each),
        ("duplicate_index", "of rows that {op} takes several times only the first counts",
         first),
        ("duplicate_index", "the gradients of rows that {op} takes several times are "
         "averaged, not added", averaged),
        ("duplicate_index", "the derivative of {op} gathers where it is to scatter",
         gathered),
        ("geometry", "the indices of {op} are one too large", shifted(1)),
        ("geometry", "the indices of {op} are one too small", shifted(-1)),
        ("geometry", "the indices of {op} are one too large", cut(1)),
        ("geometry", "the indices of {op} are one too small", cut(-1)),
    ):  # fmt: skip
        yield Mistake(code, text, by(rule), 3.0)


def _view(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
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
            yield Mistake("geometry", text, _everywhere(group, Instead(0, part)), 3.5)
    yield from _view_turned(group)


def _view_turned(group: list[Node]) -> Iterator[Mistake]:
    for code, how, turn in _turns(group[0].shape):

        def part(n: Node, g: Array, turn: Any = turn) -> Any:
            return ops.PRIMITIVES["view"].derivative(
                turn(g), n.value, [n.inputs[0].value], n.ints
            )[0]

        text = f"what comes down to {{op}} is used with {how}"
        yield Mistake(code, text, _everywhere(group, Instead(0, part)), 3.5)
    for axis, n in enumerate(group[0].shape):
        if n < 2:
            continue
        for which, where in _SOME:

            def some(n: Node, g: Array, axis: int = axis, where: Any = where) -> Any:
                return ops.PRIMITIVES["view"].derivative(
                    g * _kept(n.shape, (axis,), where),
                    n.value,
                    [n.inputs[0].value],
                    n.ints,
                )[0]

            code = "geometry" if isinstance(where, slice) else "partial"
            text = f"only {which} along axis {axis} of {{op}} counts for the gradient"
            yield Mistake(code, text, _everywhere(group, Instead(0, some)), 3.8)


def _place(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
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
            yield Mistake("geometry", text, _everywhere(group, Instead(i, part)), 3.0)


# ---- what comes down ----------------------------------------------------------------------


def _upstream(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    node = group[0]
    if node.value.ndim == 0:
        return

    def ones(n: Node, g: Array) -> list[tuple[Node, Any]]:
        return reverse.rightly(n, np.ones(n.shape))

    text = "the gradient that comes down to {op} is taken to be ones"
    yield Mistake("upstream", text, _everywhere(group, ones), 3.9)


_OF_VALUE: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("exp", lambda v: np.exp(-v)),
    ("log", lambda v: v),
    ("square", lambda v: 1 / (2 * v)),
)


def _of_function(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """The gradient with respect to a function of the value, not to the value."""
    for name, slope in _OF_VALUE:

        def sends(n: Node, g: Array, slope: Any = slope) -> list[tuple[Node, Any]]:
            with np.errstate(all="ignore"):
                return reverse.rightly(n, g * slope(n.value))

        text = f"the gradient is that of the {name} of {{op}}, not of its value"
        yield Mistake("reparametrized", text, _everywhere(group, sends), 3.9)


def _mean_of_means(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
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
            yield Mistake("reduction", text, _everywhere(group, Instead(i, part)), 3.3)


_TABLE: dict[str, tuple[Callable[[Reverse, list[Node]], Iterator[Mistake]], ...]] = {
    "add": (_prelu,),
    "multiply": (_mean_of_means,),
    "where": (_where,),
    "sum": (_sum,),
    "max": (_max,),
    "cumsum": (_cumsum,),
    "contract": (_contract,),
    "take": (_take,),
    "view": (_view,),
    "place": (_place,),
}
