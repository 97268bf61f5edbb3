"""torch's elementwise functions and reductions, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastgrad.interop import meanings
from fastgrad.interop.meanings import Unasked, special


def _axes(dim: Any) -> Any:
    """Axes as NumPy wants them: torch takes an empty list for all."""
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return None
    return tuple(dim) if isinstance(dim, Sequence) else dim


def cast(x: Any, dtype: Any = None, **options: Any) -> Any:
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


def add(x: Any, y: Any, alpha: Any = 1) -> Any:
    return x + (y if alpha == 1 else alpha * y)


def sub(x: Any, y: Any, alpha: Any = 1) -> Any:
    return x - (y if alpha == 1 else alpha * y)


def divide(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    quotient = x / y
    if rounding_mode is None:
        return quotient
    return np.floor(quotient) if rounding_mode == "floor" else np.trunc(quotient)


def where(condition: Any, x: Any, y: Any) -> Any:
    return np.where(condition, x, y)


def clamp(x: Any, low: Any = None, high: Any = None) -> Any:
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def elu(x: Any, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Any:
    # The branch not taken must not overflow.
    below = alpha * np.expm1(np.minimum(x, 0.0) * input_scale)
    return scale * np.where(x > 0, x, below)


def gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return 0.5 * x * (1 + np.tanh(inner))
    return 0.5 * x * (1 + special("erf")(x * math.sqrt(0.5)))


def softplus(x: Any, beta: float = 1, threshold: float = 20) -> Any:
    soft = meanings.softplus(beta * x) / beta
    return np.where(beta * x > threshold, x, soft)


# ---- reductions ----------------------------------------------------------------------


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(x: Any, dim: Any = None, keepdim: bool = False, **dtype: Any) -> Any:
        x = x if x.dtype.kind == "f" else x.astype(np.float64)
        return function(x, axis=_axes(dim), keepdims=keepdim)

    return reduce


def truth(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        return function(x, axis=_axes(dim), keepdims=keepdim)

    return reduce


def extreme(
    function: Callable[..., Any], place: Callable[..., Any]
) -> Callable[..., Any]:
    """The values and where they are."""

    def extreme(x: Any, dim: int, keepdim: bool = False) -> Any:
        value = function(x, axis=dim, keepdims=keepdim)
        return value, Unasked("places", lambda: place(x, axis=dim, keepdims=keepdim))

    return extreme


def _variance(x: Any, dim: Any, correction: Any, keepdim: bool) -> Any:
    ddof = 1 if correction is None else correction
    return np.var(x, axis=_axes(dim), ddof=ddof, keepdims=keepdim)


def var(
    x: Any, dim: Any = None, *, correction: Any = None, keepdim: bool = False
) -> Any:
    return _variance(x, dim, correction, keepdim)


def std(
    x: Any, dim: Any = None, *, correction: Any = None, keepdim: bool = False
) -> Any:
    return np.sqrt(_variance(x, dim, correction, keepdim))


def var_mean(
    x: Any, dim: Any = None, *, correction: Any = None, keepdim: bool = False
) -> Any:
    mean = np.mean(x, axis=_axes(dim), keepdims=keepdim)
    return _variance(x, dim, correction, keepdim), mean


def norm(
    x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, **dtype: Any
) -> Any:
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


def _scaled(x: Any, how: int, count: int) -> Any:
    """A transform without a factor, with 1 / sqrt(count) or 1 / count."""
    return x * (1.0, count**-0.5, 1 / count)[how]


def _count(shape: Sequence[int], axes: Sequence[int]) -> int:
    return math.prod(shape[axis] for axis in axes)


def fourier(x: Any, dim: Sequence[int], normalization: int, forward: bool) -> Any:
    out = x
    for axis in dim:
        out = (
            np.fft.fft(out, axis=axis)
            if forward
            else np.fft.ifft(out, axis=axis, norm="forward")
        )
    return _scaled(out, normalization, _count(np.shape(x), dim))


def fourier_of_real(
    x: Any, dim: Sequence[int], normalization: int, onesided: bool
) -> Any:
    out = np.fft.rfft(x, axis=dim[-1]) if onesided else np.fft.fft(x, axis=dim[-1])
    for axis in dim[:-1]:
        out = np.fft.fft(out, axis=axis)
    return _scaled(out, normalization, _count(np.shape(x), dim))


def fourier_to_real(x: Any, dim: Sequence[int], normalization: int, last: int) -> Any:
    out = x
    for axis in dim[:-1]:
        out = np.fft.ifft(out, axis=axis, norm="forward")
    out = np.fft.irfft(out, last, axis=dim[-1], norm="forward")
    return _scaled(out, normalization, _count(np.shape(out), dim))
