"""The primitives that add and multiply along axes, each with its derivative."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program.primitives.primitive import Primitive

# ---- reductions: ints say for each axis whether it is reduced ------------------------


def _axes(ints: Sequence[int]) -> tuple[int, ...]:
    return tuple([d for d, reduced in enumerate(ints) if reduced])


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
        lambda inputs, ints: np.add.reduce(inputs[0], axis=_axes(ints)),
        lambda g, out, inputs, ints: (_expand(g, ints, inputs[0].shape),),
    ),
    "max": Primitive(
        lambda inputs, ints: np.maximum.reduce(inputs[0], axis=_axes(ints)),
        _max_derivative,
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
    x, y, out = _labels(tuple(ints))
    return list(x), list(y), list(out)


@functools.lru_cache(maxsize=1024)
def _labels(ints: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    columns = (ints[k::3] for k in (1, 2, 3))
    return tuple(tuple(map(c.index, range(max(c, default=-1) + 1))) for c in columns)


#: With labels as lists, a form its types leave out.
_einsum: Any = np.einsum
#: Multiplications for which BLAS is worth the way to it.
_MANY = 1 << 14


def _contract(inputs: Sequence[Array], ints: Sequence[int]) -> Array:
    x, y, out = _labels(tuple(ints))
    one, other = inputs
    many = _are_many(one, x, other, y)
    return np.asarray(_einsum(one, x, other, y, out, optimize=many))


def _are_many(one: Array, x: Sequence[int], other: Array, y: Sequence[int]) -> bool:
    extents = dict(zip((*x, *y), (*one.shape, *other.shape), strict=True))
    return bool(math.prod(extents.values()) > _MANY)


def _contract_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array, Array]:
    x, y, o = contraction_labels(ints)
    one, other = inputs
    many = _are_many(one, x, other, y)
    return (
        _einsum(g, o, other, y, x, optimize=many),
        _einsum(g, o, one, x, y, optimize=many),
    )


CONTRACTION = {"contract": Primitive(_contract, _contract_derivative)}
