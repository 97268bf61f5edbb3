"""Losses that are never evaluated outside bounds."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad.losses.interface import Flags, Losses, Substitute, as_entries
from fastgrad.params import Vector


class BoundedLosses(Substitute):
    """Losses at points between bounds; what lies outside is extrapolated from inside.

    J(x - h) is taken to be ``3 J(x) - 3 J(x + h) + J(x + 2h)`` where x - h is outside:
    a central difference becomes the one-sided one of the same order. Directions end at
    the bounds.
    """

    def __init__(self, here: Losses, lower: Vector, upper: Vector) -> None:
        super().__init__(here)
        self.lower, self.upper = lower, upper
        self.rounding, self.num_threads = here.rounding, here.num_threads
        self._follow()

    def __getattr__(self, name: str) -> Any:
        """Return what only some ways have: a program, ..."""
        return getattr(self.here, name)

    def evaluate(self) -> Any:
        """See `Losses.evaluate`."""
        result = self.here.evaluate()
        self._follow()
        return result

    def repeat(self) -> float:
        """See `Losses.repeat`."""
        change = self.here.repeat()
        self._follow()
        return change

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = as_entries(index, value)
        x, low, high = self.theta[index], self.lower[index], self.upper[index]
        inside = (low <= value) & (value <= high)
        once, twice = 2 * x - value, 3 * x - 2 * value
        mirrored = ~inside & (low <= once) & (once <= high)
        mirrored &= (low <= twice) & (twice <= high)
        asked = np.concatenate([index[inside], index[mirrored], index[mirrored]])
        where = np.concatenate([value[inside], once[mirrored], twice[mirrored]])
        found, crossed = self.here.at_entries(asked, where)
        self._follow()
        n, m = np.count_nonzero(inside), np.count_nonzero(mirrored)
        out = np.full(len(index), np.nan)
        out[inside] = found[:n]
        out[mirrored] = found[n + m :] - 3 * found[n : n + m]
        if crossed is None:
            return out, None
        sides = np.zeros(len(index), dtype=bool)
        sides[inside] = crossed[:n]
        sides[mirrored] = crossed[n : n + m] | crossed[n + m :]
        return out, sides

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`; of the points on the bounds that are nearest."""
        direction = np.asarray(direction, dtype=np.float64)
        times = np.atleast_1d(np.asarray(t, dtype=np.float64)).tolist()
        changes = [
            self.here.along(self.within(time * direction), 1.0) for time in times
        ]
        self._follow()
        return np.concatenate(changes) if changes else np.empty(0)

    def representable(self, index: ArrayLike, value: ArrayLike) -> Vector:
        """See `Losses.representable`."""
        return self.here.representable(index, value)

    def imaginary(self, index: ArrayLike, h: ArrayLike) -> Vector:
        """See `Losses.imaginary`."""
        found = self.here.imaginary(index, h)
        self._follow()
        return found

    def within(self, direction: Vector) -> Vector:
        """See `Losses.within`."""
        return np.clip(direction, self.lower - self.theta, self.upper - self.theta)

    def confine(self) -> None:
        """See `Losses.confine`."""
        bounds = zip(
            self.nest.leaves,
            self.nest.split(self.lower),
            self.nest.split(self.upper),
            strict=True,
        )
        for leaf, low, high in bounds:
            np.clip(leaf, low, high, out=leaf, casting="same_kind")

    def _follow(self) -> None:
        """Say what the losses inside say of themselves."""
        here = self.here
        self.evaluations, self.raised = here.evaluations, here.raised
        self.fallback = here.fallback
