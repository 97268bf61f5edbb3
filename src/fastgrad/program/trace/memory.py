"""Memory of traced arrays, in pieces: each write adds one, each read gathers.

Arrays that share memory hold positions in it. A read finds which piece each position
was last written with, so that aliases and views see every write, and an array that is
filled element by element costs what is written, not its size for each element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives import shapes
from fastgrad.program.sources import TraceError

Positions = NDArray[np.intp]


class Memory:
    """What arrays that share memory have in common.

    Parameters
    ----------
    first : Node
        What it holds before anything is written.
    owned : bool
        False for parameters, which a loss must not change.
    plain : ndarray, optional
        The array of the user that it stands for, flat and in the order of its memory.
        Values are written there too, as the loss itself would have written them.
    """

    __slots__ = (
        *("_at", "_everything", "_owner", "_protected"),
        *("first", "pieces", "plain", "version"),
    )

    def __init__(
        self, first: Node, *, owned: bool = True, plain: NDArray[Any] | None = None
    ) -> None:
        self.first = first
        self.pieces = [first]
        self.plain = plain
        #: Counts the writes: what was read before one is out of date.
        self.version = 0
        self._protected = set() if owned else {0}
        self._everything: Positions | None = None
        # For each position the piece that was written there last, and where in it.
        self._owner: NDArray[np.int32] | None = None
        self._at: Positions

    @property
    def everything(self) -> Positions:
        """All positions, in the shape of what it held first."""
        if self._everything is None:
            self._everything = np.arange(self.first.value.size)
            self._everything = self._everything.reshape(self.first.shape)
        return self._everything

    def protect(self, positions: Positions, node: Node) -> None:
        """Put a parameter there, which must not be written over."""
        self._protected.add(len(self.pieces))
        self._put(positions, node)

    def write(self, positions: Positions, node: Node) -> None:
        """Put `node`, of the shape of `positions`, there."""
        self.refuse_protected(positions)
        if self.plain is not None:
            self.plain[positions] = node.value
        whole = self._owner is None and positions.size == self.first.value.size
        if whole and np.array_equal(positions.ravel(), np.arange(positions.size)):
            self.pieces = [graph.reshape(node, self.first.shape, "[...] =")]
            self.version += 1
            return
        self._put(positions, node)
        self.version += 1

    def refuse_protected(self, positions: Positions) -> None:
        """Raise where these are a parameter's, which is about to change."""
        if self._protected and not self._protected.isdisjoint(self._owners(positions)):
            raise TraceError("changes a parameter in place")

    def read(self, positions: Positions, label: str = "[...]") -> Node:
        """What is there, as one node of the shape of `positions`."""
        if self._owner is None:
            return shapes.gather(self.pieces[0], positions, label)
        return gathered(self.pieces, self._owner[positions], self._at[positions], label)

    def _put(self, positions: Positions, node: Node) -> None:
        if self._owner is None:
            size = self.first.value.size
            self._owner, self._at = np.zeros(size, dtype=np.int32), np.arange(size)
        self._owner[positions] = len(self.pieces)
        self._at[positions] = np.arange(positions.size).reshape(positions.shape)
        self.pieces.append(node)

    def _owners(self, positions: Positions) -> Any:
        return {0} if self._owner is None else np.unique(self._owner[positions])


def gathered(
    pieces: Sequence[Node], owner: NDArray[np.int32], at: Positions, label: str
) -> Node:
    """Element by element what is in piece `owner` at place `at`, as one node."""
    if not owner.size:
        return graph.constant(np.zeros(owner.shape))
    first = int(owner.flat[0])
    if owner.size == 1 or (owner == first).all():
        return shapes.gather(pieces[first], at, label)
    return _joined(pieces, owner, at, label)


def _joined(
    pieces: Sequence[Node], owner: NDArray[np.int32], at: Positions, label: str
) -> Node:
    """Several pieces in one array: laid side by side if each fills a box of it."""
    fill = np.empty(owner.shape)
    order = np.argsort(owner, axis=None, kind="stable")
    sorted_owner = owner.ravel()[order]
    edges = np.flatnonzero(np.diff(sorted_owner)) + 1
    parts: list[tuple[Node, Positions, NDArray[np.intp]]] = []
    for places in np.split(order, edges):
        piece = pieces[int(owner.ravel()[places[0]])]
        where = at.ravel()[places]
        if piece.active:
            parts.append((piece, places, where))
        else:
            fill.ravel()[places] = piece.value.ravel()[where]
    if not parts:
        return graph.constant(fill)
    boxes = [_box(places, owner.shape) for _, places, _ in parts]
    if all(box is not None for box in boxes):
        inputs = [
            shapes.gather(piece, where.reshape(box[1]), label)  # type: ignore[index]
            for (piece, _, where), box in zip(parts, boxes, strict=True)
        ]
        offsets = [box[0] for box in boxes]  # type: ignore[index]
        return graph.place(
            inputs, offsets, np.where(_known(fill, parts), fill, 0), label
        )
    return _interleaved(parts, fill, label)


def _known(fill: Any, parts: Any) -> NDArray[np.bool_]:
    known = np.ones(fill.size, dtype=bool)
    for _, places, _ in parts:
        known[places] = False
    return known.reshape(fill.shape)


def _box(
    places: Positions, shape: tuple[int, ...]
) -> tuple[list[int], tuple[int, ...]] | None:
    """Offset and shape of the rectangle that ascending places fill, if they do."""
    if places.size == 1:
        return [int(i) for i in np.unravel_index(places[0], shape)], (1,) * len(shape)
    axes = np.unravel_index(places, shape)
    low = [int(axis.min()) for axis in axes]
    extent = tuple(int(axis.max()) - lo + 1 for axis, lo in zip(axes, low, strict=True))
    return (low, extent) if np.prod(extent) == places.size else None


def _interleaved(parts: Any, fill: NDArray[np.float64], label: str) -> Node:
    """The pieces one after the other, then every element taken to its place."""
    known = _known(fill, parts)
    rest = np.flatnonzero(known)
    vectors = [shapes.gather(piece, where, label) for piece, _, where in parts]
    places = np.concatenate([*(places for _, places, _ in parts), rest])
    vectors.append(graph.constant(fill.ravel()[rest]))
    row = shapes.concatenate(vectors, 0, label=label)
    return shapes.gather(row, np.argsort(places).reshape(fill.shape), label)


# ---- the user's own arrays -----------------------------------------------------------


def root_of(array: NDArray[Any]) -> NDArray[Any]:
    """The array whose memory this one looks into."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def flat(root: NDArray[Any]) -> NDArray[Any]:
    """All of an array that owns its memory, in the order of the memory."""
    return root.reshape(-1, order="A") if root.flags.forc else root.ravel()


def positions_in(root: NDArray[Any], view: NDArray[Any]) -> Positions:
    """Where in the memory of `root` the elements of a view of it are."""
    start = view.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    index = np.asarray(start // view.itemsize)
    for n, stride in zip(view.shape, view.strides, strict=True):
        index = index[..., None] + np.arange(n) * (stride // view.itemsize)
    return index
