"""Parameters that are updated before the gradient has gone back through them.

A step along the right gradient moves the values behind it. Where one of them is a
factor of a product, the gradient of the other factor is off by a multiple of what it
would be with the movement in place of the value; the multiple is the step's length.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere, where_active
from fastgrad.causes.reverse import Instead, Reverse, product_part
from fastgrad.program.graph import Node

Array = NDArray[np.float64]


def updates(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield products whose other factor has moved along its gradient already."""
    for i in (0, 1):
        some = where_active(group, i)
        for p in reverse.program.parameters:
            # Of a number any multiple is a step.
            if not some or p not in reverse.gradient or p.value.size < 2:
                continue
            moved = reverse.updated(p)
            if not all(n.inputs[1 - i] in moved for n in some):
                continue

            def part(n: Node, g: Array, i: int = i, moved: Any = moved) -> Any:
                other = n.inputs[1 - i]
                return _part(n, i, g, other.value) + _part(n, i, g, moved[other])

            text = f"the derivative of {{op}} uses {p.label} after it has been updated"
            broken = everywhere(some, Instead(i, part))
            yield Mistake("stale", text, broken, 3.6, step=True)


def _part(node: Node, i: int, g: Array, other: Array) -> Array:
    """What input `i` of a product receives with this for the other one."""
    if node.op == "multiply":
        return g * other
    return product_part(node, i, g, other)
