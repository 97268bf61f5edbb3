"""Choosing between values, writing some of them, and functions applied to parts."""

from __future__ import annotations

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import means

# ---- element by element, with functions of the user's -------------------------------


@means("numpy.apply_along_axis")
def apply_along_axis(func1d, axis: int, arr, *args, **kwargs):
    rows = np.moveaxis(asarray(arr), axis, -1)
    stack = rows.shape[:-1]
    if 0 in stack:
        return NotImplemented
    results = [asarray(func1d(rows[i], *args, **kwargs)) for i in np.ndindex(stack)]
    whole = np.reshape(np.stack(results), (*stack, *results[0].shape))
    ndim = len(stack)
    order = [*range(ndim)]
    order[axis % arr.ndim : axis % arr.ndim] = range(ndim, whole.ndim)
    return np.transpose(whole, order)


@means("numpy.apply_over_axes")
def apply_over_axes(func, a, axes):
    for axis in np.atleast_1d(axes):
        result = func(a, int(axis))
        a = result if result.ndim == a.ndim else np.expand_dims(result, int(axis))
    return a


@means("numpy.select")
def select(condlist, choicelist, default=0):
    """The first that holds: the last ones are chosen from first."""
    chosen = asarray(default)
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        chosen = np.where(condition, choice, chosen)
    return chosen


@means("numpy.choose")
def choose(a, choices, out=None, mode: str = "raise"):
    if mode != "raise":
        return NotImplemented
    numbers = range(len(choices))
    return select(
        [asarray(a) == k for k in numbers], [choices[k] for k in numbers], np.nan
    )


@means("numpy.piecewise")
def piecewise(x, condlist, funclist, *args, **kw):
    """The last condition that holds counts; one more function for where none does."""
    x = asarray(x)
    conditions = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    values = [f(x, *args, **kw) if callable(f) else f for f in funclist]
    rest = values[len(conditions)] if len(values) > len(conditions) else 0.0
    return select(conditions[::-1], values[: len(conditions)][::-1], rest) + 0.0 * x


@means("numpy.compress")
def compress(condition, a, axis: int | None = None, out=None):
    if not is_traced(condition):
        return np.take(a, np.flatnonzero(condition), axis)
    rows = np.ravel(a) if axis is None else np.moveaxis(a, axis, 0)
    if np.shape(condition) != rows.shape[:1]:
        return NotImplemented
    return np.moveaxis(rows[condition != 0], 0, axis or 0)


@means("numpy.extract")
def extract(condition, arr):
    return compress(np.ravel(condition), arr)


@means("numpy.nan_to_num")
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    most = np.finfo(np.float64).max
    x = np.where(np.isnan(x), nan, x)
    x = np.where(x == np.inf, most if posinf is None else posinf, x)
    return np.where(x == -np.inf, -most if neginf is None else neginf, x)


@means("numpy.isclose")
def isclose(a, b, rtol: float = 1e-5, atol: float = 1e-8, equal_nan=False):
    close = (np.abs(a - b) <= atol + rtol * np.abs(b)) | (a == b)
    return close | (np.isnan(a) & np.isnan(b)) if equal_nan else close


@means("numpy.count_nonzero")
def count_nonzero(a, axis=None, *, keepdims=False):
    return np.sum(asarray(a) != 0, axis, keepdims=keepdims)


@means("numpy.allclose")
def allclose(a, b, *args, **kwargs):
    return np.sum(~isclose(a, b, *args, **kwargs)) == 0


@means("numpy.isposinf")
def isposinf(x):
    return x == np.inf


@means("numpy.isneginf")
def isneginf(x):
    return x == -np.inf


@means("numpy.real_if_close")
def real_if_close(a, tol: float = 100):
    return asarray(a)


# ---- writing into an array ----------------------------------------------------------


@means("numpy.copyto")
def copyto(dst, src, casting: str = "same_kind", where=True):
    dst[...] = np.where(where, src, dst)


@means("numpy.putmask")
def putmask(a, mask, values):
    repeated = np.resize(np.arange(np.size(values)), a.shape)
    a[...] = np.where(mask, np.ravel(asarray(values))[repeated], a)


@means("numpy.put")
def put(a, ind, v, mode: str = "raise"):
    if is_traced(ind) or mode != "raise":
        return NotImplemented
    ind, v = np.ravel(ind), np.ravel(asarray(v))
    at = np.unravel_index(np.arange(a.size)[ind], a.shape)
    a[at] = v[np.arange(ind.size) % v.size]
    return None


@means("numpy.place")
def place(arr, mask, vals):
    return NotImplemented if is_traced(mask) else put(arr, np.flatnonzero(mask), vals)


@means("numpy.put_along_axis")
def put_along_axis(arr, indices, values, axis: int | None = -1):
    if is_traced(indices):
        return NotImplemented
    numbers = np.arange(arr.size).reshape(arr.shape)
    at = np.take_along_axis(numbers, indices, axis)
    return put(arr, at, np.broadcast_to(asarray(values), at.shape))


@means("numpy.fill_diagonal")
def fill_diagonal(a, val, wrap=False):
    places = np.zeros(a.shape, dtype=bool)
    np.fill_diagonal(places, True, wrap)
    put(a, np.flatnonzero(places), val)
