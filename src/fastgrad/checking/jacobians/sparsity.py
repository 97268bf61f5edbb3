"""Which entries of a Jacobian may differ from zero, and columns measured together.

Columns that share no row are moved in one evaluation (Curtis, Powell and Reid 1974).
That rests on the pattern being complete: a dependency outside it would be added to
entries inside. So the measured Jacobian is compared with the function along random
directions, which no dependency escapes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastgrad._arguments import refusal
from fastgrad._arrays import Index
from fastgrad._kernels._coloring import group_columns


def is_sparse(matrix: Any) -> bool:
    """Whether this is a sparse matrix or array of SciPy's."""
    return hasattr(matrix, "tocoo")


def pattern(sparsity: Any, m: int, n: int) -> tuple[Index, Index]:
    """Return rows and columns of the entries that may differ from zero, row by row."""
    if sparsity is None:
        rows, columns = (np.arange(k, dtype=np.int32) for k in (m, n))
        return np.repeat(rows, n), np.tile(columns, m)
    try:
        matrix: Any = sparsity if is_sparse(sparsity) else np.asarray(sparsity)
    except ValueError:  # rows of different lengths
        raise refusal(ValueError, "sparsity", "be a matrix", sparsity) from None
    if matrix.shape != (m, n):
        raise ValueError(f"`sparsity` must have shape {(m, n)}, got {matrix.shape}.")
    if not is_sparse(matrix):
        row, column = np.nonzero(matrix)
        return row, column
    coo = matrix.tocoo()
    used = coo.data != 0
    place = np.sort(coo.row[used].astype(np.int64) * n + coo.col[used])
    row, column = np.divmod(place[np.diff(place, prepend=-1) > 0], n)
    return row, column


def groups(row: Index, column: Index, n: int) -> Index:
    """Return the group of each column; columns of a group have no row in common.

    Greedy, columns with many entries first; -1 for columns without any.
    """
    group = np.full(n, -1)
    order = np.argsort(column, kind="stable")
    edge = np.searchsorted(column[order], np.arange(n + 1))
    entries = np.diff(edge)
    left = np.argsort(-entries, kind="stable")[: np.count_nonzero(entries)]
    taken = np.empty(int(row.max(initial=-1)) + 1, dtype=np.int64)
    group_columns(row[order], edge, left, taken, group)
    return group


def members(label: Index) -> Iterator[tuple[int, Index]]:
    """Yield every label that is not negative, and where it stands."""
    order = np.argsort(label, kind="stable")
    order = order[np.searchsorted(label[order], 0) :]
    edges = np.flatnonzero(np.diff(label[order])) + 1
    for own in np.split(order, edges):
        if own.size:
            yield int(label[own[0]]), own
