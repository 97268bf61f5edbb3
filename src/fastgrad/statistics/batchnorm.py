"""Batch normalisation: forward, backward, and running statistics."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._arguments import axis as as_axis
from fastgrad._arguments import choice, flag, integer, number, refusal
from fastgrad._kernels import _batchnorm as kernel
from fastgrad._threads import resolve_num_threads, useful_threads
from fastgrad.statistics import tables as _tables
from fastgrad.statistics.affine import affine
from fastgrad.statistics.moments import NO_WEIGHTS, Moments, accumulate, empty_state

Floats = NDArray[np.float64]

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
    gamma: Floats
    beta: Floats
    mean: Floats
    var: Floats
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
    array, channel, dtype = _as_batch(x, axis)
    channels = array.shape[channel]
    g, b = _per_channel(gamma, channels, "gamma"), _per_channel(beta, channels, "beta")
    eps = number("eps", eps, least=0)
    count = array.size // max(channels, 1)
    if count < 2:
        raise ValueError(
            "`x` must have at least 2 samples per channel to normalise a batch, "
            f"got shape {array.shape} with `axis` {axis}."
        )
    mean, var = _statistics(_as_rows(array, channel), threads)
    y = _normalised(array, channel, mean, g / np.sqrt(var + eps), b, threads)
    cache = Cache(array, g, b, mean, var, count, channel, eps, dtype)
    return y.astype(dtype, copy=False), cache


def batch_norm_backward(
    dy: ArrayLike, cache: Cache, *, num_threads: int | None = None
) -> tuple[NDArray[Any], Floats, Floats]:
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
    given = _tables.as_numbers(dy, "dy")
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
    kernel.backward(rows, dy_rows, mean, a, b, c, out, num_threads=threads)
    return dx.astype(cache.dtype, copy=False), product * r, total


class BatchNorm:
    """Batch normalisation with running statistics for inference.

    Parameters
    ----------
    num_features : int
        Number of channels.
    axis : int, default 1
        The channel axis: 1 for NC, NCL, NCHW; -1 for NHWC.
    eps : float, default 1e-5
        Added to the variance, inside the square root. (Keras' default is 1e-3.)
    momentum : float or None, default 0.1
        How running statistics move with each batch, in the sense of `convention`. None:
        they are the plain average of all batches so far.
    convention : {"torch", "keras"}, default "torch"
        "torch": `momentum` is the weight of the new batch, 0.1 say; "keras": that of
        the old value, 0.99 say.
    unbiased : bool, default True
        Whether `running_var` is fed the unbiased variance of the batch, n / (n − 1)
        times the biased one that normalises the batch; as torch does.
    num_threads : int, optional
        Threads to use; the bits do not depend on it.

    Attributes
    ----------
    gamma, beta : float64 array of shape (num_features,)
        Scale and shift, ones and zeros at first; assign or change them.
    running_mean, running_var : float64 array of shape (num_features,)
        Zeros and ones at first.
    num_batches : int
        Batches seen in training.
    cache : Cache or None
        Of the last batch in training.

    Raises
    ------
    ValueError
        If a parameter makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgrad as fg
    >>> bn = fg.BatchNorm(1)
    >>> y = bn(np.array([[1.0], [2.0], [3.0], [4.0]]), training=True)
    >>> bn.running_mean, bn.running_var
    (array([0.25]), array([1.06666667]))
    >>> scale, shift = bn.folded()
    """

    def __init__(
        self,
        num_features: int,
        *,
        axis: int = 1,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        convention: Literal["torch", "keras"] = "torch",
        unbiased: bool = True,
        num_threads: int | None = None,
    ) -> None:
        self.num_features = integer("num_features", num_features, least=1)
        self.axis = integer("axis", axis)
        self.eps = number("eps", eps, least=0)
        self.momentum = (
            None if momentum is None else number("momentum", momentum, least=0, most=1)
        )
        self.convention = choice("convention", convention, ("torch", "keras"))
        self.unbiased = flag("unbiased", unbiased)
        self.num_threads = num_threads
        resolve_num_threads(num_threads)
        try:
            self.gamma = np.ones(self.num_features)
            self.beta = np.zeros(self.num_features)
            self.running_mean = np.zeros(self.num_features)
            self.running_var = np.ones(self.num_features)
        except (MemoryError, ValueError) as error:
            must = "be as many as memory has room for"
            raise refusal(ValueError, "num_features", must, num_features) from error
        self.num_batches = 0
        self.cache: Cache | None = None

    def __call__(self, x: ArrayLike, *, training: bool = True) -> NDArray[Any]:
        """Normalise `x` by its own statistics, or by the running ones.

        Parameters
        ----------
        x : array_like with `num_features` channels
        training : bool, default True
            True: as `batch_norm`, and update the running statistics. False: normalise
            by the running statistics, and change nothing.

        Returns
        -------
        y : array of the shape and layout of `x`

        Raises
        ------
        ValueError
            As `batch_norm`. Nothing is updated then.
        """
        if flag("training", training):
            y, cache = batch_norm(
                x,
                self.gamma,
                self.beta,
                axis=self.axis,
                eps=self.eps,
                num_threads=self.num_threads,
            )
            self._update(cache)
            return y
        threads = resolve_num_threads(self.num_threads)
        array, channel, dtype = _as_batch(x, self.axis)
        _per_channel(self.gamma, array.shape[channel], "gamma")
        slope = self.gamma / np.sqrt(self.running_var + self.eps)
        y = _normalised(array, channel, self.running_mean, slope, self.beta, threads)
        return y.astype(dtype, copy=False)

    def _update(self, cache: Cache) -> None:
        self.cache = cache
        self.num_batches += 1
        if self.momentum is None:
            new = 1.0 / self.num_batches
        else:
            torch = self.convention == "torch"
            new = self.momentum if torch else 1.0 - self.momentum
        var = cache.var
        if self.unbiased:
            var = var * (cache.samples / (cache.samples - 1))
        self.running_mean = _moved(self.running_mean, cache.mean, new)
        self.running_var = _moved(self.running_var, var, new)

    def backward(self, dy: ArrayLike) -> tuple[NDArray[Any], Floats, Floats]:
        """Return ``(dx, dgamma, dbeta)`` of the last batch in training.

        Raises
        ------
        ValueError
            If there was none, or `dy` is not of its shape.
        """
        if self.cache is None:
            raise ValueError("There is no batch yet: call with `training=True` first.")
        return batch_norm_backward(dy, self.cache, num_threads=self.num_threads)

    def folded(self) -> tuple[Floats, Floats]:
        """Return ``(scale, shift)`` such that inference is scale · x + shift.

        To be folded into the weights of the layer before.
        """
        scale = self.gamma / np.sqrt(self.running_var + self.eps)
        return scale, self.beta - self.running_mean * scale


def _moved(old: Floats, batch: Floats, new: float) -> Floats:
    return (1.0 - new) * old + new * batch


def _as_batch(x: ArrayLike, axis: int) -> tuple[NDArray[Any], int, np.dtype[Any]]:
    """Return an array for the kernels, its channel axis, and the dtype to give back."""
    array = _tables.as_numbers(x, "x")
    if array.ndim < 2:
        raise refusal(ValueError, "x", "have at least 2 axes", array)
    channel = as_axis("axis", axis, array.ndim, "x")
    dtype = array.dtype if array.dtype.kind not in "iub" else np.dtype(np.float64)
    if not _tables.kernel_ready(array):
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


def _per_channel(value: ArrayLike, channels: int, name: str) -> Floats:
    array = np.ascontiguousarray(_tables.as_numbers(value, name), np.float64)
    if array.shape != (channels,):
        raise ValueError(f"`{name}` must have shape ({channels},), got {array.shape}.")
    return array


def _statistics(rows: NDArray[Any], num_threads: int) -> tuple[Floats, Floats]:
    """Return mean and biased variance per channel; NaN where not all are finite."""
    channels = rows.shape[2]
    state, infinite = accumulate(empty_state(channels), rows, NO_WEIGHTS, num_threads)
    m = Moments._of(state, (channels,), 0)
    broken = infinite | (m.count < rows.shape[0] * rows.shape[1])
    return np.where(broken, np.nan, m.mean), np.where(broken, np.nan, m.var)


def _normalised(
    x: NDArray[Any],
    channel: int,
    mean: Floats,
    slope: Floats,
    shift: Floats,
    num_threads: int,
) -> NDArray[Any]:
    y = np.empty_like(x)
    affine(
        _as_rows(x, channel), (mean, slope, shift), _as_rows(y, channel), num_threads
    )
    return y


def _backward_sums(
    x: NDArray[Any], dy: NDArray[Any], mean: Floats, num_threads: int
) -> tuple[Floats, Floats]:
    """Return the sums of dy and of dy (x - mean) per channel."""
    channels = len(mean)
    chunks = -(-x.shape[0] * x.shape[1] // kernel.CHUNK_ROWS)
    chunks = min(chunks, max(_WAVE // (2 * channels), 4))
    wave = np.empty((chunks, 2, channels))
    workspace = np.empty((num_threads, kernel.WORKSPACE_SIZE))
    sums = np.zeros((2, 2, channels))
    kernel.backward_sums(x, dy, mean, workspace, wave, sums, num_threads=num_threads)
    return sums[0].sum(axis=0), sums[1].sum(axis=0)
