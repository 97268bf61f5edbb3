"""Whether what lies between the slopes of many kinks is a subgradient of all together.

At ``max([3, 3, 1])`` each of the two winners has a kink with slopes 0 and 1 beside it,
and (1, 1, 0) is between them. Yet it is no subgradient: along (1, 1, 0) the loss is
smooth, with slope 1. Where all kinks are convex, a is a subgradient if and only if a.u
is at most the slope of the loss along u, for every u. Those that tell are m, the middle
between the slopes, in which all of a tie move as one, and a - m, in which they move as
far apart as a says: right ties add nothing to these. Of concave kinks the opposite is
true. Where both kinds meet, as in relu(x) - relu(y), each is looked at by
itself: there a gradient may be right by convention that is no subgradient of the sum.
"""

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import RUNGS, Calibration, direction_pairs, ladder
from fastgrad.checking.judgement.evidence import KINK, WRONG, Judgement, take
from fastgrad.losses import Losses

_ENOUGH = 32  # ties found wrong: to look for more takes time


def check_ties(losses: Losses, calibration: Calibration, entries: Judgement) -> None:
    """Call entries at kinks wrong that are no subgradient together."""
    for sign in (1.0, -1.0):
        tied = np.flatnonzero((entries.kind == KINK) & (sign * entries.bend > 0))
        entries.kind[_Kinks(losses, calibration, entries, sign).guilty(tied)] = WRONG


class _Kinks:
    """Compares the gradient along directions through kinks of one sign."""

    def __init__(
        self, losses: Losses, calibration: Calibration, entries: Judgement, sign: float
    ) -> None:
        self.losses, self.calibration = losses, calibration
        self.entries, self.sign = entries, sign

    def guilty(self, tied: Index) -> Index:
        """Return the entries that are no subgradient together, tie by tie."""
        found = [tied[:0]]
        while len(found) <= _ENOUGH and self._exceeds(tied):
            found.append(self._reduced(tied))
            tied = np.setdiff1d(tied, found[-1])
        return np.concatenate(found)

    def _reduced(self, tied: Index) -> Index:
        """Leave out entries, ever fewer at a time, as long as the rest is guilty."""
        size = tied.size // 2
        while size:
            start = 0
            while start < tied.size:
                rest = np.delete(tied, slice(start, start + size))
                if self._exceeds(rest):
                    tied = rest
                else:
                    start += -(-size // 4)  # partners may lie across a border
            size //= 2
        return tied

    def _exceeds(self, tied: Index) -> bool:
        """Whether a.u is more than what the loss rises along one of the directions."""
        own = take(self.entries, tied)
        scale = self.calibration.scale[own.index]
        middle = own.numerical * scale
        away = self.sign * (own.analytic * scale - middle)
        return tied.size > 1 and any(
            self._exceeds_along(own, scale * (u / np.abs(u).max()))
            for u in (away, middle, -middle)
            if u.any()
        )

    def _exceeds_along(self, own: Judgement, u: Array) -> bool:
        direction = np.zeros(self.losses.nest.size)
        direction[own.index] = u
        noise = self.calibration.noise[own.block].max()
        rise, bar = _rise(self.losses, direction, noise, self.sign)
        bar += float(own.tolerance @ np.abs(u))
        # More than the entries rise one by one: these kinks are not convex together.
        apart = self.sign * float(own.numerical @ u) + float(own.error @ np.abs(u))
        return rise + bar < self.sign * float(own.analytic @ u) and rise <= apart + bar


def _rise(
    losses: Losses, direction: Array, noise: float, sign: float
) -> tuple[float, float]:
    """Return the slope of sign * loss ahead along a direction, and its bar."""
    pairs = direction_pairs(losses, direction, RUNGS)
    slopes = ladder(pairs[None], np.array([noise]))
    if not slopes.kink[0]:
        return sign * float(slopes.value[0]), float(slopes.error[0])
    return sign * float(slopes.right[0]), 2 * float(slopes.slack[0])
