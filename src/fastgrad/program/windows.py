"""Values at theta that are computed where they are looked at.

An elementwise operation on a parameter makes an array as large as the parameter, of
which a perturbed entry moves one element. Where nothing reads more of it than that, the
array is never kept: the kernels get its values around the entries that are moved, a
window at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.program.graph import Node, known, value_of

#: Entries whose windows are one.
_TOGETHER = 1 << 15


def looked_at(nodes: Sequence[Node], result: Node) -> list[Node]:
    """Return the nodes of which nothing but elements that are moved is read."""
    read = {result}
    for node in nodes:
        if node.local or node.op == "sum":
            continue
        moved = sum(x.active for x in node.inputs)
        if node.op != "contract" or moved > 1:
            read.update(node.inputs)
    return [node for node in nodes if node.local and node not in read]


def window(nodes: Sequence[Node], start: int, stop: int) -> dict[Node, Array]:
    """Return the values of local nodes at some elements.

    Parameters
    ----------
    nodes : sequence of Node
        With all before them that have no value.
    start, stop : int
        Where the elements begin and end, of each.
    """
    found: dict[Node, Array] = {}
    for node in nodes:
        inputs = [
            found[x] if x in found else part(x, node.shape, start, stop)
            for x in node.inputs
        ]
        found[node] = value_of(node, inputs)
    return found


def part(x: Node, shape: tuple[int, ...], start: int, stop: int) -> Array:
    """Return the value of an operand as elements of the result need it."""
    if x.size == 1:
        return x.value.reshape(())
    if x.shape == shape:
        return x.value.reshape(-1)[start:stop]
    return np.broadcast_to(x.value, shape).flat[start:stop]


def in_pieces(
    nodes: Sequence[Node],
) -> Iterator[tuple[dict[Node, Node], int, int]]:
    """Yield local nodes in pieces, as nodes of vectors, and which elements they are."""
    for size in dict.fromkeys(node.size for node in nodes):
        alike = [node for node in nodes if node.size == size]
        for start in range(0, size, _TOGETHER):
            stop = min(start + _TOGETHER, size)
            yield _piece(alike, start, stop), start, stop


def _piece(nodes: Sequence[Node], start: int, stop: int) -> dict[Node, Node]:
    """Return some elements of local nodes of one size, as nodes."""
    found: dict[Node, Node] = {}

    def operand(x: Node, shape: tuple[int, ...]) -> Node:
        if x in found:
            return found[x]
        value = part(x, shape, start, stop)
        return Node(x.op, (), (), value, x.label, x.source, x.active)

    for node in nodes:
        inputs = tuple(operand(x, node.shape) for x in node.inputs)
        value = value_of(node, [x.value for x in inputs])
        of = node.op, inputs, node.ints, value, node.label, node.source
        found[node] = Node(*of)
    return found


class Windows:
    """Which values are to be computed where entries of a parameter are moved.

    Parameters
    ----------
    nodes : sequence of Node
        Of the program, inputs before outputs.
    shown : sequence of Node
        Those that are `looked_at`.
    parameters : sequence of Node
    """

    def __init__(
        self, nodes: Sequence[Node], shown: Sequence[Node], parameters: Sequence[Node]
    ) -> None:
        self._offsets = np.cumsum([0, *(p.size for p in parameters)])
        self._shapes = [p.shape for p in parameters]
        self.shown = list(shown)
        sizes = {node.size for node in shown}
        self._of = [
            _read_with(p, nodes, set(shown)) if p.size in sizes else []
            for p in parameters
        ]

    def parts(self, index: Index) -> Iterator[tuple[Index, dict[Node, Array], int]]:
        """Yield which requests go together, the values they need, and from where."""
        order = np.argsort(index, kind="stable")
        ascending = index[order]
        block = np.searchsorted(self._offsets, ascending, side="right") - 1
        shown = np.array([bool(nodes) for nodes in self._of])[block]
        here = ascending - self._offsets[block]
        far = np.where(shown, here // _TOGETHER, 0)
        cut = (np.diff(far) != 0) | (np.diff(np.where(shown, block, -1)) != 0)
        edges = [0, *(np.flatnonzero(cut) + 1).tolist(), len(index)]
        for first, last in itertools.pairwise(edges if len(index) else ()):
            b = int(block[first])
            start, stop = 0, 0
            if self._of[b]:
                ends = int(here[first]), int(here[last - 1])
                start, stop = _around(*ends, self._shapes[b])
            yield order[first:last], window(self._of[b], start, stop), start

    def everything(self) -> dict[Node, Array]:
        """Return all of all values."""
        found: dict[Node, Array] = {}
        for node in self.shown:
            found[node] = value_of(node, [known(x, found) for x in node.inputs])
        return found


def _read_with(parameter: Node, nodes: Sequence[Node], shown: set[Node]) -> list[Node]:
    """Return what is read where an entry of a parameter moves; and what makes that."""
    moved = {parameter}
    for node in nodes:
        if node.local and not moved.isdisjoint(node.inputs):
            moved.add(node)
    read = moved.intersection(shown)
    for node in moved:
        read.update(shown.intersection(node.inputs))
    for node in reversed(nodes):
        if node in read:
            read.update(shown.intersection(node.inputs))
    return [node for node in nodes if node in read]


def _around(first: int, last: int, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the elements in the box around all from the first to the last."""
    step = 1
    for length in reversed(shape):
        if first // (step * length) == last // (step * length):
            break
        step *= length
    return first - first % step, last - last % step + step
