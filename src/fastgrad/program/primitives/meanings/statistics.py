"""Statistics: averages, moments, quantiles, sums that leave out NaN, histograms."""

from __future__ import annotations

import functools
import math

import numpy as np

from fastgrad.program.primitives.meanings.arrays import (
    asarray,
    normalized_axes,
    squared_size,
)
from fastgrad.program.primitives.meanings.registry import means


@means("numpy.average")
def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    a = asarray(a)
    if weights is None:
        weights = np.ones(a.shape)
    weights = asarray(weights)
    if weights.shape != a.shape:
        weights = _along(weights, a, axis)
    total = np.sum(weights, axis, keepdims=keepdims)
    mean = np.sum(a * weights, axis, keepdims=keepdims) / total
    return (mean, total + 0.0 * mean) if returned else mean


def _along(weights, a, axis):
    """Weights given for some axes, broadcast to all of them."""
    axes = (axis,) if isinstance(axis, int) else axis
    weights = np.expand_dims(weights, tuple(range(a.ndim - weights.ndim)))
    here = range(a.ndim - len(axes), a.ndim)
    return np.broadcast_to(np.moveaxis(weights, tuple(here), axes), a.shape)


@means("numpy.var")
def var(
    a,
    axis=None,
    dtype=None,
    out=None,
    ddof: float = 0,
    keepdims=False,
    *,
    mean=None,
    correction: float | None = None,
):
    a = asarray(a)
    centre = np.mean(a, axis, keepdims=True) if mean is None else mean
    squares = np.sum(squared_size(a - centre), axis, keepdims=keepdims)
    count = math.prod(a.shape[d] for d in normalized_axes(axis, a.ndim))
    return squares / (count - (ddof if correction is None else correction))


@means("numpy.std")
@functools.wraps(var)
def std(a, *args, **kwargs):
    return np.sqrt(var(a, *args, **kwargs))


@means("numpy.ptp")
def ptp(a, axis=None, out=None, keepdims=False):
    return np.max(a, axis, keepdims=keepdims) - np.min(a, axis, keepdims=keepdims)


@means("numpy.cov")
def cov(
    m,
    y=None,
    rowvar=True,
    bias=False,
    ddof: int | None = None,
    fweights=None,
    aweights=None,
    *,
    dtype=None,
):
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


def _variables(x, rowvar: bool):
    """One row for each variable."""
    x = asarray(x)
    if x.ndim < 2:
        return np.reshape(x, (1, -1))
    return x if rowvar or x.shape[0] == 1 else x.T


@means("numpy.corrcoef")
def corrcoef(x, y=None, rowvar=True, *, dtype=None):
    c = cov(x, y, rowvar)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.diag(c))
    return np.clip(c / deviation[:, None] / deviation, -1, 1)


# ---- without NaN --------------------------------------------------------------------


def _filled(x, value: float):
    return np.where(np.isnan(x), value, x)


def _reduction(reduce, neutral: float):
    def reduction(a, axis=None, *, dtype=None, out=None, keepdims=False):
        return reduce(_filled(a, neutral), axis, keepdims=keepdims)

    return reduction


def _cumulation(accumulate, neutral: float):
    return lambda a, axis=None: accumulate(_filled(a, neutral), axis)


nansum = _reduction(np.sum, 0.0)
means("numpy.nansum")(nansum)
means("numpy.nanprod")(_reduction(np.prod, 1.0))
means("numpy.nanmax")(_reduction(np.max, -np.inf))
means("numpy.nanmin")(_reduction(np.min, np.inf))
means("numpy.nancumsum")(_cumulation(np.cumsum, 0.0))
means("numpy.nancumprod")(_cumulation(np.cumprod, 1.0))


@means("numpy.nanmean")
def nanmean(a, axis=None, dtype=None, out=None, keepdims=False):
    count = np.sum(~np.isnan(a), axis, keepdims=keepdims)
    return nansum(a, axis, keepdims=keepdims) / count


@means("numpy.nanvar")
def nanvar(a, axis=None, dtype=None, out=None, ddof: float = 0, keepdims=False):
    mean = nanmean(a, axis, keepdims=True)
    centred = np.where(np.isnan(a), mean, a) - mean
    count = np.sum(~np.isnan(a), axis, keepdims=keepdims)
    return np.sum(squared_size(centred), axis, keepdims=keepdims) / (count - ddof)


@means("numpy.nanstd")
def nanstd(a, *args, **kwargs):
    return np.sqrt(nanvar(a, *args, **kwargs))


@means("numpy.cumulative_sum")
def cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False):
    return _accumulated(np.cumsum, 0.0, x, axis, include_initial)


@means("numpy.cumulative_prod")
def cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False):
    return _accumulated(np.cumprod, 1.0, x, axis, include_initial)


def _accumulated(function, first: float, x, axis, initial: bool):
    if not initial:
        return function(x, axis)
    x = np.moveaxis(x, 0 if axis is None else axis, -1)
    start = np.full((*x.shape[:-1], 1), first)
    whole = np.concatenate([start, function(x, -1)], axis=-1)
    return np.moveaxis(whole, -1, 0 if axis is None else axis)
