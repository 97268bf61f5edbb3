"""Dependencies outside the sparsity pattern of a Jacobian.

Along a random direction the derivative of the function is the Jacobian times the
direction; what the measured entries do not explain comes from outside the pattern. Four
evaluations see it, whatever the size; two log n more name the input.
"""

from typing import NamedTuple

import numpy as np

from fastgrad._arguments import Seed
from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import binary
from fastgrad.checking.jacobians.outputs import Outputs
from fastgrad.checking.jacobians.quick import slopes

SEARCHES = 8  # one after the other, at most: each takes some 8 log n evaluations
# |u| of an entry is smaller than this in one of 100 Gaussian directions.
_UNLUCKY = 0.01 * (np.pi / 2) ** 0.5
_ROUNDINGS = 64.0


class Stray(NamedTuple):
    """A dependency outside the pattern: of an output on an input, and how strong."""

    output: int
    input: int
    derivative: float

    def __str__(self) -> str:
        return (
            f"output {self.output} depends on input {self.input}, with the derivative "
            f"{self.derivative:.6g}"
        )


class Probe:
    """Derivatives of the outputs along directions.

    Attributes
    ----------
    level, accuracy : float
        Of the noise of outputs, and of the derivatives inside, relatively.
    limit : ndarray of float64, shape (m,)
        The change of each output that would have shown, for an input that moves by its
        scale; after `find`.
    """

    def __init__(
        self, outputs: Outputs, level: float, accuracy: float, seed: Seed
    ) -> None:
        self.outputs, self.level, self.accuracy = outputs, level, accuracy
        self.rng = np.random.default_rng(seed)
        self.step = float(binary(np.array(level ** (1 / 3))))
        self.scale = outputs.scale
        self.limit = np.zeros(outputs.at_x.size)

    def find(self, row: Index, column: Index, value: Array) -> Stray | None:
        """Return what depends on what outside these entries, the clearest first."""
        direction = self._direction()
        found, bar = self._derivative(direction)
        terms = value * direction[column]
        m = len(found)
        expected = np.bincount(row, terms, m)
        bar += _ROUNDINGS * self.accuracy * np.bincount(row, np.abs(terms), m)
        self.limit = bar / _UNLUCKY
        with np.errstate(all="ignore"):
            doubt = np.abs(found - expected) / bar
        for i in np.argsort(-np.nan_to_num(doubt, nan=0.0))[:SEARCHES].tolist():
            stray = self._named(i, column[row == i]) if doubt[i] > 1 else None
            if stray is not None:
                return stray
        return None

    def _named(self, output: int, inside: Index) -> Stray | None:
        """Return the input outside that moves an output most, by halving."""
        direction = self._direction()
        direction[inside] = 0.0
        columns = np.flatnonzero(direction)
        while len(columns) > 1:
            halves = np.array_split(columns, 2)
            sizes = [abs(self._along(direction, half)[0][output]) for half in halves]
            columns = halves[int(sizes[1] > sizes[0])]
        if columns.size == 0:
            return None
        found, bar = self._along(direction, columns)
        if not abs(found[output]) > 2 * bar[output]:
            return None
        j = int(columns[0])
        return Stray(output, j, float(found[output] / direction[j]))

    def _along(self, direction: Array, columns: Index) -> tuple[Array, Array]:
        confined = np.zeros_like(direction)
        confined[columns] = direction[columns]
        return self._derivative(confined)

    def _direction(self) -> Array:
        """Return a Gaussian direction; one that stays within bounds, if there are."""
        u: Array = self.rng.standard_normal(self.scale.size) * self.scale
        outputs, reach = self.outputs, 4 * self.step
        if np.isfinite(outputs.room()).any():
            u = np.minimum(np.abs(u), outputs.room() / reach) * outputs.inward()
        return u

    def _derivative(self, direction: Array) -> tuple[Array, Array]:
        """Return the derivative of every output along a direction, and its bars."""
        h, outputs = self.step, self.outputs
        bounded = np.isfinite(outputs.room()).any()
        times = h * np.array(
            [1.0, 2.0, 2.0, 4.0] if bounded else [1.0, -1.0, 2.0, -2.0]
        )
        with np.errstate(all="ignore"):
            rises = outputs.along(direction, times) - outputs.at_x
            near, far = (
                slopes([*rises[k : k + 2]], [*times[k : k + 2]]) for k in (0, 2)
            )
            noise = self.level * np.maximum(np.abs(outputs.at_x), np.abs(rises).max(0))
            bar = np.abs(near - far) + _ROUNDINGS * noise / h
        return (4 * near - far) / 3, np.where(np.isfinite(bar), bar, np.inf)
