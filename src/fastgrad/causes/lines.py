"""Where in the user's own gradient code a gradient goes wrong.

The code is traced as the loss is: a program whose results are the blocks. Its values
are right if they are values of the loss's program, or gradients there. The first of the
others that, replaced by such a right one, makes wrong blocks right bounds the mistake:
it is in what led there from right values. That is shown, not supposed: all that follows
is computed anew.

Which replacements are worth that, a projection tells: the blocks are nearly always
linear in such a value, so how a weighted sum of them would change is a dot product.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.budget import Budget, SpentError
from fastgrad.causes.evidence import Evidence
from fastgrad.causes.known import Known, same
from fastgrad.causes.reverse import Reverse, recomputed
from fastgrad.causes.words import lines_listed
from fastgrad.params import Nest
from fastgrad.program import (
    Node,
    Source,
    TraceError,
    handed_on,
    stops,
    topological,
)

Array = NDArray[np.float64]

_CLOSE = 1e-7  # of the parts of a projection, which cancel
_GIVEN = 1e-5  # of the largest entry, which may be in float32
#: Elements of a program, beyond which its values are not compared.
_LARGEST = 1 << 22


@dataclass(frozen=True)
class Place:
    """Where a mistake is, in the user's code."""

    blocks: frozenset[int]  # that are right if what comes out of there is
    lines: tuple[Source, ...]  # none if what comes in should be something else
    since: tuple[Source, ...]  # others, on which right gradients that go in are made
    constants: bool = False  # whether arrays go in that the loss does not have
    behind: bool = False  # whether what the lines give is right, but as another block

    @property
    def text(self) -> str:
        """What to say of it."""
        if not self.lines:
            what = f"in or behind {lines_listed(self.since)} of your gradient code"
            return f"{what}: a right derivative, but not the one needed there"
        text = f"in {lines_listed(self.lines)} of your gradient code"
        if len(self.lines) == 1:
            text += f", `{self.lines[0].quoted}`"
        if self.since:
            text += f", or on the way there from {lines_listed(self.since)}"
        text += ", or behind it" * self.behind
        return text + ", or in a constant array that goes in" * self.constants


@dataclass(frozen=True)
class Repair:
    """Right values in place of those of some nodes."""

    nodes: Sequence[Node]
    moved: Mapping[Node, Node]
    blocks: tuple[int, ...]

    def with_next(self, other: "Repair") -> "Repair | None":
        """Both, if of one piece of code; the other one is of what this one left."""
        back = {m: n for n, m in self.moved.items()}
        nodes = [*self.nodes, *(back.get(n, n) for n in other.nodes)]
        if len(alike(nodes, PIECES[1])) > 1:
            return None
        moved = {n: other.moved.get(m, m) for n, m in self.moved.items()}
        moved |= {n: m for n, m in other.moved.items() if n not in back}
        return Repair(nodes, moved, self.blocks + other.blocks)


@dataclass
class Located:
    """What is known of where the user's gradient code is wrong."""

    backward: "Backward | None" = None  # the code, if it can be traced
    repairs: list[Repair] = field(default_factory=list)  # of one mistake after another
    places: list[Place] = field(default_factory=list)


class Backward:
    """The user's gradient code as a program: a result for each block, what is right."""

    def __init__(
        self,
        results: Sequence[Node],
        right: Sequence[Array],
        known: Known,
        budget: Budget,
    ) -> None:
        self.results, self.right = list(results), list(right)
        self.known, self.budget = known, budget
        self.wrong = [
            b
            for b, x in enumerate(right)
            if results[b].active and not same(results[b].value, x)
        ]
        self.nodes = [n for n in topological(*results) if n.active and n.inputs]
        self._number = {n: k for k, n in enumerate(self.nodes)}
        rng = np.random.default_rng(0)
        self.weights = [rng.standard_normal(x.shape) for x in right]

    def due(self, b: int) -> float:
        """How a weighted sum of a block is to change."""
        return float(np.vdot(self.weights[b], self.right[b] - self.results[b].value))

    def sweep(self, blocks: Iterable[int], stop: Sequence[Node]) -> dict[Node, Array]:
        """What weighs each value in the weighted sum of blocks.

        Where several are replaced at once, a change does not go on through any, and
        what comes before all of them is of no interest.
        """
        start = min((self._number[n] for n in stop), default=0)
        weights, found = dict[Node, Array](), dict[Node, Array]()
        for b in blocks:
            result, weight = self.results[b], self.weights[b]
            weights[result] = weights.get(result, 0.0) + weight
        nodes = self.nodes[start:]
        ends = dict.fromkeys((*stop, *filter(self.known.is_forward, nodes)), stops)
        for node, weight in handed_on(nodes, weights, ends):
            self.budget.check()
            found[node] = weight
        return found

    def repaired(self, moved: Mapping[Node, Node]) -> tuple[int, ...]:
        """The wrong blocks that are right then; none if a right one is not."""
        found = []
        for b, result in enumerate(self.results):
            if result in moved:
                right = same(moved[result].value, self.right[b])
                if b not in self.wrong and not right:
                    return ()
                if b in self.wrong and right:
                    found.append(b)
        return tuple(found)

    # ---- repairs

    def after(self, repair: Repair) -> "Backward":
        """What is left without a mistake."""
        results = [repair.moved.get(r, r) for r in self.results]
        return Backward(results, self.right, self.known, self.budget)

    def repair(self) -> Repair:
        """The first one that makes all wrong blocks right.

        If there is none, that of the block about which most can be told.
        """
        with suppress(SpentError):
            for strange in (True, False):
                for repair in self.repairs(self.wrong, strange):
                    if len(repair.blocks) == len(self.wrong):
                        return repair
        each = [self._of_block(b) for b in self.wrong]
        return min(each, key=lambda r: (-len(r.blocks), len(self.located(r).lines)))

    def _of_block(self, b: int) -> Repair:
        """The first one that makes a block right: in the end, itself."""
        with suppress(SpentError):
            for repair in self.repairs([b], True):
                return repair
        result = self.results[b]
        return Repair([result], {result: result.replaced((), self.right[b])}, (b,))

    def repairs(self, blocks: Sequence[int], strange: bool) -> Iterator[Repair]:
        """Values that, replaced, make blocks right, in the order of the code.

        `strange` ones, that are not known; else those that are right, elsewhere.
        """
        whole = self.sweep(blocks, ())
        due = sum(map(self.due, blocks))
        for node in self.nodes:
            if node in whole and (node in self.known) != strange:
                for value in self.known.fitting(node.value, whole[node], due, _CLOSE):
                    yield from self._tried([node], [value])
        for nodes in self._loops():
            if any((n in self.known) != strange for n in nodes):
                choices = self.known.loops(tuple(n.shape for n in nodes))
                if not choices:
                    continue
                parts = _changes(nodes, choices, self.sweep(blocks, nodes))
                fits = np.abs(parts.sum(0) - due) <= _CLOSE * np.abs(parts).sum(0)
                for values in compress(choices, fits):
                    yield from self._tried(nodes, values)

    def _tried(
        self, nodes: Sequence[Node], values: Sequence[Array]
    ) -> Iterator[Repair]:
        put = dict(zip(nodes, values, strict=True))
        moved = recomputed(self.nodes, put, self.budget)
        if blocks := self.repaired(moved):
            yield Repair(nodes, moved, blocks)

    def _loops(self) -> Iterator[list[Node]]:
        """Operations that are the same piece of code, run again in a loop or a call."""
        seen = set()
        # The first or the last turn may be another thing.
        for start, stop in ((0, None), (1, None), (0, -1)):
            groups = alike(self.nodes, *PIECES)
            for group in sorted(groups, key=lambda group: not group[0].ndim):
                nodes = group[start:stop]
                if len(nodes) > 1 and tuple(nodes) not in seen:
                    seen.add(tuple(nodes))
                    yield nodes

    # ---- lines

    def located(self, repair: Repair) -> Place:
        """The lines that lead to a repair, and where what is right goes in.

        Right is what is known once the others are replaced.
        """
        own = set(repair.nodes)
        seen = {n for n in own if n not in self.known or n in self.results}
        right, constants, stack = own - seen, False, list(seen)
        while stack:
            node = stack.pop()
            constants |= node.op == "place"  # into what was there
            for x in node.inputs:
                if not x.active:
                    # One number all over, too: zeros that stand for a gradient.
                    constants |= x.size > 1 and not self.known.has(x.value)
                elif not x.inputs or x in own or repair.moved.get(x, x) in self.known:
                    right.add(x)
                elif x not in seen:
                    seen.add(x)
                    stack.append(x)
        lines = _of_lines(n for n in (*self.nodes, *repair.nodes) if n in seen)
        since = _of_lines(
            n
            for n in self.nodes
            if n in right and (not seen or self.known.is_passed_back(n))
        )
        since = {k: line for k, line in since.items() if k not in lines}
        blocks = frozenset(repair.blocks)
        behind = any(n in self.known and n in self.results for n in own)
        given = tuple(lines.values()), tuple(since.values())
        return Place(blocks, *given, constants, behind)


def _changes(
    nodes: Sequence[Node], choices: Sequence[list[Array]], weights: dict[Node, Array]
) -> Array:
    """How each choice of values for some nodes changes a weighted sum, node by node."""
    found = [
        (np.array(some) - n.value).reshape(len(choices), -1) @ weights[n].ravel()
        for n, some in zip(nodes, zip(*choices, strict=True), strict=False)
        if n in weights
    ]
    return np.array(found).reshape(-1, len(choices))


def _of_lines(nodes: Iterable[Node]) -> dict[int, Source]:
    """The lines of nodes that are on one, and not a framework's own."""
    return {n.source.line: n.source for n in nodes if n.source.site}


#: What one piece of code is: a place in a program, or a line of a function.
PIECES: tuple[Callable[[Node], Any], ...] = (
    lambda node: node.source.site,
    lambda node: (node.source, node.source.spot),
)


def alike(nodes: Sequence[Node], *pieces: Callable[[Node], Any]) -> list[list[Node]]:
    """Operations that are one piece of code, run again in a loop or by a call."""
    found: dict[tuple[Node, ...], None] = {}
    for piece in pieces:
        groups: dict[Any, list[Node]] = defaultdict(list)
        for node in nodes:
            kind = piece(node), node.op, node.label, len(node.inputs)
            groups[kind if node.inputs else node].append(node)
        found |= dict.fromkeys(map(tuple, groups.values()))
    return [list(nodes) for nodes in found]


def locate(
    traced: Callable[[Nest], list[Node]],
    nest: Nest,
    evidence: Evidence,
    reverse: Reverse,
    budget: Budget,
) -> Located:
    """Return where in the user's gradient code mistakes are.

    If it can be traced: else `traced` raises a TraceError in place of its nodes.
    """
    located = Located()

    def search() -> None:
        results = traced(nest)
        if sum(n.size for n in topological(*results)) > _LARGEST:
            return
        blocks = zip(results, evidence.blocks, strict=True)
        if all(
            r.shape == x.given.shape and _agree(r.value, x.given) for r, x in blocks
        ):
            right = [block.right for block in evidence.blocks]
            backward = Backward(results, right, Known(reverse, budget), budget)
            located.backward, left = backward, backward
            for _ in backward.wrong:  # of one value for several blocks none is right
                if not left.wrong:
                    break
                repair = left.repair()
                located.repairs += [repair] * (not budget.is_spent)
                place = left.located(repair)
                located.places += [place] * bool(place.lines or place.since)
                left = left.after(repair)

    with suppress(TraceError, SpentError):
        search()
    located.places = _united(located.places)
    return located


def _agree(traced: Array, given: Array) -> bool:
    """Whether the program computes what the code gave."""
    limit = _GIVEN * np.abs(given).max(initial=0)
    return bool((np.abs(traced - given) <= limit).all())


def _united(places: Iterable[Place]) -> list[Place]:
    """The places, those on the same lines as one."""
    united: dict[Any, Place] = {}
    for one in places:
        key = one.lines or one.since
        if other := united.get(key):
            one = replace(
                one,
                blocks=one.blocks | other.blocks,
                since=tuple(dict.fromkeys(one.since + other.since)),
                constants=one.constants or other.constants,
                behind=one.behind or other.behind,
            )
        united[key] = one
    return list(united.values())
