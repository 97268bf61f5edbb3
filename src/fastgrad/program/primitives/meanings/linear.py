"""Functions that are linear in an array: the matrix is what they make of unit vectors.

Everything else that they are given is constant.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import StandIn, means
from fastgrad.program.sources import TraceError

#: The longest axis: a matrix of its square.
_LONGEST = 2048


def _along(function: Callable[[Any], Any], x, axis: int):
    """What `function`, linear along its first axis, gives along another one."""
    x = np.moveaxis(asarray(x), axis, 0)
    if len(x) > _LONGEST:
        return NotImplemented
    result = np.tensordot(function(np.eye(len(x))), x, 1)
    return np.moveaxis(result, 0, axis) if result.ndim == x.ndim else result


def _transform(name: str):
    """Of `scipy.fft`: dct, dst, and their inverses."""

    def transform(x, type: int = 2, n=None, axis: int = -1, norm=None):
        from scipy import fft

        function = functools.partial(
            getattr(fft, name), type=type, n=n, axis=0, norm=norm
        )
        return _along(function, x, axis)

    return transform


for _name in ("dct", "idct", "dst", "idst"):
    means(f"scipy.fft.{_name}")(_transform(_name))


@means("scipy.signal.lfilter")
def lfilter(b, a, x, axis: int = -1):
    if is_traced(b) or is_traced(a):
        return NotImplemented
    from scipy import signal

    return _along(lambda unit: signal.lfilter(b, a, unit, axis=0), x, axis)


@means("scipy.signal.detrend")
def detrend(data, axis: int = -1, type: str = "linear", bp=0):
    from scipy import signal

    return _along(lambda unit: signal.detrend(unit, 0, type, bp), data, axis)


@means("scipy.integrate.simpson")
def simpson(y, x=None, *, dx: float = 1.0, axis: int = -1):
    if is_traced(x) or is_traced(dx) or np.ndim(x) > 1:
        return NotImplemented
    from scipy import integrate

    return _along(lambda unit: integrate.simpson(unit, x=x, dx=dx, axis=0), y, axis)


@means("numpy.polyfit")
def polyfit(x, y, deg: int):
    if is_traced(x):
        return NotImplemented
    return _along(lambda unit: np.polyfit(x, unit, deg), y, 0)


@means("numpy.linalg.lstsq")
def lstsq(a, b, rcond=None):
    """Of a constant matrix."""
    if is_traced(a):
        return NotImplemented
    rank, values = np.linalg.lstsq(a, np.zeros(len(a)), rcond)[2:]
    x = _along(lambda unit: np.linalg.lstsq(a, unit, rcond)[0], b, 0)
    full = rank == np.shape(a)[1] < np.shape(a)[0]
    residuals = np.sum((a @ x - b) ** 2, axis=0) if full else np.empty(0)
    return x, np.atleast_1d(residuals), rank, values


# ---- interpolation: linear in the heights -------------------------------------------


class _Interpolant(StandIn):
    """What interpolates traced heights: as of unit vectors, times the heights."""

    def __init__(self, of_units, heights):
        self._of_units, self._heights = of_units, heights

    def __call__(self, x, *rest, **options):
        if is_traced(x):
            raise TraceError("interpolates at points that depend on parameters")
        return np.tensordot(self._of_units(x, *rest, **options), self._heights, 1)

    def integrate(self, a, b, *rest, **options):
        found = self._of_units.integrate(a, b, *rest, **options)
        return np.tensordot(found, self._heights, 1)

    def derivative(self, nu: int = 1):
        return _Interpolant(self._of_units.derivative(nu), self._heights)

    def antiderivative(self, nu: int = 1):
        return _Interpolant(self._of_units.antiderivative(nu), self._heights)


def _interpolator(name: str):
    """A class of `scipy.interpolate` that is made from points and heights."""

    def make(x, y, *args, **kwargs):
        axis = kwargs.get("axis", 0)
        if is_traced(x) or axis != 0 or np.ndim(y) != 1 or is_traced(args):
            return NotImplemented

        from scipy import interpolate

        units, kind = np.eye(len(y)), getattr(interpolate, name)
        return _Interpolant(kind(x, units, *args, **{**kwargs, "axis": 0}), y)

    return make


for _name in ("CubicSpline", "interp1d", "make_interp_spline"):
    means(f"scipy.interpolate.{_name}")(_interpolator(_name))
