"""Losses by the user's function, or its program, in the workers of an executor."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._arrays import Flags, Index
from fastgrad.losses.crew import Crew
from fastgrad.losses.interface import Losses, Substitute, as_entries
from fastgrad.losses.progress import Progress
from fastgrad.params import Nest, Vector
from fastgrad.program import Program

Build = Callable[[Nest, Progress], Losses]

_TRIED = 2  # entries of a block that the workers say have no effect


class WorkersLosses(Substitute):
    """The user's function, called by the workers of an executor, chunk by chunk.

    Each worker has its own copy of the parameters, so a loss that reads a model's
    arrays instead of its argument cannot be used. With processes the loss must be
    picklable.

    Parameters
    ----------
    here : Losses
        Of the function in this process.
    build : callable
        Makes the losses of a worker for its copy of the parameters.
    workers : concurrent.futures.Executor
        Or anything with its `submit`. It is left open.
    seconds : float
        That the function takes, about.
    """

    engine = "workers"

    def __init__(
        self, here: Losses, build: Build, workers: Any, seconds: float
    ) -> None:
        super().__init__(here)
        make = partial(_losses_at, self.nest.private_copy(), build)
        self._crew = Crew(workers, make, seconds)
        self._untried = dict.fromkeys(range(len(self.nest.names)), _TRIED)

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = self._expected(index, value)
        chunks = self._crew.chunks(len(index))
        tasks = (_task(c, index[c], value[c], self.lenient) for c in chunks)
        difference = self._gathered(_at_entries, tasks)
        nowhere = np.flatnonzero(np.isnan(difference))[:1]
        if self.lenient and self.raised is None and nowhere.size:  # what is raised?
            self.here.at_entries(index[nowhere], value[nowhere])
        self._refuse_own_arrays(index, value, difference)
        return difference, None

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`; here, where a direction is not worth sending."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        chunks = self._crew.chunks(len(t), ballast=8 * self.nest.size)
        if len(chunks) == 1:
            self.evaluations += len(t)
            return self.here.along(direction, t)
        tasks = (_task(c, direction, t[c], self.lenient) for c in chunks)
        return self._gathered(_along, tasks)

    def imaginary(self, index: ArrayLike, h: ArrayLike) -> Vector:
        """See `Losses.imaginary`."""
        index, h = as_entries(index, h)
        chunks = self._crew.chunks(len(index))
        return self._gathered(_imaginary, (_task(c, index[c], h[c]) for c in chunks))

    def _gathered(self, work: Any, tasks: Any) -> Vector:
        parts = [np.empty(0)]
        for part, evaluations in self._crew.run(work, tasks):
            parts.append(part)
            self._count(evaluations)
        return np.concatenate(parts)

    def _refuse_own_arrays(
        self, index: Index, value: Vector, difference: Vector
    ) -> None:
        """Raise ValueError if the function reads arrays that workers have copies of.

        Moving their copies has no effect, moving the arrays themselves has.
        """
        silent = np.flatnonzero(difference == 0)
        for b, positions in self.nest.by_block(index[silent]):
            tried = silent[positions[: self._untried[b]]]
            self._untried[b] -= len(tried)
            self.evaluations += len(tried)
            here, _ = self.here.at_entries(index[tried], value[tried])
            if here[np.isfinite(here)].any():
                raise ValueError(
                    f"`loss` cannot be used with workers: it reads {self.nest.names[b]}"
                    " not from its argument but where it is kept, and workers have "
                    "copies."
                )


class SentProgram:
    """A traced program replayed by workers, whose bits are those of this process.

    Parameters
    ----------
    program : Program
        What is sent.
    workers : concurrent.futures.Executor
        As for `WorkersLosses`.
    num_threads : int
        Of the kernels in each worker.

    Attributes
    ----------
    size : int
        How many workers there are.
    """

    def __init__(self, program: Program, workers: Any, num_threads: int) -> None:
        self._num_threads = num_threads
        self._crew = Crew(workers, partial(_itself, program))
        self.size, self.along = self._crew.size, program.along

    def at_entries(
        self, index: Index, delta: Vector, *, num_threads: int, progress: Any
    ) -> tuple[Vector, Flags]:
        """See `Program.at_entries`."""
        chunks = self._crew.chunks(len(index))
        tasks = (_task(c, index[c], delta[c], self._num_threads) for c in chunks)
        difference, crossed = np.empty(len(index)), np.empty(len(index), dtype=bool)
        results = self._crew.run(_replayed, tasks)
        for chunk, result in zip(chunks, results, strict=True):
            difference[chunk], crossed[chunk] = result
            progress(chunk.stop, len(index))
        return difference, crossed


def _task(chunk: slice, *arguments: Any) -> tuple[int, tuple[Any, ...]]:
    return chunk.stop - chunk.start, arguments


# ---- in the workers


def _losses_at(nest: Nest, build: Build) -> Losses:
    return build(nest.private_copy(), Progress(show=False))


def _at_entries(
    losses: Losses, index: Index, value: Vector, lenient: Any
) -> tuple[Vector, int]:
    losses.lenient = lenient
    return losses.at_entries(index, value)[0], _counted(losses)


def _along(
    losses: Losses, direction: Vector, t: Vector, lenient: Any
) -> tuple[Vector, int]:
    losses.lenient = lenient
    return losses.along(direction, t), _counted(losses)


def _imaginary(losses: Losses, index: Index, h: Vector) -> tuple[Vector, int]:
    return losses.imaginary(index, h), _counted(losses)


def _counted(losses: Losses) -> int:
    """Return the evaluations that nobody has counted yet."""
    count, losses.evaluations = losses.evaluations, 0
    return count


def _itself(program: Program) -> Program:
    return program


def _replayed(
    program: Program, index: Index, delta: Vector, num_threads: int
) -> tuple[Vector, Flags]:
    return program.at_entries(index, delta, num_threads=num_threads)
