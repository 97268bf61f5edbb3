"""Differences, interpolation, convolution and polynomials."""

from __future__ import annotations

import numpy as np

from fastgrad.program.primitives.meanings.arrays import (
    LARGEST,
    asarray,
    normalized_axes,
)
from fastgrad.program.primitives.meanings.registry import means


@means("numpy.diff")
def diff(a, n: int = 1, axis: int = -1, prepend=None, append=None):
    if not n:
        return a
    ends = [x for x in (prepend, a, append) if x is not None and x is not np._NoValue]
    a = np.moveaxis(_extended(ends, axis) if len(ends) > 1 else asarray(a), axis, -1)
    for _ in range(n):
        a = a[..., 1:] - a[..., :-1]
    return np.moveaxis(a, -1, axis)


def _extended(parts, axis: int):
    """Joined; a number stands for a row of them."""
    parts = [asarray(x) for x in parts]
    full = max(parts, key=lambda x: x.ndim)
    one = [1 if d == axis % full.ndim else n for d, n in enumerate(full.shape)]
    rows = [x if x.ndim else np.broadcast_to(x, one) for x in parts]
    return np.concatenate(rows, axis)


@means("numpy.ediff1d")
def ediff1d(ary, to_end=None, to_begin=None):
    parts = [to_begin, np.diff(np.ravel(ary)), to_end]
    return np.concatenate([np.ravel(asarray(x)) for x in parts if x is not None])


@means("numpy.gradient")
def gradient(f, *varargs, axis=None, edge_order: int = 1):
    """Central differences inside, one-sided ones at the ends."""
    f = asarray(f)
    if edge_order not in (1, 2) or f.ndim == 0:
        return NotImplemented
    single = isinstance(axis, int)
    axes = normalized_axes(axis, f.ndim)
    spacings = (
        varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    )
    slopes = [_slope(f, h, d, edge_order) for h, d in zip(spacings, axes, strict=True)]
    return slopes[0] if single or len(slopes) == 1 else tuple(slopes)


def _slope(f, spacing, axis: int, edge_order: int):
    f = np.moveaxis(f, axis, -1)
    n = f.shape[-1]
    h = asarray(spacing) * np.ones(n - 1) if np.ndim(spacing) == 0 else np.diff(spacing)
    secants = (f[..., 1:] - f[..., :-1]) / h
    # The parabola through three points, weighted by the intervals' lengths.
    weight = h[1:] / (h[1:] + h[:-1])
    inner = secants[..., :-1] * weight + secants[..., 1:] * (1 - weight)
    first, last = secants[..., :1], secants[..., -1:]
    if edge_order == 2:
        first = first + (first - secants[..., 1:2]) * (h[0] / (h[0] + h[1]))
        last = last + (last - secants[..., -2:-1]) * (h[-1] / (h[-1] + h[-2]))
    return np.moveaxis(np.concatenate([first, inner, last], axis=-1), -1, axis)


@means("numpy.interp")
def interp(x, xp, fp, left=None, right=None, period=None):
    """The sum of the straight pieces that were walked through before x."""
    if period is not None:
        return NotImplemented
    x, xp, fp = asarray(x), asarray(xp), asarray(fp)
    if x.size * xp.size > LARGEST:
        return NotImplemented
    inside = np.clip(np.expand_dims(x, -1), xp[:-1], xp[1:]) - xp[:-1]
    y = fp[0] + np.sum(inside * (np.diff(fp) / np.diff(xp)), axis=-1)
    if left is not None:
        y = np.where(x < xp[0], left, y)
    if right is not None:
        y = np.where(x > xp[-1], right, y)
    return y


@means("numpy.cross", "numpy.linalg.cross")
def cross(
    a, b, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
):
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(asarray(a), axisa, 0), np.moveaxis(asarray(b), axisb, 0)
    if len(a) != 3 or len(b) != 3:
        return NotImplemented
    turned = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]
    return np.moveaxis(np.stack(turned), 0, axisc)


@means("numpy.kron")
def kron(a, b):
    a, b = asarray(a), asarray(b)
    ndim = max(a.ndim, b.ndim)
    sa, sb = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    left = np.reshape(a, [n for m in sa for n in (m, 1)])
    right = np.reshape(b, [n for m in sb for n in (1, m)])
    return np.reshape(left * right, [m * n for m, n in zip(sa, sb, strict=True)])


# ---- convolution --------------------------------------------------------------------


def _convolved(a, v, mode: str):
    """Of the shorter one, each element times the longer one, moved along."""
    if v.size > a.size:
        a, v = v, a
    n, k = a.size, v.size
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(a, k - 1), k)
    full = windows @ v[::-1]
    length = {"full": n + k - 1, "same": n, "valid": n - k + 1}[mode]
    start = (len(full) - length) // 2
    return full[start : start + length]


@means("numpy.convolve")
def convolve(a, v, mode: str = "full"):
    return _convolved(np.ravel(asarray(a)), np.ravel(asarray(v)), mode)


@means("numpy.correlate")
def correlate(a, v, mode: str = "valid"):
    """A convolution with the second turned round; NumPy swaps by length first."""
    a, v = np.ravel(asarray(a)), np.ravel(asarray(v))
    if v.size > a.size:
        return _convolved(v, a[::-1], mode)[::-1]
    return _convolved(a, v[::-1], mode)


@means("numpy.unwrap")
def unwrap(p, discont=None, axis: int = -1, *, period: float = 2 * np.pi):
    """Moved by whole periods, so that neighbours are less than half of one apart."""
    if discont is not None:
        return NotImplemented
    p = np.moveaxis(asarray(p), axis, -1)
    turns = np.rint((p[..., 1:] - p[..., :-1]) / period)
    moved = p[..., 1:] - period * np.cumsum(turns, axis=-1)
    return np.moveaxis(np.concatenate([p[..., :1], moved], axis=-1), -1, axis)


def _areas(y, x, dx, axis: int):
    """Under the straight lines between neighbours; the axis last."""
    y = np.moveaxis(asarray(y), axis, -1)
    if x is not None:
        x = asarray(x)
        dx = np.diff(x if x.ndim == 1 else np.moveaxis(x, axis, -1))
    return dx * (y[..., 1:] + y[..., :-1]) / 2


@means("numpy.trapezoid", "scipy.integrate.trapezoid")
def trapezoid(y, x=None, dx=1.0, axis: int = -1):
    return np.sum(_areas(y, x, dx, axis), axis=-1)


@means("scipy.integrate.cumulative_trapezoid")
def cumulative_trapezoid(y, x=None, dx=1.0, axis: int = -1, initial=None):
    areas = np.cumsum(_areas(y, x, dx, axis), axis=-1)
    if initial is not None:
        start = np.full((*areas.shape[:-1], 1), float(initial))
        areas = np.concatenate([start, areas], axis=-1)
    return np.moveaxis(areas, -1, axis)
