"""Losses in which terms cancel: their own rounding moves the slope that is measured.

As log(1 - sigmoid(30)), or a variance as the difference of two large means. It is no
noise of the differences, which are exact for the values as they were rounded at theta.
A slope that larger steps were needed for is another one than that, and excused nothing.
"""

from functools import cached_property

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.checking.judgement.evidence import WRONG, Judgement, classify, take
from fastgrad.losses import Losses, as_program
from fastgrad.program import Source, spread_of_gradient

_SPREADS = 4.0  # that the slope may be off by


class InnerRounding:
    """What the rounding of a loss does to its slopes; measured when it is asked for.

    Attributes
    ----------
    line : Source or None
        Where terms cancel, if that leaves entries open.
    """

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self.line: Source | None = None

    @cached_property
    def _found(self) -> tuple[Array, Array, Source | None]:
        program = as_program(self._losses)
        if program is None:
            nothing = np.zeros(self._losses.nest.size)
            return nothing, nothing, None
        return spread_of_gradient(program)

    def bars(self, index: Index, slopes: Array, error: Array) -> Array:
        """What to add to the error bars of slopes as they were measured."""
        slope, spread, _ = self._found
        bar = _SPREADS * spread[index]
        with np.errstate(all="ignore"):
            rounded = np.abs(slopes - slope[index]) <= error + bar
        return np.where(rounded, bar, 0.0)

    def excuse(self, entries: Judgement) -> None:
        """Widen the bars of entries about to be called wrong, if that excuses them."""
        smooth = np.isfinite(entries.off) & (entries.bend == 0)
        wrong = np.flatnonzero((entries.kind == WRONG) & smooth)
        if wrong.size == 0:
            return
        part = take(entries, wrong)
        part.error += self.bars(part.index, part.numerical, part.error)
        part.kind = classify(part)
        excused = part.kind != WRONG
        entries.error[wrong[excused]] = part.error[excused]
        entries.kind[wrong[excused]] = part.kind[excused]
        if excused.any():
            self.line = self._found[-1]
