"""Which edit of a line of the user's gradient code makes the gradient right.

An edit is one of an expression: a sign, an operation, what it reads, a factor or a
term that is missing. How it changes a weighted sum of what comes of the line is a dot
product; what passes is done to the whole code, at both points, and compared with the
gradient there: a repair is shown, not supposed.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.budget import Budget
from fastgrad.causes.codes import OF_VALUES, at_statistic, is_complex, is_entry
from fastgrad.causes.constants import numbers
from fastgrad.causes.data import other_data
from fastgrad.causes.evidence import Evidence, Guess, explained, join
from fastgrad.causes.known import same
from fastgrad.causes.lines import PIECES, Backward, Located, Place, Repair, alike
from fastgrad.causes.points import SecondPoint
from fastgrad.causes.probes import NOBODYS
from fastgrad.causes.readings import Point, Readings
from fastgrad.causes.rewrites import Rewrite, conjugated, exchanged, plain
from fastgrad.causes.substitutes import Kind, Substitutes
from fastgrad.causes.views import Code, Projection
from fastgrad.program import Node, Source, topological, value_of

Array = NDArray[np.float64]

_BENT = 2.0  # bits of a sign within a function
_LIKEWISE = 6.0  # bits of an edit of several operations of a line
_ELSEWHERE = 4.0  # bits of an edit that is not where the mistake is bounded


class Search:
    """All edits of all lines: what was `found`."""

    def __init__(
        self, code: Code, located: Located, evidence: Evidence, budget: Budget
    ) -> None:
        assert located.backward is not None
        self.code, self.budget = code, budget
        self.known, self._places = located.backward.known, located.places
        leads = code.leads
        # What a framework computes by itself has no place in the user's code.
        nodes = [n for n in code.nodes if n.source.site or not n.inputs]
        # The parts of a complex product are on one line.
        odder = (lambda n: n.source), (lambda n: (n.source.site, leads[n]))
        self.groups = alike(nodes, *PIECES, *odder)
        self._complex = {n.source for n in code.nodes if is_complex(n)}
        self.readings = Readings(code.points[0], self.groups, *code.points[1:])
        self.found: list[Guess] = []
        self._due: set[Node] = set()
        self._other = other = Substitutes(evidence, self.known, self.readings)
        of_numbers = partial(numbers, evidence, self.known, self.readings.name)
        self._kinds: list[Kind] = [self._plain, of_numbers, other.operands]
        self._kinds += [other.elements, other.written, other.variables]
        self._odder: list[Kind] = [other.factors, other.matrices]
        self._odder += [other.terms, other.values]

    def run(self, views: Sequence[Projection]) -> None:
        """Look at the plainer kinds of edits everywhere before the odder ones.

        Where a projection tells nothing, as in loops, edits are done: first to values
        that are wrong and come from right ones.
        """
        local = views[0]
        if local.is_local and len(local.targets) > 1:  # turns, which are to be right
            self._other.local = Readings(
                local.point, self.groups, *self.code.points[1:]
            )
        self._due = {*local.targets} if local.is_local else set()
        wrong = [g for g in self.groups if self._may_be_wrong(g)]
        first = [g for g in wrong if any(map(self._is_first, g))]
        self._projected(self._kinds[:2], views, wrong)
        self._directly([g for g in first if not self._feeds(g)])
        for edit in exchanged(wrong, self.readings.name):
            if not self.is_explained:
                self._try(edit, edit.turns)
        for view in views:
            self._projected(self._kinds[2:], [view], wrong)
            for edit in conjugated(view.between, self.readings.name):
                if view.gives(edit.turns, edit.new, 0.0, True):
                    self._try(edit, edit.turns)
        strange = [x for x in self.code.nodes if self.known.lacks(x)]
        for edit in other_data(self.readings, strange):
            self._try(edit, strange)
        self._projected(self._odder, views, wrong)
        self._directly([g for g in wrong if not all(n in self.known for n in g)])

    def _may_be_wrong(self, group: Sequence[Node]) -> bool:
        """Whether these are not just values of the forward pass."""
        return any(
            n in self._due or not self.known.is_forward(n) or self.known.lacks(n)
            for n in group
        )

    def _is_first(self, node: Node) -> bool:
        return node not in self.known and all(x in self.known for x in node.inputs)

    @property
    def is_explained(self) -> bool:
        """Whether something plain explains all that is wrong."""
        return explained(self.found, self.code.wrong)

    def _projected(
        self,
        kinds: Sequence[Kind],
        views: Sequence[Projection],
        groups: Sequence[Sequence[Node]],
    ) -> None:
        """Try edits whose projection is what is due."""
        for kind in kinds:
            if self.is_explained:
                return
            for view in views:
                for turns in self._turns(view, groups):
                    self.budget.check()
                    for edit in kind(view, turns):
                        self._try(edit, turns)

    def _turns(
        self, view: Projection, groups: Sequence[Sequence[Node]]
    ) -> Iterator[list[Node]]:
        """Operations that weigh, whose turns do not feed each other."""
        for group in groups:
            turns = [n for n in group if n in view.weight]
            if not turns or len(turns) < len(group) - 1:
                continue
            if view.is_local or not self._feeds(turns):
                yield turns

    def _feeds(self, turns: Sequence[Node]) -> bool:
        """Whether what one of them gives goes into another one."""
        if len(turns) == 1:
            return False
        behind = set(self.code.affected(turns))
        return any(not behind.isdisjoint(n.inputs) for n in turns)

    def _plain(self, view: Projection, turns: Sequence[Node]) -> Iterator[Rewrite]:
        old = view.before(turns)
        for edit in plain(turns[0], self.readings.name):
            if view.gives(turns, edit.new, old):
                yield edit

    def _directly(self, groups: Sequence[Sequence[Node]]) -> None:
        for group in groups:
            for edit in plain(group[0], self.readings.name):
                if self.is_explained:
                    return
                self._try(edit, group)

    def _try(self, edit: Rewrite, turns: Sequence[Node]) -> None:
        self.budget.check()
        turns = edit.turns or turns
        behind = self.code.affected(turns)
        if len(turns) == 1 and not set(behind).isdisjoint(edit.nodes):
            return
        try:
            blocks = self.code.repaired(edit, turns)
        except NOBODYS:
            return
        if blocks:
            edit = self._called(edit, turns)
            place, odd = self._placed(edit, turns[0].source, frozenset(blocks))
            if beside := self._beside(edit, turns):
                odd += _LIKEWISE
            guess = Guess(edit.code, blocks, edit.text + beside, bits=edit.bits + odd)
            # Of several mistakes those of the loss's program tell each other apart.
            guess.against, guess.place = 2 * self.code.spoilt(turns, blocks), place
            self.found.append(guess)

    def _beside(self, edit: Rewrite, turns: Sequence[Node]) -> str:
        """Of which other operations of a line an edit is, too."""
        apart = {n.source.spot: n for n in turns[::-1] if n is not turns[0]}
        names = dict.fromkeys(map(self.readings.name, apart.values()))
        names.pop(self.readings.name(turns[0]), None)
        if edit.turns or not names or turns[0].source.spot in apart:
            return ""
        return f", and likewise in {join([*names])},"

    def _placed(
        self, edit: Rewrite, line: Source, blocks: frozenset[int]
    ) -> tuple[Place, float]:
        """Where an edit is, and bits if that is not where the mistake is bounded."""
        bounds = [p for p in self._places if p.blocks & blocks]
        exact = any(line in p.lines for p in bounds)
        within = exact or any(line in p.since for p in bounds) or not bounds
        alone = exact and all(len(p.lines) == 1 for p in bounds)
        place = Place(blocks, (line,), (), edit.given, edit.inserted and not alone)
        return place, 0.0 if within else _ELSEWHERE

    def _is_of_argument(self, edit: Rewrite, turns: Sequence[Node]) -> bool:
        """Whether an edit negates what a function is given, rather than a term."""
        first, own = self.code.points[0], set(turns)
        sums = (n for n in self.code.nodes if n.op in ("add", "subtract"))
        if any(not own.isdisjoint(n.inputs) for n in sums):
            return False
        inputs = [first.values[x] for x in turns[0].inputs]
        made = np.asarray(edit.new(turns[0], inputs, first, 0))
        return same(made, -first.values[turns[0]]) and self.code.is_bent(turns)

    def _is_of_formula(self, node: Node) -> bool:
        """Whether it is a term beside a number, as in the formula of a derivative."""
        users = [n for n in self.code.nodes if node in n.inputs]
        while len(users) == 1 and users[0].op in ("multiply", "divide", "negative"):
            users = [n for n in self.code.nodes if users[0] in n.inputs]
        sums = [n for n in users if n.op in ("add", "subtract")]
        return any(x.op == "constant" and not x.ndim for n in sums for x in n.inputs)

    def _called(self, edit: Rewrite, turns: Sequence[Node]) -> Rewrite:
        """The edit with the code that it has at its place."""
        node = turns[0]
        if edit.code == "sign" and len(turns) == 1 and node.source in self._complex:
            return edit._replace(code="conjugate")
        if edit.code == "layout" and node.source in self._complex:
            return edit._replace(code="local_derivative")  # a part for the other one
        if edit.code == "sign" and self._is_of_argument(edit, turns):
            bits = edit.bits + _BENT
            return edit._replace(code="local_derivative", bits=bits)
        if edit.code == "scale" and self._is_of_formula(node):
            return edit._replace(code="local_derivative")
        if len(turns) == 1 and is_entry(node) and edit.code in OF_VALUES:
            return edit._replace(code="partial")
        if node.op == "sign" and node in self.code.results:
            return edit._replace(code="clipped")
        if edit.code in OF_VALUES and self.code.penalties.issuperset(turns):
            return edit._replace(code="regularization")
        if edit.code == "accumulation" and len(turns) == 1:
            first = self.code.points[0]
            inputs = [first.values[x] for x in node.inputs]
            if at_statistic(np.asarray(edit.new(node, inputs, first, 0)), first):
                return edit._replace(code="cross_term")
        return edit


# ---- where to look -------------------------------------------------------------------


def repairs(
    located: Located, evidence: Evidence, second: SecondPoint | None, budget: Budget
) -> list[Guess]:
    """Return the edits of the user's gradient code that make it right."""
    backward = located.backward
    if backward is None:
        return []
    values = {n: n.value for n in topological(*backward.results)}
    first = Point(values, backward.known.reverse, backward.right)
    code = Code(backward.results, [first], backward.wrong)
    if second is not None:
        code.points.append(_there(code, second))
    search = Search(code, located, evidence, budget)

    def look() -> None:
        some = [_first(located.repairs)] if located.repairs else []
        views = [_behind(one, backward, code) for one in some]
        search.run([*views, _whole(backward, code)])

    budget.attempt(look)
    return search.found


def _there(code: Code, second: SecondPoint) -> Point:
    """The second point, with the values of the code there."""
    named = dict(zip(second.names, second.theta, strict=True))
    parameters = [n for n in code.nodes if n.op == "parameter"]
    move = Rewrite("", "", 0.0, lambda node, v, p, k: named[node.label])
    values = code.run(code.points[0], move, parameters)
    right = [block.right for block in second.evidence.blocks]
    return Point(values, second.reverse, right)


def _first(some: Sequence[Repair]) -> Repair:
    """The first repair, with those that follow where a function makes a mistake."""
    first = some[0]
    for one in some[1:]:
        first = first.with_next(one) or first
    return first


def _whole(backward: Backward, code: Code) -> Projection:
    """The code as it leads to wrong blocks."""
    some = [(backward.results[b], backward.right[b]) for b in backward.wrong]
    targets = {result: (result.value, right) for result, right in some}
    return Projection(code.nodes, code.points[0], targets)


def _behind(repair: Repair, backward: Backward, code: Code) -> Projection:
    """The code as it leads from right values to what stands for wrong ones."""
    moved, known = repair.moved, backward.known
    values = {n: moved.get(n, n).value for n in code.nodes}
    targets = {
        n: (value_of(n, [values[x] for x in n.inputs]), values[n]) for n in repair.nodes
    }
    point = code.points[0]._replace(values=values)
    return Projection(code.nodes, point, targets, lambda n: moved.get(n, n) in known)
