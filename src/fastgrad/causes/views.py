"""The user's gradient code as a program: with an edit, and what weighs in it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.known import same
from fastgrad.causes.patterns import penalties
from fastgrad.causes.probes import NOBODYS
from fastgrad.causes.readings import Point
from fastgrad.causes.rewrites import New, Rewrite, own, times
from fastgrad.program import Node, ops, topological, value_of

Array = NDArray[np.float64]

_CLOSE = 1e-7  # of the parts of a projection, which cancel


class Code:
    """The user's gradient code, which can be run with an edit.

    Of its points the first has the values of the trace.
    """

    def __init__(
        self, results: Sequence[Node], points: list[Point], wrong: Sequence[int]
    ) -> None:
        self.results, self.points, self.wrong = results, points, set(wrong)
        self.nodes = topological(*results)
        self._affected: dict[tuple[Node, ...], list[Node]] = {}

    def affected(self, turns: Sequence[Node]) -> list[Node]:
        """These operations and all that is computed from them, inputs first."""
        key = tuple(turns)
        if key not in self._affected:
            found = set(turns)
            for node in self.nodes:
                if not found.isdisjoint(node.inputs):
                    found.add(node)
            self._affected[key] = [n for n in self.nodes if n in found]
        return self._affected[key]

    @cached_property
    def leads(self) -> dict[Node, int]:
        """The blocks that each value leads to, as bits."""
        bits = dict.fromkeys(self.nodes, 0)
        for b, result in enumerate(self.results):
            bits[result] |= 1 << b
        for node in reversed(self.nodes):
            for x in node.inputs:
                bits[x] |= bits[node]
        return bits

    @cached_property
    def penalties(self) -> set[Node]:
        """What leads to terms of blocks that are penalties, and nowhere else."""
        return penalties(self.results)

    def spoilt(self, turns: Sequence[Node], repaired: Collection[int]) -> int:
        """How many wrong blocks an edit moves that it does not repair."""
        moved = set(self.affected(turns))
        return sum(self.results[b] in moved for b in self.wrong.difference(repaired))

    def is_bent(self, turns: Sequence[Node]) -> bool:
        """Whether the blocks do not follow a change of these values in proportion."""
        first = self.points[0]

        def more(sign: float) -> list[Array]:
            def new(node: Node, inputs: list[Array], point: Point, k: int) -> Array:
                return own(node, inputs) + sign * first.values[node]

            values = self.run(first, Rewrite("", "", 0.0, new), turns)
            return [values[result] for result in self.results]

        both = zip(more(-1.0), more(1.0), self.results, strict=True)
        return not all(same(one + two, 2 * first.values[r]) for one, two, r in both)

    def run(
        self, point: Point, edit: Rewrite, turns: Sequence[Node]
    ) -> dict[Node, Array]:
        """All values at a point after an edit."""
        return _after(self.affected(turns), point, turns, edit.new)[0]

    def repaired(self, edit: Rewrite, turns: Sequence[Node]) -> dict[int, float]:
        """The wrong blocks that an edit makes right everywhere, and what is left."""
        found = dict.fromkeys(self.wrong, 0.0)
        for point in self.points:
            values = self.run(point, edit, turns)
            for b, result in enumerate(self.results):
                value, right = values[result], point.right[b]
                if not same(value, right):
                    if b not in self.wrong:
                        return {}
                    found.pop(b, None)
                elif b in found:
                    found[b] = max(found[b], _residual(value, right))
            if not found:
                break
        return found


def _after(
    nodes: Sequence[Node],
    point: Point,
    turns: Sequence[Node],
    new: New,
    ends: Collection[Node] = (),
) -> tuple[dict[Node, Array], dict[Node, Array]]:
    """All values after an edit; and of ends, which stand for what follows."""
    number, values = {n: k for k, n in enumerate(turns)}, dict(point.values)
    here, found, moved = point._replace(values=values), dict[Node, Array](), set[Node]()
    for node in nodes:
        if node in number or not moved.isdisjoint(node.inputs):
            inputs = [values[x] for x in node.inputs]
            if node in number:
                given = new(node, inputs, here, number[node])
                value = np.broadcast_to(given, node.shape)
            else:
                value = value_of(node, inputs)
            if node in ends:
                found[node] = value
            else:
                values[node] = value
                moved.add(node)
    return values, found


def _residual(value: Array, right: Array) -> float:
    largest = float(np.abs(right).max(initial=0))
    return float(np.abs(value - right).max(initial=0)) / (largest or 1.0)


class Projection:
    """How much values of the code weigh in a weighted sum of what comes of it.

    That is of its targets: of each what is computed, and what is due. If it can be told
    whether a value is right, only what leads from such is looked at.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        point: Point,
        targets: Mapping[Node, tuple[Array, Array]],
        is_right: Callable[[Node], bool] | None = None,
    ) -> None:
        self.point, self.targets, self.is_local = point, targets, is_right is not None
        self._bent: dict[tuple[Node, ...], bool] = {}
        rng = np.random.default_rng(0)
        first = {node: rng.standard_normal(node.shape) for node in targets}
        self.due = sum(
            float(np.vdot(first[node], right - given))
            for node, (given, right) in targets.items()
        )
        self.weight: dict[Node, Array] = {} if self.is_local else dict(first)
        self.parts: dict[Node, Sequence[Any]] = {}
        for node in reversed(nodes):
            if self.is_local and node in first:
                self.weight[node] = first[node]
            ends = is_right is not None and node not in first and is_right(node)
            if node in self.weight and node.inputs and not ends:
                self._hand_on(node)
        self.between = [n for n in nodes if n in self.parts or n in self.weight]

    def _hand_on(self, node: Node) -> None:
        """What a value weighs goes to its inputs; those that stand are left out."""
        rule = ops.PRIMITIVES[node.op].derivative
        inputs = [self.point.values[x] for x in node.inputs]
        parts = rule(self.weight[node], self.old(node), inputs, node.ints)
        self.parts[node] = parts
        for x, part in zip(node.inputs, parts, strict=True):
            if part is not None and not (self.is_local and x in self.targets):
                if np.shape(part) != x.shape:
                    part = np.broadcast_to(part, x.shape)
                self.weight[x] = self.weight[x] + part if x in self.weight else part

    def old(self, node: Node) -> Array:
        """What is computed there."""
        return (
            self.targets[node][0] if node in self.targets else self.point.values[node]
        )

    def before(self, turns: Sequence[Node]) -> float:
        """What values weigh together."""
        return sum(float(np.vdot(self.weight[n], self.old(n))) for n in turns)

    def after(self, turns: Sequence[Node], new: New) -> float:
        """What they weigh after an edit."""
        total = 0.0
        for k, node in enumerate(turns):
            inputs = [self.point.values[x] for x in node.inputs]
            value = np.broadcast_to(new(node, inputs, self.point, k), node.shape)
            total += float(np.vdot(self.weight[node], value))
        return total

    def is_bent(self, turns: Sequence[Node]) -> bool:
        """Whether what leads to the targets is no linear function of these values."""
        if not any(np.any(self.weight[n]) for n in turns):
            return False  # and a step hides what is done to it
        if not self.is_local:
            return not self.of_systems.isdisjoint(turns)
        key = tuple(turns)
        if key not in self._bent:
            self._bent[key] = True
            with suppress(*NOBODYS):
                none, twice = (self.made(turns, times(f)) for f in (0.0, 2.0))
                self._bent[key] = not all(
                    same(none[n] + twice[n], 2 * given)
                    for n, (given, _) in self.targets.items()
                )
        return self._bent[key]

    @cached_property
    def of_systems(self) -> set[Node]:
        """What the matrices of linear systems are made of."""
        solved = [n.inputs[0] for n in self.between if n.op == "solve"]
        return set(topological(*solved))

    def made(self, turns: Sequence[Node], new: New) -> dict[Node, Array]:
        """What is computed for the targets after an edit."""
        _, found = _after(self.between, self.point, turns, new, self.targets)
        return {n: found.get(n, given) for n, (given, _) in self.targets.items()}

    def gives(
        self, turns: Sequence[Node], new: New, old: float, anew: bool = False
    ) -> bool:
        """Whether an edit gives what is due: computed anew where a projection fails."""
        try:
            if not anew and not self.is_bent(turns):
                return bool(self.fits(self.after(turns, new), old))
            made = self.made(turns, new)
        except NOBODYS:
            return False
        return all(same(made[n], due) for n, (_, due) in self.targets.items())

    def fits(self, new: Any, old: float) -> Any:
        """Whether what would weigh so much instead is due."""
        size = np.abs(new) + abs(old) + abs(self.due)
        return np.abs(new - old - self.due) <= _CLOSE * size
