"""Blocks in which nothing but zeros was seen: whether these are zero, or only small.

A bias before batch normalisation has no effect, and its gradient is what is left where
large terms cancel: noise of the size of their rounding. That was measured to be zero as
far as can be seen, and computed to be zero but for rounding. A gradient of 1e-20 beside
others of 1 looks the same in the bars of differences that carry noise. What tells are
its digits: what is left of larger numbers is a small multiple of their rounding, a
number of few digits, or that divided by the number of samples.
"""

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import Calibration
from fastgrad.checking.judgement.evidence import (
    DECISIVE,
    FEW,
    UNDECIDED,
    UNOBSERVABLE,
    Effects,
    Judgement,
    Verdicts,
    from_everywhere,
)
from fastgrad.checking.judgement.gradient import Gradient


def leave_open(entries: Judgement, effects: Effects) -> None:
    """Leave zeros open whose bars hide a good part of what is usual in their blocks."""
    typical = effects.typical[entries.block] / entries.unit
    zero = (entries.kind == UNOBSERVABLE) & (np.abs(entries.analytic) <= entries.floor)
    wide = zero & (entries.error > DECISIVE * typical) & (typical > entries.floor)
    entries.kind[wide] = UNDECIDED


def find_zeros(
    found: Verdicts, offsets: Index, gradient: Gradient, calibration: Calibration
) -> None:
    """Set `found.zero`: whether a block's gradient is zero, measured and computed."""
    exact = calibration.method == "exact"  # then what is small is seen
    for b, size in enumerate(np.diff(offsets)):
        own = found.of_block(b)
        if len(own.kind) == size and all(map(_is_silent, own.pieces())):
            found.zero[b] = exact or _is_left_over(own.analytic, float(gradient.eps[b]))


def _is_silent(some: Verdicts) -> bool:
    zero = np.abs(some.numerical) <= some.error
    return bool(np.all((some.kind == UNOBSERVABLE) & zero))


def _is_left_over(values: Array, eps: float) -> bool:
    """Whether numbers are what is left where larger ones cancel."""
    some = values[values != 0]
    some = some[from_everywhere(len(some), FEW)]
    half = int(-np.log2(eps)) // 2
    counts = np.arange(1, 1 + max(1, 2 ** (half - 16)))
    digits, _ = np.frexp(np.outer(counts, some))
    few = digits * 2.0**half
    return bool((few == np.rint(few)).all(axis=1).any())
