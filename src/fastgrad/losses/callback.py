"""Losses from a compiled callback, called in OpenMP threads without the GIL."""

import ctypes
import re
import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._arrays import Flags
from fastgrad._kernels import _callback
from fastgrad._threads import interruptibly, resolve_num_threads
from fastgrad.losses.interface import Losses, as_entries
from fastgrad.losses.progress import Progress
from fastgrad.params import Nest, Vector

_SIZES = "npy_intp|intptr_t|Py_ssize_t|ssize_t|int64_t|long long"
_SIZES += "|long" if ctypes.sizeof(ctypes.c_long) == 8 else ""
_SIGNATURE = re.compile(
    rf"double \((const )?(double|void) ?\*, ?({_SIZES})(?P<data>, ?void ?\*)?\)"
)
_BATCH_SECONDS = 0.05  # between two looks at Ctrl-C and the progress bar


class CallbackLosses(Losses):
    """A `scipy.LowLevelCallable` of all parameters as one vector of doubles.

    Its signature is ``double (double *theta, intptr_t size)``, or the same followed by
    ``void *user_data``: a numba ``cfunc``, a Cython or C function, through ctypes or a
    capsule. It gets float64 whatever the dtype of the parameters, must be thread-safe,
    and may not keep or change `theta`.
    """

    engine = "callback"

    def __init__(
        self, loss: Any, nest: Nest, progress: Progress, num_threads: int | None
    ) -> None:
        super().__init__(loss, nest, progress)
        match = _SIGNATURE.fullmatch(loss.signature)
        if match is None:
            raise TypeError(
                "`loss` must have the signature `double (double *, intptr_t)` or "
                f"`double (double *, intptr_t, void *)`, got `{loss.signature}`."
            )
        # LowLevelCallable is a tuple that hides its first member, the capsule.
        self._function = tuple.__getitem__(loss, 0), match["data"] is not None
        self.num_threads = resolve_num_threads(num_threads)
        self._thetas = np.tile(self.theta, (self.num_threads, 1))
        self.base = 0.0
        self.base = float(self.along(np.zeros(nest.size), [0.0])[0])
        if not np.isfinite(self.base):
            raise ValueError(f"`loss` must be finite at `params`, got {self.base}.")

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = self._expected(index, value)
        self._refuse_outside(index)

        def run(batch: slice, out: Vector) -> None:
            _callback.at_entries(
                *self._function,
                index[batch].astype(np.intp),
                np.ascontiguousarray(value[batch]),
                self._thetas,
                out,
                num_threads=self.num_threads,
            )

        return self._in_batches(run, len(index)), None

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`."""
        direction = np.ascontiguousarray(direction, dtype=np.float64)
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))

        def run(batch: slice, out: Vector) -> None:
            _callback.along(
                *self._function,
                self.theta,
                direction,
                np.ascontiguousarray(t[batch]),
                self._thetas,
                out,
                num_threads=self.num_threads,
            )

        return self._in_batches(run, len(t))

    def representable(self, index: ArrayLike, value: ArrayLike) -> Vector:
        """Return `value`: the callback computes in float64."""
        return as_entries(index, value)[1].copy()

    def _in_batches(self, run: Any, count: int) -> Vector:
        """Fill the differences batch by batch, so that Ctrl-C is seen in between."""
        out = np.empty(count)
        start, size = 0, self.num_threads
        while start < count:
            batch = slice(start, min(start + size, count))
            began = time.perf_counter()
            interruptibly(partial(run, batch, out[batch]), np.inf)
            self._count(batch.stop - start)
            self._refuse_mutation()
            start = batch.stop
            if time.perf_counter() - began < _BATCH_SECONDS:
                size *= 2
        return out - self.base

    def _refuse_mutation(self) -> None:
        if any(not np.array_equal(row, self.theta) for row in self._thetas):
            self._thetas[:] = self.theta
            raise ValueError("`loss` must not change its parameters, but it did.")

    def _refuse_outside(self, index: Any) -> None:
        if index.size and (index.min() < 0 or index.max() >= self.nest.size):
            raise IndexError(f"`index` must be in [0, {self.nest.size}).")
