"""Products of constant sparse matrices: only what is stored counts."""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import means
from fastgrad.program.primitives.meanings.statistics import scattered


def is_sparse(x: Any) -> bool:
    """Whether it is a sparse matrix or array, asked without importing SciPy."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and scipy.issparse(x)


def _times(matrix: Any, x: Any) -> Any:
    """Stored elements times the rows of `x` they meet, added up by their own rows."""
    stored = matrix.tocoo()
    lanes = np.reshape(stored.data, (-1, *(1 for _ in x.shape[1:])))
    return scattered(lanes * x[stored.col], stored.row, matrix.shape[0])


@means("operator.matmul", "scipy.sparse.csr_array.dot", "scipy.sparse.csr_matrix.dot")
def product(a: Any, b: Any) -> Any:
    """``a @ b``, whichever of the two is sparse; neither may be."""
    if is_sparse(a) and is_traced(b):
        return _times(a, asarray(b))
    if is_sparse(b) and is_traced(a):
        a = asarray(a)
        transposed = _times(b.T, np.moveaxis(a, -1, 0))
        return np.moveaxis(transposed, 0, -1)
    return a @ b


@means("operator.mul")
def times(a: Any, b: Any) -> Any:
    """For sparse *matrices* the same as ``a @ b``, not for sparse arrays."""
    if is_sparse(a) and is_traced(b):
        return product(a, b) if np.ndim(b) and _is_matrix(a) else NotImplemented
    if is_sparse(b) and is_traced(a):
        return product(a, b) if np.ndim(a) and _is_matrix(b) else NotImplemented
    return operator.mul(a, b)


def _is_matrix(x: Any) -> bool:
    return isinstance(x, sys.modules["scipy.sparse"].spmatrix)
