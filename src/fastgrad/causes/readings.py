"""What a line of gradient code may read instead: other arrays of it, and of the loss.

Each has a name, and a value at every point and in every turn of a loop.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.reverse import Reverse, elementwise
from fastgrad.program import Node

Array = NDArray[np.float64]
_Shapes = tuple[tuple[int, ...], ...]

#: Bits of what may be read: variables of the code itself are the likeliest.
BITS = {"own": 5.0, "parameter": 5.5, "constant": 6.0, "value": 6.5, "slope": 6.5}
BITS["gradient"] = 9.0
_DEEP = 3  # operations of an expression that are told
_SIGNS = {"np.add": "+", "np.subtract": "-", "np.multiply": "*", "np.divide": "/"}
_SIGNS |= {"np.matmul": "@", "np.power": "**"}
_ENDS = 4  # turns of a loop, from either end, that may be read outside
_MOST = 1 << 23  # elements of all that may be read in one place


class Point(NamedTuple):
    """Where an edit is to hold.

    Attributes
    ----------
    values : dict of Node to ndarray
        Of the user's gradient code.
    reverse : Reverse
        The loss there.
    right : sequence of ndarray
        The gradient there.
    """

    values: dict[Node, Array]
    reverse: Reverse
    right: Sequence[Array]


class Reading(NamedTuple):
    """An array that may be read.

    Attributes
    ----------
    name, role : str
    of : callable
        Its value at a point, in a turn of a loop.
    nodes : tuple of Node
        Of the user's code, that it is.
    made : object
        By what piece of code, if it is a value.
    """

    name: str
    role: str
    of: Callable[[Point, int], Array]
    nodes: tuple[Node, ...] = ()
    made: Any = None


class Readings:
    """All that may be read, by shape.

    Parameters
    ----------
    point : Point
    groups : sequence of sequence of Node
        Operations of the user's code that are one piece of it, run in turns.
    """

    def __init__(self, point: Point, groups: Sequence[Sequence[Node]]) -> None:
        self.point, self.groups = point, groups
        self.name = Names([*point.values])
        self._stacks: dict[int, dict[_Shapes, tuple[list[Reading], Array]]] = {}

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
                shapes: _distinct(some, np.array(rows))
                for shapes, (some, rows) in by_shapes.items()
                if rows
            }
        return self._stacks[turns]

    def _all(self, turns: int) -> Iterator[Reading]:
        some = [*self._singles()]
        if turns > 1:
            some += self._turns(turns)
        yield from some
        for one in some:
            if one.role == "gradient":
                continue
            shapes = [np.shape(one.of(self.point, k)) for k in range(turns)]
            axes = {len(shape) for shape in shapes}
            if axes == {2}:
                yield one._replace(name=_after(one.name, ".T"), of=_turned(one.of))
            if axes == {1}:
                name = _after(one.name, "[:, None]")
                yield one._replace(name=name, of=_column(one.of))
            if turns > 1 and {shape[:1] for shape in shapes} == {(turns,)}:
                yield one._replace(name=f"a row of {one.name}", of=_row(one.of))

    def _singles(self) -> Iterator[Reading]:
        """Arrays that are the same in all turns."""
        reverse = self.point.reverse
        passed = {n for group in self.groups for n in group[_ENDS:-_ENDS]}
        passed.update(n for group in reverse.groups for n in group[_ENDS:-_ENDS])
        for node in self.point.values:
            if node not in passed and (node.active or node.size > 1):
                role = "own" if node.inputs else node.op
                yield self._own_one([node], role)
        name = Names(reverse.nodes, " of the loss")
        for j, node in enumerate(reverse.nodes):
            if node in passed:
                continue
            for i, x in enumerate(node.inputs):
                if not x.active and x.size > 1:
                    yield from _summed(Reading(name(x), "constant", _input([j], i)), x)
            if node.inputs:
                yield Reading(name(node), "value", _value([j]), made=made(node))
                yield from _derivatives(reverse, name, [j])

    def _own_one(self, nodes: Sequence[Node], role: str = "own") -> Reading:
        first, name = nodes[-1], self.name(nodes[-1])
        return Reading(name, role, _own(nodes), tuple(nodes), made=made(first))

    def _turns(self, count: int) -> Iterator[Reading]:
        """Arrays of the turns of a loop, in either order."""
        for group in self.groups:
            if len(group) == count:
                yield self._own_one(group)
                for i in range(len(group[0].inputs)):
                    inputs = [n.inputs[i] for n in group]
                    if len(set(inputs)) > 1:
                        yield self._own_one(inputs)
        reverse = self.point.reverse
        name = Names(reverse.nodes, " of the loss")
        helpers = [g for g in reverse.helpers if len({len(n.inputs) for n in g}) == 1]
        for loop in [*reverse.groups, *helpers]:
            numbers = [reverse.number[n] for n in loop]
            for some in (numbers, numbers[1:], numbers[:-1]):
                if len(some) == count:
                    for order in (some, some[::-1]):
                        first, values = loop[0], _value(order)
                        yield Reading(name(first), "value", values, made=made(first))
                        for i, x in enumerate(loop[-1].inputs):
                            values = _input(order, i)
                            yield Reading(name(x), "value", values, made=made(x))
                        yield from _derivatives(reverse, name, order)


def _after(name: str, what: str) -> str:
    """A name with an operation behind it, inside the quotes."""
    code, quote, whose = name.rpartition("`")
    return code + what + quote + whose if quote else f"{name}{what}"


def _summed(one: Reading, node: Node) -> Iterator[Reading]:
    """A constant array, and its sums along an axis that is kept."""
    yield one
    for axis in range(node.ndim if node.ndim > 1 else 0):

        def of(point: Point, k: int, axis: int = axis) -> Array:
            return np.asarray(np.sum(one.of(point, k), axis=axis, keepdims=True))

        yield one._replace(name=f"the sum of {one.name} along axis {axis}", of=of)


def _turned(of: Callable[[Point, int], Array]) -> Callable[[Point, int], Array]:
    return lambda point, k: of(point, k).T


def _column(of: Callable[[Point, int], Array]) -> Callable[[Point, int], Array]:
    return lambda point, k: of(point, k)[:, None]


def _row(of: Callable[[Point, int], Array]) -> Callable[[Point, int], Array]:
    return lambda point, k: of(point, k)[k]


def made(node: Node) -> Any:
    """The piece of code that a value is computed by; None for what is given."""
    return (node.source, node.op, node.label) if node.inputs else None


def _own(nodes: Sequence[Node]) -> Callable[[Point, int], Array]:
    def of(point: Point, k: int) -> Array:
        return point.values[nodes[k if len(nodes) > 1 else 0]]

    return of


def _value(numbers: Sequence[int]) -> Callable[[Point, int], Array]:
    def of(point: Point, k: int) -> Array:
        return point.reverse.nodes[numbers[k if len(numbers) > 1 else 0]].value

    return of


def _input(numbers: Sequence[int], i: int) -> Callable[[Point, int], Array]:
    def of(point: Point, k: int) -> Array:
        node = point.reverse.nodes[numbers[k if len(numbers) > 1 else 0]]
        return node.inputs[i].value

    return of


def _derivatives(
    reverse: Reverse, name: Callable[[Node], str], numbers: Sequence[int]
) -> Iterator[Reading]:
    """Slopes of an operation, its gradient, and what it sends."""

    def at(what: Callable[[Reverse, Node], Any]) -> Callable[[Point, int], Array]:
        def of(point: Point, k: int) -> Array:
            node = point.reverse.nodes[numbers[k if len(numbers) > 1 else 0]]
            return np.asarray(what(point.reverse, node))

        return of

    first = reverse.nodes[numbers[0]]
    text = name(first)
    yield Reading(f"the gradient of {text}", "gradient", at(_gradient))
    for i, x in enumerate(first.inputs):
        if all(reverse.nodes[j].inputs[i].active for j in numbers):
            if elementwise(first):
                slope = at(partial(Reverse.slope, i=i))
                yield Reading(f"the derivative of {text}", "slope", slope)
            part = at(partial(Reverse.part, i=i))
            yield Reading(f"what {text} sends to {name(x)}", "gradient", part)


def _gradient(reverse: Reverse, node: Node) -> Array:
    return reverse.gradient[node]


def _distinct(some: list[Reading], rows: Array) -> tuple[list[Reading], Array]:
    """Each array once, as the likeliest of those that are equal."""
    scaled = rows / np.abs(rows).max(axis=1, keepdims=True)
    weight = np.random.default_rng(0).standard_normal(rows.shape[1])
    sums = np.stack([scaled @ weight, np.log(np.abs(rows).max(axis=1))], axis=1)
    first: dict[Any, int] = {}
    for k in sorted(range(len(some)), key=lambda k: (BITS[some[k].role], k)):
        first.setdefault(tuple(np.round(sums[k], 9)), k)
    kept = sorted(first.values())
    return [some[k] for k in kept], rows[kept]


class Names:
    """What values are called, by the lines that compute them.

    Parameters
    ----------
    nodes : sequence of Node
    whose : str
        What is said after a name.
    """

    def __init__(self, nodes: Iterable[Node], whose: str = "") -> None:
        self._whose = whose
        self._known: dict[Node, str] = {}
        self._inner = defaultdict[Node, bool](bool)
        for node in nodes:
            for x in node.inputs:
                self._inner[x] |= x.inputs != () and x.source == node.source

    def __call__(self, node: Node) -> str:
        """The name of a value, with whose it is."""
        if node not in self._known:
            self._known[node] = self._called(node)
        return self._known[node]

    def _called(self, node: Node) -> str:
        if node.op == "constant" and node.size > 1:
            return f"the constant array of shape {node.shape}{self._whose}"
        whose = self._whose if node.inputs else ""
        return f"`{self._text(node, _DEEP)}`{whose}"

    def _text(self, node: Node, deep: int) -> str:
        """The expression that a value is, with variables where they are known."""
        if node.op == "parameter":
            return node.label
        if not node.inputs:
            return f"{float(node.value.flat[0]):.6g}" if node.size == 1 else "[...]"
        name = None if self._inner[node] else _assigned(node.source.code)
        if name is not None:
            return name
        if not deep:
            return "(...)"
        some = [self._text(x, deep - 1) for x in _operands(node)]
        if node.label == "np.power" and node.op != "power":
            some = [some[0], f"{_exponent(node):g}"]
        if node.label == "[...]":
            return f"{some[0]}[...]"
        if node.label == "np.transpose":
            return f"{some[0]}.T"
        sign = _SIGNS.get(node.label)
        if sign and len(some) == 2:
            inside = f"{some[0]} {sign} {some[1]}"
            return f"({inside})" if deep < _DEEP else inside
        return f"{node.label}({', '.join(some)})"


def given(
    node: Node, path: tuple[int, ...] = ()
) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """Yield what a call is applied to, and the way there.

    It may be several operations.
    """
    for i, x in enumerate(node.inputs):
        if _is_part(x, node):
            yield from given(x, (*path, i))
        else:
            yield x, (*path, i)


def _is_part(x: Node, node: Node) -> bool:
    """Whether a value is made by the call that makes another one of it."""
    return (x.source.site, x.label) == (node.source.site, node.label) and x.inputs != ()


def _operands(node: Node) -> list[Node]:
    """What a call is applied to, but for numbers that only its operations are told."""
    found = [x for x, _ in given(node)]
    if not any(_is_part(x, node) for x in node.inputs):
        return found
    return [x for x in dict.fromkeys(found) if x.size > 1 or x.op != "constant"]


def _exponent(node: Node) -> float:
    """Of a power that is computed without one."""
    parts = (_exponent(x) if _is_part(x, node) else 1.0 for x in node.inputs)
    return sum(parts) * {"square": 2.0, "sqrt": 0.5, "reciprocal": -1.0}.get(
        node.op, 1.0
    )


@cache
def _assigned(code: str) -> str | None:
    """The variable that a line assigns, if it is one."""
    try:
        (line,) = ast.parse(code).body
    except (SyntaxError, ValueError):
        return None
    if isinstance(line, ast.Assign) and len(line.targets) == 1:
        target = line.targets[0]
    elif isinstance(line, ast.AugAssign):
        target = line.target
    else:
        return None
    return None if isinstance(target, ast.Tuple) else ast.unparse(target)
