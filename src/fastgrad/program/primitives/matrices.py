"""The primitives of linear algebra; matrices are the last two axes, in stacks."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program.primitives.primitive import Primitive

#: Its types are narrower than what it takes and gives.
_linalg: Any = np.linalg


def _transposed(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def factors(inputs: Sequence[Array]) -> Array:
    """P A = L U with partial pivoting: per row of L and U, and which row of A it is.

    Of shape (matrices, n, n + 1).
    """
    (*stack, n, _), count = inputs[0].shape, math.prod(inputs[0].shape[:-2])
    rows = np.broadcast_to(np.arange(n)[:, None], (*stack, n, 1))
    lu = np.concatenate([inputs[0], rows], axis=-1).reshape(count, n, n + 1)
    each = np.arange(count)
    for p in range(n):
        lu[:, p:, p] -= (lu[:, p:, :p] @ lu[:, :p, p, None])[..., 0]
        pivot = p + np.abs(lu[:, p:, p]).argmax(axis=-1)
        lu[each, pivot], lu[:, p] = lu[:, p].copy(), lu[each, pivot]
        lu[:, p, p + 1 : n] -= (lu[:, p, None, :p] @ lu[:, :p, p + 1 : n])[:, 0]
        lu[:, p + 1 :, p] /= np.where(lu[:, p, p] == 0, 1.0, lu[:, p, p])[:, None]
    return lu


def _solve_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array, Array]:
    right = _linalg.solve(_transposed(inputs[0]), g)
    return -right @ _transposed(out), right


def _det_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    """The cofactors, also of a singular matrix: by singular values."""
    u, s, v = _linalg.svd(inputs[0])
    n = s.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 1.0, s[..., None, :]).prod(axis=-1)
    sign = _linalg.det(u) * _linalg.det(v)
    return (((g * sign)[..., None, None] * u * others[..., None, :]) @ v,)


def _logabsdet_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    return (g[..., None, None] * _transposed(_linalg.inv(inputs[0])),)


def _cholesky_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    """Of A = L L', all of it sent to the lower triangle, the one that is read."""
    inner = np.tril(_transposed(out) @ np.tril(g))
    inner = inner - 0.5 * inner * np.eye(inner.shape[-1])
    left = _linalg.solve(_transposed(out), inner)
    whole = _transposed(_linalg.solve(_transposed(out), _transposed(left)))
    twice = np.tril(whole + _transposed(whole))
    return (twice - whole * np.eye(whole.shape[-1]),)


LINEAR: dict[str, Primitive] = {
    "solve": Primitive(
        lambda inputs, ints: _linalg.solve(*inputs),
        _solve_derivative,
        prepare=factors,
    ),
    "det": Primitive(
        lambda inputs, ints: _linalg.det(inputs[0]), _det_derivative, prepare=factors
    ),
    "logabsdet": Primitive(
        lambda inputs, ints: _linalg.slogdet(inputs[0])[1],
        _logabsdet_derivative,
        prepare=factors,
    ),
    "signdet": Primitive(
        lambda inputs, ints: _linalg.slogdet(inputs[0])[0],
        lambda g, out, inputs, ints: (np.zeros_like(inputs[0]),),
        steps=True,
        prepare=factors,
    ),
    "cholesky": Primitive(
        lambda inputs, ints: _linalg.cholesky(inputs[0]), _cholesky_derivative
    ),
}
