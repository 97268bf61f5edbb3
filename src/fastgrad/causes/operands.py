"""Other arrays of a program, any of which may be mistaken for the one that is due.

A backward pass is full of arrays of one shape: values, their gradients, data; in a loop
those of the turn before and after. What it means depends on what they are.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.readings import BITS, Point, Reading, Readings
from fastgrad.causes.reverse import Reverse
from fastgrad.causes.sites import Edit, Site, independent
from fastgrad.program import Node

Array = NDArray[np.float64]
_STEPS = 4  # between values that are mixed up
#: Operations that hand their gradient down as it is.
_IDENTITIES = ("add", "reshape", "view")
#: Operations of which any part of the rule may be another array.
_OF_MATRICES = ("solve", "det", "logabsdet")


def substitutes(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """Another array of the program."""
    if reverse.operands is None:
        reverse.operands = Operands(reverse)
    if site.role != "rule":
        yield from reverse.operands.whole(site)
    elif site.node.op in _OF_MATRICES:
        yield from reverse.operands.symbols(site)


class Operands:
    """What may be read in a program's reverse pass."""

    def __init__(self, reverse: Reverse) -> None:
        self._reverse, self._point = reverse, Point({}, reverse, ())
        self._readings = Readings(self._point, ())

    def _of(
        self, shapes: Sequence[tuple[int, ...]], nodes: Sequence[Node]
    ) -> Iterator[tuple[Reading, str, dict[Node, Array]]]:
        """Yield what has these shapes, its name, and its values."""
        if any(np.prod(shape) > 1 for shape in shapes):
            for one in self._readings.of(len(shapes)).get(tuple(shapes), ([], None))[0]:
                arrays = (one.of(self._point, k) for k in range(len(shapes)))
                at = f" ({one.node.source})" if one.node.inputs else ""
                put = dict(zip(nodes, arrays, strict=True))
                yield one, self._readings.called(one) + at, put

    def symbols(self, site: Site) -> Iterator[Edit]:
        """Yield what may stand for a symbol of an operation's rule."""
        rules = site.rules or {}
        parts = [t for _, t in rules[site.node].sent.parts()]
        named = {t.name: t.shape for t in parts if t.name not in ("", "g")}
        for name, shape in named.items():
            for _, called, put in self._of((shape,) * len(rules), list(rules)):
                text = f"the derivative of {{op}} uses {called} where {name} is due"
                yield Edit("local_derivative", text, partial(_sent, rules, name, put))

    def whole(self, site: Site) -> Iterator[Edit]:
        """Yield what may stand at a site instead of what is due."""
        due = [site.due(n, self._reverse.gradient[n]) for n in site.nodes]
        for one, called, put in self._of([a.shape for a in due], site.nodes):
            code, new = self._code(site, one), partial(_put, put)
            odd = BITS[one.role] - BITS["value"]
            if site.role == "operand":
                text = f"the derivative of {{op}} uses {called}"
                text += " where its other operand is due"
                yield Edit(code, text, new, odd=odd)
            elif one.role != "gradient":  # values that have nothing to do with it
                text = f"{{op}} is handed {called} in place of the gradient from above"
                yield Edit(code, text, new, "named", odd + 2)
            elif code:
                text = f"{called} is used where that of {{op}} is due"
                more = ": not all that uses it is counted" * (code == "accumulation")
                yield Edit(code, text + more, new, "named", odd)

    def _code(self, site: Site, one: Reading) -> str:
        """What it means that an array is taken for what is due; "" if nothing."""
        if site.role == "operand":
            late = one.is_late and not independent(self._reverse, site)
            return "stale" if late else "local_derivative"
        if one.role != "gradient":
            return "upstream"
        way = self._way(site.node, one.node) or self._way(one.node, site.node)
        if way is None or len([n for n in way if n.op not in _IDENTITIES]) > 1:
            return ""
        same = all(n.op in _IDENTITIES for n in way)
        return "accumulation" if same else "local_derivative"

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


def _put(put: dict[Node, Array], n: Node, g: Array) -> Array:
    return put[n]


def _sent(rules: Any, name: str, put: dict[Node, Array], n: Node, g: Array) -> Any:
    return rules[n].sent.compute({"g": g, name: put[n]})
