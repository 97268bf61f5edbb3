"""What is found by sorting: medians, quantiles, partitions; running extremes."""

from __future__ import annotations

import numpy as np

from fastgrad.program.primitives.meanings.arrays import (
    asarray,
    is_traced,
    normalized_axes,
)
from fastgrad.program.primitives.meanings.registry import means
from fastgrad.program.primitives.meanings.special import logsumexp


@means("numpy.quantile")
def quantile(
    a,
    q,
    axis=None,
    out=None,
    overwrite_input=False,
    method: str = "linear",
    keepdims=False,
):
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
def median(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    """The middle of the sorted elements, or the mean of both middles."""
    ordered = _ordered(asarray(a), axis)
    n = len(ordered)
    middle = np.mean(ordered[(n - 1) // 2 : n // 2 + 1], axis=0)
    return _kept(middle, a, axis) if keepdims else middle


def _ordered(a, axis):
    """What lies along these axes, sorted along the first axis of the result."""
    axes = normalized_axes(axis, a.ndim)
    rest = [d for d in range(a.ndim) if d not in axes]
    rows = np.transpose(a, [*rest, *axes]).reshape(*(a.shape[d] for d in rest), -1)
    return np.moveaxis(np.sort(rows, axis=-1), -1, 0)


def _kept(found, a, axis):
    """With axes of length 1 in place of those that were reduced."""
    axes = normalized_axes(axis, a.ndim)
    ones = [1 if d in axes else n for d, n in enumerate(a.shape)]
    lead = found.shape[: found.ndim - a.ndim + len(axes)]
    return np.reshape(found, (*lead, *ones))


@means("numpy.nanquantile")
def nanquantile(a, q, axis=None, out=None, overwrite_input=False):
    """NaN sorts last: the place is counted among those before it, for each row."""
    if is_traced(q):
        return NotImplemented
    ordered = _ordered(asarray(a), axis)
    last = np.sum(~np.isnan(ordered), axis=0, keepdims=True) - 1.0
    ordered = np.where(np.isnan(ordered), 0.0, ordered)
    numbers = np.reshape(np.arange(len(ordered)), (-1,) + (1,) * (ordered.ndim - 1))

    def at(place):
        low = np.floor(place)
        high = np.where(numbers == low + 1.0, place - low, 0.0)
        share = np.where(numbers == low, low + 1.0 - place, high)
        return np.sum(ordered * share, axis=0)

    found = [at(one * last) for one in np.ravel(q)]
    return np.reshape(np.stack(found), (*np.shape(q), *found[0].shape))


@means("numpy.nanpercentile")
def nanpercentile(a, q, axis=None):
    return NotImplemented if is_traced(q) else nanquantile(a, np.asarray(q) / 100, axis)


@means("numpy.nanmedian")
def nanmedian(a, axis=None):
    return nanquantile(a, 0.5, axis)


@means("numpy.partition")
def partition(a, kth, axis=-1):
    """Sorted throughout, which is a partition too."""
    return np.sort(a, axis)


@means("numpy.unique")
def unique(ar, *which, **options):
    """The sorted elements that differ from the one before, and no more is asked."""
    asked = (*which, *options.values())  # an axis may be 0
    if not all(one is None or one is False for one in asked):
        return NotImplemented
    ordered = np.sort(np.ravel(ar))
    first = np.ones(min(1, ordered.size), dtype=bool)
    return ordered[np.concatenate([first, ordered[1:] != ordered[:-1]]) != 0]


@means("numpy.lexsort")
def lexsort(keys, axis: int = -1):
    """By each key in turn, those that are equal staying in order."""
    if np.ndim(keys[0]) != 1 or axis not in (-1, 0):
        return NotImplemented
    order = np.argsort(keys[0], kind="stable")
    for key in keys[1:]:
        order = order[np.argsort(asarray(key)[order], kind="stable")]
    return order


@means("numpy.percentile")
def percentile(a, q, *args, **kwargs):
    return (
        NotImplemented
        if is_traced(q)
        else quantile(a, q / np.float64(100), *args, **kwargs)
    )


# ---- running ------------------------------------------------------------------------


def _running(ufunc, neutral: float):
    """Of everything so far: twice as far back in each step."""

    def accumulate(array, axis: int | None = 0, dtype=None):
        if axis is None:
            return NotImplemented
        x = np.moveaxis(asarray(array), axis, -1)
        n, back = x.shape[-1], 1
        while back < n:
            start = np.full((*x.shape[:-1], back), neutral)
            x = ufunc(x, np.concatenate([start, x[..., :-back]], axis=-1))
            back *= 2
        return np.moveaxis(x, -1, axis)

    return accumulate


def _in_ranges(ufunc):
    """Of each range up to the next index; the element there if that is less."""

    def reduceat(array, indices, axis: int = 0, dtype=None, out=None):
        if is_traced(indices):
            return NotImplemented
        x = np.moveaxis(asarray(array), axis, 0)
        ends = [*indices[1:], len(x)]
        rows = [
            ufunc.reduce(x[first:end], axis=0) if first < end else x[first]
            for first, end in zip(indices, ends, strict=True)
        ]
        return np.moveaxis(np.stack(rows), 0, axis)

    return reduceat


for _ufunc in (np.add, np.multiply, np.maximum, np.minimum):
    means(f"numpy.{_ufunc.__name__}.reduceat")(_in_ranges(_ufunc))
means("numpy.maximum.accumulate")(_running(np.maximum, -np.inf))
means("numpy.minimum.accumulate")(_running(np.minimum, np.inf))
means("numpy.logaddexp.accumulate")(_running(np.logaddexp, -np.inf))


@means("numpy.logaddexp.reduce")
def logaddexp_reduce(array, axis=0, keepdims=False):
    x = asarray(array)
    return logsumexp(x, axis, keepdims=keepdims) if x.ndim else x
