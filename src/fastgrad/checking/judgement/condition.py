"""Losses that invert a matrix: its condition multiplies the rounding of the gradient.

That rounding is no noise of the loss: the same factors of the matrix serve all points
where it does not change, and differences measure the slope of the wrong inverse to the
last digits.
"""

from collections.abc import Iterable

import numpy as np

from fastgrad.checking.differences import EPS, INVERTING
from fastgrad.checking.judgement.evidence import (
    ROUNDINGS,
    UNDECIDED,
    WRONG,
    Judgement,
)
from fastgrad.losses import Losses, as_program
from fastgrad.program import Node


def excuse_condition(losses: Losses, entries: Judgement) -> float | None:
    """Leave open what the rounding of an inverse may be off by.

    Returns
    -------
    float or None
        The condition of the matrix, if there is such.
    """
    wrong = np.flatnonzero(entries.kind == WRONG)
    if wrong.size == 0:
        return None
    condition = _worst_condition(losses)
    effect = entries.size * entries.unit
    largest = np.max(effect, initial=0.0, where=np.isfinite(effect))
    excused = wrong[
        (entries.off * entries.unit)[wrong] <= _rounding(condition) * largest
    ]
    entries.kind[excused] = UNDECIDED
    return condition if excused.size else None


def rounding_of_inverses(losses: Losses) -> float:
    """Return the relative rounding of a gradient that inverts what the loss inverts."""
    return _rounding(_worst_condition(losses))


def _rounding(condition: float) -> float:
    return min(1.0, ROUNDINGS * EPS * condition)


def _worst_condition(losses: Losses) -> float:
    """Return the largest condition of the matrices that the loss inverts."""
    with np.errstate(all="ignore"):
        conditions = [
            float(np.max(np.linalg.cond(node.inputs[0].value), initial=0.0))
            for node in _nodes(losses)
            if node.op in INVERTING and node.inputs[0].size
        ]
    return max((c for c in conditions if not np.isnan(c)), default=0.0)


def _nodes(losses: Losses) -> Iterable[Node]:
    """Return the operations of the loss, as far as they are known."""
    program = as_program(losses)
    return () if program is None else program.nodes
