"""Losses at many points at once: a vectorised loss, or the workers of an executor."""

import os
from collections.abc import Callable
from pickle import PicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad.losses.interface import Flags, Losses, PythonLosses, as_entries
from fastgrad.losses.progress import Progress
from fastgrad.losses.returned import Returned
from fastgrad.params.nest import AnyArray, Nest, Vector

if TYPE_CHECKING:
    from concurrent.futures import Future

_STACK_BYTES = 2**24  # of stacked parameters in one vectorised call
_MAX_STACK = 1024
_CHUNKS_PER_WORKER = 4


class WorkersLosses(PythonLosses):
    """The user's function, called by the workers of an executor, chunk by chunk.

    Each chunk has its own copy of the parameters, so a loss that reads a model's arrays
    instead of its argument cannot be used. With processes the loss must be picklable.

    Parameters
    ----------
    workers : concurrent.futures.Executor
        Or anything with its `submit`. It is left open.
    """

    engine = "workers"

    def __init__(
        self,
        loss: Callable[[Any], Any],
        nest: Nest,
        progress: Progress,
        reduction: str | None,
        workers: Any,
    ) -> None:
        _refuse_shared(nest, "workers")
        super().__init__(loss, nest, progress, reduction)
        self._workers = workers

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = as_entries(index, value)
        self.progress.expect(len(index))
        chunks = self._chunks(len(index))
        calls = [("at_entries", index[chunk], value[chunk]) for chunk in chunks]
        return self._gather(calls), None

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        chunks = self._chunks(len(t))
        return self._gather([("along", direction, t[chunk]) for chunk in chunks])

    def _chunks(self, count: int) -> list[slice]:
        workers = getattr(self._workers, "_max_workers", None) or os.cpu_count() or 1
        size = max(1, -(-count // (workers * _CHUNKS_PER_WORKER)))
        return [slice(i, i + size) for i in range(0, count, size)]

    def _gather(self, calls: list[tuple[str, Any, Any]]) -> Vector:
        """Run the calls on the workers; their results in order, whoever was first."""
        futures: list[Future[tuple[Vector, int]]] = []
        parts = [np.empty(0)]
        try:
            for call in calls:
                futures.append(
                    self._workers.submit(
                        _in_worker,
                        self.loss,
                        self.nest.structure,
                        self._returned.reduction,
                        *call,
                    )
                )
            for future in futures:
                part, evaluations = future.result()
                parts.append(part)
                self._count(evaluations)
        except (PicklingError, AttributeError) as error:
            if "pickle" in str(error):
                error.add_note("fastgrad: processes need a loss that can be pickled.")
            raise
        finally:
            for future in futures:
                future.cancel()
        return np.concatenate(parts)


def _in_worker(
    loss: Callable[[Any], Any],
    params: Any,
    reduction: str | None,
    method: str,
    *arguments: Any,
) -> tuple[Vector, int]:
    nest = Nest(params).private_copy()
    losses = PythonLosses(loss, nest, Progress(show=False), reduction)
    result = getattr(losses, method)(*arguments)
    return result[0] if method == "at_entries" else result, losses.evaluations


class VectorizedLosses(Losses):
    """A loss that takes K stacked parameter sets and returns K losses.

    Every array it gets has a leading axis of length K; it returns an array of shape
    (K,), or (K, samples) with ``reduction=``. It gets copies, never the user's arrays.
    """

    engine = "vectorized"

    def __init__(
        self,
        loss: Callable[[Any], Any],
        nest: Nest,
        progress: Progress,
        reduction: str | None = None,
    ) -> None:
        _refuse_shared(nest, "vectorized")
        super().__init__(loss, nest, progress)
        self._returned = Returned(reduction)
        self._stack = int(np.clip(_STACK_BYTES // (8 * nest.size), 1, _MAX_STACK))
        rows = max(2, self._stack)
        self._buffers = [
            np.empty((rows, *leaf.shape), leaf.dtype) for leaf in nest.leaves
        ]
        # Two points, so that a loss that is not vectorised is noticed.
        both = self._stacked(2)
        self._base = self._returned.at_theta(self._call(both, 2)[0])
        for name, stack, leaf in zip(nest.names, both, nest.leaves, strict=True):
            if not (stack == leaf).all():
                raise ValueError(
                    f"`loss` must not change its parameters, but it changed {name}."
                )
        self.base = self._returned.combine(self._base)

    def evaluate(self) -> Any:
        """See `Losses.evaluate`."""
        return self._call(self._stacked(1), 1)[0]

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = as_entries(index, value)
        self.progress.expect(len(index))
        out = np.empty(len(index))
        for chunk in self._chunks(len(index)):
            here, new = index[chunk], value[chunk]
            leaves = self._stacked(len(here))
            for block, rows in self.nest.by_block(here):
                flat = leaves[block].reshape(len(here), -1)
                flat[rows, here[rows] - self.nest.offsets[block]] = new[rows]
            out[chunk] = self._differences(leaves, len(here))
        return out, None

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`."""
        steps = self.nest.split(np.asarray(direction, dtype=np.float64))
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        out = np.empty(len(t))
        for chunk in self._chunks(len(t)):
            times = t[chunk]
            leaves = self._stacked(len(times))
            for leaf, step in zip(leaves, steps, strict=True):
                moves = np.multiply.outer(times, step)
                np.add(leaf, moves, out=leaf, casting="same_kind")
            out[chunk] = self._differences(leaves, len(times))
        return out

    def _chunks(self, count: int) -> list[slice]:
        return [slice(i, i + self._stack) for i in range(0, count, self._stack)]

    def _stacked(self, count: int) -> list[AnyArray]:
        """Return theta `count` times, in arrays that are used again."""
        stacked = [buffer[:count] for buffer in self._buffers]
        for stack, leaf in zip(stacked, self.nest.leaves, strict=True):
            stack[...] = leaf
        return stacked

    def _call(self, leaves: list[AnyArray], count: int) -> list[Any]:
        try:
            result = self.loss(self.nest.rebuild(leaves))
        except Exception as error:
            where = f"with {count} stacked parameter sets"
            error.add_note(f"fastgrad: while evaluating `loss` {where}.")
            raise
        self._count(count)
        return self._returned.rows(result, count)

    def _differences(self, leaves: list[AnyArray], count: int) -> list[float]:
        with np.errstate(all="ignore"):
            values = self._call(leaves, count)
        return [self._returned.difference(value, self._base) for value in values]


def _refuse_shared(nest: Nest, argument: str) -> None:
    if nest.shared:
        one, other = nest.shared[0]
        raise ValueError(
            f"`{argument}` needs parameters that do not share memory, but {one} and "
            f"{other} do."
        )
