"""Sites of edits: where in the reverse pass an array stands that may be another one.

What comes down to an operation, or to one of its uses; the other factor of a product;
what is sent on, before or after it is summed over the axes of a broadcast. The gradient
is linear in the array of a site, so what weighs its elements in an error is computed
once, and whether an edit of the array may be the error is a dot product.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.expressions import Expression
from fastgrad.causes.reverse import (
    Extra,
    Reverse,
    einsum,
    elementwise,
    labels_at,
    product_part,
)
from fastgrad.causes.rules import Rule, rules
from fastgrad.program import Node, ops

Array = NDArray[np.float64]

#: Of a node and what comes down to it: what stands there instead.
New = Callable[[Node, Array], Any]


@dataclass(frozen=True)
class Site:
    """A place in the reverse pass, the same in all turns of a loop.

    Attributes
    ----------
    role : str
        "upstream" for what comes down, "edge" for that on its way to one input,
        "operand" for the other factor, "sent" for what is sent on, "rule" for that as
        an expression.
    nodes : list of Node
        The operation, in each turn.
    to : callable
        Of a node: whose gradient it goes into.
    due : callable
        Of a node and what comes down to it: what stands there.
    part : callable
        Of a node, what comes down, and what stands there: what is received.
    weigh : callable
        Of a node and an array that weighs what is received: what weighs what stands
        there.
    i : int or None
        Which input receives it; None for all.
    rules : dict of Node to Rule
        Where it is an expression.
    rest : callable, optional
        Of a node: what receives what is left of what comes down.
    """

    role: str
    nodes: list[Node]
    to: Callable[[Node], Node]
    due: Callable[[Node, Array], Array]
    part: Callable[[Node, Array, Array], Array] = lambda n, g, a: a
    weigh: Callable[[Node, Array], Array] = lambda n, t: t
    i: int | None = None
    rules: dict[Node, Rule] | None = None
    rest: Callable[[Node], Node] | None = None

    @property
    def node(self) -> Node:
        """The operation, in one turn."""
        return self.nodes[0]

    def sends(self, new: New) -> Extra:
        """What an operation sends beyond what is right if this stands there."""

        def extra(n: Node, g: Array) -> Iterator[tuple[Node, Array]]:
            more = self.part(n, g, new(n, g)) - self.part(n, g, self.due(n, g))
            yield self.to(n), more
            if self.rest is not None:
                yield self.rest(n), -more

        return extra

    def weights(self, node: Node, tangents: Mapping[Node, Array]) -> Array | None:
        """What weighs the elements of what stands there; None if nothing does."""
        weight = tangents.get(self.to(node))
        weight = None if weight is None else self.weigh(node, weight)
        left = None if self.rest is None else tangents.get(self.rest(node))
        if left is not None:
            weight = (0.0 if weight is None else weight) - self.weigh(node, left)
        return weight


def sites(reverse: Reverse, group: list[Node]) -> Iterator[Site]:
    """Yield the sites at operations that are the same piece of code."""
    node = group[0]
    for i, x in enumerate(node.inputs):
        some = [n for n in group if n.inputs[i].active]
        if some and x not in reverse.neutral:
            yield _sent(reverse, some, i)
            if node.op == "contract":
                yield from _of_product(reverse, some, i)
            elif elementwise(node) and not ops.PRIMITIVES[node.op].steps:
                yield from _of_function(reverse, some, i)
    if node is not reverse.program.result:
        yield Site("upstream", group, lambda n: n, lambda n, g: g)
    yield from _rules(reverse, group)


def _sent(reverse: Reverse, group: list[Node], i: int) -> Site:
    def due(n: Node, g: Array) -> Array:
        return np.broadcast_to(reverse.send(n, g)[i], n.inputs[i].shape)

    return Site("sent", group, lambda n: n.inputs[i], due, i=i)


def _of_product(reverse: Reverse, group: list[Node], i: int) -> Iterator[Site]:
    def to(n: Node) -> Node:
        return n.inputs[i]

    def beside(n: Node, g: Array) -> Array:
        return n.inputs[1 - i].value

    def by_other(n: Node, g: Array, a: Array) -> Array:
        return product_part(n, i, g, a)

    def weigh_other(n: Node, t: Array) -> Array:
        mine, theirs, out = labels_at(n, i)
        return einsum(reverse.gradient[n], out, t, mine, theirs)

    def by_upstream(n: Node, g: Array, a: Array) -> Array:
        return product_part(n, i, a, n.inputs[1 - i].value)

    def weigh_upstream(n: Node, t: Array) -> Array:
        mine, theirs, out = labels_at(n, i)
        return einsum(t, mine, n.inputs[1 - i].value, theirs, out)

    yield Site("operand", group, to, beside, by_other, weigh_other, i)
    if all(x.active for x in group[0].inputs):
        yield Site("edge", group, to, lambda n, g: g, by_upstream, weigh_upstream, i)


def _of_function(reverse: Reverse, group: list[Node], i: int) -> Iterator[Site]:
    node = group[0]

    def to(n: Node) -> Node:
        return n.inputs[i]

    def by_upstream(n: Node, g: Array, a: Array) -> Array:
        return settled(a * reverse.slope(n, i), a)

    def weigh_upstream(n: Node, t: Array) -> Array:
        return np.broadcast_to(t * reverse.slope(n, i), n.shape)

    def beside(n: Node, g: Array) -> Array:
        return n.inputs[1 - i].value

    def by_other(n: Node, g: Array, a: Array) -> Array:
        return g * a

    def weigh_other(n: Node, t: Array) -> Array:
        whole = np.broadcast_to(t * reverse.gradient[n], n.shape)
        return ops.unbroadcast(whole, n.inputs[1 - i].shape)

    if sum(x.active for x in node.inputs) > 1:
        yield Site("edge", group, to, lambda n, g: g, by_upstream, weigh_upstream, i)
    if node.op == "multiply" and node.inputs[1 - i].value.ndim:
        yield Site("operand", group, to, beside, by_other, weigh_other, i)


def _rules(reverse: Reverse, group: list[Node]) -> Iterator[Site]:
    """The expressions that operations send, by the primitives and in closed form."""
    each = {n: {rule.key: rule for rule in rules(reverse, n)} for n in group}
    for key in each[group[-1]]:
        found = {n: table[key] for n, table in each.items() if key in table}
        first = next(iter(found.values()))
        if isinstance(first.sent, Expression):
            yield _rule(found, first)


def settled(part: Array, g: Array) -> Array:
    """Nothing that comes from nothing, even at a pole."""
    if part.shape != g.shape or np.isfinite(part).all():
        return part
    return np.where((g == 0) & ~np.isfinite(part), 0.0, part)


def _rule(found: dict[Node, Rule], first: Rule) -> Site:
    def due(n: Node, g: Array) -> Array:
        return settled(found[n].sent.compute({"g": g}), g)

    def weigh(n: Node, t: Array) -> Array:
        return np.broadcast_to(t, found[n].sent.shape)

    def to(n: Node) -> Node:
        return found[n].to

    def rest(n: Node) -> Node:
        left = found[n].rest
        assert left is not None
        return left

    left = None if first.rest is None else rest
    nodes = list(found)
    return Site("rule", nodes, to, due, weigh=weigh, i=first.i, rules=found, rest=left)


def independent(reverse: Reverse, site: Site) -> bool:
    """Whether nothing that the site sends in one turn goes through it in another."""
    own = behind = 0
    for node in site.nodes:
        own |= 1 << reverse.number[node]
        to = site.to(node)
        for x in to.inputs if to is node else (to,):
            behind |= reverse.behind.get(x, 0)
    return not own & behind
