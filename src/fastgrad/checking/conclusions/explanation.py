"""Why a gradient is wrong: what has been measured, handed to those who name causes."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad._memory import refuse_too_large
from fastgrad.checking.audit import Finding
from fastgrad.checking.differences import places
from fastgrad.checking.judgement import (
    KINK,
    WRONG,
    Gradient,
    Verdicts,
    from_everywhere,
)
from fastgrad.losses import Losses, as_program, grads_of
from fastgrad.params import Nest
from fastgrad.program import MANY, Node, Program, gradients, part_of, trace_blocks
from fastgrad.reports import Cause, GradientReport

# Findings after which the numbers of one call say nothing.
_OF_CALLS = {"accumulation", "stale", "nondeterministic"}

# Bytes for each parameter, and each number that the loss computes: of a search.
_SEARCH, _SEARCH_OF_VALUES = 8 * 40, 8 * 12

_SOME = 2**13  # entries, wrong ones and others, that stand for very many
_EXPLAINED = 1e-6  # of each derivative: a mistake explains so many digits


def explained(
    report: GradientReport,
    findings: Sequence[Finding],
    losses: Losses,
    gradient: Gradient,
    entries: Verdicts,
    grads: Any,
    seconds: float,
) -> GradientReport:
    """Return the report with its causes, if it says wrong and they are not known.

    Parameters
    ----------
    report : GradientReport
    findings : sequence of Finding
        What is known of the gradient before.
    losses, gradient, entries
        What was measured.
    grads : callable or None
        The user's function, if the gradient is one.
    seconds : float
        That the search may take.
    """
    known = {finding.cause.code for finding in findings}
    if report.verdict != "wrong" or known & _OF_CALLS:
        return report
    try:
        causes = _named(losses, gradient, entries, grads, seconds)
    except MemoryError as error:
        blocks = tuple(b.name for b in report.blocks if b.verdict == "wrong")
        why = str(error) or "memory ran out"
        causes = (Cause("unknown", blocks, f"the cause was not looked for: {why}"),)
    causes = tuple(cause for cause in causes if cause.code not in known)
    return dataclasses.replace(report, causes=causes)


def _named(
    losses: Losses,
    gradient: Gradient,
    entries: Verdicts,
    grads: Any,
    seconds: float,
) -> tuple[Cause, ...]:
    """Return the causes; MemoryError before it is looked for what takes too much."""
    from fastgrad.causes import name_causes  # where nothing is wrong, not even loaded

    program, nest = as_program(losses), losses.nest
    if nest.size > MANY:
        given = losses, gradient, entries, program
        return name_causes(**_of_some(*given), seconds=seconds)
    program = program and program.in_turns
    nodes = () if program is None else program.nodes
    needed = float(_SEARCH) * nest.size
    needed += _SEARCH_OF_VALUES * sum(node.size for node in nodes if node.active)
    instead = "a smaller model of the same code has the same mistake"
    refuse_too_large(needed, "looking for it", instead)
    if program is not None:
        program.remember()
    return name_causes(
        nest,
        losses.theta,
        _measured(gradient, entries, np.arange(nest.size)),
        program=program,
        elsewhere=_elsewhere(losses, grads) if callable(grads) else None,
        traced=_code(losses, grads),
        seconds=seconds,
    )


def _of_some(
    losses: Losses, gradient: Gradient, entries: Verdicts, program: Program | None
) -> dict[str, Any]:
    """Return what is known of some entries of very many, and of all of them."""
    nest, part = losses.nest, None
    if program is not None:
        part = part_of(program, _wrong(losses, entries))
    index = _sample(entries) if part is None else part.index()
    edges = np.searchsorted(index, nest.offsets)
    values = np.split(losses.theta[index], edges[1:-1])
    if part is not None:
        values = [p.value for p in part.parameters]
    right = None if part is None else part.whole
    return {
        "nest": Nest(dict(zip(nest.names, values, strict=True))),
        "theta": losses.theta[index],
        "measured": _measured(gradient, entries, index),
        "program": part,
        "everything": (
            nest,
            losses.theta,
            _everything(losses, gradient, entries, right),
        ),
    }


def _sample(entries: Verdicts) -> Index:
    """Return some of the entries that were measured: half of them wrong, if so many."""
    wrong = np.flatnonzero(entries.kind == WRONG)
    some = wrong[from_everywhere(wrong.size, _SOME)]
    others = from_everywhere(len(entries.kind), _SOME)
    return np.asarray(entries.index[np.union1d(some, others)], dtype=np.int64)


def _code(losses: Losses, grads: Any) -> Callable[[Nest], list[Node]] | None:
    """Return what traces the user's gradient code, if there is any."""
    if callable(grads):
        return partial(trace_blocks, grads, lambda result: result)
    return (
        partial(trace_blocks, losses.loss, grads_of) if losses.returns_grads else None
    )


def _measured(gradient: Gradient, entries: Verdicts, index: Index) -> Any:
    """Return what is known of some entries of the gradient."""
    from fastgrad.causes import Measured

    at = places(entries.index, index)
    seen = at < len(entries.index)
    seen[seen] = np.asarray(entries.index[at[seen]]) == index[seen]
    at = at[seen]
    # A mistake explains numbers to so many digits; the verdict may know more of them.
    slack = np.fmax(entries.tolerance[at], _EXPLAINED * np.abs(entries.numerical[at]))

    def known(values: Any, otherwise: Any) -> Any:
        result = np.full(len(index), otherwise)
        result[seen] = values
        return result

    return Measured(
        gradient.value[index],
        known(entries.numerical[at], np.nan),
        known(entries.error[at] + slack, np.inf),
        known(entries.kind[at] == WRONG, False),
        known(_smooth(entries)[at], True),
        gradient.eps,
    )


def _smooth(entries: Verdicts) -> Flags:
    """Return for each entry whether the loss has no kink there."""
    smooth: Flags = entries.kind != KINK
    smooth[places(entries.index, entries.bent)] = False
    return smooth


def _everything(
    losses: Losses, gradient: Gradient, entries: Verdicts, program: Program | None
) -> Any:
    """Return all that is measured; of few entries, what the program says of all."""
    from fastgrad.causes import Measured

    given, nest = gradient.value, losses.nest
    if len(entries.index) == nest.size:
        wrong, smooth = entries.kind == WRONG, _smooth(entries)
        numbers = entries.numerical, entries.error
        return Measured(given, *numbers, wrong, smooth, gradient.eps)
    right, error, all_of_it = (
        np.broadcast_to(x, nest.size) for x in (np.nan, np.inf, True)
    )
    wrong = _wrong(losses, entries)
    if program is not None:
        found = gradients(program.nodes, program.result, program.parameters)
        right, error = nest.join(found), np.broadcast_to(0.0, nest.size)
        with np.errstate(all="ignore"):
            wrong = np.abs(given - right) > _EXPLAINED * np.abs(right)
    return Measured(given, right, error, wrong, all_of_it, gradient.eps)


def _wrong(losses: Losses, entries: Verdicts) -> Flags:
    """Return for each entry of all parameters whether it is known to be wrong."""
    wrong = np.zeros(losses.nest.size, dtype=bool)
    wrong[entries.index] = entries.kind == WRONG
    return wrong


def _elsewhere(
    losses: Losses, grads: Any
) -> Callable[[Array], tuple[Array, Array] | None]:
    """Return the user's gradient as a function of a shift of theta."""
    nest = losses.nest

    def elsewhere(shift: Array) -> tuple[Array, Array] | None:
        """Return theta moved by `shift`, and the user's gradient there, if any."""
        saved = nest.snapshot()
        try:
            for leaf, part in zip(nest.leaves, nest.split(shift), strict=True):
                leaf += part.astype(leaf.dtype)
            losses.confine()
            theta = np.concatenate([np.ravel(leaf) for leaf in nest.leaves])
            if callable(losses.loss):  # what it keeps, the gradient may read
                losses.loss(nest.structure)
            there = nest.vector(grads(nest.structure), "grads")
            return theta.astype(np.float64), there
        except Exception:  # the user's function need not be defined there
            return None
        finally:
            nest.restore(saved)

    return elsewhere
