"""What two traces of one loss must have in common, and when one is enough.

A number that slipped past the trace is a constant of the program, though it changes
with the parameters. Traced again at moved parameters, it is another constant. So every
constant and every integer of the two programs must agree, bit for bit. Of the other
trace only an outline is kept, for its values take as much memory as the parameters.

What this cannot see: numbers that stay the same when the parameters move a little
(rounded, or an outcome taken by code that is not traced). Those are left to the
comparison of the losses themselves, at points further away.

One trace is enough where all its numbers show in the loss: evaluated at parameters
other than those it was made at, it would give something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.program.graph import Node, digest, known, values_at
from fastgrad.program.primitives import ops
from fastgrad.program.trace.tracing import Graph


class Line(NamedTuple):
    """One node of a trace, without its value."""

    #: Operation, parameters, shape, label; and the numbers of the inputs.
    what: tuple[str, tuple[int, ...], tuple[int, ...], str]
    of: tuple[int, ...]
    #: Of the bits of its own numbers.
    digest: int | None
    #: Arguments and result of an opaque call.
    call: tuple[list[NDArray[np.float64]], NDArray[np.float64]] | None


def outline(nodes: Sequence[Node]) -> list[Line]:
    """Return what another trace must have in common with these nodes, in order."""
    number = {node: i for i, node in enumerate(nodes)}
    return [
        Line(
            (node.op, node.ints, node.shape, node.label),
            tuple(number[x] for x in node.inputs),
            digest(_numbers(node)) if _has_numbers(node) else None,
            ([x.value for x in node.inputs], node.value)
            if node.op == "opaque"
            else None,
        )
        for node in nodes
    ]


def first_constant_that_moved(
    one: Sequence[Node], other: Sequence[Line]
) -> Node | None:
    """The first constant of `one` that is another in `other`.

    But for those that are only compared with what they do not equal: a loss that keeps
    its last parameters, and what it computed there, meets others in each trace.

    Parameters
    ----------
    one : sequence of Node
        A trace, inputs before outputs.
    other : sequence of Line
        The outline of another, alike but for its values.
    """
    for node, line in zip(one, other, strict=True):
        if line.digest is not None and line.digest != digest(_numbers(node)):
            readers = [reader for reader in one if node in reader.inputs]
            if _is_truth(node) or not all(map(_is_unequal, readers)):
                return node
    return None


def _has_numbers(node: Node) -> bool:
    """Whether something in it may not come from its inputs."""
    return node.op == "constant" or node.op == "place"


def _numbers(node: Node) -> NDArray[np.float64]:
    """A constant; or what lies between the arrays that are laid into one."""
    if node.op == "constant":
        return node.value
    return ops.place([np.zeros(x.shape) for x in node.inputs], node.ints, node.value)


def _is_unequal(node: Node) -> bool:
    """Whether it compares for equality, and finds none."""
    if node.op == "not_equal":
        return bool(node.value.all())
    return node.op == "equal" and not node.value.any()


def _is_truth(node: Node) -> bool:
    """Whether it may be a mask, of which `not_equal` is the exclusive or."""
    return bool(((node.value == 0) | (node.value == 1)).all())


def first_call_of_more(one: Sequence[Node], other: Sequence[Line]) -> Node | None:
    """The first opaque call of `one` whose result is not that of its arguments alone.

    With the arguments of the other trace, which came before, it must give what it gave
    there: whatever else it depends on is as in this one.
    """
    for node, line in zip(one, other, strict=True):
        if line.call is not None:
            inputs, value = line.call
            call: Any = node.ints[0]
            if not np.array_equal(call.evaluate(inputs), value, equal_nan=True):
                return node
    return None


def first_other_operation(one: Sequence[Node], other: Sequence[Line]) -> Node | None:
    """The first node of `one` that `other` computes in another way, or not at all."""
    number = {node: i for i, node in enumerate(one)}
    for node, line in zip(one, other, strict=False):
        what = (node.op, node.ints, node.shape, node.label)
        if what != line.what or tuple(number[x] for x in node.inputs) != line.of:
            return node
    return None if len(one) == len(other) else one[min(len(one) - 1, len(other))]


# ---- one trace that is enough --------------------------------------------------------

Values = Mapping[Node, NDArray[np.float64]]
#: Operations that may leave out elements of their inputs.
_PARTS = frozenset(["view", "take", "take_along", "max"])
#: Elements of an array that may consist of short numbers.
_FEW = 64


def at_parameters(
    recorded: Graph, parameters: Sequence[NDArray[np.float64]]
) -> Values | None:
    """Return the values of a trace at other parameters, of all that depends on them.

    None where the loss would have gone another way there.
    """
    there = zip(recorded.parameters, parameters, strict=True)
    found = values_at(recorded.nodes, dict(there))
    same = all(np.array_equal(found[node], node.value) for node in recorded.guards)
    return found if same else None


def shows_its_numbers(recorded: Graph, found: Values) -> bool:
    """Whether every number is part of the loss, where the values are those found.

    Numbers that something is only compared with, and those that are not chosen, are
    not: they must be short, as those in the code are, and a parameter is not.
    """
    whole: set[Node] = set()
    shown: set[Node] = set()
    stack = [(recorded.result, True)]
    while stack:
        node, all_of_it = stack.pop()
        if node not in (whole if all_of_it else shown):
            shown.add(node)
            whole.update([node] if all_of_it else [])
            stack += _shown(node, all_of_it, found)
    for node in recorded.nodes:
        hidden = node not in (shown if node.op == "constant" else whole)
        if hidden and _has_numbers(node) and not _is_short(_numbers(node)):
            return False
    return True


def _shown(node: Node, all_of_it: bool, found: Values) -> list[tuple[Node, bool]]:
    """The inputs that the value of an operation is made of, and whether of all of each.

    A number that got past the trace is an array of its own, and shows if part of that
    does; not so where it was laid into another.
    """
    if not node.inputs or ops.PRIMITIVES[node.op].steps:
        return []
    if node.op == "where":
        chosen = known(node.inputs[0], found) != 0
        shares = [(node.inputs[1], chosen), (node.inputs[2], ~chosen)]
    elif node.op in ("maximum", "minimum"):
        value = known(node, found)
        shares = [(x, known(x, found) == value) for x in node.inputs]
    elif node.op == "place" and not all_of_it:
        return [(x, False) for x in node.inputs if x.active]
    else:
        all_of_it = all_of_it and node.op not in _PARTS
        return [(x, all_of_it) for x in node.inputs]
    return [(x, all_of_it and bool(s.all())) for x, s in shares if s.any()]


def _is_short(value: NDArray[np.float64]) -> bool:
    """Whether it consists of whole numbers, or of a few with few digits."""
    if (value == np.rint(value)).all():
        return True
    if value.size > _FEW:
        return False
    return all(float(f"{x:.6g}") == x for x in value.ravel().tolist())
