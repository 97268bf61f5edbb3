"""What the arithmetic of a gradient may be off by: not kept for every entry.

It follows from the numbers of the entry when it is asked for, but for the few entries
that are excused more.
"""

import dataclasses
from typing import Any

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import Calibration
from fastgrad.checking.judgement.evidence import Effects, allowances
from fastgrad.checking.judgement.gradient import Gradient


@dataclasses.dataclass(frozen=True, slots=True)
class Tolerances:
    """The tolerance of each of some entries: ``tolerances[which]``.

    Attributes
    ----------
    rule : tuple
        The gradient, how it was measured, and how large it is.
    index : ndarray of integers, or Every
        The entries.
    numerical : ndarray of float64
        Their derivatives.
    excused : ndarray of int64, ascending
        Those of the entries that are excused more or less than the rule says.
    values : ndarray of float64
        Their tolerances.
    units : ndarray of float64, or None
        What those of the entries are in units of.
    """

    rule: tuple[Gradient, Calibration, Effects]
    index: Any
    numerical: Array
    excused: Index
    values: Array
    units: Array | None = None

    def __getitem__(self, which: Any) -> Array:
        index = np.asarray(self.index[which], dtype=np.int64)
        units = 1.0 if self.units is None else self.units[which]
        found: Array = allowances(*self.rule, index, self.numerical[which] / units)[0]
        if self.excused.size:
            place = np.searchsorted(self.index[self.excused], index)
            place = np.minimum(place, len(self.excused) - 1)
            mine = self.index[self.excused[place]] == index
            found[mine] = self.values[place[mine]]
        return found * units

    def scaled(self, units: Array, numerical: Array) -> "Tolerances":
        """Return them, and the derivatives given, in these units."""
        return dataclasses.replace(self, units=units, numerical=numerical)

    def part(self, here: slice) -> "Tolerances":
        """Return those of some of the entries."""
        first, last, _ = here.indices(len(self.index))
        own = slice(*np.searchsorted(self.excused, [first, last]))
        return dataclasses.replace(
            self,
            index=self.index[here],
            numerical=self.numerical[here],
            excused=self.excused[own] - first,
            values=self.values[own],
            units=None if self.units is None else self.units[here],
        )
