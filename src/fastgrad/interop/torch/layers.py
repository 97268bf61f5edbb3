"""What torch's layers and losses are made of, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def linear(x, w, b=None):
    out = x @ np.swapaxes(w, 0, 1) if np.ndim(w) > 1 else x @ w
    return out if b is None else out + b


def addmm(c, x, y, *, beta=1, alpha=1):
    product = x @ y if alpha == 1 else alpha * (x @ y)
    if beta == 0:
        return product
    return (c if beta == 1 else beta * c) + product


def convolution(
    x,
    w,
    b,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
):
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


def _flipped(w, groups: int):
    """The kernel of a transposed convolution as that of a convolution."""
    c, o, *size = np.shape(w)
    w = np.flip(w, tuple(range(2, 2 + len(size))))
    w = np.swapaxes(np.reshape(w, (groups, c // groups, o, *size)), 1, 2)
    return np.reshape(w, (groups * o, c // groups, *size))


def distances(x, y, p: float, mode=None):
    return norm(np.expand_dims(x, -2) - np.expand_dims(y, -3), p, -1)


def solve(a, b, *, left=True, **checks):
    if not left:
        return (
            np.swapaxes(solve(*(np.swapaxes(x, -1, -2) for x in (a, b)))[0], -1, -2),
        )
    if np.ndim(b) < np.ndim(a):
        return (np.squeeze(np.linalg.solve(a, np.expand_dims(b, -1)), axis=-1),)
    return (np.linalg.solve(a, b),)


def solve_triangular(a, b, *, upper: bool, left=True, unitriangular=False):
    a = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        a = np.where(np.eye(np.shape(a)[-1]), 1.0, a)
    return solve(a, b, left=left)[0]


# ---- normalisation -------------------------------------------------------------------


def _affine(x, weight, bias, shape: Sequence[int]):
    x = x if weight is None else x * np.reshape(weight, shape)
    return x if bias is None else x + np.reshape(bias, shape)


def layer_norm(x, shape: Sequence[int], w, b, eps: float):
    axes = tuple(range(-len(shape), 0))
    mean = np.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    variance = np.mean(centred**2, axis=axes, keepdims=True)
    rstd = 1 / np.sqrt(variance + eps)
    return _affine(centred * rstd, w, b, list(shape)), mean, rstd


def batch_norm(
    x, w, b, running_mean, running_var, training: bool, momentum: float, eps: float
):
    axes = tuple(d for d in range(len(np.shape(x))) if d != 1)
    shape = [-1 if d == 1 else 1 for d in range(len(np.shape(x)))]
    if training:
        centred = x - np.mean(x, axis=axes, keepdims=True)
        variance = np.mean(centred**2, axis=axes, keepdims=True)
    else:
        centred = x - np.reshape(running_mean, shape)
        variance = np.reshape(running_var, shape)
    return (_affine(centred / np.sqrt(variance + eps), w, b, shape),)


def batch_norm_stats(x, w, b, training: bool, *rest):
    return batch_norm(x, w, b, None, None, training, *rest)


def batch_norm_kept(x, w, b, mean, var, *rest):
    return batch_norm(x, w, b, mean, var, False, *rest)


def batch_norm_updated(x, w, b, mean, var, *rest):
    return batch_norm(x, w, b, mean, var, True, *rest)


def group_norm(x, w, b, n: int, c: int, hw: int, groups: int, eps: float):
    rows = np.reshape(x, (n, groups, -1))
    centred = rows - np.mean(rows, axis=2, keepdims=True)
    variance = np.mean(centred**2, axis=2, keepdims=True)
    shape = [-1 if d == 1 else 1 for d in range(len(np.shape(x)))]
    normal = np.reshape(centred / np.sqrt(variance + eps), np.shape(x))
    return (_affine(normal, w, b, shape),)


# ---- windows -------------------------------------------------------------------------


def _pairs(size: Sequence[int], n: int):
    return list(size) * n if len(size) == 1 else list(size)


def _ends(
    x,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool,
):
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


def max_pool(n: int):
    def pool(x, size, stride=(), padding=(0,), dilation=(1,), ceil_mode=False):
        size, padding, dilation = (
            _pairs(given, n) for given in (size, padding, dilation)
        )
        stride = _pairs(stride, n) if stride else size
        widths = _ends(x, size, stride, padding, dilation, ceil_mode)
        seen = windows(padded(x, widths, -math.inf), size, stride, dilation)
        axes = tuple(range(-n, 0))
        return np.max(seen, axis=axes), Unasked("the indices of a maximum")

    return pool


def avg_pool(n: int):
    def pool(
        x,
        size,
        stride=(),
        padding=(0,),
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ):
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


def nll_loss(x, target, weight, reduction: int, ignore_index: int):
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


def reduced(each, reduction: int):
    return (lambda x: x, np.mean, np.sum)[reduction](each)


def attention(
    q, k, v, dropout: float = 0.0, causal=False, *, attn_mask=None, scale=None
):
    scale = 1 / math.sqrt(np.shape(q)[-1]) if scale is None else scale
    scores = (q @ np.swapaxes(k, -1, -2)) * scale
    if causal:
        hidden = ~np.tril(np.ones(np.shape(scores)[-2:], dtype=bool))
        scores = np.where(hidden, -math.inf, scores)
    if attn_mask is not None:
        scores = scores + attn_mask
    return softmax(scores, -1) @ v, Unasked("what attention keeps")
