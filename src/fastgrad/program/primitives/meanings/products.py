"""Products in all the forms in which NumPy takes them."""

from __future__ import annotations

import functools
import string

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import means


@means("numpy.inner")
def inner(a, b):
    a, b = asarray(a), asarray(b)
    return np.tensordot(a, b, (-1, -1)) if a.ndim and b.ndim else a * b


@means("numpy.outer", "numpy.linalg.outer")
def outer(a, b):
    return contraction("a,b->ab", np.ravel(asarray(a)), np.ravel(asarray(b)))


@means("numpy.vdot")
def vdot(a, b):
    return np.dot(np.conjugate(np.ravel(asarray(a))), np.ravel(asarray(b)))


@means("numpy.linalg.matmul")
def matmul(x1, x2, /):
    return np.matmul(x1, x2)


@means("numpy.linalg.multi_dot")
def multi_dot(arrays, *, out=None):
    return functools.reduce(np.dot, arrays)


@means("numpy.linalg.matrix_power")
def matrix_power(a, n: int):
    """By repeated squaring."""
    if n < 0:
        return matrix_power(np.linalg.inv(a), -n)
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1]), a.shape)
    if n == 1:
        return np.copy(a)
    half = matrix_power(a, n // 2)
    square = half @ half
    return square @ a if n % 2 else square


def contraction(subscripts: str, *operands):
    """``np.einsum`` in its plainest form, which traced arrays are asked for."""
    for x in operands:
        if is_traced(x):
            args = (subscripts, *operands)
            return x.__array_function__(contraction, (), args, {})
    return np.einsum(subscripts, *operands)


@means("numpy.einsum")
def einsum(*operands, optimize=False, **kwargs):
    """From left to right, whatever `optimize`."""
    first, *rest = operands
    if isinstance(first, str):
        return contraction(first, *map(asarray, rest))
    count = len(operands) // 2
    words = [_word(labels) for labels in operands[1 : 2 * count : 2]]
    subscripts = ",".join(words)
    if len(operands) % 2:
        subscripts += "->" + _word(operands[-1])
    return contraction(subscripts, *map(asarray, operands[: 2 * count : 2]))


@means("numpy.einsum_path")
def einsum_path(*operands, **kwargs):
    """What it says depends on shapes."""
    shaped = (np.broadcast_to(0.0, x.shape) if is_traced(x) else x for x in operands)
    return np.einsum_path(*shaped, **kwargs)


def _word(labels):
    """Labels that are numbers, as letters."""
    return "".join("..." if n is Ellipsis else string.ascii_letters[n] for n in labels)
