"""What the tolerances inside a loss do to its slopes: it is run with tighter ones.

A number that functions are handed is taken for a tolerance where the loss runs longer
if it is made smaller. A gradient that is right but for the tolerances agrees with the
slopes of such a loss far better than with those of the loss as it is; one that is wrong
does not.
"""

from functools import cached_property

import numpy as np

from fastgrad._arrays import Array, Flags, Index
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
from fastgrad.losses import Losses

_LARGEST = 0.1  # of a tolerance that is made tighter
_TIGHTER = 2.0**-10
_MANY = 6  # numbers tried: a run of the loss each
_STEPS = 2.0 ** -np.array([18.0, 12.0, 7.0])  # of the scale


class Tighter:
    """The loss with tighter tolerances, if it has any."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses

    def agrees(self, entries: Judgement, which: Index) -> Flags:
        """Return of which entries the gradient is that of the tighter loss.

        Six evaluations each; if none of a few is, the rest is not looked at.
        """
        found = np.zeros(len(which), dtype=bool)
        if not self._tolerances:
            return found
        few = from_everywhere(len(which), FEW)
        found[few] = self._agree(take(entries, which[few]))
        if found.any():
            rest = np.delete(np.arange(len(which)), few)
            found[rest] = self._agree(take(entries, which[rest]))
        return found

    def _agree(self, part: Judgement) -> Flags:
        slopes = np.empty((len(part.index), len(_STEPS)))
        direction = np.zeros(self._losses.nest.size)
        with handing(self._tolerances):
            for k, entry in enumerate(part.index):
                direction[entry] = part.unit[k]
                slopes[k] = self._slopes(direction) / part.unit[k]
                direction[entry] = 0.0
        with np.errstate(all="ignore"):
            nearest = np.fmin.reduce(np.abs(slopes - part.analytic[:, None]), axis=1)
            near: Flags = nearest <= AGREED * part.off
        return near

    def _slopes(self, direction: Array) -> Array:
        ahead = rises(self._losses, direction, _STEPS)
        behind = rises(self._losses, direction, -_STEPS)
        return (ahead - behind) / (2 * _STEPS)

    @cached_property
    def _tolerances(self) -> Handed:
        """What functions are handed instead of tolerances."""
        losses, still = self._losses, np.zeros(self._losses.nest.size)
        tight: Handed = {}
        usual = turns_at(losses, still, 0.0).events
        most = usual / _TIGHTER  # as where an error falls as one over the turns
        for smaller in _small_numbers(losses)[:_MANY]:
            longer = turns_at(losses, still, 0.0, most, smaller).events
            if longer > usual:
                for code, numbers in smaller.items():
                    tight.setdefault(code, {}).update(numbers)
        return tight


def _small_numbers(losses: Losses) -> list[Handed]:
    """Return small numbers, made smaller, that do not depend on the parameters.

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
            if same_there and number <= _LARGEST and _TIGHTER * number >= TINY:
                of = same.setdefault(number, {}).setdefault(code, {})
                of[name] = _TIGHTER * number
    return list(same.values())
