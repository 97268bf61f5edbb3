"""Normalising and undoing it: (x - a) / b and (x - a) * b + c, rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._kernels import _affine as kernel
from fastgrad._threads import useful_threads

Floats = NDArray[np.float64]

_NOTHING = np.empty(0)
# Columns below this many are taken several rows at a time, so that vectors are full.
_WIDE = 512


def affine(
    x: NDArray[Any],
    terms: tuple[Floats, Floats] | tuple[Floats, Floats, Floats],
    out: NDArray[Any],
    num_threads: int,
) -> None:
    """Write (x - a) / b, or (x - a) * b + c, to `out`; all (outer, inner, columns).

    Kernels must be able to read and write both (`_tables.kernel_ready`); `out` may be
    `x` itself.
    """
    a, b, c = terms if len(terms) == 3 else (*terms, _NOTHING)
    num_threads = useful_threads(num_threads, x.size)
    _, inner, columns = x.shape
    together = _WIDE // max(columns, 1)
    whole = inner // max(together, 1)
    if together < 2 or len(x) != 1 or not _both_contiguous(x, out) or not whole:
        kernel.affine(x, a, b, c, out, num_threads=num_threads)
        return
    cut, wide = whole * together, (1, whole, together * columns)
    wide_a, wide_b, wide_c = (np.tile(term, together) for term in (a, b, c))
    view = out[:, :cut].reshape(wide)
    kernel.affine(
        x[:, :cut].reshape(wide), wide_a, wide_b, wide_c, view, num_threads=num_threads
    )
    kernel.affine(x[:, cut:], a, b, c, out[:, cut:], num_threads=num_threads)


def _both_contiguous(x: NDArray[Any], out: NDArray[Any]) -> bool:
    return bool(x.flags.c_contiguous and out.flags.c_contiguous)
