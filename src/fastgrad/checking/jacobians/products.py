"""Jacobians that are given by their products with vectors."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import DIRECTIONS
from fastgrad.checking.jacobians.flattening import FlatFunction
from fastgrad.checking.jacobians.outputs import Outputs
from fastgrad.checking.jacobians.sparsity import members

Product = Callable[..., Any]
_Call = tuple[int, Index]


def entries_of_products(
    flat: FlatFunction,
    outputs: Outputs,
    vjp: Product | None,
    jvp: Product | None,
    row: Index,
    column: Index,
    group: Index | None,
) -> NDArray[Any]:
    """Return entries of the Jacobian whose products these are; `vjp`, if there is.

    One call of `jvp` for each group of columns, or one of `vjp` for each row.
    """
    entries = np.zeros(len(row))
    n = outputs.x.size
    if vjp is not None:
        for i, own in _slowly(list(members(row)), outputs, "vjp"):
            unit = (np.arange(outputs.at_x.size) == i).astype(outputs.x.dtype)
            product = _backward(flat, outputs, vjp, unit)
            entries[own] = _taken(product, column[own])
        return entries
    assert jvp is not None
    label = np.arange(n) if group is None else group
    of_columns = dict(members(label))
    for g, own in _slowly(list(members(label[column])), outputs, "jvp"):
        unit = np.zeros(n, dtype=outputs.x.dtype)
        unit[of_columns[g]] = 1
        entries[own] = _taken(_forward(flat, outputs, jvp, unit), row[own])
    return entries


def _slowly(calls: list[_Call], outputs: Outputs, what: str) -> Iterator[_Call]:
    """Yield what calls of a product are for; say how long they all take."""
    outputs.progress.plan(
        len(calls),
        f"Cheaper: `jac` instead of `{what}`, where all of it takes no longer. "
        "`progress=False` says nothing.",
    )
    for call in calls:
        yield call
        outputs.progress.advance()


def disagreement(
    flat: FlatFunction,
    outputs: Outputs,
    vjp: Product,
    jvp: Product,
    rng: np.random.Generator,
) -> str | None:
    """Return how `vjp` and `jvp` contradict each other, None if they do not.

    Of the same Jacobian they give ``v @ jvp(u) == vjp(v) @ u``, to half of the
    digits: products that solve a system lose others.
    """
    for _ in range(DIRECTIONS):
        u = rng.standard_normal(outputs.x.size).astype(outputs.x.dtype)
        v = rng.standard_normal(outputs.at_x.size).astype(outputs.x.dtype)
        forward, backward = (
            _forward(flat, outputs, jvp, u),
            _backward(flat, outputs, vjp, v),
        )
        one, other = float(v @ forward), float(backward @ u)
        size = np.linalg.norm(v * forward) + np.linalg.norm(backward * u)
        if not abs(one - other) <= outputs.eps**0.5 * size:
            return (
                "`vjp` and `jvp` are not of the same Jacobian: for random u and v, "
                f"v @ jvp(u) = {one:.9g} and vjp(v) @ u = {other:.9g}"
            )
    return None


def _forward(flat: FlatFunction, outputs: Outputs, jvp: Product, u: Array) -> Array:
    direction = flat.argument(u.reshape(outputs.x.shape))
    product = flat.vector(flat.call(jvp, outputs.x, direction), flat.outputs)
    return _checked(product, outputs.at_x.size, "jvp")


def _backward(flat: FlatFunction, outputs: Outputs, vjp: Product, v: Array) -> Array:
    product = flat.call(vjp, outputs.x, flat.cotangent(v))
    return _checked(flat.vector(product, flat.inputs), outputs.x.size, "vjp")


def _checked(product: NDArray[Any], size: int, what: str) -> NDArray[Any]:
    if product.dtype.kind not in "fiub":
        raise TypeError(f"`{what}` must return real numbers, got {product.dtype}.")
    if product.size != size:
        raise ValueError(f"`{what}` must return {size} numbers, got {product.size}.")
    return product


def _taken(product: NDArray[Any], places: Index) -> NDArray[Any]:
    """Return some numbers of a product, the others of which must be zero."""
    taken = product[places]
    if np.count_nonzero(product) != np.count_nonzero(taken):
        raise ValueError("a product must be zero where `sparsity` is, got more.")
    return taken
