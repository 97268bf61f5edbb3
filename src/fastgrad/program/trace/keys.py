"""Traced numbers as keys of dictionaries: caches by the parameters they were made at.

All keys of one trace have one hash, so that a dictionary compares them: which of them
are equal is an outcome like any other, and guarded. Keys of past calls are of other
parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.program.sources import TraceError
from fastgrad.program.trace.traced import KEY, Traced

_ELSE = "`tobytes()` needs a number where the parameters enter, unless it is a key"


class Bytes:
    """``array.tobytes()``: good for nothing but to be a key."""

    __slots__ = ("_array",)

    def __init__(self, array: Traced) -> None:
        self._array = array

    def __hash__(self) -> int:
        return KEY

    def __eq__(self, other: object) -> bool:
        if type(other) is not Bytes or other._array.shape != self._array.shape:
            return False
        return other._array.node is self._array.node or bool(
            np.all(self._array == other._array)
        )

    def __getattr__(self, name: str) -> Any:
        raise TraceError(_ELSE)

    def plain(self) -> bytes:
        """What an ordinary call would have left there."""
        return np.asarray(self._array).tobytes()


def tobytes(array: Traced, *order: Any) -> Any:
    """As `numpy.ndarray.tobytes`."""
    return Bytes(array) if array.live else np.asarray(array).tobytes(*order)


def refuse_bytes(args: Any) -> None:
    """Refuse what no function can read."""
    if any(type(x) is Bytes for x in args):
        raise TraceError(_ELSE)
