"""Mistakes in the derivatives of linear algebra: solve, inverse, determinant, Cholesky.

With ``x = solve(a, b)``, ``b`` receives ``u = solve(a.T, g)`` and ``a`` receives
``-u x.T``. An inverse is a solution for the columns of the identity.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere, miscounted
from fastgrad.causes.reverse import Instead, Reverse, Sends
from fastgrad.program.graph import Node

Array = NDArray[np.float64]
_linalg: Any = np.linalg


def _t(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _diagonal(x: Array) -> Array:
    return x * np.eye(x.shape[-1])


#: What becomes of the gradient of a matrix: code, words.
_SHAPES: tuple[tuple[str, str, Callable[[Array], Array]], ...] = (
    ("layout", "is transposed", _t),
    ("layout", "is symmetrised", lambda m: (m + _t(m)) / 2),
    ("accumulation", "has its transpose added", lambda m: m + _t(m)),
    (
        "accumulation",
        "has its transpose added, less the diagonal",
        lambda m: m + _t(m) - _diagonal(m),
    ),
    ("partial", "is the lower triangle only", np.tril),
    ("partial", "is the upper triangle only", np.triu),
    ("partial", "is its diagonal only", _diagonal),
    ("partial", "lacks its diagonal", lambda m: m - _diagonal(m)),
)


def _shaped(
    reverse: Reverse, group: list[Node], cost: float = 3.4
) -> Iterator[Mistake]:
    """The gradient of the matrix with another shape."""
    if not group[0].inputs[0].active:
        return
    for code, how, shape in _SHAPES:

        def part(n: Node, g: Array, shape: Any = shape) -> Any:
            return shape(np.asarray(reverse.send(n, g)[0]))

        text = f"the gradient that {{op}} sends to its matrix {how}"
        yield Mistake(code, text, everywhere(group, Instead(0, part)), cost)


# ---- solve and inverse ---------------------------------------------------------------


def solutions(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivatives of solve(a, b), and of an inverse."""
    yield from _shaped(reverse, group)
    yield from _of_another_matrix(reverse, group)
    for code, text, adjoint in _ADJOINTS:
        yield Mistake(code, text, _with(reverse, group, adjoint), 3.3, True)
        if group[0].inputs[1].active:
            yield Mistake(code, text, _to_side(group, adjoint), 3.4)
    if group[0].inputs[0].active:
        for code, text, matrix in _OUTER:

            def part(n: Node, g: Array, matrix: Any = matrix) -> Any:
                return matrix(n.inputs[0].value, n.inputs[1].value, n.value, g)

            broken = everywhere(group, Instead(0, part))
            yield Mistake(code, text, broken, 3.4, True)


_ADJOINTS: tuple[tuple[str, str, Callable[[Array, Array], Array]], ...] = (
    (
        "local_derivative",
        "what comes down to {op} is not solved for",
        lambda a, g: g,
    ),
    (
        "layout",
        "the derivative of {op} solves with its matrix, not with the transposed one",
        lambda a, g: _linalg.solve(a, g),
    ),
    (
        "local_derivative",
        "the derivative of {op} multiplies by its matrix where it is to solve",
        lambda a, g: _t(a) @ g,
    ),
    (
        "local_derivative",
        "the derivative of {op} multiplies by its matrix where it is to solve",
        lambda a, g: a @ g,
    ),
    (
        "local_derivative",
        "the derivative of {op} solves twice",
        lambda a, g: _linalg.solve(_t(a), _linalg.solve(_t(a), g)),
    ),
    (
        "local_derivative",
        "the derivative of {op} divides by the diagonal of its matrix only",
        lambda a, g: g / np.diagonal(a, axis1=-2, axis2=-1)[..., None],
    ),
)
_Matrix = Callable[[Array, Array, Array, Array], Array]
_OUTER: tuple[tuple[str, str, _Matrix], ...] = (
    (
        "local_derivative",
        "the derivative of {op} uses the right-hand side where its solution is due",
        lambda a, b, x, g: -_linalg.solve(_t(a), g) @ _t(b),
    ),
    (
        "local_derivative",
        "the derivative of {op} solves for nothing",
        lambda a, b, x, g: -g @ _t(b),
    ),
    (
        "local_derivative",
        "the derivative of {op} uses its solution twice",
        lambda a, b, x, g: -x @ _t(x),
    ),
    (
        "local_derivative",
        "the derivative of {op} uses what comes down where its solution is due",
        lambda a, b, x, g: -_linalg.solve(_t(a), g) @ _t(g),
    ),
    (
        "local_derivative",
        "the derivative of {op} uses the gradient of the right-hand side twice",
        lambda a, b, x, g: -_linalg.solve(_t(a), g) @ _t(_linalg.solve(_t(a), g)),
    ),
    (
        "local_derivative",
        "the derivative of {op} uses the gradient twice and solves for nothing",
        lambda a, b, x, g: -g @ _t(g),
    ),
    (
        "layout",
        "the derivative of {op} lacks a transpose",
        lambda a, b, x, g: -_linalg.solve(_t(a), g) @ x,
    ),
    (
        "layout",
        "the derivative of {op} lacks its transposes",
        lambda a, b, x, g: -_linalg.solve(a, g) @ x,
    ),
    (
        "local_derivative",
        "the derivative of {op} is applied entry by entry, as of 1 / x",
        lambda a, b, x, g: -g * x**2,
    ),
)


def _with(reverse: Reverse, group: list[Node], adjoint: Any) -> dict[Node, Sends]:
    """Both the matrix and the right-hand side receive what follows from this."""

    def sends(n: Node, g: Array) -> list[tuple[Node, Any]]:
        u = adjoint(n.inputs[0].value, g)
        return [(n.inputs[0], -u @ _t(n.value)), (n.inputs[1], u)]

    return everywhere(group, sends)


def _to_side(group: list[Node], adjoint: Any) -> dict[Node, Sends]:
    """Only the right-hand side receives it."""

    def part(n: Node, g: Array) -> Any:
        return adjoint(n.inputs[0].value, g)

    return everywhere(group, Instead(1, part))


def _of_another_matrix(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Solving with a matrix that lacks a term, say what is added to its diagonal."""
    for how, matrix in _other_matrices(group):

        def adjoint(a: Array, g: Array, matrix: Array = matrix) -> Array:
            return np.asarray(_linalg.solve(_t(matrix), g))

        text = f"the derivative of {{op}} solves with its matrix {how}"
        yield Mistake("local_derivative", text, _with(reverse, group, adjoint), 3.5)


def _other_matrices(group: list[Node]) -> Iterator[tuple[str, Array]]:
    if len(group) > 1:
        return
    for how, matrix in miscounted(group[0].inputs[0]):
        determinant = np.linalg.det(matrix)
        if np.isfinite(determinant).all() and np.all(determinant):
            yield how.replace("{", "(").replace("}", ")"), matrix


# ---- determinants --------------------------------------------------------------------


def determinants(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivative of det(a) or log(abs(det(a)))."""
    yield from _shaped(reverse, group)
    is_log = group[0].op == "logabsdet"

    def by(matrix: Callable[[Array], Array], power: int) -> dict[Node, Sends]:
        def part(n: Node, g: Array) -> Any:
            a = n.inputs[0].value
            factor = _linalg.det(a) ** power
            return (g * factor)[..., None, None] * matrix(a)

        return everywhere(group, Instead(0, part))

    same, other = (0, 1) if is_log else (1, 0)
    text = "the derivative of {op} is that of the "
    text += "determinant, not of its logarithm" if is_log else "logarithm of it"
    yield Mistake(
        "local_derivative", text, by(lambda a: _t(_linalg.inv(a)), other), 3.3
    )
    table: tuple[tuple[str, Callable[[Array], Array]], ...] = (
        ("has the matrix where its inverse is due", lambda a: a),
        ("has the matrix where its inverse is due", _t),
        ("inverts twice", lambda a: _t(_linalg.inv(a @ a))),
        ("has the identity where the inverse is due", lambda a: _ones(a)),
        (
            "has the reciprocals of the diagonal where the inverse is due",
            lambda a: _ones(a) / a,
        ),
        ("inverts entry by entry", lambda a: 1 / a),
    )
    for how, matrix in table:
        text = f"the derivative of {{op}} {how}"
        yield Mistake("local_derivative", text, by(matrix, same), 3.5, True)
    for how, other_one in _other_matrices(group):
        broken = by(partial(_given, _t(_linalg.inv(other_one))), same)
        text = f"the derivative of {{op}} inverts its matrix {how}"
        yield Mistake("local_derivative", text, broken, 3.5)


def _given(inverse: Array, a: Array) -> Array:
    return inverse


def _ones(a: Array) -> Array:
    return np.broadcast_to(np.eye(a.shape[-1]), a.shape)


# ---- Cholesky ------------------------------------------------------------------------


def choleskys(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Yield mistakes in the derivative of a Cholesky factor."""
    yield from _shaped(reverse, group)

    def inner(factor: Array, g: Array) -> Array:
        return np.asarray(np.tril(_t(factor) @ np.tril(g)))

    def between(factor: Array, m: Array) -> Array:
        """Between the inverses of the factor, as the lower triangle is read."""
        left = _linalg.solve(_t(factor), m)
        whole = _t(_linalg.solve(_t(factor), _t(left)))
        return np.asarray(np.tril(whole + _t(whole)) - _diagonal(whole))

    def half(m: Array) -> Array:
        return m - _diagonal(m) / 2

    def whole(factor: Array, m: Array) -> Array:
        m = m + _t(m)
        left = _linalg.solve(_t(factor), m)
        return np.asarray(_t(_linalg.solve(_t(factor), _t(left))) / 2)

    table: tuple[tuple[str, str, Callable[[Array, Array], Array]], ...] = (
        (
            "local_derivative",
            "passes its gradient through unchanged",
            lambda f, g: np.tril(g),
        ),
        (
            "local_derivative",
            "does not halve the diagonal",
            lambda f, g: between(f, inner(f, g)),
        ),
        (
            "mask",
            "does not cut off the upper triangle",
            lambda f, g: between(f, _t(f) @ np.tril(g) / 2),
        ),
        (
            "layout",
            "is symmetric, where only the lower triangle is read",
            lambda f, g: whole(f, half(inner(f, g))),
        ),
        (
            "partial",
            "is the lower triangle of the symmetric one, not counted twice",
            lambda f, g: np.tril(whole(f, half(inner(f, g)))),
        ),
        (
            "local_derivative",
            "solves on one side only",
            lambda f, g: np.tril(_linalg.solve(_t(f), half(inner(f, g)))),
        ),
        (
            "local_derivative",
            "solves for nothing",
            lambda f, g: half(inner(f, g)),
        ),
        (
            "local_derivative",
            "divides by twice the factor, entry by entry",
            lambda f, g: np.tril(g) / np.where(f == 0, 1, 2 * f),
        ),
    )
    for code, how, matrix in table:

        def part(n: Node, g: Array, matrix: Any = matrix) -> Any:
            return matrix(n.value, g)

        text = f"the derivative of {{op}} {how}"
        yield Mistake(code, text, everywhere(group, Instead(0, part)), 3.5, True)
