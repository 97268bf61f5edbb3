"""Two mistakes at once.

What an edit changes, seen along enough directions, is a short vector; that of two
edits of independent operations is the sum. So the pairs whose sum is the error are
found by sorting.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np

from fastgrad.causes.evidence import Array, Evidence
from fastgrad.causes.kinds import expression_edits
from fastgrad.causes.probes import CLOSE, NOBODYS, Probes, View
from fastgrad.causes.reverse import Extra, Reverse
from fastgrad.causes.sites import Site, independent, sites
from fastgrad.causes.words import factor_words
from fastgrad.program import Node

_DIRECTIONS = 8
_MOST = 4000  # edits that are paired


class Term(NamedTuple):
    """An edit, by its site and number there, and what it changes along the directions.

    What it sends is made again when it is wanted, so that no arrays are kept.
    """

    code: str
    text: str
    site: Site
    number: float
    change: Array
    size: Array

    def edited(self, reverse: Reverse) -> dict[Node, Extra]:
        """What the operations send more."""
        if self.site.role == "sent":
            return dict.fromkeys(self.site.nodes, self.site.sends(self._scaled))
        edits = expression_edits(reverse, self.site)
        edit = next(islice(edits, int(self.number), None))
        return dict.fromkeys(self.site.nodes, self.site.sends(edit.new))

    def _scaled(self, n: Node, g: Array) -> Array:
        return self.number * self.site.due(n, g)


class Combinations:
    """The error along many directions, and what single edits change along them."""

    def __init__(self, evidence: Evidence, reverse: Reverse) -> None:
        self.evidence, self.reverse = evidence, reverse
        blocks = range(len(evidence.blocks))
        self.probes = Probes(evidence, reverse, [blocks], _DIRECTIONS)
        self.seen = self.probes.seen[0]

    def pairs(self) -> Iterator[tuple[Term, Term]]:
        """Yield pairs of edits whose changes add up to the error."""
        terms = list(self._terms())[:_MOST]
        if len(terms) < 2:
            return
        change = np.array([t.change for t in terms])
        size = np.array([t.size for t in terms]) + np.abs(self.seen)
        order = np.argsort(change[:, 0])
        first = change[order, 0]
        want = self.seen[0] - change[:, 0]
        near = CLOSE * (size[:, 0] + np.abs(self.seen[0]))
        low = np.searchsorted(first, want - near)
        high = np.searchsorted(first, want + near, side="right")
        for i in np.flatnonzero(high > low):
            for j in order[low[i] : high[i]]:
                close = CLOSE * (size[i] + size[j])
                total = change[i] + change[j]
                fits = (np.abs(total - self.seen) <= close).all()
                if i < j and fits and _apart(terms[i].site, terms[j].site):
                    yield terms[i], terms[j]

    def _terms(self) -> Iterator[Term]:
        for group in reversed(self.reverse.groups):
            for site in sites(self.reverse, group):
                self.reverse.budget.check()
                if site.role in ("sent", "rule") and independent(self.reverse, site):
                    view = View(self.probes, self.reverse, site)
                    if view.nodes:
                        yield from self._of_site(site, view)

    def _of_site(self, site: Site, view: View) -> Iterator[Term]:
        if site.role == "sent":
            right, size = view.right.sum(axis=0), view.sizes.sum(axis=0)
            for kept in (0.0, -1.0, 2.0):
                code, text, _ = factor_words(self.evidence, self.reverse, site, kept)
                yield Term(code, text, site, kept, (kept - 1) * right, size)
            return
        for k, edit in enumerate(expression_edits(self.reverse, site)):
            try:
                totals, sizes = view.weighed(view.made(self.reverse, edit.new))
            except NOBODYS:
                continue
            change = (totals - view.right).sum(axis=0)
            size = (sizes + view.sizes).sum(axis=0)
            if np.isfinite(change).all() and (np.abs(change) > CLOSE * size).any():
                yield Term(edit.code, str(edit.text), site, k, change, size)


def both(one: Mapping[Node, Extra], two: Mapping[Node, Extra]) -> dict[Node, Extra]:
    """The edits of two mistakes, of one operation, too."""
    edited = {**one, **two}
    for node in one.keys() & two.keys():

        def extra(
            n: Node, g: Array, a: Extra = one[node], b: Extra = two[node]
        ) -> Iterator[tuple[Node, Array]]:
            yield from a(n, g)
            yield from b(n, g)

        edited[node] = extra
    return edited


def _apart(one: Site, two: Site) -> bool:
    """Whether two mistakes would be of two lines; or they are the rules of one call."""
    lines = one.node.source != two.node.source
    return lines or (one.node is two.node and one.role == two.role == "rule")
