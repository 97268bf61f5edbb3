"""Sparse matrices: what is not stored is zero, and is not read.

Their columns are summed in float64, twice: the second time about the mean that the
first time gave. So the last digits depend on how the rows come in batches, as they do
not for dense data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arrays import Array
from fastgrad.statistics import tables
from fastgrad.statistics.affine import result_dtype
from fastgrad.statistics.moments import (
    COUNT,
    EXPONENT,
    MEAN,
    MEAN_LO,
    SQUARES,
    WEIGHT,
    WEIGHT_SQUARES,
    empty_state,
)

# Data beyond these has no squares; scaled by 2 to the 600, or to the -600, it has.
_LARGE, _SMALL = 2.0**250, 2.0**-400


def is_sparse(x: object) -> bool:
    """Tell a sparse matrix or array of SciPy from other tables."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def as_sparse(x: Any, name: str) -> Any:
    """Return a sparse matrix by rows or by columns, as it is if it is one already.

    Raises
    ------
    TypeError, ValueError
        As `tables.as_matrix`, of its numbers and its shape.
    """
    if x.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (samples, features), got {x.ndim}D shape "
            f"{x.shape}."
        )
    x = x if x.format in ("csr", "csc") else x.tocsr()
    tables.as_numbers(x.data, name)
    tables.refuse_empty(x.shape, name)
    return x


def state_of_sparse(x: Any, weights: Array | None) -> Array:
    """Return the state of the rows of a sparse matrix, see `moments.empty_state`."""
    x = x.tocsc(copy=True)
    x.sum_duplicates()
    columns, start, stop = x.shape[1], x.indptr[:-1], x.indptr[1:]
    column = np.repeat(np.arange(columns), stop - start)
    filled = np.flatnonzero(start < stop)
    w = np.ones(x.shape[0]) if weights is None else weights

    def by_column(values: NDArray[Any]) -> Array:
        sums = np.zeros(columns)
        if filled.size:
            sums[filled] = np.add.reduceat(values.astype(np.float64), start[filled])
        return sums

    data = x.data.astype(np.float64)
    tables.refuse_infinities(by_column(np.isinf(data)) > 0)
    missing = np.isnan(data)
    lost = np.where(missing, w[x.indices], 0.0)
    own, data = w[x.indices] - lost, np.where(missing, 0.0, data)
    exponent = _exponents(np.abs(data), column, columns)
    data = np.ldexp(data, exponent[column])
    count = np.count_nonzero(w) - by_column(lost > 0)
    weight = w.sum() - by_column(lost)
    full = by_column(own > 0) == count
    zeros = np.where(full, 0.0, weight - by_column(own))
    share = np.where(count > 0, weight, 1.0)
    mean = by_column(own * data) / share
    off = data - mean[column]
    rest = by_column(own * off) - zeros * mean
    squares = by_column(own * off**2) + zeros * mean**2 - rest**2 / share
    state = empty_state(columns)
    for row, values in (
        (COUNT, count),
        (WEIGHT, weight),
        (MEAN, mean),
        (MEAN_LO, rest / share),
        (SQUARES, np.maximum(squares, 0.0)),
        (WEIGHT_SQUARES, (w**2).sum() - by_column(lost**2)),
        (EXPONENT, exponent),
    ):
        state[row, :columns] = np.where(count > 0, values, 0.0)
    return state


def _exponents(size: Array, column: NDArray[Any], columns: int) -> NDArray[np.int64]:
    """Return by which power of two each column is scaled."""
    top = np.zeros(columns)
    np.maximum.at(top, column, size)
    small = (top < _SMALL) & (top > 0)
    return np.where(top > _LARGE, -600, np.where(small, 600, 0))


def rescaled(x: Any, scale: Array, *, inverse: bool, in_place: bool) -> Any:
    """Return a matrix with its columns divided, in double, and rounded once.

    Multiplied, where `inverse`.
    """
    dtype = result_dtype(x.dtype)
    column = x.indices
    if x.format == "csc":
        column = np.repeat(np.arange(x.shape[1]), np.diff(x.indptr))
    data = x.data.astype(np.float64)
    data = data * scale[column] if inverse else data / scale[column]
    result = x if in_place and x.dtype == dtype else x.astype(dtype, copy=True)
    result.data[...] = data
    return result
