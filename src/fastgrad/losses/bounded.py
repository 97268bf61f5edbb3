"""Losses that are never evaluated outside bounds."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._arrays import Flags, Index
from fastgrad.losses.interface import Losses, Substitute, as_entries
from fastgrad.params import Vector


def _of_here(name: str) -> Any:
    """Return an attribute that is that of the losses inside."""
    return property(
        lambda self: getattr(self.here, name),
        lambda self, value: setattr(self.here, name, value),
    )


class BoundedLosses(Substitute):
    """Losses at points between bounds; what lies outside is extrapolated from inside.

    J(x - h) is taken to be ``3 J(x) - 3 J(x + h) + J(x + 2h)`` where x - h is outside:
    a central difference becomes the one-sided one of the same order.
    """

    bounded = True
    evaluations = _of_here("evaluations")
    fallback, program = _of_here("fallback"), _of_here("program")
    python_operations = _of_here("python_operations")
    untraceable = _of_here("untraceable")
    rounding, num_threads = _of_here("rounding"), _of_here("num_threads")

    def __init__(self, here: Losses, lower: Vector, upper: Vector) -> None:
        super().__init__(here)
        self.lower, self.upper = lower, upper

    def __getattr__(self, name: str) -> Any:
        """Return what only some ways have: a program, ..."""
        return getattr(self.here, name)

    def open(self) -> None:
        """See `Losses.open`."""
        self.here.open()

    def evaluate(self) -> Any:
        """See `Losses.evaluate`."""
        return self.here.evaluate()

    def repeat(self) -> float:
        """See `Losses.repeat`."""
        return self.here.repeat()

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
        """See `Losses.along`; where both ways lead outside, at the nearest points."""
        direction = np.asarray(direction, dtype=np.float64)
        times = np.atleast_1d(np.asarray(t, dtype=np.float64)).tolist()
        return np.array([self._moved(time * direction) for time in times])

    def _moved(self, move: Vector) -> float:
        """Return the difference after a move, or what it is extrapolated to be."""
        if not self._is_inside(move) and self._is_inside(-2 * move):
            once, twice = self.here.along(move, [-1.0, -2.0])
            return float(twice - 3 * once)
        return float(self.here.along(self.within(move), 1.0)[0])

    def _is_inside(self, move: Vector) -> bool:
        return np.array_equal(self.within(move), move)

    def reads(self, index: Index | slice) -> Flags:
        """See `Losses.reads`."""
        return self.here.reads(index)

    def representable(self, index: ArrayLike, value: ArrayLike) -> Vector:
        """See `Losses.representable`."""
        return self.here.representable(index, value)

    def imaginary(self, index: ArrayLike, h: ArrayLike) -> Vector:
        """See `Losses.imaginary`."""
        return self.here.imaginary(index, h)

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

    def inward(self, direction: Vector, reach: float) -> Vector:
        """See `Losses.inward`."""
        up, down = self.upper - self.theta, self.theta - self.lower
        size = np.abs(direction)
        narrow = np.minimum(up, down) < 2 * reach * size
        turned = np.minimum(size, np.maximum(up, down) / (2 * reach))
        return np.where(narrow, np.where(up >= down, turned, -turned), direction)

    @property
    def function(self) -> Losses | None:
        """See `Losses.function`."""
        return self.here.function

    def let_go(self) -> None:
        """See `Losses.let_go`."""
        self.here.let_go()
