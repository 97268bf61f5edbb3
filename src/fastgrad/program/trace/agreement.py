"""What two traces of one loss must have in common.

A number that slipped past the trace is a constant of the program, though it changes
with the parameters. Traced again at moved parameters, it is another constant. So every
constant and every integer of the two programs must agree, bit for bit.

What this cannot see: numbers that stay the same when the parameters move a little
(rounded, or an outcome taken by code that is not traced). Those are left to the
comparison of the losses themselves, at points further away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastgrad.program.graph import Node


def first_constant_that_moved(
    one: Sequence[Node], other: Sequence[Node]
) -> Node | None:
    """The first constant of `one` that is another in `other`.

    Parameters
    ----------
    one, other : sequence of Node
        Two traces, inputs before outputs, alike but for their values.
    """
    for a, b in zip(one, other, strict=True):
        if a.op == "constant" and not np.array_equal(_bits(a), _bits(b)):
            return a
    return None


def _bits(node: Node) -> NDArray[np.int64]:
    return node.value.view(np.int64)


def first_other_operation(one: Sequence[Node], other: Sequence[Node]) -> Node | None:
    """The first node of `one` that `other` computes in another way, or not at all."""
    number_one = {node: i for i, node in enumerate(one)}
    number_other = {node: i for i, node in enumerate(other)}
    for a, b in zip(one, other, strict=False):
        if (a.op, a.ints, a.shape, a.label) != (b.op, b.ints, b.shape, b.label) or [
            number_one[x] for x in a.inputs
        ] != [number_other[x] for x in b.inputs]:
            return a
    return None if len(one) == len(other) else one[min(len(one) - 1, len(other))]
