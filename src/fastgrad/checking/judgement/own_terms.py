"""What the arithmetic of an entry may be off by, where it is less than its block says.

Rounding leaves of large terms that cancel what is a small entry elsewhere. Two things
tell them apart. Where the loss is a program, how large the terms of an entry are is
known. And entries of the block that are no larger show how many digits the gradient has
at that size, whatever formula it was computed by.
"""

from functools import cached_property

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import Calibration, plain, sharpened
from fastgrad.checking.judgement.evidence import (
    CORRECT,
    LEFT,
    ROUNDINGS,
    TINY,
    UNOBSERVABLE,
    WRONG,
    Judgement,
    classify,
    take,
)
from fastgrad.checking.judgement.gradient import Gradient
from fastgrad.losses import Losses, as_program
from fastgrad.program import terms_of_gradient

_VISIBLE = 0.01  # of an entry: an error as large is to be seen
_AGREED = 1e-3  # of an entry: closer than that, its digits are known
_NO_LARGER = 10.0  # times an entry
_MANY = 2**12  # entries that are measured again: more take time


class OwnTerms:
    """How large the terms of each entry are; found out when it is asked for."""

    def __init__(
        self, losses: Losses, gradient: Gradient, calibration: Calibration
    ) -> None:
        self._losses, self._gradient = losses, gradient
        self._calibration = calibration

    @cached_property
    def _terms(self) -> Array | None:
        program = as_program(self._losses)
        return None if program is None else terms_of_gradient(program)

    def sharpen(self, entries: Judgement) -> tuple[Index, Index]:
        """Judge entries by their own terms that those of their block would hide.

        Returns
        -------
        known : ndarray of int64
            Those that were.
        doubted : ndarray of int64
            Of those of which no other entry shows how well they are computed, the ones
            that are wrong by their own terms alone: these excuse nobody.
        """
        with np.errstate(all="ignore"):
            hidden = (entries.size > 0) & np.isfinite(entries.off)
            hidden &= entries.tolerance > _VISIBLE * entries.size
        hidden &= (entries.kind == CORRECT) | (entries.kind == UNOBSERVABLE)
        which = np.flatnonzero(hidden)[:_MANY]
        if which.size == 0 or self._terms is None:
            return which[:0], which[:0]
        if self._calibration.method == "exact":
            self._measure(entries, which)
        left = _left_of_others(entries, which)
        shown = np.isfinite(left)
        part = self._judged(entries, which[shown], left[shown])
        here = which[shown]
        entries.tolerance[here], entries.floor[here] = part.tolerance, part.floor
        entries.kind[here] = part.kind
        part = self._judged(entries, which[~shown], 0.0)
        least = TINY * max(1.0, abs(self._losses.base))
        doubted = (part.kind == WRONG) & (part.off * part.unit > least)
        return here, which[~shown][doubted]

    def _judged(
        self, entries: Judgement, which: Index, left: Array | float
    ) -> Judgement:
        """Return entries, judged by their own terms and what is left of such."""
        part, of = take(entries, which), self._gradient
        assert self._terms is not None
        own = np.fmax(of.eps[part.block] * self._terms[part.index], left)
        usual = of.rtol[part.block] * part.size
        part.tolerance = np.fmin(part.tolerance, usual + ROUNDINGS * own)
        part.floor = np.fmin(part.floor, LEFT * own)
        part.kind = classify(part)
        return part

    def _measure(self, entries: Judgement, which: Index) -> None:
        known = plain(entries.numerical[which], entries.error[which])
        scale = self._calibration.scale
        slopes = sharpened(self._losses, entries.index[which], known, scale)
        entries.numerical[which], entries.error[which] = slopes.value, slopes.error


def _left_of_others(entries: Judgement, which: Index) -> Array:
    """Return what entries no larger than these are off by; infinite without such."""
    effect, off = entries.size * entries.unit, entries.off * entries.unit
    with np.errstate(all="ignore"):
        agreed = (entries.off + entries.error <= _AGREED * entries.size) & (effect > 0)
    left = np.full(len(which), np.inf)
    for b in np.unique(entries.block[which]):
        own = entries.block[which] == b
        others = np.flatnonzero(agreed & (entries.block == b))
        others = others[np.argsort(effect[others])]
        most = np.concatenate([[np.inf], np.maximum.accumulate(off[others])])
        reach = _NO_LARGER * effect[which[own]]
        left[own] = most[np.searchsorted(effect[others], reach, side="right")]
    return left / entries.unit[which]
