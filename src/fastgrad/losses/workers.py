"""Losses by the user's function in the workers of an executor."""

import os
from collections.abc import Callable
from pickle import PicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad.losses.interface import (
    Flags,
    Losses,
    Substitute,
    as_entries,
)
from fastgrad.losses.progress import Progress
from fastgrad.params import Nest, Vector

if TYPE_CHECKING:
    from concurrent.futures import Future

Build = Callable[[Nest, Progress], Losses]

_CHUNKS_PER_WORKER = 4


class WorkersLosses(Substitute):
    """The user's function, called by the workers of an executor, chunk by chunk.

    Each chunk has its own copy of the parameters, so a loss that reads a model's arrays
    instead of its argument cannot be used. With processes the loss must be picklable.

    Parameters
    ----------
    here : Losses
        Of the function in this process.
    build : callable
        Makes the losses of a worker for its copy of the parameters.
    workers : concurrent.futures.Executor
        Or anything with its `submit`. It is left open.
    """

    engine = "workers"

    def __init__(self, here: Losses, build: Build, workers: Any) -> None:
        super().__init__(here)
        self._build, self._workers = build, workers

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
        submit = self._workers.submit
        try:
            for call in calls:
                futures.append(
                    submit(_in_worker, self._build, self.nest, self.lenient, *call)
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
    build: Build, nest: Nest, lenient: bool, method: str, *arguments: Any
) -> tuple[Vector, int]:
    losses = build(nest.private_copy(), Progress(show=False))
    losses.lenient = lenient
    result = getattr(losses, method)(*arguments)
    return result[0] if method == "at_entries" else result, losses.evaluations
