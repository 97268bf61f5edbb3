"""Why a gradient is wrong: causes, ranked, each with its evidence.

- `measured`: what is given; `evidence`: it block by block, and when a guess matches.
- `blocks`: edits of whole blocks, which need no program: `numbers` and places;
  `counts` for what a factor may be.
- `reverse`: the reverse pass over the program, and how it changes under an edit.
- `sites` and `edits`: the grammar. Where an array stands in the reverse pass, and what
  may stand there instead: another expression (`kinds` of edits of the `rules`, which
  are `expressions`; what is one rule for the user is known by its value), another way
  to write back (`indices`), the array misarranged (`arrangements`), another array
  (`operands`) of all that may be read (`readings`), by its name (`names`). `patterns`:
  values that are functions of one value, or sums of terms. Edits of several operations
  are `compounds`, as is what is `overwriting`; two mistakes at once `combinations`.
- `probes`: an edit projected on the error, a dot product; `search`: all edits at all
  sites, and what becomes of those that pass; `words` for them.
- `ranking`: what is shown of what was found; `location` where nothing was. `points`: a
  second point, which refutes coincidences. `budget`: when to stop.
- `lines`: where in the user's gradient code the mistake is, by what is `known` there;
  `repairs`: which edit of it makes the gradient right. `rewrites` are those of one
  operation, `substitutes` read something else, `variables` in all their uses; all
  draw on the same arrangements and readings. `codes` say what that is called; `views`
  run the code with an edit, and say what weighs in it.

A cause is named when doing the mistake to the right gradient gives the gradient under
test, within the error bars, in whole blocks. Nothing that merely looks alike is named.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.budget import Budget
from fastgrad.causes.codes import OF_VALUES
from fastgrad.causes.evidence import Block, Evidence, Guess, explained, gather, join
from fastgrad.causes.lines import Located, Place, locate
from fastgrad.causes.location import name, proved
from fastgrad.causes.measured import Measured, Whole
from fastgrad.causes.patterns import penalties
from fastgrad.causes.points import Elsewhere, SecondPoint
from fastgrad.causes.ranking import choose, guess, merged
from fastgrad.causes.repairs import repairs
from fastgrad.causes.reverse import Reverse
from fastgrad.params import Nest
from fastgrad.program import Node, Part, Program
from fastgrad.reports import Cause

Array = NDArray[np.float64]
_STEP = 1e-3  # relative, to the second point
_LOCATING, _SEARCHING, _REPAIRING = 0.3, 0.6, 0.7  # of the time that is left
_SEARCHING_ALONE = 0.85  # where there is nothing to repair
_TOLD = "the mistake is"
_FEW_DIGITS = 1e-6  # of the gradient: more than differences and float32 are off by
_COMMON = 0.25  # of the entries: so many are off where it is by rounding


def name_causes(
    nest: Nest,
    theta: Array,
    measured: Measured,
    *,
    program: Program | Part | None = None,
    elsewhere: Elsewhere | None = None,
    traced: Callable[[Nest], list[Node]] | None = None,
    everything: Whole | None = None,
    seconds: float = 2.0,
) -> tuple[Cause, ...]:
    """Return why a gradient is wrong, what explains most first.

    Parameters
    ----------
    nest, theta : Nest, ndarray of float64 of shape (P,)
        The parameters.
    measured : Measured
        The gradient under test, beside the numerical one.
    program : Program or Part, optional
        The traced loss.
    elsewhere : callable, optional
        Of a shift of the parameters: other parameters and the gradient under test
        there, or None.
    traced : callable, optional
        Traces the user's code that computes it.
    everything : (Nest, ndarray, Measured), optional
        Where the others are a part, all of the parameters and of the gradient.
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
    budget = Budget(seconds)
    given = nest, theta, measured, program, elsewhere, traced, everything
    with np.errstate(all="ignore"):
        found = budget.attempt(lambda: _found(*given, budget))
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
    program: Program | Part | None,
    elsewhere: Elsewhere | None,
    traced: Callable[[Nest], list[Node]] | None,
    everything: Whole | None,
    budget: Budget,
) -> list[Cause]:
    reverse = _reversed(program, budget)
    evidence = gather(nest, theta, measured, reverse, everything)
    located = Located()
    if traced is not None and reverse is not None and evidence.exact:
        located = locate(traced, nest, evidence, reverse, budget.share(_LOCATING))
    alone = located.backward is None
    part = budget.share(_SEARCHING_ALONE if alone else _SEARCHING)
    guesses = _guessed(evidence, reverse, part)
    budget.join(part)
    second = _second_point(nest, theta, evidence, reverse, elsewhere, budget)
    part = budget.share(_REPAIRING)
    repaired = repairs(located, evidence, second, part)
    budget.failures += part.failures
    if reverse is not None:
        _call_penalties(guesses, reverse)
    if second is not None:
        guesses = second.confirmed(guesses, budget)
        if not explained(repaired, evidence.wrong):
            guesses = second.stale() + guesses
    if any(one.code == "conjugate" for one in guesses):  # which says more than a sign
        repaired = [one for one in repaired if one.code != "sign"]
    for one in repaired:  # what cancels is computed, and not left out
        guesses = [
            g for g in guesses if g.code != "zero" or not _computes(one, g, located)
        ]
    causes = _causes(evidence, guesses + repaired, reverse, budget)
    return [_located(cause, evidence, located.places) for cause in causes]


def _guessed(evidence: Evidence, reverse: Reverse | None, part: Budget) -> list[Guess]:
    """What is found in a part of the time, to which the reverse pass keeps as well."""
    if reverse is None:
        return guess(evidence, None, part)
    reverse.budget, whole = part, reverse.budget
    try:
        return guess(evidence, reverse, part)
    finally:
        reverse.budget = whole


def _computes(one: Guess, zero: Guess, located: Located) -> bool:
    """Whether a repair explains blocks that are said to be zero, and are computed."""
    results = located.backward.results if located.backward else ()
    computed = any(results[b].active and results[b].inputs for b in zero.blocks)
    return computed and not one.against and zero.blocks.keys() <= one.blocks.keys()


def _call_penalties(guesses: list[Guess], reverse: Reverse) -> None:
    """A mistake at an operation of a penalty is one of the penalty."""
    of_penalties = penalties([reverse.nodes[-1]])
    for one in guesses:
        if one.node in of_penalties and one.code in OF_VALUES:
            one.code = "regularization"


def _located(cause: Cause, evidence: Evidence, located: list[Place]) -> Cause:
    """The cause with where its mistake is in the user's gradient code."""
    if _TOLD in cause.message:
        return cause
    names = [block.name for block in evidence.blocks]
    texts = []
    for place in located:
        blocks = [name for b, name in enumerate(names) if b in place.blocks]
        if of := [name for name in blocks if name in cause.blocks]:
            if cause.code == "accumulation":  # what is missing may be so anywhere
                place = replace(place, behind=True)
            whole = len(of) == len(cause.blocks)
            texts.append(place.text + ("" if whole else f" (for {join(of)})"))
    if not texts:
        return cause
    return replace(cause, message=f"{cause.message}; {_TOLD} {join(texts)}")


def _second_point(
    nest: Nest,
    theta: Array,
    evidence: Evidence,
    reverse: Reverse | None,
    elsewhere: Elsewhere | None,
    budget: Budget,
) -> SecondPoint | None:
    """The gradient at another point, if it is a function and there is a program."""
    if elsewhere is None or reverse is None or not evidence.exact:
        return None
    if reverse.program.guards or reverse.program.opaque:
        return None
    step = np.random.default_rng(0).uniform(0.5, 1.5, size=theta.size)
    shift = _STEP * step * (1 + theta)
    for at, part in zip(nest.split(theta), nest.split(shift), strict=True):
        if _is_symmetric(at):  # and gradients may be written for such alone
            part[...] = (part + part.T) / 2
    moved = elsewhere(shift)
    if moved is None or not np.isfinite(moved[1]).all():
        return None
    return budget.attempt(lambda: SecondPoint(nest, evidence, reverse, moved))


def _is_symmetric(x: Array) -> bool:
    """Whether it is a symmetric matrix, as covariances are, and no diagonal one."""
    square = x.ndim == 2 and x.shape[0] == x.shape[1]
    return bool(square and np.array_equal(x, x.T) and np.any(np.tril(x, -1)))


def _reversed(program: Program | Part | None, budget: Budget) -> Reverse | None:
    """The program in reverse, if it can be."""
    if program is None:
        return None
    return budget.attempt(lambda: Reverse(program, budget))


def _causes(
    evidence: Evidence, guesses: list[Guess], reverse: Reverse | None, budget: Budget
) -> list[Cause]:
    chosen, left = choose(evidence, guesses, set(evidence.wrong), reverse, budget)
    causes = [(set(one.blocks), _cause(evidence, one)) for one in merged(chosen)]
    rounded = {b for b in left if _is_rounded(evidence.blocks[b])}
    if rounded:
        causes.append((rounded, _rounded(evidence, rounded)))
    if left := left - rounded:
        names = tuple(evidence.blocks[b].name for b in sorted(left))
        said, node = proved(evidence, reverse, sorted(left))
        message = f"no known mistake gives the gradient of {join(names)}{said}"
        unknown = Cause("unknown", names, message + _told(budget), _line(node))
        causes.append((left, unknown))
    causes.sort(key=lambda pair: -evidence.share(pair[0]))
    return [cause for _, cause in causes]


def _cause(evidence: Evidence, guess: Guess) -> Cause:
    node = guess.node
    blocks = tuple(evidence.blocks[b].name for b in sorted(guess.blocks))
    known = [r for r in guess.blocks.values() if np.isfinite(r)]
    residual = max(known) if known else None
    message = guess.text.replace("{op}", name(node)) if node else guess.text
    message += f" in {join(blocks)}"
    if residual is not None:
        message += f" (matches to {max(residual, 1e-16):.0e})"
    if guess.advice:
        message += f": {guess.advice}"
    if guess.rivals:
        message += f"; {_not_separated(evidence, guess)}"
    if guess.place is not None:
        message += f"; {_TOLD} {guess.place.text}"
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
