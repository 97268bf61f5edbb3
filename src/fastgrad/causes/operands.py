"""Other arrays of a program, any of which may be mistaken for the one that is due.

A backward pass is full of arrays of one shape: values, their gradients, data; in a loop
those of the turn before and after.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.patterns import miscounted
from fastgrad.causes.reverse import Reverse, elementwise
from fastgrad.causes.sites import Site
from fastgrad.program import Node, ops

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


def substitutes(reverse: Reverse, site: Site) -> Iterator[tuple[Any, ...]]:
    """Yield code, words and what stands at a site instead of what is due."""
    if reverse.pool is None:
        reverse.pool = Pool(reverse)
    yield from reverse.pool.substitutes(site)


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

    def of(self, shapes: _Shapes) -> Iterator[Other]:
        """Yield what has these shapes; what has the shape of each turn, too."""
        near = sorted(self._by_shape[shapes], key=lambda o: "turn" not in o.what)
        yield from near
        if len(shapes) > 1 and len(set(shapes)) == 1:
            for other in self._by_shape[shapes[:1]]:
                if other.node.op in ("constant", "parameter"):
                    yield other._replace(arrays=other.arrays * len(shapes))

    def substitutes(self, site: Site) -> Iterator[tuple[Any, ...]]:
        """Yield code, words and what stands at a site instead of what is due."""
        reverse = self._reverse
        if site.rules is not None:
            yield from self._of_symbols(site)
            return
        due = [site.due(n, reverse.gradient[n]) for n in site.nodes]
        for other in self.of(_shapes(due)):
            code, text = _said(reverse, site, other)
            put = dict(zip(site.nodes, other.arrays, strict=True))
            free = "" if site.role == "operand" else "factor"
            # Most unlikely are values that have nothing to do with each other.
            odd = {"layout": 4.0, "upstream": 2.0}.get(code, 0.0)
            yield code, text, _constantly(put), free, odd

    def _of_symbols(self, site: Site) -> Iterator[tuple[Any, ...]]:
        """Another array in place of a symbol; for an input, the value follows."""
        assert site.rules is not None
        first = site.rules[site.node]
        symbols = {t.name: t.value for _, t in first.sent.parts() if not t.function}
        for name, value in symbols.items():
            own = name == "y" and elementwise(site.node) and not first.name
            if name == "g" or own or not value.ndim:
                continue
            for other in self.of((value.shape,) * len(site.nodes)):
                put = dict(zip(site.nodes, other.arrays, strict=True))
                new = partial(_expressed, site.rules, name, put)
                text = (
                    f"the derivative of {{op}} uses {_what(other)} where {name} is due"
                )
                yield "local_derivative", text, new
        if first.name or first.i is None or not elementwise(site.node):
            return
        for name, j in [("its value", -1), *((n, k) for k, n in enumerate(_ORDINALS))]:
            if j >= len(site.node.inputs) or not site.node.value.ndim:
                continue
            for other in self.of((site.node.shape,) * len(site.nodes)):
                put = dict(zip(site.nodes, other.arrays, strict=True))
                text = f"the derivative of {{op}} uses {_what(other)} for {name}"
                yield "local_derivative", text, partial(_reread, first.i, j, put)


#: Names of the inputs of operations.
_ORDINALS = ("its first operand", "its second operand", "its third operand")


def _expressed(
    rules: Any, name: str, put: dict[Node, Array], n: Node, g: Array
) -> Array:
    return np.asarray(rules[n].sent.compute({"g": g, name: put[n]}))


def _reread(i: int, j: int, put: dict[Node, Array], n: Node, g: Array) -> Any:
    """What input `i` receives if input `j` were another array; the value, if -1."""
    primitive = ops.PRIMITIVES[n.op]
    inputs = [np.broadcast_to(x.value, n.shape) for x in n.inputs]
    out = put[n]
    if j >= 0:
        inputs[j] = put[n]
        out = primitive.evaluate(inputs, n.ints)
    return primitive.derivative(g, out, inputs, n.ints)[i]


def _constantly(put: dict[Node, Array]) -> Any:
    return lambda n, g: put[n]


def _shapes(arrays: Sequence[Array]) -> _Shapes:
    return tuple(a.shape for a in arrays)


# ---- words ---------------------------------------------------------------------------


def _said(reverse: Reverse, site: Site, other: Other) -> tuple[str, str]:
    what = _what(other)
    if site.role == "operand":
        late = other.what.startswith("of the turn")
        text = f"the derivative of {{op}} uses {what} where its other operand is due"
        return "stale" if late else "local_derivative", text
    if not other.is_gradient:
        text = f"{{op}} is handed {what} in place of the gradient from above"
        return "upstream", text
    text = f"{what} is used where that of {{op}} is due"
    return _relation(reverse, site.node, other.node, text)


def _relation(reverse: Reverse, node: Node, other: Node, text: str) -> tuple[str, str]:
    """What it means that the gradient of another value is taken for that of a node."""
    between = _way(reverse, node, other) or _way(reverse, other, node)
    if between is None or len([n for n in between if n.op not in _IDENTITIES]) > 1:
        return "layout", text
    if all(n.op in _IDENTITIES for n in between):
        return "accumulation", f"{text}: not all that uses it is counted"
    return "local_derivative", text


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


def _what(other: Other) -> str:
    node = other.node
    if other.is_gradient:
        return f"the gradient of {_name(node)}"
    return f"{_name(node)} {other.what}".strip()


def _name(node: Node) -> str:
    if node.op == "parameter":
        return node.label
    if node.op == "constant":
        return f"a constant array of shape {node.shape}"
    return f"{node.label} ({node.source})".replace("{", "(").replace("}", ")")
