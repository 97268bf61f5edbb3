"""Why a gradient is wrong: causes, ranked, each with its evidence.

- `evidence`: a wrong gradient block by block, and when a guess matches it.
- `blocks`: edits of whole blocks, `signatures` in `numbers` and `places`, which need no
  program.
- `reverse`: the reverse pass over the program, and how it changes under an edit.
- `sites` and `edits`: the grammar. Where an array stands in the reverse pass, and what
  may stand there instead: another expression (`kinds` of edits of the `rules`, which
  are `expressions`; what is one rule for the user shows in `patterns`), another way to
  write back (`indices`), the array misarranged (`arrangements`), another array
  (`operands`).
  Edits of several operations are `compounds`; two mistakes at once `combinations`.
- `probes`: an edit projected on the error, a dot product; `search`: all edits at all
  sites, and what becomes of those that pass; `words` for them.
- `points`: a second point, which refutes coincidences. `budget`: when to stop.
- `lines`: where in the user's gradient code the mistake is, by what is `known` there.

A cause is named when doing the mistake to the right gradient gives the gradient under
test, within the error bars, in whole blocks. Nothing that merely looks alike is named.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.blocks import block_edits
from fastgrad.causes.budget import Budget
from fastgrad.causes.edits import LEVELS
from fastgrad.causes.evidence import Block, Evidence, Guess, Measured, gather, join
from fastgrad.causes.lines import Place, locate
from fastgrad.causes.places import whereabouts
from fastgrad.causes.points import Elsewhere, SecondPoint
from fastgrad.causes.reverse import Reverse
from fastgrad.causes.search import Match, Search
from fastgrad.params import Nest
from fastgrad.program import Node, Program
from fastgrad.reports import Cause

Array = NDArray[np.float64]
_STEP = 1e-3  # relative, to the second point
_PLAIN, _FEW_LEVELS = 6.0, 2  # bits of what is hardly chance; levels to look beside it
_BEHIND = 6.0  # bits of a block that is to have another mistake besides
_NEAR = 5.0  # in bits: as plausible as the best
_LOCATING = 0.25  # of the time
_SHOWN = 3  # guesses about the same blocks that cannot be told apart
_FEW_DIGITS = 1e-6  # of the gradient: more than differences and float32 are off by
_COMMON = 0.25  # of the entries: so many are off where it is by rounding


def name_causes(
    nest: Nest,
    theta: Array,
    measured: Measured,
    *,
    program: Program | None = None,
    elsewhere: Elsewhere | None = None,
    grads: Callable[[Any], Any] | None = None,
    seconds: float = 2.0,
) -> tuple[Cause, ...]:
    """Return why a gradient is wrong, what explains most first.

    Parameters
    ----------
    nest : Nest
        The parameters' structure.
    theta : ndarray of float64, shape (P,)
        The parameters.
    measured : Measured
        The gradient under test, beside the numerical one.
    program : Program, optional
        The traced loss.
    elsewhere : callable, optional
        Of a shift of the parameters: other parameters and the gradient under test
        there, or None.
    grads : callable, optional
        The user's code that computes it.
    seconds : float
        How long to look for it, on this thread's clock.

    Returns
    -------
    tuple of Cause
        Empty only if nothing is wrong. ``unknown``, with its location, where no
        mistake fits.
    """
    if not measured.wrong.any():
        return ()
    budget, found = Budget(seconds), []

    def search() -> None:
        given = nest, theta, measured, program, elsewhere, grads
        found.extend(_found(*given, budget))

    with np.errstate(all="ignore"):
        budget.attempt(search)
    if found:
        return tuple(found)
    wrong = zip(nest.names, nest.split(measured.wrong), strict=True)
    blocks = tuple(name for name, flags in wrong if flags.any())
    message = f"the gradient of {join(blocks)} is wrong" + _told(budget)
    return (Cause("unknown", blocks, message),)


def _found(
    nest: Nest,
    theta: Array,
    measured: Measured,
    program: Program | None,
    elsewhere: Elsewhere | None,
    grads: Callable[[Any], Any] | None,
    budget: Budget,
) -> list[Cause]:
    reverse = _reversed(program, budget)
    evidence = gather(nest, theta, measured, reverse)
    located: list[Place] = []
    if grads is not None and reverse is not None and evidence.exact:
        part = Budget(budget.seconds * _LOCATING)
        located = locate(grads, nest, evidence, reverse, part)
    second = _second_point(nest, theta, evidence, reverse, elsewhere)
    guesses = _guesses(evidence, reverse, budget)
    if second is not None:
        guesses = second.stale() + second.confirmed(guesses, budget)
    causes = _causes(evidence, guesses, reverse, budget)
    return [_located(cause, evidence, located) for cause in causes]


def _located(cause: Cause, evidence: Evidence, located: list[Place]) -> Cause:
    """The cause with where its mistake is in the user's gradient code."""
    names = [block.name for block in evidence.blocks]
    texts = []
    for place in located:
        blocks = [name for b, name in enumerate(names) if b in place.blocks]
        if of := [name for name in blocks if name in cause.blocks]:
            whole = len(of) == len(cause.blocks)
            texts.append(place.text + ("" if whole else f" (for {join(of)})"))
    if not texts:
        return cause
    return replace(cause, message=f"{cause.message}; the mistake is {join(texts)}")


def _second_point(
    nest: Nest,
    theta: Array,
    evidence: Evidence,
    reverse: Reverse | None,
    elsewhere: Elsewhere | None,
) -> SecondPoint | None:
    """The gradient at another point, if it is a function and there is a program."""
    if elsewhere is None or reverse is None or not evidence.exact:
        return None
    if reverse.program.guards or reverse.program.opaque:
        return None
    step = np.random.default_rng(0).uniform(0.5, 1.5, size=theta.size)
    moved = elsewhere(_STEP * step * (1 + theta))
    if moved is None or not np.isfinite(moved[1]).all():
        return None
    return SecondPoint(nest, evidence, reverse, moved)


def _reversed(program: Program | None, budget: Budget) -> Reverse | None:
    """The program in reverse, if it can be."""
    found: list[Reverse] = []
    if program is not None:
        budget.attempt(lambda: found.append(Reverse(program, budget)))
    return found[0] if found else None


def _causes(
    evidence: Evidence, guesses: list[Guess], reverse: Reverse | None, budget: Budget
) -> list[Cause]:
    chosen, left = _choose(evidence, guesses, set(evidence.wrong), reverse, budget)
    causes = [(guess.blocks, _cause(evidence, guess, guesses)) for guess in chosen]
    rounded = {b for b in left if _is_rounded(evidence.blocks[b])}
    if rounded:
        causes.append((dict.fromkeys(rounded, 0.0), _rounded(evidence, rounded)))
    if left := left - rounded:
        unknown = _unknown(evidence, left, reverse, budget)
        causes.append((dict.fromkeys(left, 0.0), unknown))
    causes.sort(key=lambda pair: -evidence.share(pair[0]))
    return [cause for _, cause in causes]


def _guesses(
    evidence: Evidence, reverse: Reverse | None, budget: Budget
) -> list[Guess]:
    found = block_edits(evidence, budget)
    if reverse is not None and evidence.exact and not evidence.is_single:
        search: list[Search] = []
        levels = _FEW_LEVELS if _explained(evidence, found) else len(LEVELS)
        budget.attempt(lambda: search.append(Search(evidence, reverse, levels)))
        for one in search:
            budget.attempt(one.run)
            found += [_as_guess(match) for match in one.found]
    return found


def _explained(evidence: Evidence, guesses: list[Guess]) -> bool:
    """Whether plain guesses explain all that is wrong."""
    plain = [set(g.blocks) for g in guesses if g.bits < _PLAIN]
    return set().union(*plain) >= set(evidence.wrong)


def _as_guess(match: Match) -> Guess:
    return Guess(
        match.code,
        match.explained,
        match.text,
        bits=match.bits,
        node=match.node,
        against=match.against,
        edited=match.edited,
    )


def _choose(
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
        useful.sort(
            key=lambda g: (-len(left & set(g.blocks)), g.bits + _BEHIND * g.against)
        )
        best = useful[0]
        covered = left & set(best.blocks)
        alike = [best]
        codes = {best.code}
        blurred = evidence.better_point(covered) is not None
        for other in useful[1:]:
            same = left & set(other.blocks) == covered and other.against == best.against
            near = other.bits <= best.bits + _NEAR and len(codes) < _SHOWN
            if same and (near or blurred) and other.code not in codes:
                codes.add(other.code)
                alike.append(other)
        for guess in alike:
            guess.rivals = [other.code for other in alike if other is not guess]
        chosen += alike
        left = left - covered
        if best.against and left and reverse is not None:
            behind, left = _behind(evidence, reverse, budget, best, left)
            chosen += behind
    return chosen, left


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
    there = evidence.gathered(changed)
    guesses = _guesses(there, after, budget)
    guesses = [g for g in guesses if not g.against]
    second, left = _choose(there, guesses, left, after, budget)
    for guess in second:
        guess.text += f" (besides: {first.code})"
    return second, left


def _cause(evidence: Evidence, guess: Guess, all_guesses: list[Guess]) -> Cause:
    node = guess.node
    if node is None:
        # Somebody may know the operation.
        same = [
            g
            for g in all_guesses
            if g.node is not None
            and not g.against
            and set(g.blocks) == set(guess.blocks)
            and g.code == guess.code
        ]
        node = min(same, key=lambda g: g.bits).node if same else None
    blocks = tuple(evidence.blocks[b].name for b in sorted(guess.blocks))
    known = [r for r in guess.blocks.values() if np.isfinite(r)]
    residual = max(known) if known else None
    where = f" in {join(blocks)}"
    text = guess.text.format(op=_said(node)) if node is not None else guess.text
    message = text + where
    if residual is not None:
        message += f" (matches to {max(residual, 1e-16):.0e})"
    if guess.advice:
        message += f": {guess.advice}"
    if guess.rivals:
        message += f"; {_not_separated(evidence, guess)}"
    return Cause(guess.code, blocks, message, _line(node), residual)


def _not_separated(evidence: Evidence, guess: Guess) -> str:
    """What else gives these numbers, and where it would not."""
    others = " and ".join(
        [*filter(None, [", ".join(guess.rivals[:-1])]), guess.rivals[-1]]
    )
    where = evidence.better_point(guess.blocks)
    if where is None:
        return f"{others} would give the same numbers"
    return f"this point does not tell it from {others}: {where} would"


def _said(node: Node) -> str:
    return f"{node.label} ({node.source})"


def _line(node: Node | None) -> str | None:
    if node is None:
        return None
    code = node.source.code
    return f"{node.source.place}:{node.source.line}" + (f": {code}" if code else "")


def _is_rounded(block: Block) -> bool:
    """Whether a block is right to as many digits as differences or float32 have."""
    off, size = np.abs(block.off[block.wrong]), np.abs(block.right[block.wrong])
    of_each = bool((off <= _FEW_DIGITS * size).all())
    largest = float(np.max(size)) or 1.0  # squares must neither vanish nor overflow
    with np.errstate(over="ignore"):
        typical = np.sqrt(np.mean((block.right[block.known] / largest) ** 2)) * largest
    common = block.wrong.mean() >= _COMMON and off.max() <= _FEW_DIGITS * typical
    return of_each or bool(common)


def _rounded(evidence: Evidence, some: set[int]) -> Cause:
    """Return the cause where no formula is wrong, but digits are missing."""
    blocks = [evidence.blocks[b] for b in sorted(some)]
    off = np.concatenate([block.off[block.wrong] for block in blocks])
    right = np.concatenate([block.right[block.wrong] for block in blocks])
    whole = np.concatenate([block.right[block.known] for block in blocks])
    unit = np.max(np.abs(whole))  # squares must neither vanish nor overflow
    digits = int(-np.log10(np.linalg.norm(off / unit) / np.linalg.norm(whole / unit)))
    enough = 10.0 ** np.ceil(np.log10(np.max(np.abs(off / right))))
    names = tuple(block.name for block in blocks)
    message = (
        f"agrees to about {digits} digits in {join(names)}: what differs looks like "
        "the error of differences, or of constants or arithmetic in float32, rather "
        "than of a formula: compute it in float64 throughout"
    )
    if enough <= 10 * _FEW_DIGITS:
        message += f", or pass `rtol={enough:.0e}` if that is enough"
    return Cause("precision", names, message)


def _unknown(
    evidence: Evidence,
    unexplained: set[int],
    reverse: Reverse | None,
    budget: Budget,
) -> Cause:
    left = sorted(unexplained)
    blocks = tuple(evidence.blocks[b].name for b in left)
    node = None if reverse is None else _entered(evidence, reverse, left)
    above, whole = None, False
    if reverse is not None:
        above, whole = _right_above(evidence, reverse, left)
    message = f"no known mistake gives the gradient of {join(blocks)}"
    places = [(evidence.blocks[b].name, whereabouts(evidence.blocks[b])) for b in left]
    for name, where in places:
        message += f"; {name} is wrong only {where}" if where else ""
    if node is not None:
        message += f"; if it is one mistake, what comes down to {_said(node)} is wrong"
    if above is not None:
        message += f"; what comes down to {_said(above)} is right"
        if whole:
            message += f": the error enters at or behind line {above.source.line}, and "
            message += "everything nearer the loss is right"
    message += _told(budget)
    return Cause("unknown", blocks, message, _line(node or above))


def _right_above(
    evidence: Evidence, reverse: Reverse, wrong: list[int]
) -> tuple[Node | None, bool]:
    """The last value before all wrong blocks whose gradient is right.

    Every way to some right block passes it, so its gradient is a factor of that of the
    block. And whether every way to the wrong ones does.
    """
    passed, parameters = reverse.passed, reverse.program.parameters
    known = 0
    for p, block in zip(parameters, evidence.blocks, strict=True):
        if not block.is_wrong and np.any(block.right):
            known |= passed.get(p, 0) & ~(1 << reverse.number.get(p, 0))
    bits = sum(1 << b for b in wrong)
    for k, node in enumerate(reverse.nodes[:-1]):
        if known >> k & 1 and reverse.reached[node] & bits == bits:
            whole = all(passed.get(parameters[b], 0) >> k & 1 for b in wrong)
            return node, whole
    return None, False


def _entered(evidence: Evidence, reverse: Reverse, wrong: list[int]) -> Node | None:
    """The value whose gradient is wrong wherever one mistake entered.

    It enters in the gradient of a value that all wrong blocks lead to, and no right one
    whose gradient is not zero; it has passed the value that all of these come from.
    """
    bits = sum(1 << b for b in wrong)
    right = sum(
        1 << b
        for b, block in enumerate(evidence.blocks)
        if not block.is_wrong and np.any(block.right)
    )
    entries = [
        node
        for node in reverse.nodes
        if reverse.reached[node] & bits == bits and not reverse.reached[node] & right
    ]
    if not entries or not entries[0].inputs:
        return None
    first = reverse.behind[entries[0]]
    passed = all(reverse.behind[node] & first == first for node in entries)
    return entries[0] if passed else None


def _told(budget: Budget) -> str:
    """What the search did not do."""
    told = ""
    if budget.is_spent:
        told += f"; not all mistakes were tried in {budget.seconds:.0f} s"
    if budget.is_starved:
        told += "; not all mistakes were tried: memory ran out"
    if budget.failures:
        told += "; the search failed, which is a bug of fastgrad, not of the gradient: "
        told += join(budget.failures)
    return told


__all__ = ["Measured", "name_causes"]
