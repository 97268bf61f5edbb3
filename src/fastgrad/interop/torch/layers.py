"""What torch's layers and losses are made of, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastgrad.interop.meanings import (
    Unasked,
    convolve,
    dilated,
    padded,
    softmax,
    windows,
)
from fastgrad.interop.torch.arithmetic import norm

# ---- products ------------------------------------------------------------------------


def linear(x: Any, w: Any, b: Any = None) -> Any:
    out = x @ np.swapaxes(w, 0, 1) if np.ndim(w) > 1 else x @ w
    return out if b is None else out + b


def addmm(c: Any, x: Any, y: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    product = x @ y if alpha == 1 else alpha * (x @ y)
    if beta == 0:
        return product
    return (c if beta == 1 else beta * c) + product


def convolution(
    x: Any,
    w: Any,
    b: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Any:
    n = len(np.shape(w)) - 2
    stride, padding, dilation, more = (
        list(given) * (n if len(given) == 1 else 1)
        for given in (stride, padding, dilation, output_padding)
    )
    if transposed:
        size = np.shape(w)[2:]
        reach = [d * (k - 1) for d, k in zip(dilation, size, strict=True)]
        widths = [
            (r - p, r - p + o) for r, p, o in zip(reach, padding, more, strict=True)
        ]
        x, stride = dilated(x, stride), [1] * n
        w = _flipped(w, groups)
    else:
        widths = [(p, p) for p in padding]
    out = convolve(x, w, stride, widths, dilation, groups)
    return out if b is None else out + np.reshape(b, (-1, *[1] * n))


def _flipped(w: Any, groups: int) -> Any:
    """The kernel of a transposed convolution as that of a convolution."""
    c, o, *size = np.shape(w)
    w = np.flip(w, tuple(range(2, 2 + len(size))))
    w = np.swapaxes(np.reshape(w, (groups, c // groups, o, *size)), 1, 2)
    return np.reshape(w, (groups * o, c // groups, *size))


def distances(x: Any, y: Any, p: float, mode: Any = None) -> Any:
    return norm(np.expand_dims(x, -2) - np.expand_dims(y, -3), p, -1)


def solve(a: Any, b: Any, *, left: bool = True, **checks: Any) -> Any:
    if not left:
        return (
            np.swapaxes(solve(*(np.swapaxes(x, -1, -2) for x in (a, b)))[0], -1, -2),
        )
    if np.ndim(b) < np.ndim(a):
        return (np.squeeze(np.linalg.solve(a, np.expand_dims(b, -1)), axis=-1),)
    return (np.linalg.solve(a, b),)


def solve_triangular(
    a: Any, b: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    a = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        a = np.where(np.eye(np.shape(a)[-1]), 1.0, a)
    return solve(a, b, left=left)[0]


# ---- normalisation -------------------------------------------------------------------


def _affine(x: Any, weight: Any, bias: Any, shape: Sequence[int]) -> Any:
    x = x if weight is None else x * np.reshape(weight, shape)
    return x if bias is None else x + np.reshape(bias, shape)


def layer_norm(x: Any, shape: Sequence[int], w: Any, b: Any, eps: float) -> Any:
    axes = tuple(range(-len(shape), 0))
    mean = np.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    variance = np.mean(centred**2, axis=axes, keepdims=True)
    rstd = 1 / np.sqrt(variance + eps)
    return _affine(centred * rstd, w, b, list(shape)), mean, rstd


def batch_norm(
    x: Any,
    w: Any,
    b: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    axes = tuple(d for d in range(len(np.shape(x))) if d != 1)
    shape = [-1 if d == 1 else 1 for d in range(len(np.shape(x)))]
    if training:
        centred = x - np.mean(x, axis=axes, keepdims=True)
        variance = np.mean(centred**2, axis=axes, keepdims=True)
    else:
        centred = x - np.reshape(running_mean, shape)
        variance = np.reshape(running_var, shape)
    return (_affine(centred / np.sqrt(variance + eps), w, b, shape),)


def batch_norm_stats(x: Any, w: Any, b: Any, training: bool, *rest: Any) -> Any:
    return batch_norm(x, w, b, None, None, training, *rest)


def batch_norm_kept(x: Any, w: Any, b: Any, mean: Any, var: Any, *rest: Any) -> Any:
    return batch_norm(x, w, b, mean, var, False, *rest)


def batch_norm_updated(x: Any, w: Any, b: Any, mean: Any, var: Any, *rest: Any) -> Any:
    return batch_norm(x, w, b, mean, var, True, *rest)


def group_norm(
    x: Any, w: Any, b: Any, n: int, c: int, hw: int, groups: int, eps: float
) -> Any:
    rows = np.reshape(x, (n, groups, -1))
    centred = rows - np.mean(rows, axis=2, keepdims=True)
    variance = np.mean(centred**2, axis=2, keepdims=True)
    shape = [-1 if d == 1 else 1 for d in range(len(np.shape(x)))]
    normal = np.reshape(centred / np.sqrt(variance + eps), np.shape(x))
    return (_affine(normal, w, b, shape),)


# ---- windows -------------------------------------------------------------------------


def _pairs(size: Sequence[int], n: int) -> list[int]:
    return list(size) * n if len(size) == 1 else list(size)


def _ends(
    x: Any,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool,
) -> list[tuple[int, int]]:
    """How far to pad, more at the ends where the last window may be cut off."""
    widths = []
    lengths = np.shape(x)[len(np.shape(x)) - len(size) :]
    for n, k, s, p, d in zip(lengths, size, stride, padding, dilation, strict=True):
        reach = d * (k - 1) + 1
        count = (n + 2 * p - reach + (s - 1 if ceil else 0)) // s + 1
        if ceil and (count - 1) * s >= n + p:
            count -= 1
        widths.append((p, max(p, (count - 1) * s + reach - n - p)))
    return widths


def max_pool(n: int) -> Callable[..., Any]:
    def pool(
        x: Any,
        size: Any,
        stride: Any = (),
        padding: Any = (0,),
        dilation: Any = (1,),
        ceil_mode: bool = False,
    ) -> Any:
        size, padding, dilation = (
            _pairs(given, n) for given in (size, padding, dilation)
        )
        stride = _pairs(stride, n) if stride else size
        widths = _ends(x, size, stride, padding, dilation, ceil_mode)
        seen = windows(padded(x, widths, -math.inf), size, stride, dilation)
        axes = tuple(range(-n, 0))
        return np.max(seen, axis=axes), Unasked("the indices of a maximum")

    return pool


def avg_pool(n: int) -> Callable[..., Any]:
    def pool(
        x: Any,
        size: Any,
        stride: Any = (),
        padding: Any = (0,),
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: Any = None,
    ) -> Any:
        size, padding = _pairs(size, n), _pairs(padding, n)
        stride, once, axes = _pairs(stride, n) or size, [1] * n, tuple(range(-n, 0))
        widths = _ends(x, size, stride, padding, once, ceil_mode)
        total = np.sum(windows(padded(x, widths), size, stride, once), axis=axes)
        if divisor_override:
            return total / divisor_override
        ones = np.ones(np.shape(x))
        if count_include_pad:
            ones = np.pad(
                ones,
                [(0, 0)] * (ones.ndim - n) + [(p, p) for p in padding],
                constant_values=1.0,
            )
            widths = [(0, b - p) for (_, b), p in zip(widths, padding, strict=True)]
        count = np.sum(windows(padded(ones, widths), size, stride, once), axis=axes)
        return total / count

    return pool


# ---- losses --------------------------------------------------------------------------


def nll_loss(
    x: Any, target: Any, weight: Any, reduction: int, ignore_index: int
) -> Any:
    """Of (N, C) or (N, C, *): the class axis is the second."""
    axis = min(1, len(np.shape(x)) - 1)
    kept = target != ignore_index
    index = np.expand_dims(np.where(kept, target, 0), axis)
    chosen = np.squeeze(np.take_along_axis(x, index, axis), axis=axis)
    w = np.ones(target.shape) if weight is None else weight[np.where(kept, target, 0)]
    w = w * kept
    each = -chosen * w
    total = np.sum(w)
    if reduction == 0:
        return each, total
    return (np.sum(each) / total if reduction == 1 else np.sum(each)), total


def reduced(each: Any, reduction: int) -> Any:
    return (lambda x: x, np.mean, np.sum)[reduction](each)


def attention(
    q: Any,
    k: Any,
    v: Any,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    attn_mask: Any = None,
    scale: Any = None,
) -> Any:
    scale = 1 / math.sqrt(np.shape(q)[-1]) if scale is None else scale
    scores = (q @ np.swapaxes(k, -1, -2)) * scale
    if causal:
        hidden = ~np.tril(np.ones(np.shape(scores)[-2:], dtype=bool))
        scores = np.where(hidden, -math.inf, scores)
    if attn_mask is not None:
        scores = scores + attn_mask
    return softmax(scores, -1) @ v, Unasked("what attention keeps")
