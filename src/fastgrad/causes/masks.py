"""A gradient masked where nothing is: pairs, padding or triangles left out."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.reverse import Reverse
from fastgrad.program.graph import Node

Array = NDArray[np.float64]
_MOST = 8  # masks of one shape that are tried


def masked(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield masks that what comes down to an operation is multiplied by."""
    shape = group[0].shape
    if len(shape) < 2 or any(n.shape != shape for n in group):
        return
    if group[0].op in ("reshape", "view"):
        return
    for what, mask in _masks(reverse, shape):

        def sends(n: Node, g: Array, mask: Any = mask) -> list[tuple[Node, Any]]:
            return reverse.rightly(n, g * mask)

        text = f"what comes down to {{op}} is masked: only {what} counts"
        yield Mistake("mask", text, everywhere(group, sends), 4.0)


def _masks(reverse: Reverse, shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    """The masks of the loss in this shape, and triangles where rows meet themselves."""
    of_loss = [m for m in reverse.masks if m.shape == shape][:_MOST]
    for mask in of_loss:
        yield "where a mask of the loss is on", (mask != 0) * 1.0
        yield "where a mask of the loss is off", (mask == 0) * 1.0
    if shape[-1] == shape[-2] > 1:
        ones = np.ones(shape)
        yield "what is off the diagonal", 1 - np.eye(shape[-1])
        yield "the diagonal", np.eye(shape[-1])
        yield "the lower triangle", np.tril(ones)
        yield "the upper triangle", np.triu(ones)
        yield "what is below the diagonal", np.tril(ones, -1)
        yield "what is above the diagonal", np.triu(ones, 1)
