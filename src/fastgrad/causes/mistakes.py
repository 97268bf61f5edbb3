"""A mistake at one place of the code, and words for the usual ones.

Every mistake is done to all turns of a loop at once, as in code.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.reverse import Instead, Sends
from fastgrad.program.graph import Node

Array = NDArray[np.float64]


@dataclass
class Mistake:
    """A mistake at one place of the code.

    Attributes
    ----------
    code : str
        The cause code.
    text : str
        What is wrong, `{op}` standing for the operation.
    broken : dict of Node to Sends
    cost : float
        How far-fetched it is.
    constant : bool
        Whether a constant factor may be wrong besides.
    step : bool
        Whether any multiple of the change is the same mistake.
    """

    code: str
    text: str
    broken: dict[Node, Sends]
    cost: float = 5.0
    constant: bool = False
    step: bool = False

    @property
    def node(self) -> Node:
        """The operation it is about."""
        return next(iter(self.broken))


def everywhere(group: Sequence[Node], sends: Sends) -> dict[Node, Sends]:
    """All operations of a group broken in the same way, as far as it concerns them."""
    concerned = where_active(group, sends.i) if isinstance(sends, Instead) else group
    return dict.fromkeys(concerned, sends)


def where_active(group: Sequence[Node], i: int) -> list[Node]:
    """Those whose input `i` has a gradient: a loop may start from a constant."""
    return [n for n in group if n.inputs[i].active]


def is_one(node: Node) -> bool:
    """Whether it is the constant 1."""
    return not node.active and bool((node.value == 1).all())


def plain(node: Node) -> Node:
    """The value before it was reshaped or repeated."""
    while node.op in ("reshape", "view"):
        node = node.inputs[0]
    return node


def miscounted(node: Node) -> Iterator[tuple[str, Array]]:
    """Values of a sum of which a term is left out, or has the wrong sign."""
    for term, sign in _terms(node):
        name = term.label if term.inputs or term.op == "parameter" else "the data"
        part = sign * np.broadcast_to(term.value, node.shape)
        yield f"without {name}", node.value - part
        yield f"with the wrong sign for {name}", node.value - 2 * part
        if not term.active and term.value.size > 1:
            with np.errstate(all="ignore"):
                yield "with the data's exp", node.value + np.exp(part) - part
                yield "with the data's logarithm", node.value + np.log(part) - part


def _terms(node: Node, depth: int = 3) -> list[tuple[Node, int]]:
    """What a value is the sum of, with signs; nothing if it is no sum."""
    if node.op not in ("add", "subtract") or not depth:
        return []
    found = []
    signs = (1, -1 if node.op == "subtract" else 1)
    for x, sign in zip(node.inputs, signs, strict=True):
        inner = _terms(x, depth - 1)
        found += [(term, sign * s) for term, s in inner] or [(x, sign)]
    return found


SOME = (
    ("the first", 0),
    ("the last", -1),
    ("all but the last", slice(None, -1)),
    ("all but the first", slice(1, None)),
)


def kept(shape: tuple[int, ...], axes: tuple[int, ...], where: Any) -> Array:
    """One at these positions along the axes, zero elsewhere."""
    kept = np.zeros(shape)
    key: list[Any] = [slice(None)] * len(shape)
    for axis in axes:
        key[axis] = where
    kept[tuple(key)] = 1.0
    return kept


def subsets(axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """All choices of some of the axes, small ones first."""
    return [s for n in range(1, len(axes) + 1) for s in combinations(axes, n)]


def _fortran(x: Array) -> Array:
    return x.ravel().reshape(x.shape, order="F")


def turns(
    shape: tuple[int, ...],
) -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    """Ways to misplace the elements of an array that keep its shape."""
    for a, b in combinations(range(len(shape)), 2):
        if shape[a] == shape[b] > 1:
            yield (
                "layout",
                f"axes {a} and {b} exchanged",
                partial(np.swapaxes, axis1=a, axis2=b),
            )
    long = [d for d, n in enumerate(shape) if n > 1]
    if len(long) > 1:
        yield "layout", "its elements in Fortran order", _fortran
    if len(shape) > 2:
        for n in (1, 2):
            for axes in combinations(long, n):
                yield (
                    "geometry",
                    f"axes {axes} reversed",
                    partial(np.flip, axis=axes),
                )
