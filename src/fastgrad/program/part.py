"""A part of a program: the same loss as a function of some entries of its parameters.

Reverse mode makes an array as large as a parameter of whatever is computed from it. So
a large parameter is cut down to some places along its axes, and with it what comes from
it entry by entry, until that is summed: a constant stands for the rest there. What is
left has the gradient of the whole program, at these entries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.program.graph import Node, in_order, value_of
from fastgrad.program.primitives import ops
from fastgrad.program.program import Program

#: Entries of all parameters up to which they are left whole.
MANY = 1 << 19
#: Entries that all are cut down to; the fewest of one, and along an axis that is cut.
ENTRIES, FEWEST, ALONG = 1 << 14, 1 << 10, 33

#: The places kept along each axis, ascending; None for all.
Places = tuple[Index | None, ...]


class _WholeError(Exception):
    """The whole of a parameter is needed."""


@dataclass(frozen=True)
class Part:
    """A loss as a function of some entries of its parameters.

    Attributes
    ----------
    whole : Program
    nodes, parameters, result
        As those of a `Program`. What joins a part to the rest has no label.
    places : list of tuple
        Of each parameter, what is kept along each axis.
    """

    whole: Program
    nodes: list[Node]
    parameters: list[Node]
    result: Node
    places: list[Places]

    @property
    def guards(self) -> list[Node]:
        """Those of the program."""
        return self.whole.guards

    @property
    def lengths(self) -> set[int]:
        """Of axes that are cut."""
        return {len(one) for each in self.places for one in each if one is not None}

    @property
    def opaque(self) -> list[Node]:
        """Those of the program."""
        return self.whole.opaque

    def index(self) -> Index:
        """Return which entries of all parameters it has, in order."""
        nest = self.whole.nest
        given = zip(nest.offsets, self.places, nest.shapes, strict=False)
        return np.concatenate([start + flat(*one) for start, *one in given])


def part_of(program: Program, wanted: Flags) -> Part | None:
    """Return a part with some of the wanted entries; None if all are needed, or few.

    Parameters
    ----------
    program : Program
    wanted : ndarray of bool
        One for each entry of all parameters.
    """
    nest = program.nest
    if nest.size <= MANY:
        return None
    places: list[Places] = [(None,) * p.ndim for p in program.parameters]
    whole = program.nodes, program.parameters, program.result
    part = Part(program, *whole, places)
    given = zip(nest.split(wanted), nest.split(program.read), strict=True)
    for b, flags in enumerate(given):
        size = program.parameters[b].size
        count = max(FEWEST, ENTRIES * size // nest.size)
        if size > 2 * count:
            part = _cut_down(part, b, _choices(*flags, count))
    return part if part.nodes is not program.nodes else None


def flat(places: Places, shape: tuple[int, ...]) -> Index:
    """Return where in C order an array of this shape has what is kept."""
    along = [
        np.arange(n) if kept is None else kept
        for kept, n in zip(places, shape, strict=True)
    ]
    index = np.zeros((), dtype=np.int64)
    for n, kept in zip(shape, along, strict=True):
        index = np.add.outer(index * n, kept)
    return index.ravel()


# ---- what is kept --------------------------------------------------------------------


def _choices(wanted: Flags, read: Flags, count: int) -> Iterator[Places]:
    """Yield how so many entries may be kept: by a part of all axes, or of one."""
    shape = wanted.shape
    order = sorted(range(len(shape)), key=shape.__getitem__, reverse=True)
    alone = [(d,) for d in order] if len(order) > 1 else []
    for axes in (tuple(order), *alone):
        share = (count / wanted.size) ** (1 / len(axes))
        places: list[Index | None] = [None] * len(shape)
        for d in axes:
            most = max(ALONG, int(share * shape[d]))
            if most < shape[d]:
                others = tuple(k for k in range(len(shape)) if k != d)
                places[d] = _some(
                    np.flatnonzero(wanted.any(axis=others)),
                    np.flatnonzero(read.any(axis=others)),
                    most,
                    shape[d],
                )
        if any(kept is not None for kept in places):
            yield tuple(places)


def _some(wanted: Index, read: Index, count: int, length: int) -> Index:
    """So many places, evenly spread, up to half of them among the wanted ones.

    All that are read, if these are few.
    """
    half = count // 2
    most = len(read) if 8 * len(read) <= length else count - half
    spread = (
        one[np.linspace(0, len(one) - 1, min(n, len(one))).astype(np.int64)]
        for one, n in ((wanted, half), (read, most))
    )
    return np.unique(np.concatenate([*spread]))


# ---- cutting down --------------------------------------------------------------------


def _cut_down(part: Part, b: int, choices: Iterator[Places]) -> Part:
    """The part with less of a parameter, so that most of the rest stays whole."""
    cuts = []
    for places in choices:
        with suppress(_WholeError):
            cuts.append(_Cut(part, part.parameters[b], places))
    if not cuts:
        return part
    cut = min(cuts, key=lambda one: len(one.places))
    parameters = [cut.found.get(p, p) for p in part.parameters]
    result = cut.found.get(part.result, part.result)
    kept = list(part.places)
    kept[b] = cut.places[part.parameters[b]]
    nodes = in_order(parameters, result)
    return replace(part, nodes=nodes, parameters=parameters, result=result, places=kept)


class _Cut:
    """What becomes of a program where a parameter has some entries only.

    Attributes
    ----------
    found : dict of Node to Node
        In place of those that are not what they were.
    places : dict of Node to tuple
        What is kept of those that are cut.
    """

    def __init__(self, part: Part, parameter: Node, places: Places) -> None:
        value = _some_of(parameter.value, places)
        small = Node("parameter", (), (), value, parameter.label, parameter.source)
        self.found, self.places = {parameter: small}, {parameter: places}
        for node in part.nodes:
            if not self.places.keys().isdisjoint(node.inputs):
                self._add(node)
            elif not self.found.keys().isdisjoint(node.inputs):
                inputs = tuple(self.found.get(x, x) for x in node.inputs)
                self.found[node] = node.replaced(inputs, node.value)

    def _add(self, node: Node) -> None:
        """An operation of what is cut."""
        cut = [self.places.get(x) for x in node.inputs]
        rule = _elementwise if node.op in ops.ELEMENTWISE else _RULES.get(node.op)
        if rule is None:
            raise _WholeError
        operands, places, ints = rule(node, cut)
        inputs = []
        for x, own, kept in zip(node.inputs, cut, operands, strict=True):
            if own is not None and not _are_equal(own, kept):
                raise _WholeError
            inputs.append(_fixed(x, kept) if own is None else self.found[x])
        made = _made(node, tuple(inputs), ints, places)
        others = any(x.active and x not in self.places for x in node.inputs)
        if all(kept is None for kept in places):
            self.found[node] = self._joined(node, made, others)
        elif others:
            raise _WholeError
        else:
            self.found[node], self.places[node] = made, places

    def _joined(self, node: Node, made: Node, others: bool) -> Node:
        """The whole of an operation, from what some entries make of it."""
        if not others:
            return _sum(made, node.value - made.value, node)
        inputs = tuple(
            _fixed(x) if x in self.places else self.found.get(x, x) for x in node.inputs
        )
        rest = node.replaced(inputs, node.value)
        moved = _sum(made, -made.value, node)
        return Node("add", (rest, moved), (), node.value, "", node.source)


def _some_of(value: Array, places: Places) -> Array:
    for axis, kept in enumerate(places):
        value = value if kept is None else value.take(kept, axis)
    return np.ascontiguousarray(value).reshape(value.shape)


def _fixed(x: Node, places: Places | None = None) -> Node:
    """Some of the value of a node, as a constant."""
    value = x.value if places is None else _some_of(x.value, places)
    return Node("constant", (), (), value, x.label, x.source, active=False)


def _sum(made: Node, rest: Array, like: Node) -> Node:
    """A node and a constant, added."""
    added = Node("constant", (), (), np.asarray(rest), "", like.source, active=False)
    return Node("add", (made, added), (), made.value + rest, "", like.source)


def _made(
    node: Node, inputs: tuple[Node, ...], ints: tuple[int, ...], places: Places
) -> Node:
    """An operation of other inputs, of which some places are left."""
    shape = tuple(
        n if kept is None else len(kept)
        for n, kept in zip(node.shape, places, strict=True)
    )
    value = value_of(node, [x.value for x in inputs], ints, shape)
    return Node(node.op, inputs, ints, value, node.label, node.source)


def _are_equal(one: Places, other: Places) -> bool:
    return all(
        a is b or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in zip(one, other, strict=True)
    )


# ---- what each operation leaves of it ------------------------------------------------

#: Places of each input and of the result, and what the operation is called with.
_Left = tuple[list[Places], Places, tuple[int, ...]]


def _elementwise(node: Node, cut: list[Places | None]) -> _Left:
    places: list[Index | None] = [None] * node.ndim
    for own in cut:
        for d, kept in enumerate(own or (), node.ndim - len(own or ())):
            places[d] = kept if places[d] is None else places[d]
    operands = [
        tuple(
            places[d] if n == node.shape[d] else None
            for d, n in enumerate(x.shape, node.ndim - x.ndim)
        )
        for x in node.inputs
    ]
    return operands, tuple(places), node.ints


def _contract(node: Node, cut: list[Places | None]) -> _Left:
    *of_inputs, of_result = ops.contraction_labels(node.ints)
    kept = {
        label: along
        for labels, own in zip(of_inputs, cut, strict=True)
        for label, along in zip(labels, own or (), strict=False)
        if along is not None
    }
    operands = [tuple(kept.get(label) for label in labels) for labels in of_inputs]
    summed = kept.keys() - set(of_result)
    if summed and len(summed) < len(kept):
        raise _WholeError
    return operands, tuple(kept.get(label) for label in of_result), node.ints


def _sum_of(node: Node, cut: list[Places | None]) -> _Left:
    (own,) = cut
    assert own is not None
    rest = tuple(k for k, gone in zip(own, node.ints, strict=True) if not gone)
    left = sum(kept is not None for kept in rest)
    if 0 < left < sum(kept is not None for kept in own):
        raise _WholeError
    return [own], rest, node.ints


def _view(node: Node, cut: list[Places | None]) -> _Left:
    (own,) = cut
    assert own is not None
    offset, moves = list(node.ints[: len(own)]), node.ints[len(own) :]
    places: list[Index | None] = [None] * node.ndim
    for axis, kept in enumerate(own):
        if kept is None:
            continue
        along = [d for d in range(node.ndim) if moves[2 * d] == axis]
        if len(along) > 1 or any(moves[2 * d + 1] != 1 for d in along):
            raise _WholeError
        length = node.shape[along[0]] if along else 1
        ends = offset[axis], offset[axis] + length
        first, last = np.searchsorted(kept, ends).tolist()
        if first == last:
            raise _WholeError
        if last - first < length:
            places[along[0]] = kept[first:last] - offset[axis]
        offset[axis] = first
    return [own], tuple(places), (*offset, *moves)


def _reshape(node: Node, cut: list[Places | None]) -> _Left:
    (own,) = cut
    assert own is not None
    old, places = node.inputs[0].shape, list[Index | None]()
    for n_old, n_new in zip(node.ints[1::2], node.ints[2::2], strict=True):
        before, own_here = old[:n_old], own[len(own) - len(old) :][:n_old]
        new = node.shape[len(places) :][:n_new]
        here: list[Index | None] = [None] * n_new
        if any(kept is not None for kept in own_here):
            if max(new) < math.prod(new):
                raise _WholeError
            here[new.index(max(new))] = flat(own_here, before)
        places, old = places + here, old[n_old:]
    return [own], tuple(places), node.ints


def _take(node: Node, cut: list[Places | None]) -> _Left:
    (own,) = cut
    assert own is not None
    kept, ints = own[0], node.ints
    if kept is not None:
        rows = np.asarray(ints[1:], dtype=np.int64)
        at = np.minimum(np.searchsorted(kept, rows), len(kept) - 1)
        if not np.array_equal(kept[at], rows):
            raise _WholeError
        ints = (ints[0], *at.tolist())
    return [own], (None, *own[1:]), ints


_RULES: dict[str, Callable[[Node, list[Places | None]], _Left]] = {
    "contract": _contract,
    "sum": _sum_of,
    "view": _view,
    "reshape": _reshape,
    "take": _take,
}
