"""What a program is asked for, as its kernels take it: they look at no bounds."""

from typing import Any

import numpy as np

from fastgrad._arguments import refusal
from fastgrad._arrays import Array, Index
from fastgrad.params import Nest


def moved_entries(index: Any, delta: Any, nest: Nest) -> tuple[Index, Array]:
    """Return the numbers of entries, and what is added to each."""
    size = nest.size
    index, delta = np.atleast_1d(index), np.atleast_1d(delta)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise refusal(TypeError, "index", "be integers, shape (n,)", index)
    if index.size and not 0 <= int(index.min()) <= int(index.max()) < size:
        bad = index[(index < 0) | (index >= size)][0]
        raise refusal(ValueError, "index", f"be from 0 to {size - 1}", int(bad))
    if delta.shape != index.shape or delta.dtype.kind not in "fiub":
        must = f"be real numbers, shape {index.shape} as `index`"
        raise refusal(ValueError, "delta", must, delta)
    index = np.ascontiguousarray(index, dtype=np.int64)
    return index, np.asarray(delta, dtype=np.float64)


def moves_along(direction: Any, t: Any, nest: Nest) -> tuple[Array, Array]:
    """Return a direction, and how far each block is moved along it."""
    size, blocks = nest.size, len(nest.leaves)
    direction, t = np.asarray(direction), np.asarray(t)
    if direction.shape != (size,) or direction.dtype.kind not in "fiub":
        must = f"be real numbers, shape ({size},)"
        raise refusal(ValueError, "direction", must, direction)
    if t.shape[:-1] not in ((), (blocks,)) or not t.ndim or t.dtype.kind not in "fiub":
        must = f"be real numbers, shape (n,) or ({blocks}, n)"
        raise refusal(ValueError, "t", must, t)
    t = np.asarray(t, dtype=np.float64)
    times = np.broadcast_to(t, (blocks, t.shape[-1]))
    return np.ascontiguousarray(direction, dtype=np.float64), times
