"""The primitives that move elements: views, reading and laying by index, sorting."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from fastgrad._arrays import Array
from fastgrad.program.primitives.primitive import Primitive

# ---- shape -------------------------------------------------------------------------


def view_of(x: NDArray[Any], ints: Sequence[int], shape: tuple[int, ...]) -> Any:
    """Strided view: input index = offset + sum of step * output index."""
    offset, moves = ints[: x.ndim], ints[x.ndim :]
    x = np.array(x, order="C", copy=None)
    start = sum(o * s for o, s in zip(offset, x.strides, strict=True)) // x.itemsize
    strides = [
        0 if moves[2 * d] < 0 else moves[2 * d + 1] * x.strides[moves[2 * d]]
        for d in range(len(shape))
    ]
    if 0 in shape:
        return np.zeros(shape, dtype=x.dtype)
    return as_strided(x.reshape(-1)[start:], shape, strides)


def _scattered(g: Array, source: NDArray[Any], shape: tuple[int, ...]) -> Array:
    """For each element, the sum over everything that was read from it."""
    total: Any = np.bincount(source.ravel(), g.ravel(), minlength=math.prod(shape))
    return np.reshape(total, shape)


def _view_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    if g.size == 1:
        total = np.zeros(inputs[0].shape)
        total[tuple(ints[: total.ndim])] = g.item()
        return (total,)
    source = view_of(np.arange(inputs[0].size).reshape(inputs[0].shape), ints, g.shape)
    return (_scattered(g, source, inputs[0].shape),)


def _take_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array]:
    row = math.prod(inputs[0].shape[1:])
    source = np.add.outer(row * np.asarray(ints[1:], dtype=np.intp), np.arange(row))
    return (_scattered(g, source, inputs[0].shape),)


def windows(
    inputs: Sequence[Array], ints: Sequence[int], ndim: int
) -> list[tuple[slice, ...]]:
    """Where in the output of `place` each input lies."""
    return [
        tuple(
            slice(ints[i * ndim + d], ints[i * ndim + d] + n)
            for d, n in enumerate(x.shape)
        )
        for i, x in enumerate(inputs)
    ]


def _place_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array, ...]:
    return tuple(g[window] for window in windows(inputs, ints, g.ndim))


def place(inputs: Sequence[Array], ints: Sequence[int], fill: Array) -> Array:
    """Lay the inputs into a copy of `fill` at their offsets."""
    out = fill.copy()
    if out.ndim and len(inputs) > 1 and all([x.size == 1 for x in inputs]):
        offsets = np.reshape(ints, (len(inputs), out.ndim))
        out[*offsets.T] = [x.item() for x in inputs]
        return out
    for x, window in zip(inputs, windows(inputs, ints, fill.ndim), strict=True):
        out[window] = x
    return out


def _not_from_ints(inputs: Sequence[Array], ints: Sequence[int]) -> Array:
    raise NotImplementedError("the value depends on the shape of the result")


SHAPE: dict[str, Primitive] = {
    "view": Primitive(_not_from_ints, _view_derivative),
    "reshape": Primitive(
        _not_from_ints,
        lambda g, out, inputs, ints: (g.reshape(inputs[0].shape),),
    ),
    "take": Primitive(
        lambda inputs, ints: inputs[0][np.asarray(ints[1:], dtype=np.intp)],
        _take_derivative,
    ),
    "place": Primitive(_not_from_ints, _place_derivative),
}

# ---- sorting: ints are (axis,); positions are whole numbers --------------------------


def _argsort(inputs: Sequence[Array], ints: Sequence[int]) -> Array:
    return np.argsort(inputs[0], axis=ints[0], kind="stable").astype(np.float64)


def _take_along(inputs: Sequence[Array], ints: Sequence[int]) -> Array:
    x, positions = inputs
    return np.take_along_axis(x, positions.astype(np.intp), axis=ints[0])


def _take_along_derivative(
    g: Array, out: Array, inputs: Sequence[Array], ints: Sequence[int]
) -> tuple[Array, Array]:
    x, positions = inputs
    numbers = np.arange(x.size).reshape(x.shape)
    source = np.take_along_axis(numbers, positions.astype(np.intp), axis=ints[0])
    return _scattered(g, source, x.shape), np.zeros_like(positions)


SORTING: dict[str, Primitive] = {
    "argsort": Primitive(
        _argsort,
        lambda g, out, inputs, ints: (np.zeros_like(inputs[0]),),
        steps=True,
    ),
    "take_along": Primitive(_take_along, _take_along_derivative),
}
