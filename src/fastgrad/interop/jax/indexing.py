"""What reading and writing at indices means: JAX itself says where.

Each takes the equation whole, and does what it says to the numbers of the places.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from fastgrad.interop.meanings import add_at, put


def gathered(x, *indices, equation):
    """Read places: what the operation does to the numbers of the places."""
    _constants(equation, indices)
    places = np.arange(1.0, 1 + math.prod(np.shape(x))).reshape(np.shape(x))
    found = np.asarray(equation.primitive.bind(places, *indices, **equation.params))
    outside = ~(found >= 1)
    flat = np.ravel(x)[np.where(outside, 1, found).astype(np.intp) - 1]
    return np.where(outside, found, flat) if outside.any() else flat


def written(x, *rest, equation):
    """Write into places: what the operation does to the numbers of the updates."""
    new, indices = _updates(equation, rest)
    numbers = np.arange(1.0, 1 + math.prod(np.shape(new))).reshape(np.shape(new))
    nothing = np.zeros(np.shape(x))
    which = np.asarray(_apply(equation, nothing, numbers, indices))
    places = np.flatnonzero(which)
    source = which.ravel()[places].astype(np.intp) - 1
    return put(x, places, np.ravel(new)[source])


def added(x, *rest, equation):
    """Add to places: each update goes where its derivative comes from."""
    new, indices = _updates(equation, rest)
    nothing, zeros = np.zeros(np.shape(x)), np.zeros(np.shape(new))
    numbers = np.arange(1.0, 1 + nothing.size).reshape(nothing.shape)
    _, back = jax.vjp(lambda u: _apply(equation, nothing, u, indices), zeros)
    places = np.asarray(back(numbers)[0]).ravel().astype(np.intp)
    inside = np.flatnonzero(places)
    return add_at(x, places[inside] - 1, np.ravel(new)[inside])


def _updates(equation, rest: Sequence[Any]):
    if equation.primitive.name == "dynamic_update_slice":
        new, indices = rest[0], rest[1:]
    else:
        indices, new = rest[:1], rest[1]
    _constants(equation, indices)
    return new, indices


def _apply(equation, x, new, indices: Sequence[Any]):
    whole = equation.primitive.name == "dynamic_update_slice"
    given = (x, new, *indices) if whole else (x, *indices, new)
    return equation.primitive.bind(*given, **equation.params)


def _constants(equation, given: Sequence[Any]):
    if not all(isinstance(x, np.ndarray) for x in given):
        name = equation.primitive.name
        raise TypeError(f"jax.{name} at places that depend on the parameters")


INDEXING: dict[str, Callable[..., Any]] = {
    "gather": gathered,
    "dynamic_slice": gathered,
    "scatter": written,
    "dynamic_update_slice": written,
    "scatter-add": added,
}
