"""Other arrays of a program, any of which may be mistaken for the one that is due.

A backward pass is full of arrays of one shape: values, their gradients, data; in a loop
those of the turn before and after.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.patterns import miscounted
from fastgrad.causes.reverse import Reverse
from fastgrad.causes.sites import Site, independent
from fastgrad.program import Node

Array = NDArray[np.float64]
_STEPS = 4  # between values that are mixed up
#: Operations that hand their gradient down as it is.
_IDENTITIES = ("add", "reshape", "view")
_Shapes = tuple[tuple[int, ...], ...]


class Other(NamedTuple):
    """An array that may be mistaken for another one, in each turn of a loop."""

    node: Node
    is_gradient: bool
    arrays: tuple[Array, ...]
    what: str = ""

    def __str__(self) -> str:
        node = self.node
        name = f"{node.label} ({node.source})" if node.inputs else node.label
        if node.op == "constant":
            name = f"a constant array of shape {node.shape}"
        return f"the gradient of {name}" if self.is_gradient else f"{name} {self.what}"


class Pool:
    """The arrays of a program, by their shapes in the turns of a loop."""

    def __init__(self, reverse: Reverse) -> None:
        self._reverse = reverse
        self._by_shape: dict[_Shapes, list[Other]] = defaultdict(list)
        nodes = dict.fromkeys(x for n in reverse.nodes for x in (*n.inputs, n))
        loops = [group for group in reverse.groups if len(group) > 1]
        for other in (
            *(o for node in nodes for o in self._at([node])),
            *(o for group in loops for o in (*self._at(group), *self._beside(group))),
        ):
            if any(a.size > 1 for a in other.arrays):
                self._by_shape[_shapes(other.arrays)].append(other)

    def _at(self, group: list[Node]) -> Iterator[Other]:
        """Values and gradients; what one of several users sends is a gradient, too."""
        gradient, users = self._reverse.gradient, self._reverse.users
        yield Other(group[0], False, tuple(n.value for n in group))
        if all(n in gradient for n in group):
            yield Other(group[0], True, tuple(gradient[n] for n in group))
        if len(group) == 1 and len(users.get(group[0], ())) > 1:
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

    def _of(self, shapes: _Shapes) -> Iterator[Other]:
        """Yield what has these shapes; what has the shape of each turn, too."""
        yield from sorted(self._by_shape[shapes], key=lambda o: "turn" not in o.what)
        if len(shapes) > 1 and len(set(shapes)) == 1:
            for other in self._by_shape[shapes[:1]]:
                if other.node.op in ("constant", "parameter"):
                    yield other._replace(arrays=other.arrays * len(shapes))

    def symbols(self, site: Site) -> Iterator[tuple[str, str, dict[Node, Array]]]:
        """Yield words, a symbol of an operation's rule, and what stands for it."""
        rules = site.rules or {}
        for name, shape in {
            t.name: t.shape for _, t in rules[site.node].sent.parts() if not t.function
        }.items():
            for other in self._of((shape,) * len(rules)) if name not in "g" else ():
                text = f"the derivative of {{op}} uses {other}".rstrip()
                put = dict(zip(rules, other.arrays, strict=True))
                yield f"{text} where {name} is due", name, put

    def substitutes(self, site: Site) -> Iterator[tuple[str, str, dict[Node, Array]]]:
        """Yield code, words and what stands at a site instead of what is due."""
        due = [site.due(n, self._reverse.gradient[n]) for n in site.nodes]
        for other in self._of(_shapes(due)):
            said = self._said(site, other)
            if said is not None:
                yield *said, dict(zip(site.nodes, other.arrays, strict=True))

    def _said(self, site: Site, other: Other) -> tuple[str, str] | None:
        if site.role == "operand":
            late = "of the turn" in other.what and not independent(self._reverse, site)
            text = f"the derivative of {{op}} uses {other}"
            text = f"{text.rstrip()} where its other operand is due"
            return "stale" if late else "local_derivative", text
        if not other.is_gradient:
            text = f"{{op}} is handed {other}"
            return "upstream", f"{text.rstrip()} in place of the gradient from above"
        return self._relation(site.node, other)

    def _relation(self, node: Node, other: Other) -> tuple[str, str] | None:
        """What it means that the gradient of a value nearby is taken for a node's."""
        text = f"{other} is used where that of {{op}} is due"
        between = self._way(node, other.node) or self._way(other.node, node)
        if between is None or len([n for n in between if n.op not in _IDENTITIES]) > 1:
            return None
        if all(n.op in _IDENTITIES for n in between):
            return "accumulation", f"{text}: not all that uses it is counted"
        return "local_derivative", text

    def _way(self, node: Node, above: Node) -> list[Node] | None:
        """The operations from a value up to another one, if they are few."""
        ways: list[list[Node]] = [[node]]
        for _ in range(_STEPS):
            ways = [
                [*way, user]
                for way in ways
                for user in dict.fromkeys(
                    u for u, _ in self._reverse.users.get(way[-1], ())
                )
            ]
            for way in ways:
                if way[-1] is above:
                    return way[1:]
        return None


def _shapes(arrays: Sequence[Any]) -> _Shapes:
    return tuple(a.shape for a in arrays)
