"""Fourier transforms: products with a constant complex matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.program.sources import TraceError

#: The longest transform: two matrices of its square.
_LONGEST = 2048
_SCALE = {"backward": (0.0, 1.0), "ortho": (0.5, 0.5), "forward": (1.0, 0.0)}


def _turns(n: int, rows: int, columns: int) -> Any:
    """2 pi j k / n, its whole turns left out."""
    if n > _LONGEST:
        raise TraceError(f"a Fourier transform of length {n:,}; at most {_LONGEST:,}")
    return 2 * math.pi / n * (np.outer(np.arange(rows), np.arange(columns)) % n)


def _fitted(x: Any, n: int, axis: int) -> Any:
    """`x` with n elements along the axis, cut or filled with zeros; the axis last."""
    x = np.moveaxis(x, axis, -1)
    length = x.shape[-1]
    if length < n:
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, n - length)])
    return x[..., :n] if length > n else x


def _transform(inverse: bool, half: bool = False) -> Callable[..., Any]:
    """fft, ifft; of the frequencies of real numbers the first `half`: rfft."""

    def transform(
        a: Any, n: int | None = None, axis: int = -1, norm: Any = None
    ) -> Any:
        n = a.shape[axis] if n is None else n
        angle = _turns(n, n, n // 2 + 1 if half else n)
        scale = n ** -_SCALE[norm or "backward"][inverse]
        matrix = scale * np.exp((1j if inverse else -1j) * angle)
        return np.moveaxis(np.matmul(_fitted(a, n, axis), matrix), -1, axis)

    return transform


def _irfft(a: Any, n: int | None = None, axis: int = -1, norm: Any = None) -> Any:
    """Every frequency but the first, and the last if n is even, stands for two."""
    n = 2 * (a.shape[axis] - 1) if n is None else n
    count = n // 2 + 1
    weight = np.full(count, 2.0)
    weight[n // 2 :] = 2.0 - (n % 2 == 0)
    weight[0] = 1.0
    angle = _turns(n, count, n)
    matrix = n ** -_SCALE[norm or "backward"][1] * weight[:, None] * np.exp(1j * angle)
    if n % 2 == 0:
        matrix[-1].imag = 0.0
    return np.moveaxis(np.matmul(_fitted(a, count, axis), matrix).real, -1, axis)


def _several(transform: Callable[..., Any], axes: Any) -> Callable[..., Any]:
    """A transform along several axes, the last one first."""

    def several(a: Any, s: Any = None, axes: Any = axes, norm: Any = None) -> Any:
        axes = range(-len(s) if s else -a.ndim, 0) if axes is None else axes
        for n, axis in reversed(list(zip(s or [None] * len(axes), axes, strict=True))):
            a = transform(a, n, axis, norm)
        return a

    return several


_FFT, _IFFT = _transform(inverse=False), _transform(inverse=True)
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.fft.fft: _FFT,
    np.fft.ifft: _IFFT,
    np.fft.rfft: _transform(inverse=False, half=True),
    np.fft.irfft: _irfft,
    np.fft.fft2: _several(_FFT, (-2, -1)),
    np.fft.ifft2: _several(_IFFT, (-2, -1)),
    np.fft.fftn: _several(_FFT, None),
    np.fft.ifftn: _several(_IFFT, None),
}
