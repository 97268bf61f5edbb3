"""Two mistakes at once, and uses of one value that are each off by a number.

What an edit changes, seen along enough directions, is a short vector; that of two
edits of independent operations is the sum. So the pairs whose sum is the error are
found by sorting, and factors of several uses by least squares.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from fastgrad.causes.edits import LEVELS
from fastgrad.causes.evidence import Array, Evidence, join
from fastgrad.causes.probes import CLOSE, NOBODYS, Probes, View
from fastgrad.causes.reverse import Extra, Reverse
from fastgrad.causes.sites import Site, independent, sites
from fastgrad.causes.words import factor_words
from fastgrad.program import Node

_DIRECTIONS = 8
_USES = 6  # of one value
_MOST = 4000  # edits that are paired
_SIMPLE = (-1.0, 0.0, 0.5, 1.0, 2.0, 3.0)  # factors of uses that people write


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
            return _scaled([self.site], np.array([self.number]))
        edits = (e for kind in LEVELS[1]["rule"] for e in kind(reverse, self.site))
        edit = next(islice(edits, int(self.number), None))
        return dict.fromkeys(self.site.nodes, self.site.sends(edit.new))


class Combinations:
    """The error along many directions, and what single edits change along them."""

    def __init__(self, evidence: Evidence, reverse: Reverse) -> None:
        self.evidence, self.reverse = evidence, reverse
        blocks = range(len(evidence.blocks))
        self.probes = Probes(evidence, reverse, [blocks], _DIRECTIONS)
        self.seen = self.probes.seen[0]

    # ---- uses of one value ---------------------------------------------------------

    def uses(self) -> Iterator[tuple[str, str, Node, dict[Node, Extra]]]:
        """Yield values whose uses count differently: code, words, node, edits."""
        for x in self.reverse.nodes:
            users = self._users(x)
            if not 2 <= len(users) <= _USES:
                continue
            views = [View(self.probes, self.reverse, site) for site in users]
            if not all(view.nodes for view in views):
                continue
            matrix = np.stack([view.right.sum(axis=0) for view in views], axis=1)
            kept = 1 + _solved(matrix, self.seen)
            simple = np.abs(kept[:, None] - _SIMPLE).min(axis=1) < CLOSE
            plain = [
                bool(s) or self.evidence.is_plain(float(k))
                for s, k in zip(simple, kept, strict=True)
            ]
            if all(plain) and (np.abs(kept - 1) > CLOSE).sum() > 1:
                shown = join([f"{k:.3g}" for k in np.round(kept, 6) + 0.0])
                text = f"what the {len(users)} uses of {x.label} send back counts "
                text += f"{shown} times, the first being {{op}}"
                code = "accumulation" if simple.all() else "upstream"
                yield code, text, users[0].node, _scaled(users, kept)

    def _users(self, x: Node) -> list[Site]:
        """The sites at which a value receives what its uses send."""
        users: dict[object, list[Node]] = defaultdict(list)
        for node, i in self.reverse.users.get(x, ()):
            call = node.source.site, node.label
            users[call if node.op != "contract" else (node, i)].append(node)

        def site(key: Any, some: list[Node]) -> Site:
            def due(n: Node, g: Array) -> Array:
                own = [i for i, y in enumerate(n.inputs) if y is x]
                own = [key[1]] if n.op == "contract" else own
                sent = self.reverse.send(n, g)
                each = [np.broadcast_to(sent[i], x.shape) for i in own]
                return np.asarray(np.sum(each, axis=0))

            return Site("sent", list(dict.fromkeys(some)), lambda n: x, due)

        return [site(key, some) for key, some in users.items()]

    # ---- pairs ---------------------------------------------------------------------

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
        edits = (e for kind in LEVELS[1]["rule"] for e in kind(self.reverse, site))
        for k, edit in enumerate(edits):
            try:
                totals, sizes = view.weighed(view.made(self.reverse, edit.new))
            except NOBODYS:
                continue
            change = (totals - view.right).sum(axis=0)
            size = (sizes + view.sizes).sum(axis=0)
            if np.isfinite(change).all() and (np.abs(change) > CLOSE * size).any():
                yield Term(edit.code, edit.text, site, k, change, size)


def _solved(matrix: Array, target: Array) -> Array:
    """Least-squares factors, not a number where they leave much or are not unique."""
    sizes = np.linalg.norm(matrix, axis=0)
    if not (np.isfinite(sizes).all() and sizes.all()):
        return np.full(matrix.shape[1], np.nan)
    found, _, rank, _ = np.linalg.lstsq(matrix / sizes, target, rcond=1e-7)
    left = np.linalg.norm(matrix / sizes @ found - target)
    fits = rank == len(found) and left <= CLOSE * np.linalg.norm(target)
    return found / sizes if fits else np.full(len(found), np.nan)


def _scaled(users: Sequence[Site], kept: Array) -> dict[Node, Extra]:
    """What each of several uses sends beyond what is right, if it is so scaled."""
    edited: dict[Node, Extra] = {}
    for site, k in zip(users, kept, strict=True):

        def new(n: Node, g: Array, site: Site = site, k: float = float(k)) -> Array:
            return np.asarray(k * site.due(n, g))

        edited = both(edited, dict.fromkeys(site.nodes, site.sends(new)))
    return edited


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
