"""The search: which edits of the reverse pass are the error of the gradient.

Every edit is first projected on the error (`probes`). Almost none passes by chance;
what passes is propagated and compared with the error block by block.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from itertools import chain
from operator import or_
from typing import Any

import numpy as np

from fastgrad.causes.arrangements import cut
from fastgrad.causes.combinations import Combinations, both
from fastgrad.causes.compounds import compounds, in_full
from fastgrad.causes.edits import LEVELS
from fastgrad.causes.evidence import Array, Evidence, Guess, explained
from fastgrad.causes.probes import NOBODYS, Probes, View
from fastgrad.causes.readings import side_by_side
from fastgrad.causes.reverse import Extra, Reverse
from fastgrad.causes.sites import Edit, Site, independent, sites
from fastgrad.causes.words import as_well, factor_words, part_words
from fastgrad.program import Node, Part, ops

_NAMED, _UNNAMED = 2.0, 9.0  # bits of a factor
_KEPT = (0.0, -1.0, 2.0, 0.5)  # times what is due, in all turns of a loop
_PARTS = 2  # level
#: By level: edits of several operations, and their bits.
_SEVERAL: dict[int, tuple[Any, float]] = {0: (in_full, -4.0), 2: (compounds, 4.0)}
_PAIR = 8.0  # bits of two edits at once
_LOOSE = 8  # edits of a site in a loop that are propagated
_NUMBER = 3  # entries that a number which follows from the error explains anyway
_DIGITS = 10.0  # bits of a description that one number explained may pay for


class Search:
    """All edits at all sites, against the error of a gradient: what was `found`.

    Only the first `levels` of edits are tried, which are the plainest; and `only` those
    of some words, by the numbers of their operations, if that is given.
    """

    def __init__(
        self,
        evidence: Evidence,
        reverse: Reverse,
        levels: int = len(LEVELS),
        only: dict[int, set[str]] | None = None,
    ) -> None:
        self.evidence, self.reverse = evidence, reverse
        self.levels, self.only, self._wanted = levels, only, set[str]()
        self.wrong = sum(1 << b for b in evidence.wrong)
        # Where many mistakes give the same numbers, rules are looked at, too.
        self.least = int(evidence.better_point(evidence.wrong) is not None)
        self.found: list[Guess] = []

    def run(self) -> None:
        """Look for what explains all that is wrong; else for what explains a block."""
        blocks, wrong = range(len(self.evidence.blocks)), self.evidence.wrong
        self._over([blocks], self.wrong)
        if not self._explained() and len(wrong) == 1 < len(blocks):
            self._over([wrong], 0, _PARTS)  # plainly, as they spoil other blocks
        if not self._explained() and self.levels == len(LEVELS):
            self._fed()
        if not self._explained() and self.levels > _PARTS and self._pairs():
            self._several()
        if not self._explained() and len(wrong) > 1:
            self._over([[b] for b in wrong], 0)

    def _explained(self) -> bool:
        return explained(self.found, self.evidence.wrong)

    def _pairs(self) -> bool:
        """Whether pairs of edits are looked for."""
        wanted = () if self.only is None else set().union(*self.only.values())
        return self.only is None or any("; and " in text for text in wanted)

    def _wants(self, text: object) -> bool:
        """Whether an edit is looked for."""
        if self.only is None:
            return True
        return any(one.startswith(str(text)) for one in self._wanted)

    def _over(
        self, sets: Sequence[Sequence[int]], wrong: int, levels: int = len(LEVELS)
    ) -> None:
        """Look for the plainer kinds of edits everywhere, before the odder ones."""
        self.probes = Probes(self.evidence, self.reverse, sets)
        for level in range(min(levels, self.levels)):
            for group in self._groups(level):
                reach = self._reach(group)
                if reach & self.wrong and reach & wrong == wrong:
                    for site in sites(self.reverse, group):
                        self._at(site, level)
                if level in _SEVERAL and reach & self.wrong:
                    self._compounds(group, level)
            if level >= self.least and self._explained() and self.only is None:
                return

    def _groups(self, level: int) -> Iterator[list[Node]]:
        """Operations to look at, nearest to the loss first."""
        groups = [*self.reverse.helpers, *reversed(self.reverse.groups)]
        if not level:  # numbers for which the user has an array
            groups += map(list, map(chain.from_iterable, side_by_side(groups)))
        for group in groups:
            numbers = map(self.reverse.number.__getitem__, group)
            if self.only is not None:
                self._wanted = set().union(*(self.only.get(k, ()) for k in numbers))
            if self.only is None or self._wanted:
                yield group

    def _reach(self, group: Sequence[Node]) -> int:
        """The parameters that operations come from, as bits."""
        return reduce(or_, (self.reverse.reached[node] for node in group))

    def _at(self, site: Site, level: int) -> None:
        if site.role not in LEVELS[level] and level not in (0, _PARTS):
            return
        view = View(self.probes, self.reverse, site)
        if not view.nodes:
            return
        self.loose = len(site.nodes) > 1 and not independent(self.reverse, site)
        self.helper = len({n.source.site for n in site.nodes}) > 1
        if not level and site.role == "sent":
            self._factors(site, view)
        if level == _PARTS and view.is_uniform and not self.helper:
            self._parts(site, view)
        for k, edit in self._edits(site, level):
            with suppress(*NOBODYS):
                self._try(site, edit, view, k)

    def _edits(self, site: Site, level: int) -> Iterator[tuple[int, Edit]]:
        """Yield the edits of a site, with their bits, and their numbers in a kind."""
        for kind in LEVELS[level].get(site.role, ()):
            for k, edit in enumerate(kind(self.reverse, site)):
                if self._wants(edit.text):
                    bits = 2.0 * level + float(np.log2(2 + k)) + edit.odd
                    yield k, edit._replace(odd=bits)

    def _fed(self) -> None:
        """Plainer edits in all turns that feed each other: no projection tells."""
        for level in range(1, self.levels - 1):
            for group in self._groups(level):
                if self._explained():
                    return
                whole = self._reach(group) & self.wrong == self.wrong
                for site in sites(self.reverse, group) if len(group) > 1 else ():
                    if whole and not independent(self.reverse, site):
                        self._odder(site, level)

    def _odder(self, site: Site, level: int) -> None:
        """The edits of a site that are not among the commonest."""
        for k, edit in self._edits(site, level):
            if k >= _LOOSE:
                with suppress(*NOBODYS):
                    self._confirm(site, edit, site.nodes)

    # ---- edits that give an array --------------------------------------------------

    def _try(self, site: Site, edit: Edit, view: View, k: int) -> None:
        self.reverse.budget.check()
        if self.loose and k < _LOOSE and len(self.probes.seen) == 1:
            self._confirm(site, edit, site.nodes)
        made = view.made(self.reverse, edit.new)
        tried: set[Any] = set()
        for which, some, factor in view.fitting(made, edit.free):
            odd = self.helper if which else self.loose
            if odd or (which, factor) in tried:
                continue
            tried.add((which, factor))
            nodes = [view.nodes[j] for j in some] if which else site.nodes
            self._times(site, edit, nodes, factor, which)

    def _times(
        self, site: Site, edit: Edit, nodes: Sequence[Node], factor: float, which: str
    ) -> None:
        """An edit, and what stands there is multiplied by a number."""
        if edit.free == "step":

            def step(n: Node, g: Array) -> Any:
                return site.due(n, g) + factor * edit.new(n, g)

            self._confirm(site, edit._replace(new=step), nodes, which, _NUMBER)
        elif factor == 1:
            self._confirm(site, edit, nodes, which)
        else:
            name = self.evidence.counts.name(factor)
            text = f"{edit.text}, and it is multiplied by {factor:.6g}"

            def new(n: Node, g: Array) -> Any:
                return factor * edit.new(n, g)

            bits = edit.odd + (_NAMED if name else _UNNAMED)
            scaled = edit._replace(text=text, new=new, odd=bits)
            if name or edit.free != "named":
                self._confirm(site, scaled, nodes, which, 0 if name else _NUMBER)

    def _confirm(
        self,
        site: Site,
        edit: Edit,
        nodes: Sequence[Node],
        which: str = "",
        fitted: int = 0,
    ) -> None:
        """Propagate an edit, in some turns of a loop, and compare it."""
        bits = edit.odd + float(np.log2(1 + len(site.nodes))) * bool(which)
        edited = dict.fromkeys(nodes, site.sends(edit.new))
        self._compare(edit.code, f"{edit.text}{which}", bits, nodes[0], edited, fitted)

    def _compare(
        self,
        code: str,
        text: str,
        bits: float,
        node: Node,
        edited: Mapping[Node, Extra],
        fitted: int = 0,
    ) -> None:
        """Compare what edits change with the error, block by block."""
        change = self.reverse.change(edited)
        explained, against, entries = compared(self.evidence, self.reverse, change)
        enough = entries > fitted + bits / _DIGITS
        if against > len(explained) + 1:
            # Forward mode has code for each block: an edit there spoils no other one.
            enough &= explained.keys() >= set(self.evidence.wrong)
            text += ", for these blocks alone,"
        if explained and enough:
            guess = Guess(code, explained, text, bits=bits, node=node, against=against)
            guess.edited = dict(edited)
            self.found.append(guess)

    # ---- edits of several operations -----------------------------------------------

    def _compounds(self, group: list[Node], level: int) -> None:
        kind, bits = _SEVERAL[level]
        for k, (code, text, edited) in enumerate(kind(self.reverse, group)):
            self.reverse.budget.check()
            try:
                loose = k < _LOOSE and self._is_fed(edited)
                if self._wants(text) and (
                    loose or self.probes.agree(*self._projected(edited))
                ):
                    odd = bits + float(np.log2(2 + k))
                    self._compare(code, text, odd, group[0], edited)
            except NOBODYS:
                continue

    def _is_fed(self, edited: Mapping[Node, Extra]) -> bool:
        """Whether what one of these operations sends comes down to another one."""
        own = sum(1 << self.reverse.number[n] for n in edited)
        behind = (self.reverse.behind.get(x, 0) for n in edited for x in n.inputs)
        return any(own & some for some in behind)

    def _projected(self, edited: Mapping[Node, Extra]) -> tuple[Array, Array]:
        """What these operations send more, along the directions of the probes."""
        tangents = self.probes.tangents
        total, size = np.zeros(len(tangents)), np.zeros(len(tangents))
        moved: dict[Node, Array] = {}
        for node in sorted(edited, key=self.reverse.number.__getitem__, reverse=True):
            g = self.reverse.gradient[node] + moved.get(node, 0.0)
            for x, part in edited[node](node, g):
                if x in edited:
                    moved[x] = moved.get(x, 0.0) + ops.unbroadcast(part, x.shape)
                for d, tangent in enumerate(tangents):
                    if x in tangent:
                        terms = tangent[x] * part
                        total[d] += terms.sum()
                        size[d] += np.abs(terms).sum()
        return total, size

    def _several(self) -> None:
        """Two mistakes at once."""
        several = Combinations(self.evidence, self.reverse)
        for one, two in several.pairs():
            edited = both(one.edited(self.reverse), two.edited(self.reverse))
            node = two.site.node
            second = two.text.replace("{op}", f"{node.label} ({node.source})")
            text = f"{one.text}; and {second}"
            self._compare(one.code, text, _PAIR, one.site.node, edited)
            if self._explained():
                return

    # ---- factors and parts ---------------------------------------------------------

    def _factors(self, site: Site, view: View) -> None:
        """What is sent to one input, multiplied by a number."""
        for which, some, kept in view.factors():
            if self.helper and which:
                continue
            nodes = [view.nodes[j] for j in some] if which else site.nodes
            self._scaled(site, nodes, kept, which)
        if self.loose and len(self.probes.seen) == 1:
            for kept in _KEPT:
                self._scaled(site, site.nodes, kept, "")

    def _scaled(
        self, site: Site, nodes: Sequence[Node], kept: float, which: str
    ) -> None:
        def new(n: Node, g: Array) -> Array:
            return kept * site.due(n, g)

        code, text, odd = factor_words(self.evidence, self.reverse, site, kept)
        if not self._wants(text):
            return
        count, blocks = len(self.found), self.evidence.blocks
        fitted = _NUMBER - 1 if kept and self.evidence.counts.name(kept) is None else 0
        self._confirm(site, Edit(code, text, new, odd=odd), nodes, which, fitted)
        for guess in self.found[count:]:
            if not kept and not any(np.any(blocks[b].given) for b in guess.blocks):
                guess.code, guess.bits = "zero", min(guess.bits, 1.5)
            elif code == "accumulation" and (also := as_well(self.reverse, site, kept)):
                other, text, odder = also
                self.found.append(
                    replace(
                        guess, code=other, text=text + which, bits=guess.bits + odder
                    )
                )

    def _parts(self, site: Site, view: View) -> None:
        """What stands there, only in a contiguous part of an axis."""
        program = self.reverse.program
        shorter = program.lengths if isinstance(program, Part) else set()
        for axis, n in enumerate(view.shapes[0]):
            for start, stop in view.parts(axis) if n > 1 and n not in shorter else ():
                code, text = part_words(site, axis, start, stop)
                place = axis, start, stop

                def new(n: Node, g: Array, place: Any = place) -> Array:
                    return cut(np.asarray(site.due(n, g)), *place)

                bits = 2.0 * _PARTS + float(np.log2(n * (n + 1) / 2))
                self._confirm(site, Edit(code, text, new, odd=bits), site.nodes)


def compared(
    evidence: Evidence, reverse: Reverse, change: Mapping[Node, Array]
) -> tuple[dict[int, float], int, int]:
    """Return which blocks a change explains, how many not, how many numbers it does."""
    explained: dict[int, float] = {}
    against = entries = 0
    for b, p in enumerate(reverse.program.parameters):
        block, moved = evidence.blocks[b], change.get(p)
        if moved is None or not np.any(moved):
            continue
        if not block.is_wrong:
            close = np.abs(moved) <= 3 * block.bar
            against += 2 * (not bool(close[block.known].all()))
            continue
        residual = block.residual(block.right + moved)
        if residual is None:
            against += 1
        else:
            explained[b] = residual
            entries += _distinct(moved)
    return explained, against, entries


def _distinct(moved: Array) -> int:
    """How many different numbers a change consists of, besides zero."""
    some = moved[moved != 0]
    scaled = some / float(np.abs(some).max())
    return int(np.unique(np.round(scaled, 9)).size)
