"""Batch normalisation with running statistics, for inference."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._arguments import choice, flag, integer, number, refusal
from fastgrad._arrays import Array
from fastgrad._memory import refuse_too_large
from fastgrad._threads import resolve_num_threads
from fastgrad.statistics import tables
from fastgrad.statistics.batchnorm import (
    Cache,
    as_batch,
    batch_norm,
    batch_norm_backward,
    normalised,
    per_channel,
)


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
    affine : bool, default True
        Whether to scale and shift what is normalised.
    track_running_stats : bool, default True
        Whether to keep running statistics; without them inference normalises by the
        statistics of the batch, too.
    num_threads : int, optional
        Threads to use; the bits do not depend on it.

    Attributes
    ----------
    gamma, beta : float64 array of shape (num_features,), or None
        Scale and shift, ones and zeros at first; assign or change them. None unless
        `affine`.
    running_mean, running_var : float64 array of shape (num_features,), or None
        Zeros and ones at first. None unless `track_running_stats`.
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
        affine: bool = True,
        track_running_stats: bool = True,
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
        self.affine = flag("affine", affine)
        self.track_running_stats = flag("track_running_stats", track_running_stats)
        self.num_threads = num_threads
        resolve_num_threads(num_threads)
        self.gamma: Any
        self.beta: Any
        self.running_mean: Any
        self.running_var: Any
        try:
            refuse_too_large(32.0 * self.num_features, "Its state", "fewer channels")
            self.gamma, self.running_var = np.ones((2, self.num_features))
            self.beta, self.running_mean = np.zeros((2, self.num_features))
        except (MemoryError, ValueError) as error:
            must = "be as many as memory has room for"
            raise refusal(ValueError, "num_features", must, num_features) from error
        if not affine:
            self.gamma = self.beta = None
        if not track_running_stats:
            self.running_mean = self.running_var = None
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
            As `batch_norm`, or if `x` has another number of channels. Nothing is
            updated then.
        """
        x = tables.as_numbers(x, "x")
        here = -x.ndim <= self.axis < x.ndim
        if here and x.shape[self.axis] != self.num_features:
            must = f"have {self.num_features} channels along axis {self.axis}"
            raise refusal(ValueError, "x", must, x)
        if flag("training", training) or self.running_mean is None:
            y, cache = batch_norm(
                x,
                *self._affine(),
                axis=self.axis,
                eps=self.eps,
                num_threads=self.num_threads,
            )
            if training:
                self._update(cache)
            return y
        threads = resolve_num_threads(self.num_threads)
        array, channel, dtype = as_batch(x, self.axis)
        gamma, beta = self._affine()
        per_channel(gamma, array.shape[channel], "gamma")
        slope = gamma / np.sqrt(self.running_var + self.eps)
        y = normalised(array, channel, self.running_mean, slope, beta, threads)
        return y.astype(dtype, copy=False)

    def _affine(self) -> tuple[Array, Array]:
        """Return scale and shift, which there may be none of."""
        if self.affine:
            return self.gamma, self.beta
        return np.ones(self.num_features), np.zeros(self.num_features)

    def _update(self, cache: Cache) -> None:
        self.cache = cache
        self.num_batches += 1
        if self.running_mean is None:
            return
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

    def backward(
        self, dy: ArrayLike
    ) -> tuple[NDArray[Any], Array | None, Array | None]:
        """Return ``(dx, dgamma, dbeta)`` of the last batch in training.

        The last two are None unless `affine`.

        Raises
        ------
        ValueError
            If there was none, or `dy` is not of its shape.
        """
        if self.cache is None:
            raise ValueError("There is no batch yet: call with `training=True` first.")
        dx, dgamma, dbeta = batch_norm_backward(
            dy, self.cache, num_threads=self.num_threads
        )
        return (dx, dgamma, dbeta) if self.affine else (dx, None, None)

    def folded(self) -> tuple[Array, Array]:
        """Return ``(scale, shift)`` such that inference is scale · x + shift.

        To be folded into the weights of the layer before.

        Raises
        ------
        ValueError
            If there are no running statistics.
        """
        if self.running_mean is None:
            raise ValueError("`folded` needs `track_running_stats=True`, got False.")
        gamma, beta = self._affine()
        scale = gamma / np.sqrt(self.running_var + self.eps)
        return scale, beta - self.running_mean * scale


def _moved(old: Array, batch: Array, new: float) -> Array:
    return (1.0 - new) * old + new * batch
