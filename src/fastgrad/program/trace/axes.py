"""What follows from the shape of an array that records."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Axes:
    """Number, lengths and order of the axes, as those of `numpy.ndarray`."""

    shape: Any
    __slots__ = ()

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def T(self) -> Any:
        """The transpose, of complex numbers not conjugated."""
        return np.transpose(self)  # type: ignore[call-overload]

    @property
    def mT(self) -> Any:
        """The transpose of the last two axes."""
        return np.swapaxes(self, -1, -2)  # type: ignore[call-overload]
