"""What measured slopes make of the entries of a gradient.

- `gradient`: the one under test.
- `evidence`: what is known about each entry, and what it is called for that; the
  `tolerances` that the arithmetic of a gradient has.
- `verdict`: the rounds of judging. Inside its bar an entry is correct at once; outside
  it is one of the `suspects`, which are tried again.
- What hides an error: the terms of other entries, where `own_terms` are far smaller.
- What looks like an error and is none: `ties` of several kinks, `zeros` and what is
  small, losses too `steep` for the steps, the `inner_rounding` of a loss, terms lost in
  `cancellation` in the gradient, the `condition` of a matrix, `solvers` that stop
  early, which the `turns` of their loops show in `runs`, and are run with `tighter`
  tolerances where they are `handed` these, `roughness` that only small steps see.
"""

from fastgrad.checking.judgement.condition import rounding_of_inverses
from fastgrad.checking.judgement.evidence import (
    COARSE,
    CORRECT,
    KINK,
    ROUNDINGS,
    UNDECIDED,
    UNOBSERVABLE,
    WRONG,
    Judgement,
    Verdicts,
    classify,
    from_everywhere,
    take,
)
from fastgrad.checking.judgement.gradient import Gradient, check_rtol
from fastgrad.checking.judgement.inner_rounding import InnerRounding
from fastgrad.checking.judgement.steep import steps_for, too_wide
from fastgrad.checking.judgement.verdict import judge

__all__ = [
    "COARSE",
    "CORRECT",
    "KINK",
    "ROUNDINGS",
    "UNDECIDED",
    "UNOBSERVABLE",
    "WRONG",
    "Gradient",
    "InnerRounding",
    "Judgement",
    "Verdicts",
    "check_rtol",
    "classify",
    "from_everywhere",
    "judge",
    "rounding_of_inverses",
    "steps_for",
    "take",
    "too_wide",
]
