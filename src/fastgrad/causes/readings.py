"""What may be read for another array: arrays of the user's code, and of the loss.

Each has a name, and a value at every point and in every turn of a loop.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.names import Names
from fastgrad.causes.patterns import plain
from fastgrad.causes.probes import NOBODYS
from fastgrad.causes.reverse import Reverse, elementwise
from fastgrad.program import Node

Array = NDArray[np.float64]
_Shapes = tuple[tuple[int, ...], ...]

#: Bits of what may be read: variables of the code itself are the likeliest.
BITS = {"own": 5.0, "parameter": 5.5, "constant": 6.0, "value": 6.5, "slope": 6.5}
BITS["gradient"] = 9.0
_ENDS = 4  # turns of a loop, from either end, that may be read outside
_CALLS = 4  # of a function with a loop
_MOST = 1 << 23  # elements of all that may be read in one place
_BESIDE = 4  # numbers that may be one array
_GRADIENT, _TURN = "the gradient of {}", "{} of the turn "


class Point(NamedTuple):
    """Where an edit is to hold."""

    values: dict[Node, Array]  # of the user's gradient code
    reverse: Reverse  # the loss there
    right: Sequence[Array]  # the gradient there


class Reading(NamedTuple):
    """An array that may be read: its value at a point, in a turn of a loop."""

    node: Node  # whose it is, in one turn
    role: str
    of: Callable[[Point, int], Array]
    how: tuple[str, ...] = ()  # what is said of the node, or behind it: "{} of", ".T"
    nodes: tuple[Node, ...] = ()  # of the user's code, that it is

    @property
    def made(self) -> Any:
        """By what piece of code, if it is a value."""
        # What a loop begins with is another thing.
        node = max(self.nodes or (self.node,), key=lambda n: bool(n.inputs))
        return made(node) if self.role in ("own", "value") else None

    @property
    def is_late(self) -> bool:
        """Whether it is that of another turn of a loop."""
        return any(how.startswith(_TURN) for how in self.how)

    def turned(self, how: str, turn: Callable[[Array], Any]) -> "Reading":
        """The array after an operation."""
        return self._replace(
            of=lambda point, k: np.asarray(turn(self.of(point, k))),
            how=(*self.how, how),
        )


class Readings:
    """All that may be read, by shape; `groups` are turns of the user's code.

    Which are different ones is seen at `other` points, too.
    """

    def __init__(
        self,
        point: Point,
        groups: Sequence[Sequence[Node]],
        *others: Point,
        gradients: bool = False,
    ) -> None:
        self.point, self.groups, self.gradients = point, groups, gradients
        self.others = others
        self.name = Names([*point.values])
        self._of_loss = Names(point.reverse.nodes, " of the loss")
        self._stacks: dict[int, dict[_Shapes, tuple[list[Reading], Array]]] = {}

    def called(self, reading: Reading) -> str:
        """The name of what may be read."""
        text = (self.name if reading.nodes else self._of_loss)(reading.node)
        for how in reading.how:
            text = how.format(text) if "{}" in how else _after(text, how)
        return text

    def of(self, turns: int) -> dict[_Shapes, tuple[list[Reading], Array]]:
        """What may be read in so many turns, and its values, one row for each."""
        if turns not in self._stacks:
            by_shapes: dict[_Shapes, tuple[list[Reading], list[Array]]] = {}
            for one in self._all(turns):
                arrays = [one.of(self.point, k) for k in range(turns)]
                shapes = tuple(a.shape for a in arrays)
                some, rows = by_shapes.setdefault(shapes, ([], []))
                row = np.concatenate([a.ravel() for a in arrays])
                if row.any() and len(rows) * row.size < _MOST:
                    some.append(one)
                    rows.append(row)
            self._stacks[turns] = {
                shapes: self._distinct(some, np.array(rows), turns)
                for shapes, (some, rows) in by_shapes.items()
                if rows
            }
        return self._stacks[turns]

    def _distinct(
        self, some: list[Reading], rows: Array, turns: int
    ) -> tuple[list[Reading], Array]:
        """Each array once, as the likeliest of those that are equal."""
        likely = sorted(range(len(some)), key=lambda k: (BITS[some[k].role], k))
        signs = _signs(rows)
        count = Counter(signs)
        first: dict[Any, int] = {}
        for k in likely:
            sign: Any = signs[k]
            if count[sign] > 1:
                sign = sign, *self._elsewhere(some[k], turns)
            first.setdefault(sign, k)
        kept = sorted(first.values())
        return [some[k] for k in kept], rows[kept]

    def _elsewhere(self, one: Reading, turns: int) -> Iterator[Any]:
        """What tells an array from others at other points."""
        for point in self.others:
            with suppress(*NOBODYS):
                row = [one.of(point, k).ravel() for k in range(turns)]
                yield from _signs(np.concatenate(row)[None])

    def _all(self, turns: int) -> Iterator[Reading]:
        some = [*self._singles()]
        if turns > 1:
            some += self._turns(turns)
        yield from (one for one in some if self.gradients or one.role != "gradient")
        for one in some:
            if one.role == "gradient":
                continue
            shapes = [np.shape(one.of(self.point, k)) for k in range(turns)]
            axes = {len(shape) for shape in shapes}
            if axes == {2} and not _is_turned(one.node):  # else it is what that is of
                yield one.turned(".T", np.transpose)
            if len(axes) == 1 and min(axes) > 2:
                yield one.turned(".swapaxes(-1, -2)", lambda a: a.swapaxes(-1, -2))
            if axes == {1}:
                yield one.turned("[:, None]", lambda a: a[:, None])
            if turns > 1 and {shape[:1] for shape in shapes} == {(turns,)}:
                yield one._replace(of=_row(one.of), how=(*one.how, "a row of {}"))

    def _singles(self) -> Iterator[Reading]:
        """Arrays that are the same in all turns."""
        reverse = self.point.reverse
        passed = {n for group in self.groups for n in group[_ENDS:-_ENDS]}
        passed.update(n for group in reverse.groups for n in group[_ENDS:-_ENDS])
        for node in self.point.values:
            if node not in passed and (node.active or node.size > 1):
                yield _own([node], "own" if node.inputs else node.op)
        for node in reverse.nodes:
            if node in passed:
                continue
            for one in taken(reverse, [node]):
                if one.role != "value" and one.node.size > 1:
                    yield one
            if node.inputs:
                yield from computed(reverse, [node])
        for some in side_by_side(reverse.groups):
            if len(some[0]) == 1:
                yield from stacked(reverse, some)

    def _turns(self, count: int) -> Iterator[Reading]:
        """Arrays of the turns of a loop, in either order."""
        for group in self.groups:
            if len(group) == count:
                yield _own(group)
                for i in range(len(group[0].inputs)):
                    inputs = [n.inputs[i] for n in group]
                    if len(set(inputs)) > 1:
                        yield _own(inputs)
        reverse = self.point.reverse
        helpers = [g for g in reverse.helpers if len({len(n.inputs) for n in g}) == 1]
        for loop in [*reverse.groups, *helpers]:
            for some in (loop, loop[1:], loop[:-1]):
                if len(some) == count:
                    for order in orders(some):
                        yield from computed(reverse, order)
                        yield from taken(reverse, order)
            for one in computed(reverse, loop) if len(loop) == count else ():
                for step, how in ((1, "before"), (-1, "after")):
                    of = _late(one.of, step, count)
                    yield one._replace(of=of, how=(*one.how, _TURN + how))
        for loops in side_by_side(reverse.groups):
            for part in (slice(None), slice(1, None), slice(-1)):
                cut = [loop[part] for loop in loops]
                if len(cut[0]) == count:
                    yield from stacked(reverse, cut)
                    yield from stacked(reverse, [loop[::-1] for loop in cut])


def orders(turns: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Turns as they are and backward; those of each of a few calls, too."""
    yield turns
    for calls in range(1, _CALLS + 1):
        each, rest = divmod(len(turns), calls)
        if each > 1 and not rest:
            parts = (turns[k : k + each][::-1] for k in range(0, len(turns), each))
            yield [x for part in parts for x in part]


def computed(reverse: Reverse, nodes: Sequence[Node]) -> Iterator[Reading]:
    """Yield a value of the loss, its gradient, its slopes and what it sends."""
    first, at = nodes[0], [reverse.number[n] for n in nodes]
    yield _of_loss(at, first, "value", _value)
    yield _of_loss(at, first, "gradient", _gradient, _GRADIENT)
    for i, x in enumerate(first.inputs):
        if all(n.inputs[i].active for n in nodes):
            if elementwise(first):
                slope = partial(Reverse.slope, i=i)
                yield _of_loss(at, first, "slope", slope, "the derivative of {}")
            part = partial(Reverse.part, i=i)
            yield _of_loss(at, x, "gradient", part, "what is sent to {}")


def side_by_side(groups: Sequence[list[Node]]) -> Iterator[list[list[Node]]]:
    """Yield numbers that one line, or lines in a row, compute in one way.

    They may be one array elsewhere.
    """
    alike: dict[Any, list[list[Node]]] = defaultdict(list)
    for group in groups:
        if not group[0].ndim:
            alike[group[0].op, len(group), group[0].source.line].append(group)
    for op, turns, line in list(alike):
        rows = _as_many(alike, op, turns, line)
        within = len(_as_many(alike, op, turns, line - 1)) > len(rows)
        columns = [] if within else map(list, zip(*rows, strict=True))
        for run in (rows[0], *columns):
            if 1 < len(run) <= _BESIDE:
                yield run


def _as_many(alike: Any, op: str, turns: int, line: int) -> list[Any]:
    """Those of lines in a row on which there are as many of a kind."""
    rows = [alike.get((op, turns, line), [])]
    while len(after := alike.get((op, turns, line + len(rows)), [])) == len(rows[0]):
        if not after:
            break
        rows.append(after)
    return rows


def stacked(reverse: Reverse, groups: Sequence[Sequence[Node]]) -> Iterator[Reading]:
    """Yield several numbers, and their gradients, each as one array."""
    pairs = (islice(computed(reverse, group), 2) for group in groups)
    for some in zip(*pairs, strict=True):
        how = (*some[0].how, "the array of {} and what stands beside it")
        yield some[0]._replace(of=partial(_stacked, some), how=how)


def _stacked(some: Sequence[Reading], point: Point, k: int) -> Array:
    return np.array([one.of(point, k) for one in some])


def taken(reverse: Reverse, nodes: Sequence[Node]) -> Iterator[Reading]:
    """Yield what an operation of the loss is applied to."""
    at = [reverse.number[n] for n in nodes]
    for i in range(len(nodes[0].inputs)):
        # What a loop begins with is another thing.
        x = max((n.inputs[i] for n in nodes), key=lambda x: len(x.inputs))
        yield _of_loss(at, x, "value" if x.inputs else x.op, partial(_input, i))


def _of_loss(
    numbers: Sequence[int],
    node: Node,
    role: str,
    what: Callable[[Reverse, Node], Array],
    *how: str,
) -> Reading:
    """An array of operations of the loss, by their numbers, one for each turn."""

    def of(point: Point, k: int) -> Array:
        at = point.reverse.nodes[numbers[k if len(numbers) > 1 else 0]]
        return np.asarray(what(point.reverse, at))

    return Reading(node, role, of, how)


def _value(reverse: Reverse, node: Node) -> Array:
    return node.value


def _gradient(reverse: Reverse, node: Node) -> Array:
    return reverse.gradient[node]


def _input(i: int, reverse: Reverse, node: Node) -> Array:
    return node.inputs[i].value


def _own(nodes: Sequence[Node], role: str = "own") -> Reading:
    """Values of the user's code, one for each turn."""

    def of(point: Point, k: int) -> Array:
        return point.values[nodes[k if len(nodes) > 1 else 0]]

    return Reading(nodes[-1], role, of, nodes=tuple(nodes))


def _after(name: str, what: str) -> str:
    """A name with an operation behind it, inside the quotes."""
    code, quote, whose = name.rpartition("`")
    return code + what + quote + whose if quote else f"{name}{what}"


def _late(of: Callable[[Point, int], Array], step: int, count: int) -> Any:
    """What was there so many turns before; nothing before the first one."""

    def late(point: Point, k: int) -> Array:
        there = 0 <= k - step < count
        return of(point, k - step) if there else np.zeros_like(of(point, k))

    return late


def _is_turned(node: Node) -> bool:
    """Whether it is another array, transposed."""
    x = node.inputs[0] if node.op == "view" else node
    return x is not node and np.array_equal(x.value.T, node.value)


def _row(of: Callable[[Point, int], Array]) -> Callable[[Point, int], Array]:
    return lambda point, k: of(point, k)[k]


def made(node: Node) -> Any:
    """The piece of code that a value is computed by; None for what is given."""
    if not node.inputs:
        return None
    given = {y.label for y in map(plain, plain(node).inputs) if y.op == "parameter"}
    return node.source, node.op, node.label, frozenset(given)


def _signs(rows: Array) -> list[tuple[float, float]]:
    """What is the same of equal rows."""
    size = np.abs(rows).max(axis=1, keepdims=True)
    weight = np.random.default_rng(0).standard_normal(rows.shape[1])
    scaled = rows / np.where(size, size, 1.0)
    signs = np.stack([scaled @ weight, np.log(size[:, 0])], axis=1)
    return [(a, b) for a, b in np.round(signs, 9).tolist()]
