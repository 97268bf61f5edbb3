"""Statistics: averages, moments, quantiles, sums that leave out NaN, histograms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings.arrays import (
    asarray,
    is_traced,
    normalized_axes,
    squared_size,
)
from fastgrad.program.primitives.meanings.registry import means


@means("numpy.average")
def average(
    a: Any,
    axis: Any = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    a = asarray(a)
    if weights is None:
        weights = np.ones(a.shape)
    weights = asarray(weights)
    if weights.shape != a.shape:
        weights = _along(weights, a, axis)
    total = np.sum(weights, axis, keepdims=keepdims)
    mean = np.sum(a * weights, axis, keepdims=keepdims) / total
    return (mean, total + 0.0 * mean) if returned else mean


def _along(weights: Any, a: Any, axis: Any) -> Any:
    """Weights given for some axes, broadcast to all of them."""
    axes = (axis,) if isinstance(axis, int) else axis
    weights = np.expand_dims(weights, tuple(range(a.ndim - weights.ndim)))
    here = range(a.ndim - len(axes), a.ndim)
    return np.broadcast_to(np.moveaxis(weights, tuple(here), axes), a.shape)


@means("numpy.var")
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    mean: Any = None,
    correction: float | None = None,
) -> Any:
    a = asarray(a)
    centre = np.mean(a, axis, keepdims=True) if mean is None else mean
    squares = np.sum(squared_size(a - centre), axis, keepdims=keepdims)
    count = math.prod(a.shape[d] for d in normalized_axes(axis, a.ndim))
    return squares / (count - (ddof if correction is None else correction))


@means("numpy.std")
def std(a: Any, *args: Any, **kwargs: Any) -> Any:
    return np.sqrt(var(a, *args, **kwargs))


@means("numpy.ptp")
def ptp(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    return np.max(a, axis, keepdims=keepdims) - np.min(a, axis, keepdims=keepdims)


@means("numpy.cov")
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    rows = [_variables(x, rowvar) for x in (m, y) if x is not None]
    x = np.concatenate(rows)
    frequency = 1.0 if fweights is None else asarray(fweights)
    share = 1.0 if aweights is None else asarray(aweights)
    weights = frequency * share * np.ones(x.shape[1])
    ddof = int(not bias) if ddof is None else ddof
    total = np.sum(weights)
    count = total - ddof * np.sum(weights * share) / total
    centred = x - (np.sum(x * weights, axis=1) / total)[:, None]
    return np.squeeze((centred * weights) @ np.conjugate(centred.T) / count)


def _variables(x: Any, rowvar: bool) -> Any:
    """One row for each variable."""
    x = asarray(x)
    if x.ndim < 2:
        return np.reshape(x, (1, -1))
    return x if rowvar or x.shape[0] == 1 else x.T


@means("numpy.corrcoef")
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    c = cov(x, y, rowvar)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.diag(c))
    return np.clip(c / deviation[:, None] / deviation, -1, 1)


# ---- in the order of size -----------------------------------------------------------


@means("numpy.quantile")
def quantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Any:
    """Between two sorted elements: NumPy says where, for the elements 0, 1, ..."""
    a = asarray(a)
    if is_traced(q):
        return NotImplemented
    ordered = _ordered(a, axis)
    place = np.quantile(np.arange(float(len(ordered))), q, method=method)  # type: ignore[call-overload]
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, len(ordered) - 1)
    share = np.reshape(place - low, np.shape(place) + (1,) * (ordered.ndim - 1))
    found = ordered[low] + (ordered[high] - ordered[low]) * share
    return _kept(found, a, axis) if keepdims else found


@means("numpy.median")
def median(
    a: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Any:
    """The middle of the sorted elements, or the mean of both middles."""
    ordered = _ordered(asarray(a), axis)
    n = len(ordered)
    middle = np.mean(ordered[(n - 1) // 2 : n // 2 + 1], axis=0)
    return _kept(middle, a, axis) if keepdims else middle


def _ordered(a: Any, axis: Any) -> Any:
    """What lies along these axes, sorted along the first axis of the result."""
    axes = normalized_axes(axis, a.ndim)
    rest = [d for d in range(a.ndim) if d not in axes]
    rows = np.transpose(a, [*rest, *axes]).reshape(*(a.shape[d] for d in rest), -1)
    return np.moveaxis(np.sort(rows, axis=-1), -1, 0)


def _kept(found: Any, a: Any, axis: Any) -> Any:
    """With axes of length 1 in place of those that were reduced."""
    axes = normalized_axes(axis, a.ndim)
    ones = [1 if d in axes else n for d, n in enumerate(a.shape)]
    lead = found.shape[: found.ndim - a.ndim + len(axes)]
    return np.reshape(found, (*lead, *ones))


@means("numpy.nanmedian")
def nanmedian(a: Any, axis: Any = None) -> Any:
    """NaN sorts last: the middle of those before it is found for each."""
    ordered = _ordered(asarray(a), axis)
    count = np.sum(~np.isnan(ordered), axis=0, keepdims=True)
    numbers = np.reshape(np.arange(len(ordered)), (-1,) + (1,) * (ordered.ndim - 1))
    low, high = np.floor((count - 1) / 2), np.floor(count / 2)
    share = 0.5 * (numbers == low) + 0.5 * (numbers == high)
    return np.sum(np.where(share > 0, ordered, 0.0) * share, axis=0)


@means("numpy.partition")
def partition(a: Any, kth: Any, axis: Any = -1) -> Any:
    """Sorted throughout, which is a partition too."""
    return np.sort(a, axis)


@means("numpy.percentile")
def percentile(a: Any, q: Any, *args: Any, **kwargs: Any) -> Any:
    return (
        NotImplemented
        if is_traced(q)
        else quantile(a, q / np.float64(100), *args, **kwargs)
    )


# ---- without NaN --------------------------------------------------------------------


def _filled(x: Any, value: float) -> Any:
    return np.where(np.isnan(x), value, x)


@means("numpy.nansum")
def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
) -> Any:
    return np.sum(_filled(a, 0.0), axis, keepdims=keepdims)


@means("numpy.nanprod")
def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
) -> Any:
    return np.prod(_filled(a, 1.0), axis, keepdims=keepdims)


@means("numpy.nancumsum")
def nancumsum(a: Any, axis: Any = None) -> Any:
    return np.cumsum(_filled(a, 0.0), axis)


@means("numpy.nancumprod")
def nancumprod(a: Any, axis: Any = None) -> Any:
    return np.cumprod(_filled(a, 1.0), axis)


@means("numpy.nanmax")
def nanmax(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    return np.max(_filled(a, -np.inf), axis, keepdims=keepdims)


@means("numpy.nanmin")
def nanmin(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    return np.min(_filled(a, np.inf), axis, keepdims=keepdims)


@means("numpy.nanmean")
def nanmean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
) -> Any:
    count = np.sum(~np.isnan(a), axis, keepdims=keepdims)
    return nansum(a, axis, keepdims=keepdims) / count


@means("numpy.nanvar")
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
) -> Any:
    mean = nanmean(a, axis, keepdims=True)
    centred = np.where(np.isnan(a), mean, a) - mean
    count = np.sum(~np.isnan(a), axis, keepdims=keepdims)
    return np.sum(squared_size(centred), axis, keepdims=keepdims) / (count - ddof)


@means("numpy.nanstd")
def nanstd(a: Any, *args: Any, **kwargs: Any) -> Any:
    return np.sqrt(nanvar(a, *args, **kwargs))


@means("numpy.cumulative_sum")
def cumulative_sum(
    x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    return _accumulated(np.cumsum, 0.0, x, axis, include_initial)


@means("numpy.cumulative_prod")
def cumulative_prod(
    x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    return _accumulated(np.cumprod, 1.0, x, axis, include_initial)


def _accumulated(function: Any, first: float, x: Any, axis: Any, initial: bool) -> Any:
    if not initial:
        return function(x, axis)
    x = np.moveaxis(x, 0 if axis is None else axis, -1)
    start = np.full((*x.shape[:-1], 1), first)
    whole = np.concatenate([start, function(x, -1)], axis=-1)
    return np.moveaxis(whole, -1, 0 if axis is None else axis)


# ---- counting -----------------------------------------------------------------------


def scattered(x: Any, target: Any, n: int) -> Any:
    """The sums of the elements of each target: out[target[i]] += x[i], of length n.

    Targets with about as many elements are read as rows of one array, so that in all
    at most twice as many numbers are added as there are elements.
    """
    target = np.asarray(target, dtype=np.intp)
    count = np.bincount(target, minlength=n)
    order = np.argsort(target, kind="stable")
    start = np.cumsum(count) - count
    spare = np.concatenate([x, np.zeros((1, *x.shape[1:]))])
    sums, placed = [], []
    width = 1
    while (
        len(targets := np.flatnonzero((count > width // 2) & (count <= width)))
        or (count > width).any()
    ):
        column = np.arange(width)
        inside = column < count[targets, None]
        source = order[np.where(inside, start[targets, None] + column, 0)]
        sums.append(np.sum(spare[np.where(inside, source, len(x))], axis=1))
        placed.append(targets)
        width *= 2
    where = np.full(n, sum(map(len, placed)))
    where[np.concatenate([*placed, np.empty(0, np.intp)])] = np.arange(
        where[0] if n else 0
    )
    return np.concatenate([*sums, np.zeros((1, *x.shape[1:]))])[where]


@means("numpy.bincount")
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    if is_traced(x):
        return NotImplemented
    n = max(minlength, int(np.max(x, initial=-1)) + 1)
    return scattered(np.ravel(asarray(weights)), x, n)


@means("numpy.histogram")
def histogram(
    a: Any,
    bins: Any = 10,
    range: Any = None,
    density: bool | None = None,
    weights: Any = None,
) -> Any:
    """Of constant positions, with weights that are traced."""
    if is_traced(a) or is_traced(bins):
        return NotImplemented
    edges = np.histogram_bin_edges(a, bins, range)
    at = np.searchsorted(edges, np.ravel(a), side="right") - 1
    at = np.where(np.ravel(a) == edges[-1], len(edges) - 2, at)
    inside = np.flatnonzero((at >= 0) & (at < len(edges) - 1))
    heights = scattered(np.ravel(asarray(weights))[inside], at[inside], len(edges) - 1)
    if density:
        heights = heights / np.diff(edges) / np.sum(heights)
    return heights, edges


@means("numpy.add.at")
def add_at(a: Any, indices: Any, b: Any) -> Any:
    """Every use of a place counts, also of the same one."""
    if is_traced(indices):
        return NotImplemented
    at = np.arange(a.size).reshape(a.shape)[indices]
    b = np.broadcast_to(asarray(b), at.shape)
    a[...] = a + np.reshape(scattered(np.ravel(b), np.ravel(at), a.size), a.shape)
    return None


@means("numpy.add.reduceat")
def add_reduceat(array: Any, indices: Any, axis: int = 0) -> Any:
    """From each index to the next; one element where the next is not behind it."""
    x = np.moveaxis(asarray(array), axis, 0)
    ends = [*indices[1:], len(x)]
    parts = [
        np.sum(x[i : max(j, i + 1)], axis=0) for i, j in zip(indices, ends, strict=True)
    ]
    return np.moveaxis(np.stack(parts), 0, axis)


@means("numpy.subtract.at")
def subtract_at(a: Any, indices: Any, b: Any) -> Any:
    return add_at(a, indices, np.negative(asarray(b)))
