"""Complex products, traced as four real ones, undone without a conjugate.

For ``(a + bi) (c + di)`` the gradient of the first factor is what comes down times the
conjugate of the second; without it all that goes through `d` has the other sign.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake
from fastgrad.causes.reverse import Instead, Reverse, Sends
from fastgrad.program.graph import Node

Array = NDArray[np.float64]


def conjugates(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield products of complex numbers that are undone without the conjugate.

    Of the four real products only that of the imaginary parts is subtracted.
    """
    (imaginary,) = group[0].inputs
    if imaginary.op not in ("multiply", "contract") or not _alike(group[0], imaginary):
        return
    four = [n for n in reverse.nodes if n.op == imaginary.op and _alike(n, imaginary)]
    for k in (0, 1):
        other = imaginary.inputs[1 - k].value
        broken: dict[Node, Sends] = {
            n: Instead(i, partial(_negated, reverse, i))
            for n in four
            for i in (0, 1)
            if n.inputs[i].active and np.array_equal(n.inputs[1 - i].value, other)
        }
        if len(broken) > 1:
            text = "the other factor of {op} is to be conjugated on the way back"
            yield Mistake("conjugate", text, broken, 3.0)


def _alike(node: Node, other: Node) -> bool:
    """Whether both are part of one operation of the user's."""
    return node.source.site == other.source.site and node.label == other.label


def _negated(reverse: Reverse, i: int, node: Node, g: Array) -> Any:
    return -np.asarray(reverse.send(node, g)[i])
