"""The story of naming: where it is wrong, what repairs it, which mistake gives it."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.budget import Budget
from fastgrad.causes.codes import OF_VALUES
from fastgrad.causes.evidence import (
    Evidence,
    Guess,
    Measured,
    Whole,
    explained,
    gather,
    join,
)
from fastgrad.causes.lines import Located, locate
from fastgrad.causes.patterns import penalties
from fastgrad.causes.points import Elsewhere, SecondPoint
from fastgrad.causes.ranking import guess
from fastgrad.causes.repairs import repairs
from fastgrad.causes.reverse import Reverse
from fastgrad.causes.sections import in_sections
from fastgrad.causes.telling import of_search, told, with_place
from fastgrad.causes.ties import equal_winners, has_ties
from fastgrad.params import Nest
from fastgrad.program import Node, Part, Program
from fastgrad.reports import Cause

Array = NDArray[np.float64]
_STEP = 1e-3  # relative, to the second point
_LOCATING, _REPAIRING, _SEARCHING = 0.3, 0.5, 0.85  # of the time that is left


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
    with np.errstate(all="ignore"):  # whatever an edit makes
        found = budget.attempt(lambda: _found(*given, budget))
    if found:
        return tuple(found)
    wrong = zip(nest.names, nest.split(measured.wrong), strict=True)
    blocks = tuple(name for name, flags in wrong if flags.any())
    message = f"the gradient of {join(blocks)} is wrong" + of_search(budget)
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
    """What is found; by derivatives between or beside ties, if some is unknown."""
    views = [(0, False)]
    if program is not None and has_ties(program.nodes):
        views = [(0, True)] * any(map(equal_winners, program.nodes)) + views
        views += [(-1, True), (1, True)]
    found: list[list[Cause]] = []
    for k, (side, at_ties) in enumerate(views):
        part = budget.share(1 / (len(views) - k)) if len(views) > 1 else budget
        reverse = _reversed(program, part, side)
        if at_ties and reverse is None:
            break
        evidence = gather(nest, theta, measured, reverse, everything, at_ties)
        if not evidence.wrong:
            continue
        found.append(_by(reverse, evidence, nest, theta, elsewhere, traced, part))
        if not side and not _left_open(found[-1])[0]:
            break
    return min(found, key=_left_open)


def _left_open(causes: list[Cause]) -> tuple[bool, int]:
    """Whether something is unknown, and in how many pieces the rest is."""
    unknown = any(cause.code == "unknown" for cause in causes)
    return unknown, len({cause.blocks for cause in causes})


def _by(
    reverse: Reverse | None,
    evidence: Evidence,
    nest: Nest,
    theta: Array,
    elsewhere: Elsewhere | None,
    traced: Callable[[Nest], list[Node]] | None,
    budget: Budget,
) -> list[Cause]:
    """What is found by the right gradients of a reverse pass."""
    located = Located()
    if traced is not None and reverse is not None and evidence.exact:
        located = locate(traced, nest, evidence, reverse, budget.share(_LOCATING))
    second = _second_point(nest, theta, evidence, reverse, elsewhere, budget)
    part = budget.share(_REPAIRING)
    repaired = repairs(located, evidence, second, part)
    budget.failures += part.failures
    part = budget.share(_SEARCHING)
    if reverse is not None:
        reverse.budget = part
    guesses = guess(evidence, reverse, part, repaired)
    budget.join(part)
    if reverse is not None:
        reverse.budget = budget
        _call_penalties(guesses, reverse)
    if second is not None and reverse is not None:
        guesses = second.confirmed(guesses, budget)
        covered = set[int]().union(*(one.blocks for one in guesses + repaired))
        if second.is_valid and not covered.issuperset(evidence.wrong):
            # Where many give the same numbers, not all of them are looked for.
            there = guess(second.evidence, second.reverse, budget, repaired)
            guesses += second.from_here(reverse).confirmed(there, budget)
        if not explained(repaired, evidence.wrong):
            guesses = second.stale() + guesses
    if any(one.code == "conjugate" for one in guesses):  # which says more than a sign
        repaired = [one for one in repaired if one.code != "sign"]
    for one in repaired:  # what cancels is computed, and not left out
        guesses = [
            g for g in guesses if g.code != "zero" or not _computes(one, g, located)
        ]
    causes = told(evidence, guesses + repaired, reverse, budget)
    if reverse is not None:
        apart = (_by_sections(cause, evidence, reverse, budget) for cause in causes)
        causes = list(chain.from_iterable(apart))
    return [with_place(cause, evidence, located.places) for cause in causes]


def _by_sections(
    cause: Cause, evidence: Evidence, reverse: Reverse, budget: Budget
) -> list[Cause]:
    """The causes of the sections of a block that is unknown, if all have one."""
    if cause.code != "unknown" or len(cause.blocks) > 1:
        return [cause]
    b = [block.name for block in evidence.blocks].index(cause.blocks[0])

    def found() -> list[Cause] | None:
        sections = in_sections(evidence, b, reverse)
        if sections is None:
            return None
        apart, there = sections
        return told(apart, guess(apart, there, budget, []), there, budget)

    causes = budget.attempt(found)
    if not causes or _left_open(causes)[0]:
        return [cause]
    return [replace(one, blocks=cause.blocks) for one in causes]


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


def _reversed(
    program: Program | Part | None, budget: Budget, side: int = 0
) -> Reverse | None:
    """The program in reverse, if it can be."""
    if program is None:
        return None
    return budget.attempt(lambda: Reverse(program, budget, side))
