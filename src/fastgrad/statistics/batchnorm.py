"""Batch normalisation of one batch: forward and backward."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._arguments import axis as as_axis
from fastgrad._arguments import number, refusal
from fastgrad._arrays import Array
from fastgrad._kernels import _batchnorm as kernel
from fastgrad._threads import pass_over, resolve_num_threads, useful_threads
from fastgrad.statistics import tables
from fastgrad.statistics.affine import affine
from fastgrad.statistics.moments import NO_WEIGHTS, Moments, accumulate, empty_state

# Doubles of chunk sums held before they are added up.
_WAVE = 1 << 18


class Cache(NamedTuple):
    """What the backward pass needs, and the statistics of the batch.

    `x` is the array given to `batch_norm`, not a copy: change it in between, and the
    backward pass is that of other data.

    Attributes
    ----------
    x : array
    gamma, beta : float64 array of shape (channels,)
    mean, var : float64 array of shape (channels,)
        Of the batch; `var` divides by the number of samples (it is biased).
    samples : int
        Samples of each channel.
    axis : int
        Channel axis.
    eps : float
    dtype : dtype
        Of `y` and `dx`.
    """

    x: NDArray[Any]
    gamma: Array
    beta: Array
    mean: Array
    var: Array
    samples: int
    axis: int
    eps: float
    dtype: np.dtype[Any]


def batch_norm(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    *,
    axis: int = 1,
    eps: float = 1e-5,
    num_threads: int | None = None,
) -> tuple[NDArray[Any], Cache]:
    r"""Normalise each channel of a batch: y = γ (x − mean) / √(var + eps) + β.

    Parameters
    ----------
    x : array_like of shape (N, C), (N, C, L), (N, C, H, W), (N, H, W, C), ...
        The batch; float32 and float64 keep their type, float16 as well (computed in
        float64), other numbers become float64.
    gamma, beta : array_like of shape (C,)
        Scale and shift of each channel.
    axis : int, default 1
        The channel axis: 1 for NC, NCL, NCHW; -1 for NHWC.
    eps : float, default 1e-5
        Added to the variance, inside the square root.
    num_threads : int, optional
        Threads to use; the bits do not depend on it, nor on the layout.

    Returns
    -------
    y : array of the shape and layout of `x`
    cache : Cache
        For `batch_norm_backward`; has the `mean` and biased `var` of the batch too.

    Raises
    ------
    ValueError
        If a shape does not fit, a channel has fewer than two samples, or `eps` is
        negative.
    TypeError
        If an argument is not numeric.

    Notes
    -----
    Two reads of `x` and one write. Statistics are those of :func:`fastgrad.moments`, in
    double whatever the layout; y is computed in double and rounded once. A channel with
    NaN or infinities has NaN statistics and is NaN throughout.

    References
    ----------
    .. [1] S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network
       training by reducing internal covariate shift", ICML 2015, algorithm 1.

    Examples
    --------
    >>> import fastgrad as fg
    >>> y, cache = fg.batch_norm([[1.0], [2.0], [3.0], [4.0]], [1.0], [0.0])
    >>> y.ravel()
    array([-1.34163542, -0.44721181,  0.44721181,  1.34163542])
    >>> cache.mean, cache.var
    (array([2.5]), array([1.25]))
    """
    threads = resolve_num_threads(num_threads)
    array, channel, dtype = as_batch(x, axis)
    channels = array.shape[channel]
    g, b = per_channel(gamma, channels, "gamma"), per_channel(beta, channels, "beta")
    eps = number("eps", eps, least=0)
    count = array.size // max(channels, 1)
    if count < 2:
        raise ValueError(
            "`x` must have at least 2 samples per channel to normalise a batch, "
            f"got shape {array.shape} with `axis` {axis}."
        )
    mean, var = _statistics(_as_rows(array, channel), threads)
    y = normalised(array, channel, mean, g / np.sqrt(var + eps), b, threads)
    cache = Cache(array, g, b, mean, var, count, channel, eps, dtype)
    return y.astype(dtype, copy=False), cache


def batch_norm_backward(
    dy: ArrayLike, cache: Cache, *, num_threads: int | None = None
) -> tuple[NDArray[Any], Array, Array]:
    r"""Gradients of a loss through :func:`batch_norm`.

    Parameters
    ----------
    dy : array_like of the shape of `x`
        Gradient with respect to y.
    cache : Cache
        What `batch_norm` returned.
    num_threads : int, optional
        Threads to use; the bits do not depend on it, nor on the layout.

    Returns
    -------
    dx : array of the shape and layout of `x`
    dgamma, dbeta : float64 array of shape (C,)

    Raises
    ------
    ValueError
        If `dy` is not of the shape of `x`.
    TypeError
        If `dy` is not numeric.

    Notes
    -----
    With r = 1 / √(var + eps), x̂ = (x − mean) r and n samples of the channel:

    dβ = Σ dy,  dγ = Σ dy x̂,  dx = γ r (dy − dβ / n − x̂ dγ / n).

    Two reads of `x` and `dy` and one write. Sums are taken in double, chunk by chunk,
    and added up in double-double.

    Examples
    --------
    >>> import fastgrad as fg
    >>> y, cache = fg.batch_norm([[1.0], [2.0], [3.0], [4.0]], [1.0], [0.0], eps=0.0)
    >>> dx, dgamma, dbeta = fg.batch_norm_backward([[1.0], [0.0], [0.0], [0.0]], cache)
    >>> dbeta
    array([1.])
    """
    if not isinstance(cache, Cache):
        raise refusal(TypeError, "cache", "be what `batch_norm` returned", cache)
    x, mean = cache.x, cache.mean
    threads = useful_threads(resolve_num_threads(num_threads), x.size)
    given = tables.as_numbers(dy, "dy")
    if given.shape != x.shape:
        raise ValueError(f"`dy` must have shape {x.shape}, got {given.shape}.")
    if given.dtype == x.dtype and given.strides == x.strides and given.flags.aligned:
        g = given
    else:
        g = np.empty_like(x)
        g[...] = given
    rows, dy_rows = _as_rows(x, cache.axis), _as_rows(g, cache.axis)
    total, product = _backward_sums(rows, dy_rows, mean, threads)
    r = 1.0 / np.sqrt(cache.var + cache.eps)
    dx = np.empty_like(x)
    a, b, c = total / cache.samples, product / cache.samples * r * r, cache.gamma * r
    out = _as_rows(dx, cache.axis)
    terms = (mean, a, b, c)
    write = partial(kernel.backward, rows, dy_rows, *terms, out, num_threads=threads)
    pass_over(2 * x.size, write)
    return dx.astype(cache.dtype, copy=False), product * r, total


def as_batch(x: ArrayLike, axis: int) -> tuple[NDArray[Any], int, np.dtype[Any]]:
    """Return an array for the kernels, its channel axis, and the dtype to give back."""
    array = tables.as_numbers(x, "x")
    if array.ndim < 2:
        raise refusal(ValueError, "x", "have at least 2 axes", array)
    channel = as_axis("axis", axis, array.ndim, "x")
    dtype = array.dtype if array.dtype.kind not in "iub" else np.dtype(np.float64)
    if not tables.kernel_ready(array):
        array = array.astype(np.float64, order="C")
    last = np.moveaxis(array, channel, -1)
    if not (array.flags.c_contiguous or last.flags.c_contiguous):
        array = np.ascontiguousarray(array)
    return array, channel, dtype


def _as_rows(x: NDArray[Any], channel: int) -> NDArray[Any]:
    """View `x` as (outer, inner, channels), samples in the order of the other axes."""
    last = np.moveaxis(x, channel, -1)
    channels = x.shape[channel]
    if last.flags.c_contiguous:
        return last.reshape(1, x.size // max(channels, 1), channels)
    outer = int(np.prod(x.shape[:channel], dtype=np.int64))
    inner = int(np.prod(x.shape[channel + 1 :], dtype=np.int64))
    return x.reshape(outer, channels, inner).transpose(0, 2, 1)


def per_channel(value: ArrayLike, channels: int, name: str) -> Array:
    """Return one float64 for each channel."""
    array = np.ascontiguousarray(tables.as_numbers(value, name), np.float64)
    if array.shape != (channels,):
        raise ValueError(f"`{name}` must have shape ({channels},), got {array.shape}.")
    return array


def _statistics(rows: NDArray[Any], num_threads: int) -> tuple[Array, Array]:
    """Return mean and biased variance per channel; NaN where not all are finite."""
    channels = rows.shape[2]
    state, infinite = accumulate(empty_state(channels), rows, NO_WEIGHTS, num_threads)
    m = Moments._of(state, (channels,), 0)
    broken = infinite | (m.count < rows.shape[0] * rows.shape[1])
    return np.where(broken, np.nan, m.mean), np.where(broken, np.nan, m.var)


def normalised(
    x: NDArray[Any],
    channel: int,
    mean: Array,
    slope: Array,
    shift: Array,
    num_threads: int,
) -> NDArray[Any]:
    """Return slope · (x − mean) + shift, by channel."""
    y = np.empty_like(x)
    affine(
        _as_rows(x, channel), (mean, slope, shift), _as_rows(y, channel), num_threads
    )
    return y


def _backward_sums(
    x: NDArray[Any], dy: NDArray[Any], mean: Array, num_threads: int
) -> tuple[Array, Array]:
    """Return the sums of dy and of dy (x - mean) per channel."""
    channels = len(mean)
    chunks = -(-x.shape[0] * x.shape[1] // kernel.CHUNK_ROWS)
    chunks = min(chunks, max(_WAVE // (2 * channels), 4))
    wave = np.empty((chunks, 2, channels))
    workspace = np.empty((num_threads, kernel.WORKSPACE_SIZE))
    sums = np.zeros((2, 2, channels))
    given = (x, dy, mean, workspace, wave, sums)
    pass_over(
        2 * x.size, partial(kernel.backward_sums, *given, num_threads=num_threads)
    )
    return sums[0].sum(axis=0), sums[1].sum(axis=0)
