"""Fourier transforms along several axes, convolutions in several dimensions."""

from __future__ import annotations

import importlib

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import means

# ---- Fourier transforms -------------------------------------------------------------


def _scipy_fft(function):
    """NumPy's is the same; SciPy's takes more arguments that change no number."""

    def transform(
        x, n=None, axis: int = -1, norm=None, overwrite_x=False, workers=None
    ):
        return function(asarray(x), n, axis, norm)

    return transform


for _name in ("fft", "ifft", "rfft", "irfft"):
    means(f"scipy.fft.{_name}")(_scipy_fft(getattr(np.fft, _name)))


def _lengths(a, s, axes):
    """(axis, length) pairs of a transform along several axes."""
    if axes is None:
        axes = range(-len(s) if s is not None else -a.ndim, 0)
    return list(zip(axes, [None] * len(axes) if s is None else s, strict=True))


def _several(function, axes, half=None):
    """Along several axes, the last one first; that one by `half` where it is given."""

    def transform(a, s=None, axes=axes, norm=None):
        a = asarray(a)
        *rest, (axis, n) = _lengths(a, s, axes)
        a = (half or function)(a, n, axis, norm)
        for axis, n in rest:
            a = function(a, n, axis, norm)
        return a

    return transform


def _back(axes):
    """To real numbers: the halved axis comes last."""

    def transform(a, s=None, axes=axes, norm=None):
        a = asarray(a)
        *rest, (axis, n) = _lengths(a, s, axes)
        for other, length in rest:
            a = np.fft.ifft(a, length, other, norm)
        return np.fft.irfft(a, n, axis, norm)

    return transform


for _suffix, _axes in {"2": (-2, -1), "n": None}.items():
    means(f"scipy.fft.fft{_suffix}")(_several(np.fft.fft, _axes))
    means(f"scipy.fft.ifft{_suffix}")(_several(np.fft.ifft, _axes))
    means(f"numpy.fft.rfft{_suffix}", f"scipy.fft.rfft{_suffix}")(
        _several(np.fft.fft, _axes, np.fft.rfft)
    )
    means(f"numpy.fft.irfft{_suffix}", f"scipy.fft.irfft{_suffix}")(_back(_axes))

# ---- convolution --------------------------------------------------------------------


@means("scipy.signal.convolve", "scipy.signal.fftconvolve", "scipy.signal.convolve2d")
def convolve(in1, in2, mode: str = "full", *args):
    """Windows of the first, padded with zeros, times the second turned round."""
    a, v = asarray(in1), asarray(in2)
    if a.ndim != v.ndim or args:
        return NotImplemented
    if mode == "valid" and any(n < k for n, k in zip(a.shape, v.shape, strict=True)):
        a, v = v, a
    padded = np.pad(a, [(k - 1, k - 1) for k in v.shape])
    windows = np.lib.stride_tricks.sliding_window_view(padded, v.shape)
    whole = np.tensordot(windows, np.flip(v), v.ndim)
    return whole[
        tuple(_middle(n, k, mode) for n, k in zip(a.shape, v.shape, strict=True))
    ]


def _middle(n: int, k: int, mode: str):
    length = {"full": n + k - 1, "same": n, "valid": n - k + 1}[mode]
    start = (n + k - 1 - length) // 2
    return slice(start, start + length)


@means("scipy.signal.correlate")
def correlate(in1, in2, mode: str = "full", method: str = "auto"):
    return convolve(in1, np.flip(asarray(in2)), mode)


@means("scipy.signal.correlate2d")
def correlate2d(in1, in2, mode: str = "full", *args):
    if mode != "same" or args:
        return convolve(in1, np.flip(asarray(in2)), mode, *args)
    # Centred one further than a convolution for an even number of elements.
    whole = convolve(in1, np.flip(asarray(in2)), "full")
    start = [k // 2 for k in np.shape(in2)]
    sizes = zip(start, np.shape(in1), strict=True)
    return whole[tuple(slice(at, at + n) for at, n in sizes)]


# ---- filters: their matrix is what they make of unit vectors ------------------------

#: The largest array: a matrix of its square.
_LARGEST = 2048


def _affine(module: str, name: str, position: int):
    """A function that is affine in one argument, all others being constant."""

    def meaning(*args, **kwargs):
        rest = [x for i, x in enumerate(args) if i != position]
        if len(rest) == len(args) or is_traced([*rest, *kwargs.values()]):
            return NotImplemented
        x = asarray(args[position])
        if x.size > _LARGEST:
            return NotImplemented
        function = getattr(importlib.import_module(module), name)

        def of(values):
            given = [*args]
            given[position] = values
            return function(*given, **kwargs)

        nothing = of(np.zeros(x.shape))
        units = np.eye(x.size).reshape(-1, *x.shape)
        matrix = np.stack([of(unit) - nothing for unit in units])
        return nothing + np.tensordot(np.ravel(x), matrix, 1)

    return meaning


_FILTERS = {
    **dict.fromkeys(
        (
            *("convolve", "correlate", "convolve1d", "correlate1d", "sobel", "prewitt"),
            *("laplace", "gaussian_filter", "gaussian_filter1d", "gaussian_laplace"),
            *("uniform_filter", "uniform_filter1d", "zoom", "shift", "rotate"),
        ),
        ("scipy.ndimage", 0),
    ),
    **dict.fromkeys(("savgol_filter", "resample"), ("scipy.signal", 0)),
    "filtfilt": ("scipy.signal", 2),
}
for _name, (_module, _position) in _FILTERS.items():
    means(f"{_module}.{_name}")(_affine(_module, _name, _position))
