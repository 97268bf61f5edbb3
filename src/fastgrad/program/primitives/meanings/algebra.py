"""Linear algebra of NumPy and SciPy, in terms of solve, cholesky and determinants."""

from __future__ import annotations

import functools
import math

import numpy as np

from fastgrad.program.primitives.meanings.arrays import (
    LARGEST,
    asarray,
    is_traced,
    normalized_axes,
    squared_size,
    toeplitz,
)
from fastgrad.program.primitives.meanings.registry import means


def _mirrored(a, lower: bool):
    """The symmetric matrix of which one triangle is read."""
    half = np.tril(a, -1) if lower else np.triu(a, 1)
    return half + half.T + a * np.eye(len(a))


@means("scipy.linalg.solve")
def solve(
    a,
    b,
    lower=False,
    overwrite_a=False,
    overwrite_b=False,
    check_finite=True,
    assume_a=None,
    transposed=False,
):
    a, b = asarray(a), asarray(b)
    if a.ndim != 2 or b.ndim > 2:
        return NotImplemented
    if assume_a in ("sym", "symmetric", "her", "hermitian", "pos", "positive definite"):
        a = _mirrored(a, lower)
    elif assume_a not in (None, "gen", "general"):
        return NotImplemented
    return np.linalg.solve(a.T if transposed else a, b)


@means("scipy.linalg.inv")
def inv(a, overwrite_a=False, check_finite=True, *, assume_a=None, lower=False):
    if assume_a not in (None, "gen", "general"):
        return NotImplemented
    return np.linalg.inv(asarray(a))


@means("scipy.linalg.det")
def det(a, overwrite_a=False, check_finite=True):
    return np.linalg.det(asarray(a))


@means("scipy.linalg.cholesky")
def cholesky(a, lower=False, overwrite_a=False, check_finite=True):
    return np.linalg.cholesky(asarray(a), upper=not lower)


@means("scipy.linalg.cho_factor")
def cho_factor(a, lower=False, overwrite_a=False, check_finite=True):
    a = asarray(a)
    if a.ndim != 2:
        return NotImplemented
    factor = cholesky(a, lower)
    if _leaves_the_other_triangle():
        factor = factor + (np.triu(a, 1) if lower else np.tril(a, -1))
    return factor, lower


@functools.cache
def _leaves_the_other_triangle() -> bool:
    """Whether what was there stays beside the factor, as before SciPy 1.18."""
    import scipy.linalg

    factor, _ = scipy.linalg.cho_factor(np.array([[1.0, 0.0], [0.5, 1.0]]))
    return bool(factor[1, 0])


@means("scipy.linalg.cho_solve")
def cho_solve(c_and_lower, b, overwrite_b=False, check_finite=True):
    c, lower = c_and_lower
    first, second = (0, 1) if lower else (1, 0)
    half = solve_triangular(c, b, first, lower)
    return half if half is NotImplemented else solve_triangular(c, half, second, lower)


@means("scipy.linalg.solve_triangular")
def solve_triangular(
    a,
    b,
    trans=0,
    lower=False,
    unit_diagonal=False,
    overwrite_b=False,
    check_finite=True,
):
    """Only one triangle is read."""
    a, b = asarray(a), asarray(b)
    if a.ndim != 2 or b.ndim > 2:
        return NotImplemented
    if unit_diagonal:
        half = np.tril(a, -1) if lower else np.triu(a, 1)
        half = half + np.eye(len(a))
    else:
        half = np.tril(a) if lower else np.triu(a)
    return np.linalg.solve(half.T if trans in (1, 2, "T", "C") else half, b)


@means("scipy.linalg.solve_toeplitz")
def solve_toeplitz(c_or_cr, b, check_finite=True):
    pair = c_or_cr if isinstance(c_or_cr, tuple) else (c_or_cr,)
    matrix = toeplitz(*pair)
    return matrix if matrix is NotImplemented else np.linalg.solve(matrix, asarray(b))


@means("scipy.linalg.solve_banded")
def solve_banded(
    l_and_u, ab, b, overwrite_ab=False, overwrite_b=False, check_finite=True
):
    ab = asarray(ab)
    if ab.ndim != 2:
        return NotImplemented
    (low, up), n = l_and_u, ab.shape[1]
    i, j = np.indices((n, n))
    inside = (i - j <= low) & (j - i <= up)
    matrix = np.where(inside, ab[np.where(inside, up + i - j, 0), j], 0.0)
    return np.linalg.solve(matrix, asarray(b))


# ---- norms --------------------------------------------------------------------------


@means("numpy.linalg.norm")
def norm(x, ord=None, axis=None, keepdims=False):
    """Every norm that needs no singular values."""
    x = asarray(x)
    if ord is None:
        return np.sqrt(np.sum(squared_size(x), axis, keepdims=keepdims))
    axes = normalized_axes(axis, x.ndim)
    if len(axes) == 1:
        return vector_norm(x, axis=axes[0], keepdims=keepdims, ord=ord)
    return _matrix_norm(x, ord, tuple(axes), keepdims)


def _matrix_norm(x, ord, axes, keepdims: bool):
    if len(axes) != 2 or is_traced(ord):
        return NotImplemented
    if ord == "fro":
        return np.sqrt(np.sum(squared_size(x), axes, keepdims=keepdims))
    if ord not in (1, -1, np.inf, -np.inf):
        return NotImplemented
    rows = abs(ord) == np.inf
    sums = np.sum(np.abs(x), axes[1] if rows else axes[0], keepdims=True)
    extreme = np.max if ord > 0 else np.min
    return extreme(sums, axes, keepdims=keepdims)


@means("numpy.linalg.vector_norm")
def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    if not isinstance(ord, (int, float)):
        return NotImplemented
    x = asarray(x)
    if ord == 2:
        return np.sqrt(np.sum(squared_size(x), axis, keepdims=keepdims))
    if abs(ord) == np.inf:
        extreme = np.max if ord > 0 else np.min
        return extreme(np.abs(x), axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(x != 0, axis, keepdims=keepdims)
    return np.sum(np.abs(x) ** ord, axis, keepdims=keepdims) ** (1 / ord)


@means("numpy.linalg.matrix_norm")
def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    return _matrix_norm(asarray(x), ord, (-2, -1), keepdims)


@means("scipy.linalg.norm")
def scipy_norm(a, ord=None, axis=None, keepdims=False, check_finite=True):
    return norm(a, ord, axis, keepdims)


@means("numpy.linalg.tensorsolve")
def tensorsolve(a, b, axes=None):
    if axes is not None:
        return NotImplemented
    b = asarray(b)
    shape = a.shape[b.ndim :]
    matrix = np.reshape(a, (b.size, math.prod(shape)))
    return np.reshape(np.linalg.solve(matrix, np.ravel(b)), shape)


@means("numpy.linalg.tensorinv")
def tensorinv(a, ind: int = 2):
    front, back = a.shape[:ind], a.shape[ind:]
    inverse = np.linalg.inv(np.reshape(a, (math.prod(front), -1)))
    return np.reshape(inverse, (*back, *front))


@means("numpy.linalg.trace")
def trace(x, /, *, offset: int = 0, dtype=None):
    return np.trace(x, offset, -2, -1)


@means("numpy.linalg.diagonal")
def diagonal(x, /, *, offset: int = 0):
    return np.diagonal(x, offset, -2, -1)


@means("numpy.linalg.tensordot")
def tensordot(x1, x2, /, *, axes=2):
    return np.tensordot(x1, x2, axes)


# ---- distances between the rows of matrices -----------------------------------------

_DISTANCES = {
    "euclidean": lambda d: np.sqrt(np.sum(d**2, axis=-1)),
    "sqeuclidean": lambda d: np.sum(d**2, axis=-1),
    "cityblock": lambda d: np.sum(np.abs(d), axis=-1),
    "chebyshev": lambda d: np.max(np.abs(d), axis=-1),
}


@means("scipy.spatial.distance.cdist")
def cdist(XA, XB, metric="euclidean"):
    XA, XB = asarray(XA), asarray(XB)
    if metric not in _DISTANCES or len(XA) * XB.size > LARGEST:
        return NotImplemented
    return _DISTANCES[metric](XA[:, None] - XB[None])


@means("scipy.spatial.distance.squareform")
def squareform(X, force: str = "no", checks=True):
    """Which distance is where, SciPy says."""
    if X.ndim != 1:
        i, j = np.triu_indices(len(X), 1)
        return X[i, j]
    from scipy.spatial import distance

    at = distance.squareform(np.arange(1, X.size + 1))
    return np.concatenate([np.zeros(1), X])[at]


@means("scipy.spatial.distance.pdist")
def pdist(X, metric="euclidean"):
    if metric not in _DISTANCES or len(X) * X.size > LARGEST:
        return NotImplemented
    i, j = np.triu_indices(len(X), 1)
    return _DISTANCES[metric](X[i] - X[j])
