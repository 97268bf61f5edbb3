"""What a scaler has seen, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad._arrays import Array
from fastgrad.statistics.moments import Accumulator, Moments

# A deviation of this many units in the last place of the mean is rounding.
_CONSTANT_ULPS = 4


class Drift(NamedTuple):
    """How far other data is from the data of a scaler, per feature.

    Attributes
    ----------
    z : float64 array of shape (n_features,)
        Difference of the means in its own standard error, from the scaler's deviation:
        beyond ±4 or so, the data is not from the same distribution.
    ratio : float64 array of shape (n_features,)
        Standard deviation by that of the scaler.
    """

    z: Array
    ratio: Array


@dataclass(frozen=True, eq=False)
class Fitted:
    """The rows a scaler has seen, and what follows from them, once it is asked for."""

    rows: Accumulator
    names: NDArray[Any] | None
    weighted: bool

    @cached_property
    def moments(self) -> Moments:
        """Moments per feature."""
        return self.rows.moments()

    @cached_property
    def constant(self) -> NDArray[np.bool_]:
        """Which features do not vary beyond rounding."""
        m = self.moments
        return np.asarray(m.std <= _CONSTANT_ULPS * np.spacing(np.abs(m.mean)))

    @cached_property
    def scale(self) -> Array:
        """What each feature is divided by."""
        return np.where(self.constant, 1.0, self.moments.std)

    @cached_property
    def count(self) -> Any:
        """Samples of each feature, one number where all have the same."""
        counts = self.moments.weight if self.weighted else self.moments.count
        return counts[0] if (counts == counts[0]).all() else counts
