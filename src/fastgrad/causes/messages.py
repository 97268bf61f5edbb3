"""Mistakes in recursions of log-sum-exps, as of a hidden Markov model or chain CRF.

Messages go forward as logarithms; what goes back is the probability of each state. It
follows from all that comes later, through the exponentials of the potentials.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere, plain
from fastgrad.causes.reverse import Instead, Reverse, Sends
from fastgrad.causes.weights import log_sum, softmax
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]


def messages(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes with potentials added in the log domain.

    What goes back to one term of a sum is a probability, which holds the exponential of
    the other term as a factor.
    """
    if not all(_is_exponentiated(reverse, node) for node in group):
        return
    for i in (0, 1):
        if not group[0].inputs[i].active:
            continue
        for code, how, turn in _potentials(group[0].inputs[1 - i]):

            def part(n: Node, g: Array, i: int = i, turn: Any = turn) -> Any:
                other = n.inputs[1 - i].value
                return g * np.exp(turn(other) - other)

            other = plain(group[0].inputs[1 - i])
            name = other.label.replace("{", "(").replace("}", ")")
            text = f"what goes back through {{op}} has {name} {how}"
            yield Mistake(code, text, everywhere(group, Instead(i, part)), 3.7)


def _potentials(x: Node) -> Iterator[tuple[str, str, Any]]:
    yield "local_derivative", "left out of its weights", np.zeros_like
    yield "local_derivative", "twice in its weights", lambda v: 2 * v
    for a in range(x.value.ndim):
        for b in range(a):
            if x.shape[a] == x.shape[b] > 1:
                turn = partial(np.swapaxes, axis1=a, axis2=b)
                yield "layout", "transposed in its weights", turn


def _is_exponentiated(reverse: Reverse, node: Node) -> bool:
    """Whether the value goes, as a term, into a log-sum-exp."""
    for _ in range(8):
        users = [u for u, _ in reverse.users[node] if u.op != "max"]
        if len(users) != 1:
            return False
        (node,) = users
        if node.op == "exp":
            return log_sum(reverse, node) is not None
        if node.op not in ("add", "subtract", "view", "reshape"):
            return False
    return False


# ---- filtered for smoothed -----------------------------------------------------------


def filtered(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield probabilities of states that follow from the forward messages alone."""
    if len(group) < 2 or not all(_is_exponentiated(reverse, node) for node in group):
        return
    carried = [i for i in (0, 1) if _exponential(group[0].inputs[i]) is not None]
    if len(carried) != 1:
        return
    for axis in range(group[0].value.ndim):
        for whole in (False, True):
            broken: dict[Node, Sends] = {
                n: _filtered(n, axis, {carried[0]} if not whole else set())
                for n in group
            }
            for first in _before(group[0], carried[0]):
                broken[first] = _filtered(first, axis, set())
            for user, _ in reverse.users[group[-1]]:
                if user.op == "add" and user not in broken:
                    of = user.inputs.index(group[-1])
                    broken[user] = _filtered(user, axis, {of}, group[-1])
            where = "and the transitions between them " if whole else ""
            text = (
                f"the probabilities of states {where}are those of the messages {{op}}, "
                "without all that comes later"
            )
            yield Mistake("accumulation", text, broken, 3.6)


def _filtered(
    node: Node, axis: int, rightly: set[int], message: Node | None = None
) -> Sends:
    """All inputs but these receive the weights of a message, of the mass that came."""

    def sends(n: Node, g: Array) -> list[tuple[Node, Any]]:
        mass = np.sum(g, axis=axis, keepdims=True)
        weights = mass * softmax((message or n).value, (axis,))
        return [
            (x, ops.unbroadcast(g if i in rightly else weights, x.shape))
            for i, x in enumerate(n.inputs)
        ]

    return sends


def _exponential(node: Node) -> Node | None:
    """The exponential inside of a log-sum-exp."""
    for _ in range(8):
        node = plain(node)
        if node.op == "add" and any(plain(x).op == "max" for x in node.inputs):
            node = next(x for x in node.inputs if plain(x).op != "max")
        elif node.op in ("log", "sum"):
            node = node.inputs[0]
        else:
            break
    return node if node.op == "exp" else None


def _before(node: Node, carried: int) -> Iterator[Node]:
    """The message that the first turn of the recursion starts from."""
    inner = _exponential(node.inputs[carried])
    assert inner is not None
    paths = inner.inputs[0]
    if paths.op == "subtract" and plain(paths.inputs[1]).op == "max":
        paths = paths.inputs[0]
    for x in paths.inputs:
        message = plain(x)
        if message.op == "add" and message.shape == node.shape:
            yield message
