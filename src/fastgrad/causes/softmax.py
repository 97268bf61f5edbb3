"""Mistakes in the Jacobian of a softmax or log-softmax."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere, plain
from fastgrad.causes.reverse import Reverse
from fastgrad.program.graph import Node

Array = NDArray[np.float64]


def _softmax_input(node: Node) -> tuple[Node, int] | None:
    """The x and the axis of exp(x) / sum(exp(x))."""
    if node.op != "divide" or node.inputs[0].op != "exp":
        return None
    total = plain(node.inputs[1])
    if total.op != "sum" or total.inputs[0] is not node.inputs[0]:
        return None
    axes = [d for d, reduced in enumerate(total.ints) if reduced]
    return (node.inputs[0].inputs[0], axes[0]) if len(axes) == 1 else None


def _log_softmax_input(node: Node) -> tuple[Node, int] | None:
    """The x and the axis of x - log(sum(exp(x)))."""
    if node.op != "subtract":
        return None
    log = plain(node.inputs[1])
    total = plain(log.inputs[0]) if log.op == "log" else log
    if log.op != "log" or total.op != "sum" or total.inputs[0].op != "exp":
        return None
    x = total.inputs[0].inputs[0]
    axes = [d for d, reduced in enumerate(total.ints) if reduced]
    return (x, axes[0]) if x is node.inputs[0] and len(axes) == 1 else None


def _extreme(x: Array) -> Any:
    """The entry of the largest magnitude."""
    return x.flat[np.argmax(np.abs(x))]


def softmaxes(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield wrong Jacobians of a softmax."""
    if any(_softmax_input(node) is None for node in group):
        return

    def jacobian(g: Array, p: Array, axis: int) -> Array:
        return np.asarray(p * (g - np.sum(g * p, axis=axis, keepdims=True)))

    def other(g: Array, p: Array, axis: int) -> Array:
        return jacobian(g, p, (axis - 1) % g.ndim if g.ndim > 1 else axis)

    table: dict[str, tuple[str, Callable[[Array, Array, int], Any]]] = {
        "the softmax passes its gradient through unchanged": (
            "cross_term",
            lambda g, p, axis: g,
        ),
        "the softmax Jacobian has its diagonal p (1 - p) only": (
            "cross_term",
            lambda g, p, axis: g * p * (1 - p),
        ),
        "the softmax Jacobian lacks the term -p p^T": (
            "cross_term",
            lambda g, p, axis: g * p,
        ),
        "the softmax Jacobian lacks its diagonal": (
            "cross_term",
            lambda g, p, axis: jacobian(g, p, axis) - g * p,
        ),
        "the softmax Jacobian lacks the factor p": (
            "cross_term",
            lambda g, p, axis: g - np.sum(g * p, axis=axis, keepdims=True),
        ),
        "the gradient behind the softmax is multiplied by the upstream again": (
            "local_derivative",
            lambda g, p, axis: g * jacobian(g, p, axis),
        ),
        "the softmax Jacobian is applied twice": (
            "local_derivative",
            lambda g, p, axis: jacobian(jacobian(g, p, axis), p, axis),
        ),
        "the softmax Jacobian averages where it is to sum": (
            "reduction",
            lambda g, p, axis: p * (g - np.mean(g * p, axis=axis, keepdims=True)),
        ),
        "the softmax Jacobian sums over the wrong axis": ("reduction", other),
    }
    for text, (code, part) in table.items():

        def sends(node: Node, g: Array, part: Any = part) -> list[tuple[Node, Any]]:
            found = _softmax_input(node)
            assert found is not None
            return [(found[0], part(g, node.value, found[1]))]

        yield Mistake(code, text, everywhere(group, sends), 3.2)


def log_softmaxes(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield wrong Jacobians of a log-softmax."""
    if any(_log_softmax_input(node) is None for node in group):
        return
    for text, (code, part) in _LOG_SOFTMAX.items():

        def sends(node: Node, g: Array, part: Any = part) -> list[tuple[Node, Any]]:
            found = _log_softmax_input(node)
            assert found is not None
            return [(found[0], part(g, np.exp(node.value), found[1]))]

        yield Mistake(code, text, everywhere(group, sends), 3.2)


def logs_of_softmaxes(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield the same for a softmax of which only the logarithm is used."""
    if any(_softmax_input(node) is None for node in group):
        return
    if any(user.op != "log" for node in group for user, _ in reverse.users[node]):
        return
    for text, (code, part) in _LOG_SOFTMAX.items():

        def sends(node: Node, g: Array, part: Any = part) -> list[tuple[Node, Any]]:
            found = _softmax_input(node)
            assert found is not None
            return [(found[0], part(g * node.value, node.value, found[1]))]

        yield Mistake(code, text, everywhere(group, sends), 3.3)


def _error(g: Array, p: Array, axis: int) -> Array:
    """What the log-softmax rightly sends down: p - y, for cross-entropy."""
    return np.asarray(g - p * np.sum(g, axis=axis, keepdims=True))


def _jacobian(g: Array, p: Array, axis: int) -> Array:
    return np.asarray(p * (g - np.sum(g * p, axis=axis, keepdims=True)))


_LOG_SOFTMAX: dict[str, tuple[str, Callable[[Array, Array, int], Any]]] = {
    "the log-softmax passes its gradient through, without the term from its sum": (
        "cross_term",
        lambda g, p, axis: g,
    ),
    "the log-softmax subtracts p, not p times the sum of what comes down": (
        "cross_term",
        lambda g, p, axis: g - p,
    ),
    "the log-softmax has the diagonal 1 - p of its Jacobian only": (
        "cross_term",
        lambda g, p, axis: g * (1 - p),
    ),
    "places that are masked out behind the log-softmax receive p all the same": (
        "mask",
        lambda g, p, axis: g - p * _extreme(np.sum(g, axis, keepdims=True)),
    ),
    "the log-softmax subtracts its own value, not p": (
        "local_derivative",
        lambda g, p, axis: g - np.log(p) * np.sum(g, axis=axis, keepdims=True),
    ),
    "the log-softmax is taken for a softmax": (
        "local_derivative",
        lambda g, p, axis: p * (g - np.sum(g * p, axis=axis, keepdims=True)),
    ),
    "the log-softmax sums over the wrong axis": (
        "reduction",
        lambda g, p, axis: (
            g
            - p
            * np.sum(g, axis=(axis - 1) % g.ndim if g.ndim > 1 else axis, keepdims=True)
        ),
    ),
    "the log-softmax averages where it is to sum": (
        "reduction",
        lambda g, p, axis: g - p * np.mean(g, axis=axis, keepdims=True),
    ),
    "the log-softmax sends the softmax Jacobian of its gradient, which holds it": (
        "cross_term",
        lambda g, p, axis: _jacobian(_error(g, p, axis), p, axis),
    ),
    "what the log-softmax sends down is multiplied by p (1 - p) again": (
        "local_derivative",
        lambda g, p, axis: _error(g, p, axis) * p * (1 - p),
    ),
    "what the log-softmax sends down is multiplied by p again": (
        "local_derivative",
        lambda g, p, axis: _error(g, p, axis) * p,
    ),
    "what comes down to the log-softmax is multiplied by p (1 - p)": (
        "local_derivative",
        lambda g, p, axis: g * p * (1 - p) - p * np.sum(g, axis=axis, keepdims=True),
    ),
    "the term of the log-softmax from its sum is multiplied by p (1 - p)": (
        "local_derivative",
        lambda g, p, axis: g - p**2 * (1 - p) * np.sum(g, axis=axis, keepdims=True),
    ),
}
