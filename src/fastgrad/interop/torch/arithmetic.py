"""torch's elementwise functions and reductions, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastgrad.interop import meanings
from fastgrad.interop.meanings import Unasked, special


def _axes(dim):
    """Axes as NumPy wants them: torch takes an empty list for all."""
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return None
    return tuple(dim) if isinstance(dim, Sequence) else dim


def cast(x, dtype=None, **options):
    """The program computes in float64 whatever the dtype."""
    kind = x.dtype.kind
    if dtype is not None and dtype.is_complex:
        return x + 0j
    if kind == "c":
        return x if dtype is None else np.real(x)
    if dtype is not None and not dtype.is_floating_point and kind == "f":
        whole = "bool" if str(dtype) == "torch.bool" else "int64"
        return x.astype(whole)
    return x if kind == "f" else x.astype(np.float64)


def add(x, y, alpha=1):
    return x + (y if alpha == 1 else alpha * y)


def sub(x, y, alpha=1):
    return x - (y if alpha == 1 else alpha * y)


def divide(x, y, rounding_mode: str | None = None):
    quotient = x / y
    if rounding_mode is None:
        return quotient
    return np.floor(quotient) if rounding_mode == "floor" else np.trunc(quotient)


def where(condition, x, y):
    return np.where(condition, x, y)


def clamp(x, low=None, high=None):
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def elu(x, alpha=1, scale=1, input_scale=1):
    # The branch not taken must not overflow.
    below = alpha * np.expm1(np.minimum(x, 0.0) * input_scale)
    return scale * np.where(x > 0, x, below)


def gelu(x, approximate: str = "none"):
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return 0.5 * x * (1 + np.tanh(inner))
    return 0.5 * x * (1 + special("erf")(x * math.sqrt(0.5)))


def softplus(x, beta: float = 1, threshold: float = 20):
    soft = meanings.softplus(beta * x) / beta
    return np.where(beta * x > threshold, x, soft)


# ---- reductions ----------------------------------------------------------------------


def reduction(function: Callable[..., Any]):
    def reduce(x, dim=None, keepdim=False, **dtype):
        x = x if x.dtype.kind == "f" else x.astype(np.float64)
        return function(x, axis=_axes(dim), keepdims=keepdim)

    return reduce


def truth(function: Callable[..., Any]):
    def reduce(x, dim=None, keepdim=False):
        return function(x, axis=_axes(dim), keepdims=keepdim)

    return reduce


def extreme(function: Callable[..., Any], place: Callable[..., Any]):
    """The values and where they are."""

    def extreme(x, dim: int, keepdim=False):
        value = function(x, axis=dim, keepdims=keepdim)
        return value, Unasked("places", lambda: place(x, axis=dim, keepdims=keepdim))

    return extreme


def _variance(x, dim, correction, keepdim: bool):
    ddof = 1 if correction is None else correction
    return np.var(x, axis=_axes(dim), ddof=ddof, keepdims=keepdim)


def var(x, dim=None, *, correction=None, keepdim=False):
    return _variance(x, dim, correction, keepdim)


def std(x, dim=None, *, correction=None, keepdim=False):
    return np.sqrt(_variance(x, dim, correction, keepdim))


def var_mean(x, dim=None, *, correction=None, keepdim=False):
    mean = np.mean(x, axis=_axes(dim), keepdims=keepdim)
    return _variance(x, dim, correction, keepdim), mean


def norm(x, ord: float = 2, dim=None, keepdim=False, **dtype):
    axis, size = _axes(dim), np.abs(x)
    if ord == 2:
        return np.sqrt(np.sum(x**2, axis=axis, keepdims=keepdim))
    if math.isinf(ord):
        extreme = np.max if ord > 0 else np.min
        return extreme(size, axis=axis, keepdims=keepdim)
    if ord == 1:
        return np.sum(size, axis=axis, keepdims=keepdim)
    return np.sum(size**ord, axis=axis, keepdims=keepdim) ** (1 / ord)


# ---- Fourier transforms: how they are scaled is a number, see torch's ATen -----------


def _scaled(x, how: int, count: int):
    """A transform without a factor, with 1 / sqrt(count) or 1 / count."""
    return x * (1.0, count**-0.5, 1 / count)[how]


def _count(shape: Sequence[int], axes: Sequence[int]):
    return math.prod(shape[axis] for axis in axes)


def fourier(x, dim: Sequence[int], normalization: int, forward: bool):
    out = x
    for axis in dim:
        out = (
            np.fft.fft(out, axis=axis)
            if forward
            else np.fft.ifft(out, axis=axis, norm="forward")
        )
    return _scaled(out, normalization, _count(np.shape(x), dim))


def fourier_of_real(x, dim: Sequence[int], normalization: int, onesided: bool):
    out = np.fft.rfft(x, axis=dim[-1]) if onesided else np.fft.fft(x, axis=dim[-1])
    for axis in dim[:-1]:
        out = np.fft.fft(out, axis=axis)
    return _scaled(out, normalization, _count(np.shape(x), dim))


def fourier_to_real(x, dim: Sequence[int], normalization: int, last: int):
    out = x
    for axis in dim[:-1]:
        out = np.fft.ifft(out, axis=axis, norm="forward")
    out = np.fft.irfft(out, last, axis=dim[-1], norm="forward")
    return _scaled(out, normalization, _count(np.shape(out), dim))
