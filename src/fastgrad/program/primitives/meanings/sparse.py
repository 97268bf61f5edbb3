"""Products of constant sparse matrices: only what is stored counts."""

import itertools
import operator
import sys

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import means
from fastgrad.program.primitives.meanings.scattering import scattered

#: Most rows of a matrix to be solved with as one that is not sparse.
_SMALL = 512
_KINDS = ("csr_array", "csr_matrix")
#: The classes that bring their own elementwise product.
_OWN_PRODUCTS = ("csr_array", "coo_array", "dia_array", "lil_array", "dok_array")


def is_sparse(x):
    """Whether it is a sparse matrix or array, asked without importing SciPy."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and scipy.issparse(x)


def _times(matrix, x):
    """Stored elements times the rows of `x` they meet, added up by their own rows."""
    stored = matrix.tocoo()
    lanes = np.reshape(stored.data, (-1, *(1 for _ in x.shape[1:])))
    return scattered(lanes * x[stored.col], stored.row, matrix.shape[0])


@means("operator.matmul", *(f"scipy.sparse.{kind}.dot" for kind in _KINDS))
def product(a, b):
    """``a @ b``, whichever of the two is sparse; neither may be."""
    if is_sparse(a) and is_traced(b):
        return _times(a, asarray(b))
    if is_sparse(b) and is_traced(a):
        a = asarray(a)
        transposed = _times(b.T, np.moveaxis(a, -1, 0))
        return np.moveaxis(transposed, 0, -1)
    return a @ b


@means("scipy.sparse.linalg.spsolve")
def spsolve(A, b, *rest, **options):
    """Of small matrices, as ones that are not sparse."""
    if A.shape[0] > _SMALL:
        return NotImplemented
    dense = A.toarray() if is_sparse(A) else A
    x = np.linalg.solve(dense, b.toarray() if is_sparse(b) else b)
    return np.ravel(x) if x.ndim == 2 and x.shape[1] == 1 else x


@means("scipy.sparse.issparse", "scipy.sparse.isspmatrix")
def issparse(x):
    return False


@means("operator.mul")
def times(a, b):
    """For sparse *matrices* the same as ``a @ b``, not for sparse arrays."""
    if is_sparse(a) and is_traced(b):
        return product(a, b) if np.ndim(b) and _is_matrix(a) else NotImplemented
    if is_sparse(b) and is_traced(a):
        return product(a, b) if np.ndim(a) and _is_matrix(b) else NotImplemented
    return operator.mul(a, b)


def _is_matrix(x):
    return isinstance(x, sys.modules["scipy.sparse"].spmatrix)


@means(*(f"scipy.sparse.{kind}.multiply" for kind in _OWN_PRODUCTS))
def multiply(self, other):
    """As an array that is not sparse."""
    return self.toarray() * asarray(other)


@means("scipy.sparse.diags", "scipy.sparse.diags_array")
def diags(diagonals, *args, **kwargs):
    """As an array that is not sparse: where each element goes, SciPy says."""
    several = isinstance(diagonals, (list, tuple))
    rows = [np.atleast_1d(asarray(d)) for d in (diagonals if several else [diagonals])]
    ends = np.cumsum([0, *map(np.size, rows)])
    numbers = [np.arange(i + 1.0, j + 1.0) for i, j in itertools.pairwise(ends)]
    where = sys.modules["scipy.sparse"].diags(
        numbers if several else numbers[0], *args, **kwargs
    )
    at = where.toarray().astype(np.intp)
    return np.concatenate([np.zeros(1), *rows])[at]
