"""Which guesses are shown: the shortest description of each part of the error."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from fastgrad.causes.blocks import block_edits
from fastgrad.causes.budget import Budget, SpentError
from fastgrad.causes.edits import LEVELS
from fastgrad.causes.evidence import Evidence, Guess
from fastgrad.causes.reverse import Reverse
from fastgrad.causes.search import Search

_PLAIN, _FEW_LEVELS = 6.0, 2  # bits of what is hardly chance; levels to look beside it
_ROUNDING = 1e-12  # relative, that an account may leave
_BEHIND = 6.0  # bits of a block that is to have another mistake besides
_NEAR = 5.0  # in bits: as plausible as the best
_SHOWN = 3  # guesses about the same blocks that cannot be told apart


def guess(
    evidence: Evidence,
    reverse: Reverse | None,
    budget: Budget,
    repaired: Sequence[Guess] = (),
) -> list[Guess]:
    """Return the mistakes that give the gradient of some blocks.

    Where the numbers of blocks explain all, only the plainest ones are looked for
    beside; where repairs do, those that read other arrays are not.
    """
    found = block_edits(evidence, budget)
    if reverse is not None and evidence.exact and not evidence.is_single:
        levels = len(LEVELS) - _explain(repaired, evidence)
        levels = _FEW_LEVELS if _explain(found, evidence) else levels
        search = Search(evidence, reverse, levels)
        budget.attempt(search.run)
        found += search.found
    return found


def _explain(guesses: Sequence[Guess], evidence: Evidence) -> bool:
    """Whether plain guesses explain all that is wrong, one or several."""
    plain = [set(g.blocks) for g in guesses if g.bits < _PLAIN and not g.against]
    return set().union(*plain) >= set(evidence.wrong)


def choose(
    evidence: Evidence,
    guesses: list[Guess],
    left: set[int],
    reverse: Reverse | None,
    budget: Budget,
) -> tuple[list[Guess], set[int]]:
    """Return the best guess, the best about what it leaves, and so on; and the rest.

    Each with others about the same blocks that it cannot be told from: all codes where
    the point does not separate mistakes, else those that are as plausible. What a guess
    touches and does not explain may have a second mistake behind it.
    """
    chosen: list[Guess] = []
    while useful := [guess for guess in guesses if left & set(guess.blocks)]:
        useful.sort(key=lambda g: (-len(left & set(g.blocks)), _length(g)))
        best = useful[0]
        covered = left & set(best.blocks)
        same = [
            g
            for g in useful
            if left & set(g.blocks) == covered and g.against == best.against
        ]
        alike = _as_plausible(same, evidence.better_point(covered) is not None)
        _tell_operation(alike, guesses)
        chosen += alike
        left = left - covered
        if best.against and left and reverse is not None:
            with suppress(SpentError):
                behind, left = _behind(evidence, reverse, budget, best, left)
                chosen += behind
    return chosen, left


def _length(one: Guess) -> float:
    """In bits: what describes it, other blocks, and digits that it does not match."""
    rough = max([_ROUNDING, *filter(np.isfinite, one.blocks.values())]) / _ROUNDING
    return one.bits + _BEHIND * one.against + float(np.log2(rough))


def merged(chosen: list[Guess]) -> list[Guess]:
    """Return one mistake where a function makes it wherever it is called."""
    found: dict[Any, Guess] = {}
    joined: list[Guess] = []
    for one in chosen:
        text = one.text.split(" (besides: ")[0]
        source = one.node.source if one.node is not None else one.text
        first = found.setdefault((one.code, text, source), one)
        if first is not one:
            first.blocks |= one.blocks
            first.text = f"{text}, wherever it is called,"
            joined.append(first)
    return [
        one
        for one in found.values()
        if not any(one.blocks.keys() < more.blocks.keys() for more in joined)
    ]


def _as_plausible(same: list[Guess], blurred: bool) -> list[Guess]:
    """The first of several that explain the same, and what it cannot be told from."""
    alike = {same[0].code: same[0]}
    for other in same:
        near = other.bits <= same[0].bits + _NEAR and len(alike) < _SHOWN
        if near or blurred:
            alike.setdefault(other.code, other)
    for one in alike.values():
        one.rivals = [code for code in alike if code != one.code]
    return list(alike.values())


def _tell_operation(chosen: list[Guess], guesses: list[Guess]) -> None:
    """Where the numbers alone tell the mistake, somebody may know the operation."""
    for one in chosen:
        same = [
            g
            for g in guesses
            if g.node is not None and not g.against and g.code == one.code
            if set(g.blocks) == set(one.blocks)
        ]
        if one.node is None and same:
            one.node = min(same, key=lambda g: g.bits).node


def _behind(
    evidence: Evidence, reverse: Reverse, budget: Budget, first: Guess, left: set[int]
) -> tuple[list[Guess], set[int]]:
    """A second mistake, in blocks that the first one touches but does not explain."""
    after = reverse
    changed = {b: evidence.blocks[b] for b in left}
    if first.edited:
        after = reverse.edited(first.edited)
        rightly = [after.gradient[p] for p in reverse.program.parameters]
        changed = {b: replace(x, right=rightly[b]) for b, x in changed.items()}
    elif first.factor:
        factor = first.factor
        changed = {b: replace(x, given=x.given / factor) for b, x in changed.items()}
    else:
        return [], left
    blocks = [
        changed.get(b, replace(block, wrong=np.zeros_like(block.wrong)))
        for b, block in enumerate(evidence.blocks)
    ]
    there = replace(evidence, blocks=blocks)
    same = first.code, first.text.split(" (besides: ")[0]
    guesses = [
        g
        for g in guess(there, after, budget)
        if not g.against or (g.code, g.text) == same
    ]
    second, left = choose(there, guesses, left, after, budget)
    for one in second:
        one.text += f" (besides: {first.code})"
    return second, left
