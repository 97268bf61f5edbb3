"""The primitives that add and multiply along axes, each with its derivative."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program.primitives.primitive import Primitive

# ---- reductions: ints say for each axis whether it is reduced ------------------------


def _axes(ints: Sequence[int]) -> tuple[int, ...]:
    return tuple(d for d, reduced in enumerate(ints) if reduced)


def _expand(g: Array, ints: Sequence[int], shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(np.expand_dims(g, _axes(ints)), shape)


def _max_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    (x,) = inputs
    winners = (x == _expand(out, ints, x.shape)).astype(float)
    share = winners / winners.sum(axis=_axes(ints), keepdims=True)
    return (_expand(g, ints, x.shape) * share,)


def _prod_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    (x,) = inputs
    axes = _axes(ints)
    zeros = (x == 0).sum(axis=axes, keepdims=True)
    rest = np.prod(np.where(x == 0, 1.0, x), axis=axes, keepdims=True)
    with np.errstate(divide="ignore"):
        others = np.where(
            zeros == 0, rest / x, np.where((x == 0) & (zeros == 1), rest, 0)
        )
    return (_expand(g, ints, x.shape) * others,)


def _cumsum_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    axis = ints[0]
    return (np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis),)


def _cumprod_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    """By Horner's rule from the end; zeros divide nothing."""
    x, g = np.moveaxis(inputs[0], ints[0], 0), np.moveaxis(g, ints[0], 0)
    if not len(x):
        return (np.zeros_like(inputs[0]),)
    before = np.concatenate([np.ones_like(x[:1]), np.moveaxis(out, ints[0], 0)[:-1]])
    rest = [g[-1]]
    for i in reversed(range(len(x) - 1)):
        rest.append(g[i] + x[i + 1] * rest[-1])
    return (np.moveaxis(before * np.stack(rest[::-1]), 0, ints[0]),)


REDUCTIONS: dict[str, Primitive] = {
    "sum": Primitive(
        lambda inputs, ints: np.sum(inputs[0], axis=_axes(ints)),
        lambda g, out, inputs, ints: (_expand(g, ints, inputs[0].shape),),
    ),
    "max": Primitive(
        lambda inputs, ints: np.max(inputs[0], axis=_axes(ints)), _max_derivative
    ),
    "prod": Primitive(
        lambda inputs, ints: np.prod(inputs[0], axis=_axes(ints)),
        _prod_derivative,
        inexact=True,
    ),
    "cumsum": Primitive(
        lambda inputs, ints: np.cumsum(inputs[0], axis=ints[0]), _cumsum_derivative
    ),
    "cumprod": Primitive(
        lambda inputs, ints: np.asarray(np.cumprod(inputs[0], axis=ints[0]), float),
        _cumprod_derivative,
    ),
}


# ---- contraction: ints are (n_labels, then the axis of each in x, y and the result) --


def contraction_labels(ints: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """For each axis of x, of y and of the result, its label."""
    table = np.reshape(np.asarray(ints[1:], dtype=int), (-1, 3))
    x, y, out = (
        [int(np.flatnonzero(column == axis)[0]) for axis in range(column.max() + 1)]
        if len(column)
        else []
        for column in table.T
    )
    return x, y, out


#: With labels as lists, a form its types leave out.
_einsum: Any = np.einsum


def _contract(inputs: Sequence[Array], ints: Sequence[int]) -> Array:
    x, y, out = contraction_labels(ints)
    return np.asarray(_einsum(inputs[0], x, inputs[1], y, out, optimize=True))


def _contract_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array, Array]:
    x, y, o = contraction_labels(ints)
    return (
        _einsum(g, o, inputs[1], y, x, optimize=True),
        _einsum(g, o, inputs[0], x, y, optimize=True),
    )


CONTRACTION = {"contract": Primitive(_contract, _contract_derivative)}
