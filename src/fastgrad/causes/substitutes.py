"""Another array stands where the right one is due: one variable mistaken for another.

A backward pass is full of arrays of one shape: values, their gradients, data. Any of
them may stand for any other, so there are thousands of such mistakes; nearly all are
told not to be by a dot product (`sieve`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.evidence import Evidence, Guess
from fastgrad.causes.patterns import miscounted
from fastgrad.causes.reverse import (
    Instead,
    Reverse,
    Sends,
    einsum,
    elementwise,
    labels_at,
    product_part,
)
from fastgrad.causes.sieve import CLOSE, Probe, dot
from fastgrad.causes.watch import Watch
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]

_SIFTING, _LARGE = 0.5, 20_000  # what sifting costs, in operations propagated
_STEPS = 4  # between values that are mixed up
_ONES = "ones"
_ENTRIES = 3  # that a coincidence is not to explain


def substitutes(
    evidence: Evidence,
    reverse: Reverse,
    groups: Sequence[list[Node]],
    probes: Sequence[Probe],
) -> Iterator[Guess]:
    """Yield arrays of the program that explain the error where another one is due."""
    others = _Others(reverse)
    for group in groups:
        for slot in _slots(reverse, group):
            sift = _SlotSieve(reverse, probes, slot, group)
            for other in others.of(group, sift.due):
                if not sift.sees and not _near(reverse, group[0], other.node):
                    continue
                factor = sift(other)
                if factor is not None:
                    yield from _tried(evidence, reverse, slot, group, other, factor)


def _near(reverse: Reverse, node: Node, other: Node) -> bool:
    """Whether two values are a few steps of the same turn apart."""
    around = {node}
    for _ in range(2):
        around |= {x for n in around for x in n.inputs}
        around |= {u for n in around for u, _ in reverse.users.get(n, ())}
    return other in around


def _tried(
    evidence: Evidence,
    reverse: Reverse,
    slot: "Slot",
    group: list[Node],
    other: "Other",
    factor: float,
) -> Iterator[Guess]:
    plain = abs(factor - 1) < CLOSE
    arrays = other.arrays if plain else tuple(factor * a for a in other.arrays)
    watch = Watch(evidence, 1.0, strict=False)
    with np.errstate(all="ignore"):
        reverse.change(slot.broken(reverse, group, arrays), watch)
    if watch.explained and watch.entries >= (_ENTRIES if plain else _ENTRIES + 2):
        code, text, cost = _said(reverse, slot, group[0], other)
        if not plain:
            text, cost = f"{text}, times {factor:.6g}", cost + 0.4
        yield watch.guess(code, text, cost, group[0])


@dataclass(frozen=True)
class Other:
    """An array that may be mistaken for another one, in each turn of a loop."""

    node: Node
    is_gradient: bool
    arrays: tuple[Array, ...]
    what: str = ""


@dataclass(frozen=True)
class Slot:
    """A place in a derivative where an array stands.

    Attributes
    ----------
    i : int or None
        The input whose gradient it goes into; None for the gradient that comes down to
        the operation, and so for all its inputs.
    role : str
        "upstream" for the gradient that comes down, "operand" for another input,
        "argument" for the input itself, "value" for the result, "side" for what a
        branch is decided by.
    due : callable
        Of a node: what should stand there.
    part : callable
        Of a node, the gradient that comes down, and what stands there: what the input
        receives, before it is summed over the axes along which it is repeated.
    weigh : callable, optional
        For parts that are linear in what stands there: of a node and an array that
        weighs the part, the array that weighs what stands there.
    """

    i: int | None
    role: str
    due: Callable[[Node], Array]
    part: Callable[[Node, Array, Array], Any]
    weigh: Callable[[Node, Array], Array] | None = None

    def to(self, node: Node) -> Node:
        """Whose gradient it is a part of."""
        return node if self.i is None else node.inputs[self.i]

    def broken(
        self, reverse: Reverse, group: list[Node], arrays: Sequence[Array]
    ) -> dict[Node, Sends]:
        """The operations with these arrays put in."""
        given = dict(zip(group, arrays, strict=True))
        if self.i is None:
            return dict.fromkeys(group, lambda n, g: reverse.rightly(n, given[n]))

        def part(n: Node, g: Array) -> Any:
            return self.part(n, given[n] if self.role == "upstream" else g, given[n])

        return dict.fromkeys(group, Instead(self.i, part))


def _slots(reverse: Reverse, group: list[Node]) -> Iterator[Slot]:
    node = group[0]
    yield Slot(None, "upstream", reverse.gradient.__getitem__, lambda n, g, c: c)
    if node.op == "contract":
        yield from of_product(reverse, group)
    elif node.op in ("solve", "logabsdet"):
        yield from _of_matrix(group)
    elif elementwise(node) and not ops.PRIMITIVES[node.op].steps:
        yield from _of_function(reverse, group)


def of_product(reverse: Reverse, group: list[Node]) -> Iterator[Slot]:
    """Yield the places in the derivatives of a matrix product."""
    active = [i for i, x in enumerate(group[0].inputs) if x.active]
    for i in active:

        def upstream(n: Node, g: Array, c: Array, i: int = i) -> Any:
            return product_part(n, i, c, n.inputs[1 - i].value)

        def operand(n: Node, g: Array, c: Array, i: int = i) -> Any:
            return product_part(n, i, g, c)

        def beside(n: Node, i: int = i) -> Array:
            return n.inputs[1 - i].value

        def weigh_upstream(n: Node, t: Array, i: int = i) -> Array:
            mine, theirs, out = labels_at(n, i)
            return einsum(t, mine, n.inputs[1 - i].value, theirs, out)

        def weigh_operand(n: Node, t: Array, i: int = i) -> Array:
            mine, theirs, out = labels_at(n, i)
            return einsum(reverse.gradient[n], out, t, mine, theirs)

        due = reverse.gradient.__getitem__
        if len(active) > 1:
            yield Slot(i, "upstream", due, upstream, weigh_upstream)
        yield Slot(i, "operand", beside, operand, weigh_operand)


def _of_matrix(group: list[Node]) -> Iterator[Slot]:
    """The solution, or the inverse, in the gradient of a matrix."""
    node = group[0]
    if not node.inputs[0].active:
        return
    if node.op == "solve":

        def outer(n: Node, g: Array, c: Array) -> Any:
            u = np.linalg.solve(np.swapaxes(n.inputs[0].value, -1, -2), g)
            return -u @ np.swapaxes(c, -1, -2)

        yield Slot(0, "value", lambda n: n.value, outer)
    else:

        def inverse(n: Node) -> Array:
            return np.swapaxes(np.linalg.inv(n.inputs[0].value), -1, -2)

        yield Slot(0, "inverse", inverse, lambda n, g, c: g[..., None, None] * c)


def _of_function(reverse: Reverse, group: list[Node]) -> Iterator[Slot]:
    node = group[0]
    active = [i for i, x in enumerate(node.inputs) if x.active]
    for i in active:

        def upstream(n: Node, g: Array, c: Array, i: int = i) -> Any:
            return c * _slope(n, i)

        if len(active) > 1:
            yield Slot(i, "upstream", reverse.gradient.__getitem__, upstream)
        if node.op in ("maximum", "minimum", "where"):

            def sided(n: Node, g: Array, c: Array, i: int = i) -> Any:
                first = (n.op == "where" and i == 1) or n.op == "maximum"
                return g * ((c > 0) == first)

            yield Slot(i, "side", lambda n: n.value, sided)
            continue
        if node.op in ("add", "subtract", "negative"):
            continue
        for j in range(len(node.inputs)):
            if node.inputs[j].value.ndim == 0:
                continue

            def swapped(n: Node, g: Array, c: Array, i: int = i, j: int = j) -> Any:
                return g * _slope(n, i, {j: c})

            def input_(n: Node, j: int = j) -> Array:
                return n.inputs[j].value

            yield Slot(i, "argument" if j == i else "operand", input_, swapped)
        if len(node.inputs) == 1:

            def valued(n: Node, g: Array, c: Array) -> Any:
                return g * _slope(n, 0, out=c)

            yield Slot(0, "value", lambda n: n.value, valued)


def _slope(
    node: Node, i: int, inputs: dict[int, Array] | None = None, out: Any = None
) -> Array:
    """The derivative of an elementwise operation with something else put in."""
    full = [
        np.broadcast_to((inputs or {}).get(j, x.value), node.shape)
        for j, x in enumerate(node.inputs)
    ]
    primitive = ops.PRIMITIVES[node.op]
    with np.errstate(all="ignore"):
        if out is None:
            out = primitive.evaluate(full, node.ints) if inputs else node.value
        return np.asarray(
            primitive.derivative(np.ones(node.shape), out, full, node.ints)[i]
        )


class _Others:
    """The arrays of a program, by shape."""

    def __init__(self, reverse: Reverse) -> None:
        self._reverse = reverse
        self._by_shape: dict[Any, list[Other]] = defaultdict(list)
        loops = [group for group in reverse.groups if len(group) > 1]
        for other in (
            *(o for node in _everything(reverse) for o in self._at([node])),
            *(o for group in loops for o in self._at(group)),
            *(o for group in loops for o in self._beside(group)),
        ):
            if any(a.size > 1 for a in other.arrays):
                self._by_shape[_shapes(other.arrays)].append(other)

    def _at(self, group: list[Node]) -> Iterator[Other]:
        """Values and gradients; what one of several users sends is a gradient, too."""
        gradient, users = self._reverse.gradient, self._reverse.users
        yield Other(group[0], False, tuple(n.value for n in group))
        if all(n in gradient for n in group):
            yield Other(group[0], True, tuple(gradient[n] for n in group))
        if len(group) == 1 and len(users[group[0]]) > 1:
            for user, i in users[group[0]]:
                yield Other(group[0], True, (self._reverse.part(user, i),))
        each = [dict(miscounted(n)) for n in group]
        for what in each[0]:
            if all(what in one for one in each):
                yield Other(group[0], False, tuple(one[what] for one in each), what)

    def _beside(self, group: list[Node]) -> Iterator[Other]:
        """What the turns of a loop use, and send to it; a turn sooner or later."""
        values = [n.value for n in group]
        if len(set(_shapes(values))) == 1:
            nothing = np.zeros_like(values[0])
            yield Other(group[0], False, (nothing, *values[:-1]), "of the turn before")
            yield Other(group[0], False, (*values[1:], nothing), "of the turn after")
        for i, x in enumerate(group[0].inputs):
            yield Other(x, False, tuple(n.inputs[i].value for n in group))
            if all(n.inputs[i].active for n in group):
                parts = [self._reverse.part(n, i) for n in group]
                nothing = np.zeros_like(parts[0])
                for shifted in (parts, [*parts[1:], nothing], [nothing, *parts[:-1]]):
                    yield Other(x, True, tuple(shifted))

    def of(self, group: list[Node], due: Sequence[Array]) -> Iterator[Other]:
        """Yield what has the shape of what is due in each turn of the group."""
        yield Other(group[0], False, tuple(np.ones_like(d) for d in due), _ONES)
        yield from self._by_shape[_shapes(due)]
        if len(group) > 1 and len(set(_shapes(due))) == 1:
            for other in self._by_shape[_shapes(due[:1])]:
                if other.node.op in ("constant", "parameter"):
                    yield replace(other, arrays=other.arrays * len(group))


def _shapes(arrays: Sequence[Array]) -> tuple[tuple[int, ...], ...]:
    return tuple(a.shape for a in arrays)


def _everything(reverse: Reverse) -> list[Node]:
    """All nodes, and the constants they use."""
    found = dict.fromkeys(reverse.nodes)
    for node in reverse.nodes:
        found.update(dict.fromkeys(node.inputs))
    return list(found)


class _SlotSieve:
    """Whether an array may be what stands in a slot."""

    def __init__(
        self, reverse: Reverse, probes: Sequence[Probe], slot: Slot, group: list[Node]
    ) -> None:
        self.reverse, self.probes, self.slot, self.group = reverse, probes, slot, group
        # What is sent down a loop is propagated through later turns, broken ones.
        self.sees = len(group) == 1 or all(slot.to(n).op == "parameter" for n in group)
        self.due = [slot.due(n) for n in group]
        self.right = [
            self._part(n, due) for n, due in zip(group, self.due, strict=True)
        ]
        self.weights = [
            [self._weights(tangent) for tangent in probe.tangents]
            for probe in (probes if self.sees else ())
        ]

    def _part(self, node: Node, array: Array) -> Array:
        if self.slot.weigh is not None:
            return array
        with np.errstate(all="ignore"):
            return np.asarray(self.slot.part(node, self.reverse.gradient[node], array))

    def _weights(self, tangent: Mapping[Node, Array]) -> list[Array | None]:
        """What weighs the part of each turn in the error that is seen."""
        weights = [tangent.get(self.slot.to(n)) for n in self.group]
        if self.slot.weigh is None:
            return weights
        return [
            None if w is None else self.slot.weigh(n, w)
            for n, w in zip(self.group, weights, strict=True)
        ]

    def __call__(self, other: Other) -> float | None:
        """By what the array may be multiplied to stand there; None if it may not."""
        if all(map(np.array_equal, other.arrays, self.due)):
            return None
        if not self.sees:
            return 1.0
        parts = [
            self._part(n, c) for n, c in zip(self.group, other.arrays, strict=True)
        ]
        self.reverse.budget.check()
        change = [d - right for d, right in zip(parts, self.right, strict=True)]
        for probe, weights in zip(self.probes, self.weights, strict=True):
            if all(map(_fits, repeat(change), weights, probe.seen)):
                return 1.0
            if self.slot.role == "upstream":
                factor = self._factor(parts, weights, probe.seen)
                if factor is not None:
                    return factor
        return None

    def _factor(
        self, parts: list[Array], weights: list[list[Array | None]], seen: list[float]
    ) -> float | None:
        """The factor on which all directions agree, as 1 / the number of samples."""
        factors = []
        for along, target in zip(weights, seen, strict=True):
            total, size = dot(zip(parts, along, strict=True))
            if abs(total) <= CLOSE * size:
                return None
            factors.append(
                (target + dot(zip(self.right, along, strict=True))[0]) / total
            )
        first = factors[0]
        agree = all(abs(f - first) <= CLOSE * abs(first) for f in factors)
        return first if agree and abs(first) > CLOSE else None


def _fits(change: list[Array], weights: list[Array | None], seen: float) -> bool:
    """Whether the change, so weighed, is what is seen."""
    total, size = dot(zip(change, weights, strict=True))
    return abs(total - seen) <= CLOSE * (size + abs(seen))


# ---- words ---------------------------------------------------------------------------


_DUE = {
    "operand": "its other operand",
    "argument": "its input",
    "value": "its value",
    "inverse": "the inverse",
}


def _said(
    reverse: Reverse, slot: Slot, node: Node, other: Other
) -> tuple[str, str, float]:
    what = f"the gradient of {_name(other.node)}" if other.is_gradient else ""
    what = what or f"{_name(other.node)} {other.what}".strip()
    what = _ONES if other.what == _ONES else what
    if slot.role == "side":
        return "mask", f"{{op}} passes its gradient where {what} is positive", 4.2
    if slot.role != "upstream" and other.what.startswith("of the turn"):
        text = f"the derivative of {{op}} uses {what} where {_DUE[slot.role]} is due"
        return "stale", text, 4.2
    if slot.role != "upstream":
        text = f"the derivative of {{op}} uses {what} where {_DUE[slot.role]} is due"
        return "local_derivative", text, 4.3
    if not other.is_gradient:
        text = f"{{op}} is handed {what} in place of the gradient from above"
        return "upstream", text, 4.4
    text = f"{what} is used where that of {{op}} is due"
    return (*_relation(reverse, node, other.node, text),)


#: Operations that hand their gradient down as it is.
_IDENTITIES = ("add", "reshape", "view")


def _relation(
    reverse: Reverse, node: Node, other: Node, text: str
) -> tuple[str, str, float]:
    """What it means that the gradient of another value is taken for that of a node."""
    between = _way(reverse, node, other) or _way(reverse, other, node)
    if between is None or len([n for n in between if n.op not in _IDENTITIES]) > 1:
        return "layout", text, 4.4
    if all(n.op in _IDENTITIES for n in between):
        return "accumulation", f"{text}: not all that uses it is counted", 4.2
    return "local_derivative", text, 4.2


def _way(reverse: Reverse, node: Node, above: Node) -> list[Node] | None:
    """The operations from a value up to another one, if they are few."""
    ways: list[list[Node]] = [[node]]
    for _ in range(_STEPS):
        ways = [
            [*way, user]
            for way in ways
            for user in dict.fromkeys(u for u, _ in reverse.users.get(way[-1], ()))
        ]
        for way in ways:
            if way[-1] is above:
                return way[1:]
    return None


def _name(node: Node) -> str:
    if node.op == "parameter":
        return node.label
    if node.op == "constant":
        return f"a constant array of shape {node.shape}"
    return f"{node.label} ({node.source})".replace("{", "(").replace("}", ")")
