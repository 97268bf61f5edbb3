"""The gradient under test, and what its own arithmetic may be off by."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import number
from fastgrad._arrays import Array
from fastgrad.checking.differences import EPS

# What a correct gradient may differ by, from its own arithmetic.
_RTOL: dict[Any, float] = {np.float64: 1e-6, np.float32: 1e-3, np.float16: 3e-2}

_LAST_DIGITS = 4e-10  # where derivatives are known to more than that


def check_rtol(rtol: Any) -> None:
    """Raise TypeError or ValueError unless `rtol` is None or a relative difference."""
    if rtol is None:
        return
    number("rtol", rtol, least=0)


def _precision(array: NDArray[Any]) -> Any:
    return array.dtype.type if array.dtype.type in _RTOL else np.float64


@dataclass(frozen=True, slots=True)
class Gradient:
    """The gradient under test.

    Attributes
    ----------
    value : ndarray of float64, shape (P,)
    eps, rtol : ndarray of float64, shape (number of blocks,)
        The rounding unit of each block, and the relative difference that does not
        matter there.
    by_default : bool
        Whether that was left to us.
    """

    value: Array
    eps: Array
    rtol: Array
    by_default: bool = False

    @classmethod
    def of(
        cls,
        leaves: list[NDArray[Any]],
        rtol: float | None,
        params: Sequence[NDArray[Any]] | None = None,
    ) -> "Gradient":
        """Return the gradient in these arrays, one per block.

        It is known to no more digits than the parameters that it was computed from:
        many a float32 gradient is added up in arrays that are float64 by default.
        """
        dtypes = [
            max(map(_precision, pair), key=_RTOL.__getitem__)
            for pair in zip(leaves, leaves if params is None else params, strict=True)
        ]
        rows = [np.asarray(leaf, np.float64).ravel() for leaf in leaves]
        return cls(
            rows[0] if len(rows) == 1 else np.concatenate(rows),
            np.array([np.finfo(dtype).eps for dtype in dtypes], dtype=np.float64),
            np.array([_RTOL[dtype] if rtol is None else rtol for dtype in dtypes]),
            rtol is None,
        )

    def to_the_last_digits(self, rounding: float = 0.0) -> "Gradient":
        """Return the same gradient, excused no more than rounding in float64.

        Of a relative size that is known, where it is more than usual.
        """
        least = np.minimum(self.rtol, max(_LAST_DIGITS, rounding))
        rtol = np.where((self.eps == EPS) & self.by_default, least, self.rtol)
        return dataclasses.replace(self, rtol=rtol)
