"""From a graph to what the kernels run: numbers, memory, and bundles of entries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._kernels import _bundles
from fastgrad._kernels._replay import BUNDLE, CODES, MAX_AXES, Replayer
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops
from fastgrad.program.primitives.calls import call_of, is_left
from fastgrad.program.primitives.matrices import LINEAR

#: Entries of a line that are further from each other are not bundled: the box around
#: them would be mostly empty.
_APART = 64


def windows_of(nodes: Sequence[Node], result: Node) -> set[Node]:
    """Return the views whose lanes need not be copied out of those they are taken from.

    Each of their elements is another of the array's, and those who read them do not
    care how far these are apart.
    """
    readers: dict[Node, list[Node]] = {}
    for node in nodes:
        for x in node.inputs:
            readers.setdefault(x, []).append(node)
    return {
        node
        for node in nodes
        if node.op == "view"
        and node.active
        and node is not result
        and _takes_each_once(node)
        and all(one.op in _ANY_STEP for one in readers[node])
    }


#: Operations that read lanes at any distance of each other.
_ANY_STEP = {*ops.ELEMENTWISE, "contract", "view"}


def _takes_each_once(view: Node) -> bool:
    moves = view.ints[view.inputs[0].ndim :]  # per axis: along which, how far
    along = zip(moves[::2], moves[1::2], view.shape, strict=True)
    moved = [(axis, step) for axis, step, length in along if length > 1]
    axes = {axis for axis, _ in moved}
    return len(axes) == len(moved) and -1 not in axes and all(step for _, step in moved)


def assign_slots(
    nodes: Sequence[Node], result: Node, windows: set[Node]
) -> tuple[dict[Node, int], int]:
    """Where in the workspace the lanes of each active node live, and its length.

    Linear scan: a slot is free again after the last use of its node or a window of it,
    and an elementwise operation takes over the slot of an input of its shape that it is
    the last to use, as does a reshape. Offsets and length are in doubles.
    """
    owner: dict[Node, Node] = {}
    for node in nodes:
        owner[node] = owner[node.inputs[0]] if node in windows else node
    last_use = {owner[x]: i for i, node in enumerate(nodes) for x in node.inputs}
    last_use[result] = len(nodes)
    slots: dict[Node, int] = {}
    free: list[tuple[int, int]] = []  # (size, offset)
    end = 0
    for i, node in enumerate(nodes):
        if not node.active:
            continue
        if node in windows:
            slots[node] = slots[owner[node]]
            continue
        ended = [
            x for x in dict.fromkeys(owner[x] for x in node.inputs)
            if x.active and x.op != "parameter" and last_use[x] == i
        ]  # fmt: skip
        seen = {owner[x] for x in node.inputs if x in windows}
        same = [x for x in ended if _may_replace(node, x) and x not in seen]
        if same:
            slots[node] = slots[same[0]]
            ended.remove(same[0])
        else:
            size = node.size * BUNDLE
            fitting = [block for block in free if block[0] >= size]
            if fitting:
                block = min(fitting)
                free.remove(block)
                slots[node] = block[1]
                if block[0] > size:
                    free.append((block[0] - size, block[1] + size))
            else:
                slots[node] = end
                end += size
        free += [(x.size * BUNDLE, slots[x]) for x in ended]
    return slots, end


def _may_replace(node: Node, x: Node) -> bool:
    """Whether the elements of a result may be where those of an input are."""
    if node.op == "reshape":  # keeps their order; what else moves them does not
        return True
    return node.op in ops.ELEMENTWISE and x.shape == node.shape


def packed_nodes(nodes: Sequence[Node]) -> list[Node]:
    """What the kernels compute: what is active and not left to the loss."""
    return [n for n in nodes if n.active and n.op != "parameter" and not is_left(n)]


#: What a `Replayer` takes, but for the number of threads.
Packed = tuple[list[Any], list[Any], int, list[int], int, dict[int, Any]]


def packed(nodes: Sequence[Node], result: Node, shown: Collection[Node] = ()) -> Packed:
    """Pack a graph for the kernels; `nodes` in topological order.

    The values of those that are `shown` later are left out.
    """
    windows = windows_of(nodes, result)
    slots, end = assign_slots(nodes, result, windows)
    number = {node: i for i, node in enumerate(nodes)}
    values = [
        (node.shape, None if node in shown else node.value, slots.get(node, 0))
        for node in nodes
    ]
    operations = [
        (
            CODES[node.op],
            [number[x] for x in node.inputs],
            number[node],
            (*node.ints, int(node in windows)),
            _prepared(node),
            not node.local,  # of which terms serve few bundles, and take much memory
        )
        for node in packed_nodes(nodes)
    ]
    widest = max((_scratch(node) for node in nodes if node.active), default=0)
    scratch = [end + i * widest * BUNDLE for i in range(3)]
    room = end + 3 * widest * BUNDLE
    return values, operations, number[result], scratch, room, _calls(nodes)


def _calls(nodes: Sequence[Node]) -> dict[int, Any]:
    """What evaluates the lanes of operations that only Python can."""
    return {
        i: partial(
            call_of(node).differences, [x.value for x in node.inputs], node.value
        )
        for i, node in enumerate(packed_nodes(nodes))
        if node.op == "opaque"
    }


def _prepared(node: Node) -> NDArray[np.float64] | None:
    prepare = ops.PRIMITIVES[node.op].prepare
    return None if prepare is None else prepare([x.value for x in node.inputs])


def _scratch(node: Node) -> int:
    """Room that an operation needs beside its operands and result, in elements."""
    if node.op in ops.ELEMENTWISE and len(node.inputs) > 1:
        return max(x.size for x in node.inputs)
    if node.op == "reshape":
        return node.size
    if node.op in LINEAR:
        return math.prod(node.inputs[0].shape[-2:])
    if node.op in ("max", "prod"):
        return node.inputs[0].size // max(node.size, 1)
    return node.shape[node.ints[0]] if node.op == "argsort" else 0


@dataclass(frozen=True)
class BundleOrder:
    """In which order the entries of a block are bundled.

    Entries of one *line* differ only along the `free` axes. A bundle stays within a
    line, so that its box stays small: for ``W @ x`` the lines are the rows of W, for
    ``x @ W`` its columns.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]  # fixed axes, then free axes
    line: int  # entries in a line
    cost: float  # of one bundle, multiply-adds per lane

    @property
    def steps(self) -> list[int]:
        """By how much the position in the bundling order grows along each axis."""
        lengths = [self.shape[axis] for axis in self.axes]
        after = [math.prod(lengths[i + 1 :]) for i in range(len(lengths))]
        return [after[self.axes.index(axis)] for axis in range(len(lengths))]

    def entries(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        """Entries at positions in the bundling order."""
        at = np.unravel_index(position, self.moved)
        axes = tuple(at[self.axes.index(d)] for d in range(len(self.shape)))
        return np.asarray(np.ravel_multi_index(axes, self.shape))

    def position(self, entry: int) -> int:
        """Where in the bundling order an entry stands."""
        at = np.unravel_index(entry, self.shape) if self.shape else ()
        return sum(int(i) * step for i, step in zip(at, self.steps, strict=True))

    @property
    def moved(self) -> tuple[int, ...]:
        """The shape with its axes in the bundling order."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def bundles(self) -> int:
        """Number of bundles for one evaluation of every entry."""
        return math.prod(self.shape) // max(self.line, 1) * -(-self.line // BUNDLE)


def choose_order(
    replayer: Replayer, value: int, shape: tuple[int, ...], read: NDArray[np.bool_]
) -> BundleOrder:
    """The cheapest order, by the cost of a bundle in the middle of what is read."""
    ndim = len(shape)
    if not read.any():
        read = np.ones_like(read)
    half = read.size // 2
    rest = read[half:]
    middle = int(half + rest.argmax() if rest.any() else read.argmax())
    if ndim <= 4:
        candidates = list(
            itertools.chain.from_iterable(
                itertools.combinations(range(ndim), n) for n in range(ndim + 1)
            )
        )
    else:
        candidates = [(), *((d,) for d in range(ndim))]
    best: tuple[float, BundleOrder] | None = None
    for fixed in candidates:
        free = tuple(d for d in range(ndim) if d not in fixed)
        line = math.prod(shape[d] for d in free)
        axes = fixed + free
        order = BundleOrder(shape, axes, line, 0.0)
        at = order.position(middle)
        end = at - at % line + line
        first = min(at, end - min(BUNDLE, line))
        entry = np.arange(first, min(first + _APART * BUNDLE, end))
        if ndim:
            entry = order.entries(entry)
        entry = entry[read[entry]][:BUNDLE]
        _, cost = replayer.spread(value, entry.astype(np.int64))
        order = BundleOrder(shape, axes, line, cost)
        # A fixed price per bundle: finding the boxes, calling the kernels.
        total = order.bundles * (cost + 50 * 1.0)
        if best is None or total < best[0]:
            best = (total, order)
    assert best is not None
    return best[1]


class Bundles:
    """How requests for the entries of all parameters are bundled.

    Parameters
    ----------
    offsets : ndarray of int64, shape (number of parameters + 1,)
        Where the entries of each parameter begin, and the last ends.
    orders : sequence of BundleOrder
        Of each.
    """

    def __init__(
        self, offsets: NDArray[np.int64], orders: Sequence[BundleOrder]
    ) -> None:
        self.offsets = offsets
        self._line = np.array([max(order.line, 1) for order in orders], dtype=np.int64)
        self._ndim = np.array([len(order.shape) for order in orders], dtype=np.int32)
        self._shape = np.ones((len(orders), MAX_AXES), dtype=np.int64)
        self._step = np.zeros((len(orders), MAX_AXES), dtype=np.int64)
        for b, order in enumerate(orders):
            self._shape[b, : len(order.shape)] = order.shape
            self._step[b, : len(order.shape)] = order.steps

    def make(
        self, index: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64] | None, NDArray[np.int64], NDArray[np.int64]]:
        """Group requests into bundles.

        Returns the permutation that sorts them into bundling order (None: they are),
        where in it each bundle starts (and, last, their number), and the parameter of
        each bundle.
        """
        place = (self.offsets, self._ndim, self._shape, self._step)
        position, ascending = _bundles.positions(index, *place)
        by_order = None
        if not ascending:
            by_order = np.argsort(position, kind="stable")
            position = position[by_order]
        cut = _bundles.cut(position, self.offsets, self._line, _APART, BUNDLE)
        return by_order, *cut
