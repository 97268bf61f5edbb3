"""Reverse mode with something broken: how the gradient changes, and nothing else.

Gradients above the broken operation are the right ones, and derivatives are linear in
what comes down: so only the change is propagated, from the broken operation down, and
only until somebody has seen enough.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.budget import Budget
from fastgrad.causes.ties import seen, with_one_winner
from fastgrad.program import (
    Node,
    Part,
    Program,
    backpropagate,
    derivative,
    ops,
    value_of,
)

Array = NDArray[np.float64]

#: What an edited operation sends beyond what is right: of it and what comes down.
Extra = Callable[[Node, Array], Iterable[tuple[Node, Any]]]

_SMALL = 20_000  # elements, or multiplications, that take next to no time
_STEP = 1e-4  # for tangents of operations that are linear, or nearly so
_NEUTRAL = 1e-12  # of what comes down: a maximum whose gradient cancels
_LEAST_SCORE = -1e3  # below which nothing counts beside others


class Reverse:
    """A program with its right ``gradient`` at every value.

    Its ``nodes`` depend on parameters, and the loss on them; inputs come first. To
    which `side` of ties derivatives are is told in `ties`.
    """

    def __init__(self, program: Program | Part, budget: Budget, side: int = 0) -> None:
        self.program, self.budget, self.side = program, budget, side
        self._slopes: dict[Node, list[tuple[Array, bool] | None]] = {}
        self.gradient = backpropagate(
            program.nodes, program.result, dict.fromkeys(program.nodes, self.send)
        )
        self.nodes = [n for n in program.nodes if n in self.gradient]
        self.number = {node: i for i, node in enumerate(self.nodes)}
        self._parts: dict[Node, list[Any]] = {}
        self.readings: Any = None  # once they are looked for

    # ---- derivatives

    def send(self, node: Node, g: Array) -> list[Any]:
        """What the node sends to its inputs; None for constants."""
        if elementwise(node):
            return [
                None if slope is None else _reduced(_times(g, *slope), x.shape)
                for x, slope in zip(node.inputs, self._slope(node), strict=True)
            ]
        if node.op == "contract":
            return _contraction(node, g)
        if node.op == "max" and self.side:
            node = with_one_winner(node, self.side)
        return list(derivative(node, g))

    def _slope(self, node: Node) -> list[tuple[Array, bool] | None]:
        """Derivatives of an elementwise operation, and whether all are finite."""
        if node not in self._slopes:
            inputs = seen(node, self.side)
            rule = ops.PRIMITIVES[node.op].derivative
            slopes = rule(np.ones(node.shape), node.value, inputs, node.ints)
            self._slopes[node] = [
                (np.asarray(slope), bool(np.isfinite(slope).all()))
                if x.active
                else None
                for x, slope in zip(node.inputs, slopes, strict=True)
            ]
        return self._slopes[node]

    def slope(self, node: Node, i: int) -> Array:
        """The derivative of an elementwise operation with respect to input `i`."""
        found = self._slope(node)[i]
        assert found is not None
        return found[0]

    def parts(self, node: Node) -> list[Any]:
        """What the node rightly sends to its inputs."""
        if node not in self._parts:
            self._parts[node] = self.send(node, self.gradient[node])
        return self._parts[node]

    def part(self, node: Node, i: int) -> Array:
        """What the node rightly sends to input `i`, in its shape."""
        return np.broadcast_to(self.parts(node)[i], node.inputs[i].shape)

    @cached_property
    def users(self) -> dict[Node, list[tuple[Node, int]]]:
        """For each value the operations that use it, and as which input."""
        users: dict[Node, list[tuple[Node, int]]] = defaultdict(list)
        for node in self.nodes:
            for i, x in enumerate(node.inputs):
                if x.active:
                    users[x].append((node, i))
        return users

    @cached_property
    def groups(self) -> list[list[Node]]:
        """Operations that are the same piece of code, run again in a loop."""
        groups: dict[Any, list[Node]] = defaultdict(list)
        # One call of NumPy may make several operations of one kind.
        depth: dict[Node, int] = {}
        for node in self.nodes:
            if not node.inputs or not node.label:
                continue
            depth[node] = max(
                (
                    depth.get(x, 0) + (x.op != node.op)
                    for x in node.inputs
                    if x.inputs and x.source.site == node.source.site
                ),
                default=0,
            )
            kind = node.op, node.label, len(node.inputs)
            groups[(node.source.site, *kind, depth[node])].append(node)
        return list(groups.values())

    @cached_property
    def operands(self) -> dict[Any, set[tuple[int, int]]]:
        """Of which operations in loops, by number, a value is which input in a turn."""
        found: dict[Any, set[tuple[int, int]]] = defaultdict(set)
        for k, group in enumerate(self.groups):
            moved = len(group) == 1 or group[0].op in ("reshape", "view")
            for i, x in (p for n in group if not moved for p in enumerate(n.inputs)):
                found[x.shape, x.value.tobytes()].add((k, i))
        return found

    @cached_property
    def helpers(self) -> list[list[Node]]:
        """Operations that are one line of a function, called from several places."""
        lines: dict[Any, list[list[Node]]] = defaultdict(list)
        seen = Counter[Any]()  # one call of NumPy may make several of one kind
        for group in self.groups:
            source, kind = group[0].source, (group[0].op, group[0].label)
            seen[source.site, kind] += 1
            key = source, source.spot, kind, seen[source.site, kind]
            lines[key].append(group)
        several = [groups for groups in lines.values() if len(groups) > 1]
        joined = ([n for group in groups for n in group] for groups in several)
        return [nodes for nodes in joined if _are_alike(nodes)]

    @cached_property
    def reached(self) -> dict[Node, int]:
        """For each value the parameters it depends on, as bits."""
        return self._come({p: 1 << b for b, p in enumerate(self.program.parameters)})

    @cached_property
    def behind(self) -> dict[Node, int]:
        """For each value the operations it comes from, its own too, as bits."""
        return self._come({node: 1 << k for node, k in self.number.items()})

    def _come(self, own: Mapping[Node, int]) -> dict[Node, int]:
        """For each value its own bits, and those of all it comes from."""
        bits = dict(own)
        for node in self.nodes:
            bits.setdefault(node, 0)
            for x in node.inputs:
                bits[node] |= bits.get(x, 0)
        return bits

    @cached_property
    def passed(self) -> dict[Node, int]:
        """For each value what every way from the loss to it passes, as bits."""
        bits: dict[Node, int] = {}
        for k, node in reversed(list(enumerate(self.nodes))):
            above = [bits[u] for u, _ in self.users.get(node, ()) if u in bits]
            common = above[0] if above else 0
            for one in above[1:]:
                common &= one
            bits[node] = common | 1 << k
        return bits

    @cached_property
    def neutral(self) -> set[Node]:
        """Maxima that are only subtracted for safety: their gradient cancels."""
        return {
            node
            for node in self.nodes
            if node.op == "max"
            and np.abs(self.gradient[node]).max(initial=0)
            <= _NEUTRAL * max(self._above(node), default=0)
        }

    def _above(self, node: Node) -> Iterator[float]:
        """Sizes of the gradients of what uses a value, other than by reshaping it."""
        for user, _ in self.users[node]:
            if user.op in ("reshape", "view"):
                yield from self._above(user)
            else:
                yield float(np.abs(self.gradient[user]).max(initial=0))

    def change(self, edited: Mapping[Node, Extra]) -> dict[Node, Array]:
        """The change of the gradient of each value if these operations send more."""
        found: dict[Node, Array] = {}
        if not edited:
            return found
        self.budget.check()
        for k in range(max(self.number[n] for n in edited), -1, -1):
            node = self.nodes[k]
            moved, sent = found.get(node) if node.inputs else None, []
            if node in edited:
                extra, moved = self._extra(edited[node], node, moved)
                sent += extra
            if moved is not None:
                if node.size > _SMALL:  # a look at the clock takes time, too
                    self.budget.check()
                found[node] = moved
                sent += zip(node.inputs, self.send(node, moved), strict=True)
            for x, part in sent:
                if x.active and part is not None and x not in self.neutral:
                    if np.shape(part) != x.shape:
                        part = np.broadcast_to(part, x.shape)
                    found[x] = found[x] + part if x in found else part
        return found

    def _extra(
        self, extra: Extra, node: Node, moved: Array | None
    ) -> tuple[list[tuple[Node, Any]], Array | None]:
        """What an edited operation sends more; and how what comes down has moved."""
        g, sent = self.gradient[node], []
        for x, part in extra(node, g if moved is None else g + moved):
            if x is node:
                moved = part if moved is None else moved + part
            else:
                sent.append((x, ops.unbroadcast(np.asarray(part), x.shape)))
        return sent, moved

    def edited(self, edited: Mapping[Node, Extra]) -> "Reverse":
        """The same after an edit: with what then comes down to each value."""
        other, change = copy(self), self.change(edited)
        other.gradient = {
            n: g + change[n] if n in change else g for n, g in self.gradient.items()
        }
        other._parts, other.readings = {}, None
        other.__dict__.pop("updated", None)
        return other

    def tangents(self, direction: Mapping[Node, Array]) -> dict[Node, Array]:
        """How fast each value moves with parameters that move in this direction."""
        tangents = dict(direction)
        for node in self.nodes:
            if not node.inputs or node in self.neutral:
                continue
            moved = any(x in tangents for x in node.inputs)
            if moved and not ops.PRIMITIVES[node.op].steps:
                moves = [tangents.get(x) for x in node.inputs]
                tangents[node] = self.pushed(node, moves)
        return tangents

    @cached_property
    def updated(self) -> dict[Node, dict[Node, Array]]:
        """How values move when a parameter moves along its own right gradient."""
        usable = [p for p in self.program.parameters if p in self.gradient]
        return {p: self.tangents({p: self.gradient[p]}) for p in usable}

    def pushed(self, node: Node, moves: Sequence[Array | None]) -> Array:
        """How a node moves with its inputs; those that stay have none."""
        total = np.zeros(node.shape)
        if elementwise(node):
            for move, slope in zip(moves, self._slope(node), strict=True):
                if move is not None and slope is not None:
                    total = total + move * slope[0]
        elif node.op == "contract":
            for i, move in enumerate(moves):
                if move is not None:
                    mine, theirs, out = labels_at(node, i)
                    other = node.inputs[1 - i].value
                    total = total + einsum(move, mine, other, theirs, out)
        else:  # linear, or no more than half of the digits are needed
            steps = ((_STEP, 1.0), (-_STEP, -1.0))
            for step, sign in steps:
                pairs = zip(node.inputs, moves, strict=True)
                at = [x.value if m is None else x.value + step * m for x, m in pairs]
                total = total + sign * value_of(node, at)
            total = total / (2 * _STEP)
        return np.asarray(total)


def recomputed(
    nodes: Sequence[Node], values: Mapping[Node, Array], budget: Budget
) -> dict[Node, Node]:
    """What becomes of nodes if some have other values, which are given from then on."""
    found: dict[Node, Node] = {}
    for node in nodes:
        if node in values:
            found[node] = node.replaced((), values[node])
        elif any(x in found for x in node.inputs):
            budget.check()
            inputs = tuple(found.get(x, x) for x in node.inputs)
            value = value_of(node, [x.value for x in inputs])
            found[node] = node.replaced(inputs, value)
    return found


def _are_alike(nodes: Sequence[Node]) -> bool:
    """Whether operations have as many axes, and depend on parameters by the same."""
    ways = {(n.value.ndim, *(x.active for x in n.inputs)) for n in nodes}
    return len(ways) == 1


def elementwise(node: Node) -> bool:
    """Whether the operation works entry by entry."""
    return node.op in ops.ELEMENTWISE


def stretched(node: Node, i: int) -> tuple[int, ...]:
    """The axes of the result along which input `i` is repeated."""
    x = node.inputs[i]
    if node.op == "view":
        moves = node.ints[x.value.ndim :]
        return tuple(
            d for d in range(node.value.ndim) if moves[2 * d] < 0 and node.shape[d] > 1
        )
    if not elementwise(node):
        return ()
    lead = node.value.ndim - x.value.ndim
    return tuple(
        d
        for d in range(node.value.ndim)
        if node.shape[d] > 1 and (d < lead or x.shape[d - lead] == 1)
    )


def is_mask(value: Array) -> bool:
    """Whether an array has one value besides zero."""
    some = value[value != 0]
    return 0 < some.size < value.size and bool((some == some[0]).all())


def hides(value: Array) -> bool:
    """Whether scores to which an array is added count no more where it is not zero."""
    return is_mask(value) and bool(value.min() < _LEAST_SCORE)


def _times(g: Array, slope: Array, finite: bool) -> Any:
    """Product in which nothing comes from nothing, even at a pole."""
    if finite:
        return g * slope
    return np.where(g == 0, 0.0, g * slope)


def _reduced(part: Any, shape: tuple[int, ...]) -> Any:
    return part if part.shape == shape else ops.unbroadcast(part, shape)


@cache
def labels(ints: tuple[int, ...]) -> tuple[list[int], list[int], list[int]]:
    """`ops.contraction_labels`, once for each kind of contraction."""
    return ops.contraction_labels(ints)


def labels_at(node: Node, i: int) -> tuple[list[int], list[int], list[int]]:
    """Labels of input `i` of a contraction, of the other input, and of the result."""
    x, y, out = labels(node.ints)
    return (x, y, out) if i == 0 else (y, x, out)


def product_part(node: Node, i: int, g: Array, other: Array) -> Array:
    """What input `i` of a contraction receives, with this for the other input."""
    mine, theirs, out = labels_at(node, i)
    return einsum(g, out, other, theirs, mine)


def _contraction(node: Node, g: Array) -> list[Any]:
    others = (node.inputs[1].value, node.inputs[0].value)
    return [
        product_part(node, i, g, other) if node.inputs[i].active else None
        for i, other in enumerate(others)
    ]


def einsum(a: Array, la: list[int], b: Array, lb: list[int], out: list[int]) -> Array:
    """Einstein summation, planned only where that pays."""
    if 0 in a.strides + b.strides:  # BLAS takes no repeated rows
        a, b = np.asarray(a, order="C"), np.asarray(b, order="C")
    sizes = dict(zip(la + lb, a.shape + b.shape, strict=True))
    optimize = math.prod(sizes.values()) > _SMALL
    operands: list[Any] = [a, la, b, lb, out]
    return np.asarray(np.einsum(*operands, optimize=optimize))
