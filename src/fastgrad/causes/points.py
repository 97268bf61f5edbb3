"""The gradient at a second, random point: what is stale there, and what a coincidence.

Where the gradient under test is a function, it is asked once more, at parameters close
to the first ones. A mistake gives its gradient there, too; an account that does so at
the first point only is none.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastgrad.causes.blocks import block_edits
from fastgrad.causes.budget import Budget
from fastgrad.causes.evidence import Array, Block, Evidence, Guess, join
from fastgrad.causes.reverse import Reverse, recomputed
from fastgrad.causes.search import Search
from fastgrad.causes.ties import equal_winners
from fastgrad.params import Nest
from fastgrad.program import leaves

_SAME = 1e-5  # relative, of a number at both points
_WRONG = 1e-6  # of the entry, or of the largest, that is no rounding

#: Of a shift of the parameters: where they are then, and the gradient there.
Elsewhere = Callable[[Array], tuple[Array, Array] | None]


class SecondPoint:
    """The evidence at another point, and the program there."""

    def __init__(
        self,
        nest: Nest,
        evidence: Evidence,
        reverse: Reverse,
        moved: tuple[Array, Array],
    ) -> None:
        self.first, self.number, self.names = evidence, reverse.number, nest.names
        self.theta, self.given = (nest.split(vector) for vector in moved)
        program = reverse.program
        put = dict(zip(program.parameters, self.theta, strict=True))
        nodes = recomputed(reverse.nodes, put, reverse.budget)
        there: Any = SimpleNamespace(
            nodes=[nodes.get(n, n) for n in program.nodes],
            parameters=[nodes.get(p, p) for p in program.parameters],
            result=nodes.get(program.result, program.result),
        )
        self.reverse = Reverse(there, reverse.budget, reverse.side)
        self.evidence = replace(evidence, blocks=list(self._blocks(evidence)))

    def _blocks(self, evidence: Evidence) -> Iterator[Block]:
        parameters = self.reverse.program.parameters
        for b, right in enumerate(leaves(self.reverse.gradient, parameters)):
            block = evidence.blocks[b]
            scale = float(np.abs(right).max(initial=0, where=block.known))
            bar = np.full(right.shape, block.relative_bar * scale)
            off = np.abs(self.given[b] - right)
            wrong = ~(off <= _WRONG * np.maximum(np.abs(right), scale)) & block.known
            if not block.is_wrong:
                wrong = np.zeros_like(wrong)
            yield replace(
                block,
                theta=self.theta[b],
                given=self.given[b],
                right=right,
                bar=bar,
                wrong=wrong,
            )

    def stale(self) -> list[Guess]:
        """The same gradient as at the first point, where the right one differs."""
        blocks = self.first.blocks
        same = {
            b
            for b in self.first.wrong
            if np.array_equal(self.given[b], blocks[b].given)
        }
        held = {b for b in same if np.ptp(blocks[b].given) > 0}
        bends = all(map(self._has_moved, held))
        if not held or not bends:
            return []
        whole = same == set(self.first.wrong)
        names = join([blocks[b].name for b in sorted(held)])
        text = "the gradient is" if whole else f"the gradient of {names} is"
        return [
            Guess(
                "stale",
                dict.fromkeys(self.first.wrong, 0.0),
                f"{text} the same at another point, where the right one is not: it was "
                "computed for earlier parameters",
                "compute it anew in each call",
                bits=8.0 if whole else 12.0,
            )
        ]

    def _has_moved(self, b: int) -> bool:
        """Whether the right gradient of a block is another one here.

        At kinks it has no one value.
        """
        block, here = self.first.blocks[b], self.evidence.blocks[b].right
        known = block.known
        return not np.allclose(here[known], block.right[known], 1e-6, 0)

    def from_here(self, reverse: Reverse) -> "SecondPoint":
        """The first point, whose reverse pass is given, as a second one of this."""
        other = copy(self)
        other.first, other.evidence = self.evidence, self.first
        other.reverse, other.number = reverse, self.reverse.number
        return other

    @property
    def is_valid(self) -> bool:
        """Whether the same blocks are wrong here, by what the program gives."""
        return self.evidence.wrong == self.first.wrong

    def confirmed(self, guesses: list[Guess], budget: Budget) -> list[Guess]:
        """The guesses that hold here, too; all, if it cannot be told.

        If nothing is wrong here, those about ties, of which there are none, and digits.
        """
        if not self.evidence.wrong:
            return [
                g
                for g in guesses
                if g.code == "precision" or any(map(equal_winners, g.edited))
            ]
        if not self.is_valid or not guesses:
            return guesses
        only: dict[int, set[str]] = defaultdict(set)
        for g in guesses:
            if g.edited:
                only[self.number[g.node]].add(g.text)
        search = Search(self.evidence, self.reverse, only=only)
        if only:
            budget.attempt(search.run)
        here = {m.text for m in search.found}
        alike = block_edits(self.evidence, budget)
        if budget.is_spent:
            return guesses
        return [
            g for g in guesses if (g.text in here if g.edited else _is_among(g, alike))
        ]


def _is_among(one: Guess, others: list[Guess]) -> bool:
    """Whether a guess about whole blocks is made again, with the same number."""
    again = {b for m in others if _says(m, one) for b in m.blocks}
    return one.blocks.keys() <= again


def _says(one: Guess, other: Guess) -> bool:
    if one.code != other.code or one.factor is None or other.factor is None:
        return one.code == other.code
    return abs(one.factor - other.factor) <= _SAME * abs(other.factor)
