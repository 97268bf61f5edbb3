"""What the tolerances inside a loss do to its slopes: it is run with tighter ones.

A number that functions are handed is taken for a tolerance where the loss runs longer
if it is made smaller. A gradient that is right but for the tolerances agrees with the
slopes of such a loss far better than with those of the loss as it is; one that is wrong
does not. If no other loop stops early that tells for certain, and what the tolerances
do to the loss need not be known.
"""

from functools import cached_property

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences import RUNGS
from fastgrad.checking.judgement.evidence import (
    AGREED,
    FEW,
    TINY,
    Judgement,
    from_everywhere,
    take,
)
from fastgrad.checking.judgement.handed import Handed, handing, seen
from fastgrad.checking.judgement.runs import rises, turns_at
from fastgrad.checking.judgement.turns import Loop, Turns
from fastgrad.losses import Losses

_TIGHTER = 2.0**-10
_STEPS = RUNGS[[4, 2, 0]]  # of the scale


class Tighter:
    """The loss with tighter tolerances, if it has any.

    Attributes
    ----------
    usual : Turns
        Of its loops at theta, with the tolerances that it has.
    """

    def __init__(self, losses: Losses) -> None:
        self._losses = losses

    @cached_property
    def usual(self) -> Turns:
        """See the class."""
        return turns_at(self._losses, np.zeros(self._losses.nest.size), 0.0)

    def compare(self, entries: Judgement, which: Index) -> tuple[Flags, bool]:
        """Return of which entries the gradient is that of the tighter loss.

        Six evaluations each; if none of a few is, the rest is not looked at. And
        whether it clearly is another one at all that are.
        """
        found = np.zeros(len(which), dtype=bool)
        if not self._found[0]:
            return found, False
        few = from_everywhere(len(which), FEW)
        found[few], others = self._agree(take(entries, which[few]))
        if found.any():
            rest = np.delete(np.arange(len(which)), few)
            found[rest], _ = self._agree(take(entries, which[rest]))
        return found, bool(others.all())

    def governs(self, loop: Loop, file: str) -> bool:
        """Whether a loop ends by these tolerances, and not by others of its own.

        Of a file of functions that are handed them, or they change its turns; those in
        the `file` of the loss may be of anything.
        """
        tolerances, changed = self._found
        files = {code.co_filename for code in tolerances} - {file}
        return loop in changed or loop.file in files

    def _agree(self, part: Judgement) -> tuple[Flags, Flags]:
        slopes = np.empty((len(part.index), len(_STEPS)))
        direction = np.zeros(self._losses.nest.size)
        with handing(self._found[0]):
            for k, entry in enumerate(part.index):
                direction[entry] = part.unit[k]
                slopes[k] = self._slopes(direction) / part.unit[k]
                direction[entry] = 0.0
        with np.errstate(all="ignore"):
            apart = np.abs(slopes - part.analytic[:, None])
            nearest = np.fmin.reduce(apart, axis=1)
            near: Flags = nearest <= AGREED * part.off
            spread = np.ptp(slopes[:, 1:], axis=1)
            other: Flags = (spread <= AGREED * nearest) & (nearest >= part.off / 2)
        return near, other

    def _slopes(self, direction: Array) -> Array:
        ahead = rises(self._losses, direction, _STEPS)
        behind = rises(self._losses, direction, -_STEPS)
        return (ahead - behind) / (2 * _STEPS)

    @cached_property
    def _found(self) -> tuple[Handed, set[Loop]]:
        """What is handed instead of tolerances, and the loops that this changes."""
        losses, still = self._losses, np.zeros(self._losses.nest.size)
        tight: Handed = {}
        changed: set[Loop] = set()
        for smaller in _small_numbers(losses)[:FEW]:
            most = self.usual.events / _TIGHTER  # an error of one over the turns
            longer = turns_at(losses, still, 0.0, most, smaller)
            if longer.events > self.usual.events:
                changed.update(self.usual.changed(longer))
                for code, numbers in smaller.items():
                    tight.setdefault(code, {}).update(numbers)
        return tight, changed


def _small_numbers(losses: Losses) -> list[Handed]:
    """Return numbers, made smaller, that depend on no parameter: small ones first.

    Together where they are the same number, that one function hands to another.
    """
    with seen() as here:
        rises(losses, losses.theta, [0.0])
    with seen() as there:
        rises(losses, losses.theta, _STEPS[-1:])
    same: dict[float, Handed] = {}
    for code, numbers in here.items():
        for name, number in numbers.items():
            same_there = there.get(code, {}).get(name) == number
            if same_there and _TIGHTER * number >= TINY:
                of = same.setdefault(number, {}).setdefault(code, {})
                of[name] = _TIGHTER * number
    return [same[number] for number in sorted(same)]
