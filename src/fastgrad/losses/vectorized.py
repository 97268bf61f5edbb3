"""Losses at many stacked points in one call."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._arrays import AnyArray, Flags
from fastgrad.losses.interface import Losses, add_note, refuse_shared
from fastgrad.params import Vector

_STACK_BYTES = 2**24  # of stacked parameters in one call
_MAX_STACK = 1024


class VectorizedLosses(Losses):
    """A loss that takes K stacked parameter sets and returns K losses.

    Every array it gets has a leading axis of length K; it returns an array of shape
    (K,), or (K, samples) with ``reduction=``. It gets copies, never the user's arrays.
    """

    engine = "vectorized"

    def open(self) -> None:
        """See `Losses.open`."""
        nest = self.nest
        refuse_shared(nest, "vectorized")
        self._stack = int(np.clip(_STACK_BYTES // (8 * nest.size), 1, _MAX_STACK))
        rows = max(2, self._stack)
        self._buffers = [
            np.empty((rows, *leaf.shape), leaf.dtype) for leaf in nest.leaves
        ]
        # Two points, so that a loss that is not vectorised is noticed.
        both = self._stacked(2)
        self._base = self.reduction.at_theta(self._call(both, 2)[0])
        for name, stack, leaf in zip(nest.names, both, nest.leaves, strict=True):
            if not (stack == leaf).all():
                raise ValueError(
                    f"`loss` must not change its parameters, but it changed {name}."
                )
        self.base = self.reduction.combine(self._base)

    def evaluate(self) -> Any:
        """See `Losses.evaluate`."""
        return self._call(self._stacked(1), 1)[0]

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = self._expected(index, value)
        out = np.empty(len(index))
        for chunk in self._chunks(len(index)):
            here, new = index[chunk], value[chunk]
            leaves = self._stacked(len(here))
            for block, rows in self.nest.by_block(here):
                flat = leaves[block].reshape(len(here), -1)
                flat[rows, here[rows] - self.nest.offsets[block]] = new[rows]
            out[chunk] = self._differences(leaves, len(here))
        return out, None

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`."""
        steps = self.nest.split(np.asarray(direction, dtype=np.float64))
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        out = np.empty(len(t))
        for chunk in self._chunks(len(t)):
            times = t[chunk]
            leaves = self._stacked(len(times))
            for leaf, step in zip(leaves, steps, strict=True):
                moves = np.multiply.outer(times, step)
                np.add(leaf, moves, out=leaf, casting="same_kind")
            out[chunk] = self._differences(leaves, len(times))
        return out

    def _chunks(self, count: int) -> list[slice]:
        return [slice(i, i + self._stack) for i in range(0, count, self._stack)]

    def _stacked(self, count: int) -> list[AnyArray]:
        """Return theta `count` times, in arrays that are used again."""
        stacked = [buffer[:count] for buffer in self._buffers]
        for stack, leaf in zip(stacked, self.nest.leaves, strict=True):
            stack[...] = leaf
        return stacked

    def _call(self, leaves: list[AnyArray], count: int) -> list[Any]:
        try:
            result = self.loss(self.nest.rebuild(leaves))
        except Exception as error:
            add_note(error, f"with {count} stacked parameter sets")
            raise
        self._count(count)
        return self.reduction.rows(result, count)

    def _differences(self, leaves: list[AnyArray], count: int) -> list[float]:
        try:
            with np.errstate(all="ignore"):
                values = self._call(leaves, count)
        except Exception as error:
            if not self._forgives(error):
                raise
            if count == 1:
                return [float("nan")]
            each = ([leaf[k : k + 1] for leaf in leaves] for k in range(count))
            return [self._differences(one, 1)[0] for one in each]
        return [self.reduction.difference(value, self._base) for value in values]
