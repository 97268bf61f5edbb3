"""Functions whose result is an outcome: truth values, positions, counts.

Truth values stay operations of the program. Positions and counts the loss acts on, so
they are those at theta, with a guard that says when they would be others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.program import sources
from fastgrad.program.primitives import reductions
from fastgrad.program.primitives.meanings.arrays import asarray
from fastgrad.program.trace.traced import Traced, any_live, node_of, settled_key


def _truth(x: Any) -> Traced:
    x = asarray(x)
    return x.is_true() if type(x) is Traced else Traced(node_of(x != 0), np.dtype(bool))


def _any(a: Any, axis: Any = None, *, keepdims: bool = False) -> Traced:
    return _of_truths(reductions.max_, 0.0, a, axis, keepdims, "np.any")


def _all(a: Any, axis: Any = None, *, keepdims: bool = False) -> Traced:
    return _of_truths(reductions.min_, 1.0, a, axis, keepdims, "np.all")


def _of_truths(
    reduce: Any, of_none: float, a: Any, axis: Any, keepdims: bool, label: str
) -> Traced:
    node = _truth(a).node
    initial = None if node.size else of_none
    node = reduce(node, axis, keepdims=keepdims, initial=initial, label=label)
    return Traced(node, np.dtype(bool))


def _where_true(function: Callable[..., Any]) -> Callable[..., Any]:
    """Nonzero and its kin: of the mask at theta."""

    def where_true(a: Any) -> Any:
        return function(settled_key(_truth(a)))

    return where_true


def _extreme(function: Callable[..., Any], sign: float) -> Callable[..., Any]:
    """The place of the largest: there as long as no other is larger."""

    def extreme(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        a = asarray(a)
        x: Any = np.ravel(a) if axis is None else a
        along = 0 if axis is None else axis
        place = np.expand_dims(function(x.node.value, axis=along), along)
        winner = np.take_along_axis(x, place, axis=along)
        _guarded(np.max(sign * x, axis=along, keepdims=True) > sign * winner)
        if axis is None:
            return place.reshape((1,) * a.ndim) if keepdims else place[0]
        return place if keepdims else np.squeeze(place, axis)

    return extreme


def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """The gap in which each value lies."""
    if sorter is not None:
        a = a[sorter]
    a, v = asarray(a), asarray(v)
    values = (node_of(x).value for x in (a, v))
    found = np.searchsorted(*values, side=side)  # type: ignore[call-overload]
    below, above = found > 0, found < len(a)
    under = a[np.where(below, found - 1, 0)]
    over = a[np.where(above, found, 0)]
    low, high = (under < v, v <= over) if side == "left" else (under <= v, v < over)
    _guarded(np.where(below, low, True))
    _guarded(np.where(above, high, True))
    return found


def _digitize(x: Any, bins: Any, right: bool = False) -> Any:
    edges = node_of(bins).value
    if len(edges) > 1 and edges[0] > edges[-1]:
        return len(edges) - _searchsorted(
            bins[::-1], x, side="right" if right else "left"
        )
    return _searchsorted(bins, x, side="left" if right else "right")


def _guarded(condition: Any) -> None:
    if any_live(condition):
        sources.current_trace.get().guards.append(condition.node)


def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    if np.shape(a1) != np.shape(a2):
        return False
    a1, a2 = asarray(a1), asarray(a2)
    equal = a1 == a2
    if equal_nan:
        equal = np.logical_or(equal, np.logical_and(a1 != a1, a2 != a2))
    return _all(equal)


OUTCOMES: dict[Any, Callable[..., Any]] = {
    np.any: _any,
    np.all: _all,
    np.array_equal: _array_equal,
    np.nonzero: _where_true(np.nonzero),
    np.flatnonzero: _where_true(np.flatnonzero),
    np.argwhere: _where_true(np.argwhere),
    np.where: _where_true(np.nonzero),
    np.argmax: _extreme(np.argmax, 1.0),
    np.argmin: _extreme(np.argmin, -1.0),
    np.searchsorted: _searchsorted,
    np.digitize: _digitize,
}
