"""Where a program does not apply.

A guard is a value that the loss acted on: as long as it stays, the loss takes the same
branch, the same mask, the same place. Whether it stays is a program of its own, so that
what is computed for a decision alone is no kink of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives.calls import is_left
from fastgrad.program.primitives.reductions import max_
from fastgrad.program.primitives.ufuncs import elementwise, number


def departure(guards: Sequence[Node], opaque: Sequence[Node]) -> Node | None:
    """0 where the program applies.

    NaN where a guard gives way, infinite where a call is reached whose result decides
    more than numbers; None where it applies everywhere.
    """
    result = graph.constant(0.0)
    left = filter(is_left, opaque)
    given = dict.fromkeys(x for node in left for x in node.inputs if x.active)
    for values, otherwise in ((given, math.inf), (guards, math.nan)):
        changed = _any_changed([node for node in values if node.size])
        if changed is not None:
            result = elementwise(
                "where", changed, number(otherwise), result, label="guard"
            )
    return result if result.active else None


def _any_changed(nodes: Sequence[Node]) -> Node | None:
    if not nodes:
        return None
    rows = [graph.reshape(node, (node.size,), "guard") for node in nodes]
    ends = np.cumsum([0, *(row.size for row in rows)])
    row = rows[0]
    if len(rows) > 1:
        row = graph.place(
            rows, [[int(e)] for e in ends[:-1]], np.zeros(ends[-1]), "guard"
        )
    at_theta = graph.constant(row.value)
    return max_(elementwise("not_equal", row, at_theta, label="guard"), label="guard")
