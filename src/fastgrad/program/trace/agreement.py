"""What two traces of one loss must have in common.

A number that slipped past the trace is a constant of the program, though it changes
with the parameters. Traced again at moved parameters, it is another constant. So every
constant and every integer of the two programs must agree, bit for bit. Of the other
trace only an outline is kept, for its values take as much memory as the parameters.

What this cannot see: numbers that stay the same when the parameters move a little
(rounded, or an outcome taken by code that is not traced). Those are left to the
comparison of the losses themselves, at points further away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.program.graph import Node, digest


class Line(NamedTuple):
    """One node of a trace, without its value."""

    #: Operation, parameters, shape, label; and the numbers of the inputs.
    what: tuple[str, tuple[int, ...], tuple[int, ...], str]
    of: tuple[int, ...]
    #: Of the bits of a constant.
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
            digest(node.value) if node.op == "constant" else None,
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
        if line.digest is not None and line.digest != digest(node.value):
            readers = [reader for reader in one if node in reader.inputs]
            if _is_truth(node) or not all(map(_is_unequal, readers)):
                return node
    return None


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
