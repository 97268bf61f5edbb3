"""Why a gradient is wrong: what has been measured, handed to those who name causes."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.checking.audit import Finding
from fastgrad.checking.judgement import KINK, WRONG, Gradient, Verdicts
from fastgrad.losses import Losses, as_program
from fastgrad.reports import GradientReport

# Findings after which the numbers of one call say nothing.
_OF_CALLS = {"accumulation", "stale", "nondeterministic"}

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
    from fastgrad.causes import name_causes  # where nothing is wrong, not even loaded

    program = as_program(losses)
    if program is not None:
        program.remember()
    causes = name_causes(
        losses.nest,
        losses.theta,
        _measured(losses, gradient, entries),
        program=program,
        elsewhere=_elsewhere(losses, grads) if callable(grads) else None,
        seconds=seconds,
    )
    causes = tuple(cause for cause in causes if cause.code not in known)
    return dataclasses.replace(report, causes=causes)


def _measured(losses: Losses, gradient: Gradient, entries: Verdicts) -> Any:
    """Return what is known of every entry of the gradient."""
    from fastgrad.causes import Measured

    def whole(values: Any, otherwise: Any) -> Any:
        result = np.full(losses.nest.size, otherwise)
        result[entries.index] = values
        return result

    # A mistake explains numbers to so many digits; the verdict may know more of them.
    slack = np.fmax(entries.tolerance[:], _EXPLAINED * np.abs(entries.numerical))
    return Measured(
        gradient.value,
        whole(entries.numerical, np.nan),
        whole(entries.error + slack, np.inf),
        whole(entries.kind == WRONG, False),
        whole(entries.kind != KINK, True),
        gradient.eps,
    )


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
            there = nest.vector(grads(nest.structure), "grads")
            return theta.astype(np.float64), there
        except Exception:  # the user's function need not be defined there
            return None
        finally:
            nest.restore(saved)

    return elsewhere
