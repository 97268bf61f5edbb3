"""Sites of edits: where in the reverse pass an array stands that may be another one.

What comes down to an operation, or to one of its uses; the other factor of a product;
what is sent on, before or after it is summed over the axes of a broadcast. The gradient
is linear in the array of a site, so what weighs its elements in an error is computed
once, and whether an edit of the array may be the error is a dot product.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.expressions import Expression
from fastgrad.causes.reverse import Extra, Reverse, elementwise, product_part
from fastgrad.causes.rules import Rule, rules
from fastgrad.program import Node, ops

Array = NDArray[np.float64]

#: Of a node and what comes down to it: what stands there instead.
New = Callable[[Node, Array], Any]


class Edit(NamedTuple):
    """What may stand at a site.

    ``new`` is, of a node and what comes down to it, what stands there; ``{op}`` in the
    text, which is a string where it is told, stands for the operation. ``free`` is
    "factor" if a number may be wrong too, "named" if one that is known, "step" if any
    multiple of the change is the same mistake; ``odd`` are bits by which it is further
    fetched than its place tells.
    """

    code: str
    text: object
    new: New
    free: str = ""
    odd: float = 0.0


@dataclass(frozen=True)
class Site:
    """A place in the reverse pass, the same in all turns of a loop.

    Its role is "upstream" for what comes down, "edge" for that on its way to one input,
    "operand" for the other factor, "sent" for what is sent on, "rule" for that as an
    expression.
    """

    role: str
    nodes: list[Node]  # the operation, in each turn
    to: Callable[[Node], Node]  # whose gradient it goes into
    due: Callable[[Node, Array], Array]  # by what comes down: what stands there
    # By what comes down, and what stands there: what is received.
    part: Callable[[Node, Array, Array], Array] = lambda n, g, a: a
    # By what weighs what is received: what weighs what stands there.
    weigh: Callable[[Node, Array], Array] = lambda n, t: t
    i: int | None = None  # which input receives it; None for all
    rules: dict[Node, Rule] | None = None
    rest: Callable[[Node], Node] | None = None  # what receives what is left

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
            smooth = elementwise(node) and not ops.PRIMITIVES[node.op].steps
            if smooth or node.op == "contract":
                yield from _of_parts(reverse, some, i)
    if node is not reverse.program.result:
        yield Site("upstream", group, lambda n: n, lambda n, g: g)
    yield from _rules(reverse, group)


def _sent(reverse: Reverse, group: list[Node], i: int) -> Site:
    def due(n: Node, g: Array) -> Array:
        sent, shape = reverse.send(n, g)[i], n.inputs[i].shape
        return sent if np.shape(sent) == shape else np.broadcast_to(sent, shape)

    return Site("sent", group, lambda n: n.inputs[i], due, i=i)


def _of_parts(reverse: Reverse, group: list[Node], i: int) -> Iterator[Site]:
    """The other factor of a product; what comes down, for one input only."""
    node = group[0]
    is_contraction = node.op == "contract"

    def to(n: Node) -> Node:
        return n.inputs[i]

    def by_upstream(n: Node, g: Array, a: Array) -> Array:
        return np.asarray(reverse.send(n, a)[i])

    def weigh_upstream(n: Node, t: Array) -> Array:
        alone = [t if k == i else None for k in range(len(n.inputs))]
        return np.broadcast_to(reverse.pushed(n, alone), n.shape)

    def beside(n: Node, g: Array) -> Array:
        return n.inputs[1 - i].value

    def by_other(n: Node, g: Array, a: Array) -> Array:
        return product_part(n, i, g, a) if is_contraction else g * a

    def weigh_other(n: Node, t: Array) -> Array:
        g = reverse.gradient[n]
        if is_contraction:
            return product_part(n, 1 - i, g, t)
        return ops.unbroadcast(np.broadcast_to(t * g, n.shape), n.inputs[1 - i].shape)

    if is_contraction or (node.op == "multiply" and node.inputs[1 - i].ndim):
        yield Site("operand", group, to, beside, by_other, weigh_other, i)
    if sum(x.active for x in node.inputs) > 1:
        yield Site("edge", group, to, lambda n, g: g, by_upstream, weigh_upstream, i)


def _rules(reverse: Reverse, group: list[Node]) -> Iterator[Site]:
    """The expressions that operations send, by the primitives and in closed form."""
    each = {n: {rule.key: rule for rule in rules(reverse, n)} for n in group}
    for key in each[group[-1]]:
        found = {n: table[key] for n, table in each.items() if key in table}
        first = next(iter(found.values()))
        if isinstance(first.sent, Expression):
            yield _rule(found, first)


def _rule(found: dict[Node, Rule], first: Rule) -> Site:
    def due(n: Node, g: Array) -> Array:
        part = found[n].sent.compute({"g": g})
        if part.shape != g.shape or np.isfinite(part).all():
            return part
        # Nothing comes from nothing, even at a pole.
        return np.where((g == 0) & ~np.isfinite(part), 0.0, part)

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
