"""Mistakes with the weights ``exp(x) / sum(exp(x))`` of a log-sum-exp or softmax.

They are the derivative of a log-sum-exp: the probabilities of a classifier, the
responsibilities of a mixture, the attention paid to a key. So other weights are put in
their place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.functions import sigmoid_input
from fastgrad.causes.mistakes import Mistake, everywhere, miscounted, plain, subsets
from fastgrad.causes.reverse import Instead, Reverse
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]
#: Cause code, words, and the weights.
Weights = tuple[str, str, Array]


@dataclass
class Scores:
    """The x of ``exp(x - max(x))``, and the axes along which the exponentials add up.

    Attributes
    ----------
    node : Node
        x, before its maximum is subtracted.
    axes : tuple of int
    """

    node: Node
    axes: tuple[int, ...]

    @property
    def right(self) -> Array:
        """The weights."""
        return softmax(self.node.value, self.axes)


def softmax(x: Array, axes: tuple[int, ...]) -> Array:
    """``exp(x) / sum(exp(x))``."""
    e = np.exp(x - x.max(axis=axes, keepdims=True))
    return np.asarray(e / e.sum(axis=axes, keepdims=True))


def scores(exponential: Node, total: Node) -> Scores | None:
    """The scores whose exponentials this total is of."""
    if exponential.op != "exp" or total.op != "sum":
        return None
    x = exponential.inputs[0]
    if x.op == "subtract" and plain(x.inputs[1]).op == "max":
        x = x.inputs[0]
    axes = tuple(d for d, reduced in enumerate(total.ints) if reduced)
    return Scores(x, axes) if x.active and x.shape == exponential.shape else None


def other_weights(s: Scores) -> Iterator[Weights]:
    """Yield what is mistaken for the weights."""
    x, right = s.node.value, s.right
    for axes in subsets(tuple(range(x.ndim))):
        if axes != s.axes:
            along = f"axes {axes}" if len(axes) > 1 else f"axis {axes[0]}"
            yield "reduction", f"normalised along {along}", softmax(x, axes)
    top = x.max(axis=s.axes, keepdims=True)
    yield "local_derivative", "one for the largest score, zero else", (x == top) * 1.0
    count = np.prod([x.shape[d] for d in s.axes])
    table = {
        "not normalised": np.exp(x),
        "not normalised, the largest of them one": np.exp(x - top),
        "the scores themselves": x,
        "the logarithms of the weights": np.log(right),
        "all the same": np.full(x.shape, 1 / count),
        "ones": np.ones(x.shape),
        "sigmoids of the scores": 1 / (1 + np.exp(-x)),
        "p (1 - p) for weights p": right * (1 - right),
        "1 - p for weights p": 1 - right,
        "squared": right**2,
        "softmaxes of themselves": softmax(right, s.axes),
        "of scores with the wrong sign": softmax(-x, s.axes),
    }
    for how, weights in table.items():
        yield "local_derivative", how, weights
    yield from _of_other_scores(s)
    yield from _off_diagonal(s)


def _of_other_scores(s: Scores) -> Iterator[Weights]:
    """Scores that lack a term or a factor."""
    for how, value in miscounted(s.node):
        how = f"of scores {how}".replace("{", "(").replace("}", ")")
        yield "local_derivative", how, softmax(value, s.axes)
    if s.node.op in ("multiply", "divide"):
        for x in s.node.inputs:
            if x.active and x.shape == s.node.shape:
                how = "of scores before they were scaled"
                yield "local_derivative", how, softmax(x.value, s.axes)


def _off_diagonal(s: Scores) -> Iterator[Weights]:
    """Pairs of a thing with itself do not count, here only."""
    n = s.node.shape[-1]
    if s.node.value.ndim < 2 or s.node.shape[-2] != n:
        return
    off = s.right * (1 - np.eye(n))
    yield "mask", "zero on the diagonal", off
    total = off.sum(axis=s.axes, keepdims=True)
    yield "mask", "zero on the diagonal and normalised without it", off / total


# ---- log-sum-exp and softmax ---------------------------------------------------------


def log_sums(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield other weights in the derivative of a log-sum-exp, seen from its exp."""
    each = [log_sum(reverse, node) for node in group]
    known = {n: s for n, s in zip(group, each, strict=True) if s is not None}
    if len(known) < len(group):
        return
    with np.errstate(all="ignore"):
        found = [list(other_weights(s)) for s in known.values()]
    for code, how, weights in _in_all_turns(group, found):

        def part(n: Node, g: Array, weights: Any = weights) -> Any:
            return g * n.value.sum(axis=known[n].axes, keepdims=True) * weights[n]

        text = f"the weights in the derivative of the log-sum-exp of {{op}} are {how}"
        yield Mistake(code, text, everywhere(group, Instead(0, part)), 3.4)


def log_sum(reverse: Reverse, node: Node) -> Scores | None:
    """The scores of a log-sum-exp, of which the node is the exponential."""
    users = reverse.users[node]
    if len(users) != 1:
        return None
    total = above = users[0][0]
    while above.op in ("sum", "reshape", "view") and len(reverse.users[above]) == 1:
        above = reverse.users[above][0][0]
    return scores(node, total) if above.op == "log" else None


def softmax_weights(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield other weights in the Jacobian of a softmax."""
    known = {n: s for n in group if (s := _softmax(n)) is not None}
    if len(known) < len(group):
        return
    with np.errstate(all="ignore"):
        found = [list(other_weights(s)) for s in known.values()]
    for code, how, weights in _in_all_turns(group, found):

        def sends(
            n: Node, g: Array, weights: Any = weights
        ) -> list[tuple[Node, Array]]:
            p, s = weights[n], known[n]
            mean = np.sum(g * p, axis=s.axes, keepdims=True)
            return [(s.node, p * (g - mean))]

        text = f"the weights in the Jacobian of the softmax {{op}} are {how}"
        yield Mistake(code, text, everywhere(group, sends), 3.5)


def _softmax(node: Node) -> Scores | None:
    return scores(node.inputs[0], plain(node.inputs[1]))


def _in_all_turns(
    group: list[Node], found: list[list[Weights]]
) -> Iterator[tuple[str, str, dict[Node, Array]]]:
    """What is the same mistake in all turns of a loop."""
    tables = [{how: weights for _, how, weights in one} for one in found]
    for code, how, _ in found[0]:
        if all(how in table for table in tables):
            arrays = [table[how] for table in tables]
            yield code, how, dict(zip(group, arrays, strict=True))


def log_sums_of_two(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield other weights in the derivatives of logaddexp(x, y)."""
    if not all(x.active for x in group[0].inputs):
        return
    table = {
        "one for the larger and zero for the smaller": lambda x, y: (x > y, y >= x),
        "all the same": lambda x, y: (0.5, 0.5),
        "exchanged": lambda x, y: (
            np.exp(y - np.logaddexp(x, y)),
            np.exp(x - np.logaddexp(x, y)),
        ),
        "not normalised": lambda x, y: (np.exp(x), np.exp(y)),
        "ones": lambda x, y: (1.0, 1.0),
    }
    for how, weights in table.items():

        def sends(
            n: Node, g: Array, weights: Any = weights
        ) -> list[tuple[Node, Array]]:
            both = weights(*(x.value for x in n.inputs))
            return [
                (x, ops.unbroadcast(g * w, x.shape))
                for x, w in zip(n.inputs, both, strict=True)
            ]

        text = f"the weights in the derivatives of {{op}} are {how}"
        yield Mistake("local_derivative", text, everywhere(group, sends), 3.5)


# ---- two classes ---------------------------------------------------------------------


def two_classes(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Cross-entropy of a sigmoid p: the gradient ``p - y`` has another p."""
    node = group[0]
    x = sigmoid_input(node)
    logs = _logs(reverse, node)
    if len(group) > 1 or x is None or logs is None:
        return

    def by(weights: tuple[Array, Array]) -> Any:
        first, second = (reverse.gradient[log] for log in logs)
        sent = first * (1 - weights[0]) - second * weights[1]
        return everywhere(group, lambda n, g: [(x, sent)])

    p, z = node.value, x.value
    with np.errstate(all="ignore"):
        table = {
            "the class that it predicts": (p > 0.5) * 1.0,
            "its input": z,
            "the exponential of its input": np.exp(z),
            "its logarithm": np.log(p),
            "the probability of the other class": 1 - p,
            "one half": np.full(p.shape, 0.5),
        }
    for what, other in table.items():
        text = f"the error of {{op}} is taken with {what} in place of its value"
        yield Mistake("local_derivative", text, by((other, other)), 3.4)
    slope = p * (1 - p)
    sides = (1 - (1 - p) * slope, p), (p, p * slope)
    for which, kept in zip(("first", "second"), sides, strict=True):
        text = (
            f"the derivative of {{op}} is applied once more to the term of the {which} "
            "class"
        )
        yield Mistake("local_derivative", text, by(kept), 3.6)


def _logs(reverse: Reverse, node: Node) -> tuple[Node, Node] | None:
    """The nodes log(p) and log(1 - p), if nothing else uses p."""
    users = [user for user, _ in reverse.users[node]]
    if len(users) != 2:
        return None
    first, rest = sorted(users, key=lambda user: user.op != "log")
    second = [user for user, _ in reverse.users[rest]]
    if (first.op, rest.op) != ("log", "subtract") or rest.inputs[1] is not node:
        return None
    if len(second) != 1 or second[0].op != "log":
        return None
    return first, second[0]
