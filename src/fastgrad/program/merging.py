"""Operations of one line in a loop as one operation on an array.

A loop over single numbers records thousands of tiny operations. Those made at the same
place in the code, of the same shapes, and none needed for another, are one operation
with an axis more. What only moves elements (views, reading by index, joining) is no
operation here: each value says, element by element, where in the operations' results it
comes from, and it is gathered once, where it is used.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.program import graph, sources
from fastgrad.program.graph import Node, topological
from fastgrad.program.primitives import moves
from fastgrad.program.primitives.elementwise import ELEMENTWISE
from fastgrad.program.trace.memory import gathered
from fastgrad.program.trace.tracing import Graph

#: Fewer operations are left as they are, and so are values with more elements.
_FEW, _LARGE = 64, 1 << 14
#: A sum of fewer terms stays as it was taken, written in a row or added up in a loop.
_TERMS, _TURNS = 8, 3
#: Fewer operations must be left than this share; and what else than moves comes to less
#: than that, for what is merged has to be gathered.
_SHARE, _GROUPS = 0.8, 0.3
_MOVES = frozenset(["view", "reshape", "take", "place"])
#: Where the elements of a value are: in which result, and at which place of it.
Elements = tuple[NDArray[np.int32], NDArray[np.intp]]


def merged(recorded: Graph) -> Graph:
    """The same loss, what a loop does in its turns done at once where possible."""
    count = sum(n.active and bool(n.inputs) for n in recorded.nodes)
    if count < _FEW:
        return recorded
    merger = _Merger(recorded)
    if merger.operations > _GROUPS * count:
        return recorded
    merger.make()
    guards = dict.fromkeys(g for n in recorded.guards for g in merger.guards(n))
    result = Graph(
        recorded.parameters,
        merger.value(recorded.result),
        list(guards),
        [merger.value(n) for n in recorded.opaque],
    )
    left = topological(result.result, *guards, *result.opaque)
    few = sum(n.active and bool(n.inputs) for n in left) < _SHARE * count
    return result if few else recorded


class _Merger:
    """Makes the operations of a graph anew, level by level.

    Attributes
    ----------
    sources : list of Node
        What has been made so far.
    operations : int
        How many operations there will be, but for moves.
    """

    def __init__(self, recorded: Graph) -> None:
        self.sources: list[Node] = []
        # Of what lies in a row: its source, and where in it it begins; of others, moved
        # from here and there: Elements.
        self._place: dict[Node, tuple[int, int]] = {}
        self._elements: dict[Node, Elements] = {}
        self._groups: dict[int, dict[Any, list[Node]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self._moved: dict[int, list[Node]] = defaultdict(list)
        level: dict[Node, int] = {}
        self._sums, within = _running_sums(recorded)
        for node in recorded.nodes:
            if node in within:
                continue
            terms = [x for x, _ in self._sums.get(node, ())] or node.inputs
            below = max((level[x] for x in terms), default=0)
            if not node.inputs or not node.active:
                level[node] = 0
                self._add(node, [node])
            elif node.op in _MOVES and node.size <= _LARGE:
                level[node] = below
                self._moved[below].append(node)
            else:
                level[node] = below + 1
                self._groups[below + 1][self._key(node)].append(node)
        self._depth = max(level.values(), default=0)
        self.operations = sum(map(len, self._groups.values()))

    def make(self) -> None:
        """Make all that the graph computes."""
        for depth in range(self._depth + 1):
            for group in self._groups[depth].values():
                self._make(group)
            for node in self._moved[depth]:
                self._move(node)

    # ---- where values are

    def _add(self, source: Node, members: Sequence[Node]) -> None:
        for i, node in enumerate(members):
            self._place[node] = len(self.sources), i * node.size
        self.sources.append(source)

    def elements(self, node: Node) -> Elements:
        """Where every element of a value is."""
        if node in self._elements:
            return self._elements[node]
        source, start = self._place[node]
        at = np.arange(start, start + node.size).reshape(node.shape)
        return np.full(node.shape, source, dtype=np.int32), at

    def _move(self, node: Node) -> None:
        """Say where the elements of a move are."""
        if node.op == "place":
            self._elements[node] = self._placed(node)
            return
        of = self._place.get(node.inputs[0])
        ahead = None if of is None else _ahead(node)
        if of is not None and ahead is not None:
            self._place[node] = of[0], of[1] + ahead
            return
        owner, at = (_picked(node, part) for part in self.elements(node.inputs[0]))
        if node.size == 1:
            self._place[node] = owner.item(), at.item()
        else:
            self._elements[node] = owner, at

    def _placed(self, node: Node) -> Elements:
        """Into a constant, which is what no input covers."""
        owner = np.full(node.shape, len(self.sources), dtype=np.int32)
        at = np.arange(node.size).reshape(node.shape)
        self.sources.append(graph.constant(node.value))
        numbers = all([x.size == 1 and x in self._place for x in node.inputs])
        if numbers and node.ints:
            offsets = np.reshape(node.ints, (len(node.inputs), -1))
            owner[*offsets.T], at[*offsets.T] = self._starts(node.inputs)
            return owner, at
        values = [x.value for x in node.inputs]
        for x, window in zip(
            node.inputs,
            moves.windows(values, node.ints, node.ndim),
            strict=True,
        ):
            owner[window], at[window] = self.elements(x)
        return owner, at

    def _starts(self, nodes: Sequence[Node]) -> NDArray[np.intp]:
        """The sources of what lies in a row, and where in them they begin."""
        return np.array([self._place[node] for node in nodes], dtype=np.intp).T

    def value(self, node: Node) -> Node:
        """A value as one node of the new graph."""
        return self._stacked([node], lead=False)

    def guards(self, node: Node) -> list[Node]:
        """What holds a guard: where a line decides in each turn, all turns at once."""
        if node in self._place and node.op not in _MOVES:
            return [self.sources[self._place[node][0]]]
        return [self.value(node)]

    def _stacked(self, nodes: Sequence[Node], *, lead: bool = True) -> Node:
        """Values of one shape along a new first axis."""
        shape = (len(nodes), *nodes[0].shape) if lead else nodes[0].shape
        places = [self._place.get(node) for node in nodes]
        if None not in places:
            source, start = places[0]  # type: ignore[misc]
            whole = self.sources[source]
            size = nodes[0].size
            expected = [(source, start + i * size) for i in range(len(nodes))]
            if places == expected and whole.size == len(nodes) * size:
                return graph.reshape(whole, shape, nodes[0].label)
            sources, starts = self._starts(nodes)
            owner = np.repeat(sources.astype(np.int32), size).reshape(shape)
            at = (starts[:, None] + np.arange(size)).reshape(shape)
        else:
            found = [self.elements(node) for node in nodes]
            owner = np.stack([o for o, _ in found]).reshape(shape)
            at = np.stack([a for _, a in found]).reshape(shape)
        return gathered(self.sources, owner, at, nodes[0].label)

    # ---- operations

    def _key(self, node: Node) -> Any:
        """The same for operations that may be one."""
        if node in self._sums:
            return len(self._sums[node]), node.source.site, node.shape
        if node.op not in _BATCHED or node.ndim + 1 >= graph.MAX_NDIM:
            return id(node)
        inputs = tuple(x.shape for x in node.inputs)
        return node.op, node.ints, node.source.site, node.label, node.shape, inputs

    def _sum(self, group: Sequence[Node]) -> Node:
        """Running sums, each from its terms."""
        one, terms = group[0], [term for node in group for term in self._sums[node]]
        shape = (len(group), len(terms) // len(group), *one.shape)
        row = graph.reshape(self._stacked([x for x, _ in terms]), shape, one.label)
        signs = np.array([sign for _, sign in terms])
        if (signs < 0).any():
            signs = signs.reshape(*shape[:2], *[1] * one.ndim)
            inputs = [row, graph.constant(signs)]
            row = graph.apply("multiply", inputs, label=one.label)
        ints = (0, 1, *[0] * one.ndim)
        total = graph.apply("sum", [row], ints, label=one.label)
        shape = total.shape if len(group) > 1 else one.shape
        return graph.reshape(total, shape, one.label)

    def _make(self, group: Sequence[Node]) -> None:
        one = group[0]
        with sources.spoken(one.label, one.source):
            if one in self._sums:
                self._add(self._sum(group), group)
                return
            if len(group) == 1:
                inputs = [self.value(x) for x in one.inputs]
                value = one.value if one.op not in _BATCHED else None
                self._add(
                    graph.apply(one.op, inputs, one.ints, label=one.label, value=value),
                    group,
                )
                return
            inputs, stacked = [], []
            for values in zip(*(node.inputs for node in group), strict=True):
                differ = any(x is not values[0] for x in values)
                inputs.append(
                    self._stacked(values) if differ else self.value(values[0])
                )
                stacked.append(differ)
            if not any(stacked):  # all compute the same
                made = graph.apply(one.op, inputs, one.ints, label=one.label)
                for node in group:
                    self._place[node] = len(self.sources), 0
                self.sources.append(made)
                return
            self._add(_BATCHED[one.op](one, inputs, stacked), group)


def _running_sums(
    recorded: Graph,
) -> tuple[dict[Node, list[tuple[Node, float]]], set[Node]]:
    """Sums taken term by term: by the last of their nodes, terms and signs; the others.

    As of ``total += x`` in a loop, where nothing else sees what total is in between.
    """
    uses = Counter(x for node in recorded.nodes for x in node.inputs)
    uses.update([recorded.result, *recorded.guards, *recorded.opaque])
    sums: dict[Node, list[tuple[Node, float]]] = {}
    members: dict[Node, list[Node]] = {}
    for node in recorded.nodes:
        if node.op not in ("add", "subtract") or not node.active:
            continue
        if any(x.shape != node.shape for x in node.inputs):
            continue
        sign = 1.0 if node.op == "add" else -1.0
        x, y = node.inputs
        before, term = (x, (y, sign)) if x in sums or sign < 0 else (y, (x, 1.0))
        if before in sums and uses[before] == 1:
            sums[node] = sums.pop(before)
            members[node] = members.pop(before)
            members[node].append(before)
            sums[node].append(term)
        else:
            begun = [] if _is_zero(x) else [(x, 1.0)]  # total = 0
            sums[node], members[node] = [*begun, (y, sign)], []
    long = {
        node: terms
        for node, terms in sums.items()
        if len(terms) >= (_TURNS if _in_a_loop([node, *members[node]]) else _TERMS)
    }
    return long, {node for last in long for node in members[last]}


def _is_zero(node: Node) -> bool:
    return not node.active and not node.value.any()


def _in_a_loop(additions: Sequence[Node]) -> bool:
    return len({node.source.site for node in additions}) == 1


def _ahead(node: Node) -> int | None:
    """Where in its input a move shows elements that lie in a row; None if it does not.

    In numbers of Python, which are quicker than arrays of one.
    """
    if node.op != "view":
        return 0 if node.op == "reshape" else None
    shape, ints = node.inputs[0].shape, node.ints
    strides = [1] * len(shape)
    for d in range(len(shape) - 1, 0, -1):
        strides[d - 1] = strides[d] * shape[d]
    expected = 1
    for d in range(node.ndim - 1, -1, -1):
        n, axis, step = node.shape[d], *ints[len(shape) + 2 * d :][:2]
        if n != 1 and (axis < 0 or step * strides[axis] != expected):
            return None
        expected *= n
    return sum([o * s for o, s in zip(ints, strides, strict=False)])


def _picked(node: Node, part: NDArray[Any]) -> NDArray[Any]:
    """What a move of one input makes of an array of places."""
    if node.op == "view":
        return np.array(moves.view_of(part, node.ints, node.shape))
    if node.op == "take":
        return part[np.asarray(node.ints[1:], dtype=np.intp)]
    return part.reshape(node.shape)


# ---- the operations that take an axis more -------------------------------------------


def _elementwise(one: Node, inputs: list[Node], stacked: list[bool]) -> Node:
    ndim = one.ndim
    aligned = []
    for x, lead in zip(inputs, stacked, strict=True):
        if lead:
            n, *inner = x.shape
            x = graph.reshape(x, (n, *(1,) * (ndim - len(inner)), *inner), one.label)
        aligned.append(x)
    return graph.apply(one.op, aligned, one.ints, label=one.label)


def _reduction(one: Node, inputs: list[Node], stacked: list[bool]) -> Node:
    return graph.apply(one.op, inputs, (0, *one.ints), label=one.label)


def _along(one: Node, inputs: list[Node], stacked: list[bool]) -> Node:
    return graph.apply(one.op, inputs, (one.ints[0] + 1,), label=one.label)


def _contraction(one: Node, inputs: list[Node], stacked: list[bool]) -> Node:
    table = np.reshape(one.ints[1:], (-1, 3))
    later = np.array([*stacked, True])
    table = np.where(table >= 0, table + later, -1)
    first = np.where(later, 0, -1)
    ints = [len(table) + 1, *first.tolist(), *table.ravel().tolist()]
    return graph.apply("contract", inputs, ints, label=one.label)


_BATCHED: dict[str, Callable[[Node, list[Node], list[bool]], Node]] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(("sum", "max", "prod"), _reduction),
    **dict.fromkeys(("cumsum", "cumprod"), _along),
    "contract": _contraction,
}
