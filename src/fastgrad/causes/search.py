"""The search: which edits of the reverse pass are the error of the gradient.

Every edit is first projected on the error (`probes`). Almost none passes by chance;
what passes is propagated and compared with the error block by block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastgrad.causes.arrangements import cut
from fastgrad.causes.combinations import Combinations, both
from fastgrad.causes.compounds import compounds
from fastgrad.causes.edits import LEVELS, Edit
from fastgrad.causes.evidence import Array, Evidence
from fastgrad.causes.probes import NOBODYS, Probes, View
from fastgrad.causes.reverse import Extra, Reverse
from fastgrad.causes.sites import Site, independent, sites
from fastgrad.causes.words import factor_words, part_words
from fastgrad.program import Node, ops

_ENTRIES = 3  # that a coincidence is not to explain
_NAMED, _UNNAMED = 2.0, 9.0  # bits of a factor
_ODD = 9.0  # bits from which on a match is only taken for want of another
_KEPT = (0.0, -1.0, 2.0, 0.5)  # times what is due, in all turns of a loop
_PARTS, _COMPOUND = 2, 2  # levels
_PAIR = 8.0  # bits of two edits at once
_LOOSE = 12  # edits of a site in a loop that are propagated


@dataclass
class Match:
    """Edits that explain the error, wholly or in some blocks.

    Attributes
    ----------
    code, text : str
        The cause code, and what is wrong, `{op}` standing for the operation.
    node : Node
        The operation.
    bits : float
        Length of the description.
    edited : dict of Node to Extra
    explained : dict of int to float
        Blocks that it explains, and the residual in each.
    against : int
        Blocks that it changes otherwise.
    entries, fewest : int
        How many it explains, and how many it is to.
    """

    code: str
    text: str
    node: Node
    bits: float = 0.0
    edited: dict[Node, Extra] = field(default_factory=dict)
    explained: dict[int, float] = field(default_factory=dict)
    against: int = 0
    entries: int = 0
    fewest: int = 1


class Search:
    """All edits at all sites, against the error of a gradient.

    Parameters
    ----------
    evidence : Evidence
    reverse : Reverse
    levels : int
        How many levels of edits to look for: the first ones are the plainest.
    only : dict of int to set of str, optional
        The words of edits to look for, by the numbers of their operations.
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
        self.found: list[Match] = []

    def run(self) -> None:
        """Look for what explains all that is wrong; else for what explains a block."""
        blocks, wrong = range(len(self.evidence.blocks)), self.evidence.wrong
        self._over([blocks], self.wrong)
        if not self._explained() and self.levels > _PARTS:
            self._several()
        if not self._explained() and len(wrong) > 1:
            self._over([[b] for b in wrong], 0)

    def _explained(self) -> bool:
        """Whether all that is wrong is explained, and not by something odd only."""
        wrong = set(self.evidence.wrong)
        return any(
            m.bits < _ODD and not m.against and wrong <= set(m.explained)
            for m in self.found
        )

    def _wants(self, text: str) -> bool:
        """Whether an edit is looked for."""
        return self.only is None or any(one.startswith(text) for one in self._wanted)

    def _over(self, sets: Sequence[Sequence[int]], wrong: int) -> None:
        """Look for the plainer kinds of edits everywhere, before the odder ones."""
        self.probes = Probes(self.evidence, self.reverse, sets)
        for level in range(self.levels):
            for group in reversed(self.reverse.groups):
                reach = 0
                for node in group:
                    reach |= self.reverse.reached[node]
                if self.only is not None:
                    numbers = map(self.reverse.number.__getitem__, group)
                    found = [self.only.get(k, set()) for k in numbers]
                    self._wanted = set().union(*found)
                    if not self._wanted:
                        continue
                if reach & self.wrong and reach & wrong == wrong:
                    for site in sites(self.reverse, group):
                        self._at(site, level)
                if level == _COMPOUND and reach & self.wrong:
                    self._compounds(group)
            if self._explained() and self.only is None:
                return

    def _at(self, site: Site, level: int) -> None:
        kinds = LEVELS[level].get(site.role, ())
        if not kinds and level not in (0, _PARTS):
            return
        with np.errstate(all="ignore"):
            view = View(self.probes, self.reverse, site)
            if not view.nodes:
                return
            self.loose = len(site.nodes) > 1 and not independent(self.reverse, site)
            if not level and site.role == "sent":
                self._factors(site, view)
            if level == _PARTS and view.is_uniform:
                self._parts(site, view)
            for kind in kinds:
                for k, edit in enumerate(kind(self.reverse, site)):
                    if not self._wants(edit.text):
                        continue
                    bits = 2.0 * level + float(np.log2(2 + k)) + edit.odd
                    try:
                        self._try(site, edit, view, bits, k)
                    except NOBODYS:
                        continue

    # ---- edits that give an array --------------------------------------------------

    def _try(self, site: Site, edit: Edit, view: View, bits: float, k: int) -> None:
        self.reverse.budget.check()
        if self.loose and k < _LOOSE and len(self.probes.seen) == 1:
            self._confirm(site, edit, site.nodes, 1.0, bits)
        made = view.made(self.reverse, edit.new)
        tried: set[Any] = set()
        for which, some, factor in view.fitting(made, edit.free):
            if (self.loose and not which) or (which, factor) in tried:
                continue
            tried.add((which, factor))
            nodes = [view.nodes[j] for j in some] if which else site.nodes
            more = bits + np.log2(1 + len(view.nodes)) * bool(which)
            self._confirm(site, edit, nodes, factor, more, which)

    def _confirm(
        self,
        site: Site,
        edit: Edit,
        nodes: Sequence[Node],
        factor: float,
        bits: float,
        which: str = "",
    ) -> None:
        """Propagate an edit and compare it block by block."""

        def new(n: Node, g: Array) -> Any:
            made = edit.new(n, g)
            if edit.free == "step":
                return site.due(n, g) + factor * made
            return made if factor == 1 else factor * made

        match = Match(edit.code, edit.text, nodes[0], bits)
        match.edited = dict.fromkeys(nodes, site.sends(new))
        if edit.free == "step":
            match.fewest = _ENTRIES + 2
        if factor != 1 and edit.free != "step":
            name = self.evidence.factor(factor)
            match.bits += _NAMED if name else _UNNAMED
            match.text += f", and it is multiplied by {factor:.6g}"
            if name is None and edit.free == "named":
                return
            match.fewest = 1 if name else _ENTRIES + 2
        match.text += which
        self._propagate(match)

    def _propagate(self, match: Match) -> None:
        """Compare what the edits change with the error, block by block."""
        with np.errstate(all="ignore"):
            change = self.reverse.change(match.edited)
            compare(self.evidence, self.reverse, change, match)
        enough = match.explained and match.entries >= match.fewest
        if enough and match.against <= len(match.explained) + 1:
            self.found.append(match)

    # ---- edits of several operations -----------------------------------------------

    def _compounds(self, group: list[Node]) -> None:
        with np.errstate(all="ignore"):
            for k, (code, text, edited) in enumerate(compounds(self.reverse, group)):
                self.reverse.budget.check()
                if not self._wants(text):
                    continue
                try:
                    if self.probes.agree(*self._projected(edited)):
                        bits = 2.0 * _COMPOUND + float(np.log2(2 + k))
                        self._propagate(Match(code, text, group[0], bits, edited))
                except NOBODYS:
                    continue

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
        """Two mistakes at once, and uses of a value that are off by numbers."""
        several = Combinations(self.evidence, self.reverse)
        with np.errstate(all="ignore"):
            for code, text, node, edited in several.uses():
                self._propagate(Match(code, text, node, _PAIR, edited))
            if self._explained():
                return
            for one, two in several.pairs():
                edited = both(one.edited(self.reverse), two.edited(self.reverse))
                second = two.text.replace("{op}", _said(two.site.node))
                match = Match(one.code, f"{one.text}; and {second}", one.site.node)
                match.bits, match.edited = _PAIR, edited
                self._propagate(match)
                if self._explained():
                    return

    # ---- factors and parts ---------------------------------------------------------

    def _factors(self, site: Site, view: View) -> None:
        """What is sent to one input, multiplied by a number."""
        for which, some, kept in view.factors():
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
        more = odd + (np.log2(1 + len(site.nodes)) if which else 0.0)
        edited = dict.fromkeys(nodes, site.sends(new))
        match = Match(code, text + which, nodes[0], more, edited)
        if kept and self.evidence.factor(kept) is None:
            match.fewest = _ENTRIES
        self._propagate(match)
        blocks = self.evidence.blocks
        if not kept and not any(np.any(blocks[b].given) for b in match.explained):
            match.code, match.bits = "zero", min(match.bits, 1.5)

    def _parts(self, site: Site, view: View) -> None:
        """What stands there, only in a contiguous part of an axis."""
        for axis, n in enumerate(view.shapes[0]):
            for start, stop in view.parts(axis) if n > 1 else ():
                code, text = part_words(site, axis, start, stop)

                def new(
                    n: Node,
                    g: Array,
                    axis: int = axis,
                    start: int = start,
                    stop: int = stop,
                ) -> Array:
                    return cut(np.asarray(site.due(n, g)), axis, start, stop)

                bits = 2.0 * _PARTS + float(np.log2(n * (n + 1) / 2))
                self._confirm(site, Edit(code, text, new), site.nodes, 1.0, bits)


def compare(
    evidence: Evidence, reverse: Reverse, change: Mapping[Node, Array], match: Match
) -> None:
    """Tell which blocks a change explains, and how many it contradicts."""
    for b, p in enumerate(reverse.program.parameters):
        block, moved = evidence.blocks[b], change.get(p)
        if moved is None or not np.any(moved):
            continue
        if not block.is_wrong:
            close = np.abs(moved) <= 3 * block.bar
            match.against += 2 * (not bool(close[block.known].all()))
            continue
        residual = block.residual(block.right + moved)
        if residual is None:
            match.against += 1
        else:
            match.explained[b] = residual
            match.entries += int(np.count_nonzero(moved))


def _said(node: Node) -> str:
    return f"{node.label} ({node.source})".replace("{", "(").replace("}", ")")
