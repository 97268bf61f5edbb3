"""Losses in which terms cancel: their own rounding moves the slope that is measured.

As log(1 - sigmoid(30)), or a variance as the difference of two large means. It is no
noise of the differences, which are exact for the values as they were rounded at theta.
A slope that larger steps were needed for is another one than that, and excused nothing.
"""

from functools import cached_property

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences import KAPPA
from fastgrad.checking.judgement.evidence import WRONG, Judgement, classify, take
from fastgrad.losses import Losses, as_program
from fastgrad.program import Source, part_of, spread_of_gradient


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
            nothing = np.broadcast_to(0.0, self._losses.nest.size)
            return nothing, nothing, None
        return spread_of_gradient(program)

    def bars(self, index: Index, slopes: Array, error: Array) -> Array:
        """What to add to the error bars of slopes as they were measured."""
        slope, spread, _ = self._found
        return _bars(slopes, error, slope[index], spread[index])

    def excuse(self, entries: Judgement) -> None:
        """Widen the bars of entries about to be called wrong, if that excuses them."""
        smooth = np.isfinite(entries.off) & (entries.bend == 0)
        wrong = np.flatnonzero((entries.kind == WRONG) & smooth)
        if wrong.size == 0 or not self._matters(take(entries, wrong)):
            return
        slope, spread, line = self._found
        part = take(entries, wrong)
        excused = _excused(part, slope[part.index], spread[part.index])
        entries.error[wrong[excused]] = part.error[excused]
        entries.kind[wrong[excused]] = part.kind[excused]
        if excused.any():
            self.line = line

    def _matters(self, wrong: Judgement) -> bool:
        """Whether any may be excused: of very many parameters, as a part of them is."""
        program = as_program(self._losses)
        if program is None:
            return False
        flags = np.zeros(self._losses.nest.size, dtype=bool)
        flags[wrong.index] = True
        some = part_of(program, flags)
        if some is None:
            return True
        index = some.index()
        at = np.minimum(np.searchsorted(index, wrong.index), len(index) - 1)
        here = np.flatnonzero(index[at] == wrong.index)
        slope, spread, _ = spread_of_gradient(some)
        found = slope[at[here]], spread[at[here]]
        return bool(_excused(take(wrong, here), *found).any())


def _bars(slopes: Array, error: Array, slope: Array, spread: Array) -> Array:
    bar = KAPPA * spread
    with np.errstate(all="ignore"):
        rounded = np.abs(slopes - slope) <= error + bar
    return np.where(rounded, bar, 0.0)


def _excused(part: Judgement, slope: Array, spread: Array) -> Flags:
    """Widen the bars by what rounding does to slopes; say which are not wrong then."""
    part.error += _bars(part.numerical, part.error, slope, spread)
    part.kind = classify(part)
    excused: Flags = part.kind != WRONG
    return excused
