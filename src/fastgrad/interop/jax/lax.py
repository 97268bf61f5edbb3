"""What the primitives of JAX mean, in NumPy: the table that `jaxpr` reads.

Names and parameters are those of `jax.lax`. Parameters that say how to compute, not
what, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from fastgrad.interop.jax.indexing import INDEXING
from fastgrad.interop.meanings import (
    Unasked,
    convolve,
    dilated,
    padded,
    sigmoid,
    special,
    windows,
)

_HOW = frozenset(
    [
        *(
            "accuracy",
            "out_sharding",
            "sharding",
            "precision",
            "is_stable",
            "weak_type",
        ),
        *("preferred_element_type", "indices_are_sorted", "unique_indices"),
        *("batch_group_count", "out_dtype"),
    ]
)


def parameters(equation):
    """Return the parameters of an equation that say what to compute."""
    if equation.primitive.name in INDEXING:
        return {"equation": equation}
    return {k: v for k, v in equation.params.items() if k not in _HOW}


# ---- arithmetic ----------------------------------------------------------------------


def _convert(x, new_dtype):
    """The program computes in float64 whatever the dtype."""
    if isinstance(x, np.ndarray):
        return x.astype(new_dtype)
    if jax.numpy.issubdtype(new_dtype, jax.numpy.complexfloating):
        return x + 0j
    if jax.numpy.issubdtype(new_dtype, jax.numpy.floating):
        return x if x.dtype.kind == "f" else x.astype(np.float64)
    if x.dtype.kind == "f":
        raise TypeError(f"converts to {new_dtype} what depends on the parameters")
    return x


def _divide(x, y):
    return np.trunc(x / y) if x.dtype.kind in "iu" else x / y


def _remainder(x, y):
    return np.fmod(x, y) if x.dtype.kind in "iu" else x - y * np.trunc(x / y)


def _select(which, *cases):
    if len(cases) == 2:
        return np.where(which, cases[1], cases[0])
    out = cases[-1]
    for i in reversed(range(len(cases) - 1)):
        out = np.where(np.equal(which, i), cases[i], out)
    return out


def _reduction(function: Callable[..., Any]):
    def reduce(x, axes: Sequence[int]):
        return function(x, axis=tuple(axes)) if axes else x

    return reduce


def _cumulative(function: Callable[..., Any]):
    def accumulate(x, axis: int, reverse: bool):
        if reverse:
            return np.flip(function(np.flip(x, axis), axis=axis), axis)
        return function(x, axis=axis)

    return accumulate


def _place(function: Callable[..., Any]):
    def place(x, axes: Sequence[int], index_dtype):
        return function(x, axis=axes[0])

    return place


def _dot_general(x, y, dimension_numbers):
    (cx, cy), (bx, by) = dimension_numbers
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    lx = [next(letters) for _ in np.shape(x)]
    ly = [next(letters) for _ in np.shape(y)]
    for i, j in zip((*cx, *bx), (*cy, *by), strict=True):
        ly[j] = lx[i]
    out = [lx[i] for i in bx]
    out += [letter for i, letter in enumerate(lx) if i not in (*cx, *bx)]
    out += [letter for j, letter in enumerate(ly) if j not in (*cy, *by)]
    return np.einsum(f"{''.join(lx)},{''.join(ly)}->{''.join(out)}", x, y)


def _convolution(
    x,
    w,
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    dimension_numbers,
    feature_group_count: int,
):
    numbers = dimension_numbers
    out = convolve(
        dilated(np.transpose(x, numbers.lhs_spec), lhs_dilation),
        np.transpose(w, numbers.rhs_spec),
        window_strides,
        padding,
        rhs_dilation,
        feature_group_count,
    )
    return np.transpose(out, tuple(np.argsort(numbers.out_spec)))


def _triangular_solve(
    a,
    b,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
):
    a = np.tril(a) if lower else np.triu(a)
    if unit_diagonal:
        a = np.where(np.eye(np.shape(a)[-1]), 1.0, a)
    if transpose_a != (not left_side):
        a = np.swapaxes(a, -1, -2)
    if left_side:
        return np.linalg.solve(a, b)
    return np.swapaxes(np.linalg.solve(a, np.swapaxes(b, -1, -2)), -1, -2)


def _fft(x, fft_type, fft_lengths: Sequence[int]):
    *others, last = range(-len(fft_lengths), 0)
    kind = int(fft_type)
    if kind == 3:  # to real numbers
        for axis in others:
            x = np.fft.ifft(x, axis=axis)
        return np.fft.irfft(x, fft_lengths[-1], axis=last)
    transform = (np.fft.fft, np.fft.ifft, np.fft.rfft)[kind]
    x = transform(x, axis=last)
    for axis in others:
        x = (np.fft.ifft if kind == 1 else np.fft.fft)(x, axis=axis)
    return x


# ---- windows -------------------------------------------------------------------------


def _windowed(function: Callable[..., Any], fill: float):
    def reduce(
        x,
        window_dimensions: Sequence[int],
        window_strides: Sequence[int],
        padding: Sequence[tuple[int, int]],
        base_dilation: Sequence[int],
        window_dilation: Sequence[int],
    ):
        if any(d != 1 for d in base_dilation):
            raise TypeError("a window over spaced elements")
        moved = [d for d, n in enumerate(window_dimensions) if n > 1]
        still = [d for d, n in enumerate(window_dimensions) if n == 1]
        front = np.transpose(padded(x, padding, fill), (*still, *moved))
        keep = tuple(slice(None, None, window_strides[d]) for d in still)
        front = front[keep]
        size, stride, dilation = (
            [given[d] for d in moved]
            for given in (window_dimensions, window_strides, window_dilation)
        )
        seen = windows(front, size, stride, dilation)
        out = function(seen, axis=tuple(range(-len(moved), 0))) if moved else seen
        return np.transpose(out, tuple(np.argsort([*still, *moved])))

    return reduce


# ---- shape ---------------------------------------------------------------------------


def _broadcast(x, shape: Sequence[int], broadcast_dimensions):
    kept = [1] * len(shape)
    for d, n in zip(broadcast_dimensions, np.shape(x), strict=True):
        kept[d] = n
    return np.broadcast_to(np.reshape(x, tuple(kept)), tuple(shape))


def _reshape(x, new_sizes: Sequence[int], dimensions):
    x = x if dimensions is None else np.transpose(x, dimensions)
    return np.reshape(x, tuple(new_sizes))


def _slice(x, start_indices, limit_indices, strides):
    strides = strides or (1,) * len(start_indices)
    key = zip(start_indices, limit_indices, strides, strict=True)
    return x[tuple(slice(a, b, s) for a, b, s in key)]


def _pad(x, value, padding_config):
    if not isinstance(value, np.ndarray) or value:
        raise TypeError("pads with something else than zeros")
    x = dilated(x, [inside + 1 for _, _, inside in padding_config])
    return padded(x, [(low, high) for low, high, _ in padding_config])


def _split(x, sizes: Sequence[int], axis: int):
    ends = np.cumsum(sizes).tolist()
    lead = (slice(None),) * axis
    return [
        x[(*lead, slice(end - size, end))]
        for size, end in zip(sizes, ends, strict=True)
    ]


def _sort(*operands, dimension: int, num_keys: int):
    if num_keys != 1:
        raise TypeError("sorts by several keys")
    order = np.argsort(operands[0], axis=dimension, kind="stable")
    return [np.take_along_axis(x, order, axis=dimension) for x in operands]


def _top_k(x, k: int, **options):
    axis = options.get("axis", -1)
    order = np.argsort(-x, axis=axis, kind="stable")
    largest = np.take_along_axis(x, order, axis=axis)
    lead = (slice(None),) * (axis % len(np.shape(x)))
    return [
        largest[(*lead, slice(0, k))],
        Unasked("places", lambda: order[(*lead, slice(0, k))]),
    ]


_SAME_NAME = (
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "exp2", "expm1", "log"),
    *("log1p", "sqrt", "cbrt", "abs", "sign", "floor", "ceil", "square"),
)

LAX: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in _SAME_NAME},
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "neg": np.negative,
    "not": np.invert,
    "round": lambda x, rounding_method: np.rint(x),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "logistic": sigmoid,
    "erf": special("erf"),
    "erfc": special("erfc"),
    "lgamma": special("gammaln"),
    "digamma": special("digamma"),
    "is_finite": lambda x: np.equal(x - x, 0.0),
    "integer_pow": lambda x, y: x**y,
    "real": np.real,
    "imag": np.imag,
    "conj": lambda x, input_dtype: np.conj(x),
    "complex": lambda re, im: re + 1j * im,
    "fft": _fft,
    "copy": lambda x: x,
    "copy_p": lambda x: x,
    "stop_gradient": lambda x: x,
    "reduce_precision": lambda x, **bits: x,
    "optimization_barrier": lambda *xs: xs,
    "convert_element_type": _convert,
    "add": np.add,
    "add_any": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _divide,
    "rem": _remainder,
    "pow": np.power,
    "max": np.maximum,
    "min": np.minimum,
    "atan2": np.arctan2,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "lt_to": np.less,
    "le_to": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "select_n": _select,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "reduce_sum": _reduction(np.sum),
    "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min),
    "reduce_prod": _reduction(np.prod),
    "reduce_or": _reduction(np.any),
    "reduce_and": _reduction(np.all),
    "argmax": _place(np.argmax),
    "argmin": _place(np.argmin),
    "cumsum": _cumulative(np.cumsum),
    "cumprod": _cumulative(np.cumprod),
    "cummax": _cumulative(np.maximum.accumulate),
    "cummin": _cumulative(np.minimum.accumulate),
    "cumlogsumexp": _cumulative(np.logaddexp.accumulate),
    "dot_general": _dot_general,
    "conv_general_dilated": _convolution,
    "triangular_solve": _triangular_solve,
    "cholesky": lambda x, symmetrize_input=True: np.linalg.cholesky(x),
    "reduce_window_sum": _windowed(np.sum, 0.0),
    "reduce_window_max": _windowed(np.max, -math.inf),
    "reduce_window_min": _windowed(np.min, math.inf),
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "transpose": lambda x, permutation: np.transpose(x, tuple(permutation)),
    "squeeze": lambda x, dimensions: np.squeeze(x, axis=tuple(dimensions)),
    "expand_dims": lambda x, dimensions: np.expand_dims(x, tuple(dimensions)),
    "concatenate": lambda *xs, dimension: np.concatenate(xs, axis=dimension),
    "pad": _pad,
    "slice": _slice,
    "split": _split,
    "rev": lambda x, dimensions: np.flip(x, tuple(dimensions)),
    "sort": _sort,
    "top_k": _top_k,
    **INDEXING,
}
