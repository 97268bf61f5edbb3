"""Normalising and undoing it: (x - a) / b and (x - a) * b + c, rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arrays import Array
from fastgrad._kernels import _affine as kernel
from fastgrad._threads import useful_threads
from fastgrad.statistics import tables

_NOTHING = np.empty(0)
# Columns below this many are taken several rows at a time, so that vectors are full.
_WIDE = 512
# Elements converted at a time, and those passed over at a time, between which Ctrl-C is
# seen: a thread that is left behind would write to the arrays of others.
_SLAB, _PIECE = 1 << 18, 1 << 21


def affine(
    x: NDArray[Any],
    terms: tuple[Array, Array] | tuple[Array, Array, Array],
    out: NDArray[Any],
    num_threads: int,
) -> None:
    """Write (x - a) / b, or (x - a) * b + c, to `out`; all (outer, inner, columns).

    Kernels must be able to read and write both (`tables.kernel_ready`); `out` may be
    `x` itself.
    """
    a, b, c = terms if len(terms) == 3 else (*terms, _NOTHING)
    num_threads = useful_threads(num_threads, x.size)
    _, inner, columns = x.shape
    together = _WIDE // max(columns, 1)
    whole = inner // max(together, 1)
    if together < 2 or len(x) != 1 or not _both_contiguous(x, out) or not whole:
        _by_pieces(x, (a, b, c), out, num_threads)
        return
    cut, wide = whole * together, (1, whole, together * columns)
    tiled = np.tile(a, together), np.tile(b, together), np.tile(c, together)
    view = out[:, :cut].reshape(wide)
    _by_pieces(x[:, :cut].reshape(wide), tiled, view, num_threads)
    kernel.affine(x[:, cut:], a, b, c, out[:, cut:], num_threads=num_threads)


def _by_pieces(
    x: NDArray[Any],
    terms: tuple[Array, Array, Array],
    out: NDArray[Any],
    num_threads: int,
) -> None:
    a, b, c = terms
    outer, inner, columns = x.shape
    rows = max(1, _PIECE // max(columns, 1))
    blocks = max(1, rows // max(inner, 1))
    for i in range(0, outer, blocks):
        for j in range(0, inner, rows):
            piece = np.s_[i : i + blocks, j : j + rows]
            kernel.affine(x[piece], a, b, c, out[piece], num_threads=num_threads)


def _both_contiguous(x: NDArray[Any], out: NDArray[Any]) -> bool:
    return bool(x.flags.c_contiguous and out.flags.c_contiguous)


def result_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of what numbers of `dtype` become."""
    return np.dtype(np.float64) if dtype.kind in "iub" else dtype.newbyteorder("=")


def target_for(x: NDArray[Any], out: Any, in_place: bool) -> NDArray[Any]:
    """Return the array to write to."""
    dtype = result_dtype(x.dtype)
    if out is None:
        fits = in_place and x.dtype == dtype and x.flags.writeable
        return x if fits else np.empty_like(x, dtype=dtype)
    if not isinstance(out, np.ndarray) or out.shape != x.shape or out.dtype != dtype:
        raise ValueError(
            f"`out` must be an array of shape {x.shape} and dtype {dtype}, got shape "
            f"{np.shape(out)} and dtype {getattr(out, 'dtype', type(out).__name__)}."
        )
    return out


def _is_same(x: NDArray[Any], y: NDArray[Any]) -> bool:
    start, other = (a.__array_interface__["data"][0] for a in (x, y))
    return bool(start == other and x.strides == y.strides and x.dtype == y.dtype)


def normalise(x: NDArray[Any], terms: Any, out: NDArray[Any], num_threads: int) -> None:
    """Write what `affine` makes of a table of any dtype and layout to `out`."""
    if np.may_share_memory(x, out) and not _is_same(x, out):
        x = x.copy()
    if tables.kernel_ready(x) and tables.kernel_ready(out) and x.dtype == out.dtype:
        affine(x[None], terms, out[None], num_threads)
        return
    step = max(1, _SLAB // x.shape[1])
    for start in range(0, len(x), step):
        rows = x[start : start + step].astype(np.float64)
        affine(rows[None], terms, rows[None], num_threads)
        out[start : start + step] = rows
