"""A function with many outputs, and its differences column by column."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import cached_property, partial
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._arguments import executor
from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import RUNGS, Scale, binary
from fastgrad.losses import Crew, Progress, Watch
from fastgrad.params import entry_name

BATCH = 2**16  # numbers of points or outputs held at once: more take memory
_LOUD = 2.0**10  # roundings of the outputs: more is noise, and has to be measured


class Outputs:
    """A function with many outputs, called at points near one.

    Attributes
    ----------
    x : ndarray, any shape
        The point.
    at_x : ndarray of float64, shape (m,)
        The outputs there.
    lower, upper : ndarray of float64, shape (n,)
        Where `fun` may be called.
    evaluations : int
        How often it was.
    many : callable or None
        The function of points stacked along a first axis, where it is given so.
    lenient : tuple of type
        Of what `fun` raises next to `x`, in this process: what stands for nan.
    raised : Exception or None
        The first such exception.
    progress : Progress
        How far the calls are.
    """

    many: Callable[[NDArray[Any]], Any] | None = None
    lenient: tuple[type[Exception], ...] = ()
    raised: Exception | None = None

    def __init__(
        self,
        fun: Callable[[NDArray[Any]], Any],
        x: NDArray[Any],
        workers: Executor | None,
        progress: Progress,
    ) -> None:
        self.fun, self.x, self.workers = fun, x, executor("workers", workers)
        self.lower = np.full(self.x.size, -np.inf)
        self.upper = np.full(self.x.size, np.inf)
        self.progress, self.evaluations = progress, 1
        began = perf_counter()
        outputs = _outputs(fun, self.x.copy())
        self._watch = Watch(progress, perf_counter() - began)
        self.at_x = outputs.astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(self.at_x))
        if bad.size:
            got = f"{self.at_x[bad[0]]} in output {bad[0]}"
            raise ValueError(f"`fun` must be finite at `x`, got {got}.")
        kinds = [d for d in (self.x.dtype, outputs.dtype) if d.kind == "f"]
        self.eps = max(float(np.finfo(dtype).eps) for dtype in kinds)

    def at(self, points: Iterable[NDArray[Any]], count: int) -> Array:
        """Return the outputs at so many points, shape (count, m)."""
        self.evaluations += count
        out = np.empty((count, self.at_x.size))
        called: Iterable[NDArray[Any]]
        if self.many is not None:
            called = self._stacked(iter(points), self.many)
        elif self.workers is None:
            called = map(self._moved, points)
        else:
            called = self._by_workers(points, count)
        for k, outputs in enumerate(called):
            if outputs.size != self.at_x.size:
                raise ValueError(
                    f"`fun` must return as many outputs as at `x`, {self.at_x.size}, "
                    f"got {outputs.size}."
                )
            out[k] = outputs
            self.progress.advance()
        return out

    def _moved(self, point: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs at a point; nan where `fun` raises, out of its domain."""
        try:
            return self._watch.call(_outputs_moved, self.fun, self.x, point)
        except MemoryError:
            raise
        except self.lenient as error:
            self.raised = self.raised or error
            return np.full(self.at_x.size, np.nan)

    def _stacked(
        self, points: Iterator[NDArray[Any]], many: Callable[[NDArray[Any]], Any]
    ) -> Iterator[NDArray[Any]]:
        """Yield the outputs at the points, many of which are handed over at once."""
        several = max(1, BATCH // max(1, self.x.size, self.at_x.size))
        while chunk := list(itertools.islice(points, several)):
            rows = rows_of(many, np.stack(chunk))
            yield from map(partial(_outputs, np.asarray), rows)

    def _by_workers(
        self, points: Iterable[NDArray[Any]], count: int
    ) -> Iterator[NDArray[Any]]:
        """Yield the outputs at the points, of which workers get what was moved."""
        chunks, moved = self._crew.chunks(count), map(self._moves, points)
        sizes = (chunk.stop - chunk.start for chunk in chunks)
        tasks = ((size, (list(itertools.islice(moved, size)),)) for size in sizes)
        for outputs in self._crew.run(_outputs_at, tasks):
            yield from outputs

    @cached_property
    def _crew(self) -> Crew:
        return Crew(self.workers, partial(_itself, (self.fun, self.x.copy())))

    def _moves(self, point: NDArray[Any]) -> tuple[Index, NDArray[Any]]:
        """Return where a point is not `x`, and what it is there."""
        where = _moved(self.x, point)
        return where, point.reshape(-1)[where]

    def along(self, direction: Array, t: ArrayLike) -> Array:
        """Return the outputs at x + t[k] direction, shape (len(t), m)."""
        x = self.x.astype(np.float64)
        step = direction.reshape(x.shape)
        times = np.ravel(t)
        points = ((x + k * step).astype(self.x.dtype) for k in times)
        return self.at(points, len(times))

    @cached_property
    def scale(self) -> Array:
        """The size of a change of each input that matters."""
        return Scale(self._flat(), np.array([0, self.x.size]))[:]

    def inward(self) -> Array:
        """Return 1 for every input with more room above it, -1 for the others."""
        x = self._flat()
        return np.where(self.upper - x >= x - self.lower, 1.0, -1.0)

    def room(self) -> Array:
        """Return how far each input may be moved inward."""
        x = self._flat()
        room: Array = np.maximum(self.upper - x, x - self.lower)
        return room

    def margin(self) -> Array:
        """Return how far each input may be moved to both sides."""
        x = self._flat()
        margin: Array = np.minimum(self.upper - x, x - self.lower)
        return margin

    def rises(self, direction: Array, t: ArrayLike) -> Array:
        """Return by how much the outputs at x + t[k] direction are above those at x."""
        return self.along(direction, t) - self.at_x

    @cached_property
    def noise_level(self) -> float:
        """The noise of the outputs relative to them, from two evaluations or four.

        Three points so close that the outputs are straight lines but for their noise.
        """
        step = binary(self.eps**0.5 * self.scale)
        step = np.minimum(step, self.room() / 2) * self.inward()
        with np.errstate(all="ignore"):
            one, two = self.along(step, [1.0, 2.0]) - self.at_x
            noise = np.abs(two - 2 * one) / 6**0.5
            relative = noise / np.fmax(np.abs(self.at_x), np.abs(one))
            still = (one == 0) & (two == 0)
            if still.any():
                afar = np.minimum(RUNGS[0] * self.scale, self.margin())
                sides = self.along(afar, [1.0, -1.0]) != self.at_x
                if (still & sides.all(axis=0)).any():  # on a step of a staircase
                    return float(self.eps**0.5)
        known = relative[~np.isnan(relative)]
        return max(self.eps, float(np.quantile(known, 0.75)) if known.size else 0.0)

    @property
    def loud(self) -> bool:
        """Whether the outputs are noisier than rounding makes them."""
        return not self.noise_level <= _LOUD * self.eps

    def imaginary(self, points: list[tuple[Any, Any]]) -> Array:
        """Return the imaginary parts of the outputs at x + ih, shape (k, m).

        `points` are the inputs that are moved, and their h.
        """
        self.evaluations += len(points)
        if self.many is not None:
            return self._imaginary_stacked(points, self.many)
        content = self.fun, self.x
        if self.workers is None:
            return np.array(_imaginary_at(content, points))
        chunks = self._crew.chunks(len(points))
        tasks = ((c.stop - c.start, (points[c],)) for c in chunks)
        return np.concatenate(list(self._crew.run(_imaginary_at, tasks)))

    def _imaginary_stacked(
        self, points: list[tuple[Any, Any]], many: Callable[[NDArray[Any]], Any]
    ) -> Array:
        several = max(1, BATCH // max(1, self.x.size, self.at_x.size))
        parts = [np.empty((0, self.at_x.size))]
        for start in range(0, len(points), several):
            some = points[start : start + several]
            outputs = rows_of(many, np.stack([_shifted(self.x, *p) for p in some]))
            parts.append(_imaginary_parts(outputs).reshape(len(some), -1))
        return np.concatenate(parts)

    def moved(self, columns: Any, values: Any) -> NDArray[Any]:
        """Return the point with some inputs at these values."""
        point = self.x.copy()
        point.reshape(-1)[columns] = values
        return point

    def _flat(self) -> Array:
        return self.x.ravel().astype(np.float64)


def _outputs(fun: Callable[[NDArray[Any]], Any], point: NDArray[Any]) -> NDArray[Any]:
    """Return the outputs at a point, as numbers."""
    outputs: NDArray[Any] = np.asarray(fun(point))
    if outputs.ndim == 0 and outputs[()] is None:
        raise TypeError("`fun` returned None: is its `return` missing?")
    if outputs.dtype.kind not in "fiub":
        raise TypeError(f"`fun` must return real numbers, got {outputs.dtype}.")
    return outputs.ravel()


def of_one(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Return a vectorized function as one of a single point."""

    def one(point: NDArray[Any], *args: Any, **kwargs: Any) -> Any:
        return rows_of(lambda points: fun(points, *args, **kwargs), point[None])[0]

    return one


def rows_of(fun: Callable[[NDArray[Any]], Any], points: NDArray[Any]) -> NDArray[Any]:
    """Return the outputs of a vectorized function, a row for each of the points."""
    outputs = np.asarray(fun(points))
    if outputs.ndim == 0 or len(outputs) != len(points):
        raise ValueError(
            "`fun` with `vectorized=True` must return outputs for each of the "
            f"{len(points)} stacked points, got shape {outputs.shape}."
        )
    return outputs


def _outputs_moved(
    fun: Callable[[NDArray[Any]], Any], x: NDArray[Any], point: NDArray[Any]
) -> NDArray[Any]:
    """Return the outputs at a point next to x; say of what `fun` raises where."""
    try:
        return _outputs(fun, point)
    except Exception as error:
        where = _moved(x, point)
        moved = f"{len(where):,} entries of `x` moved"
        if len(where) == 1:
            index = tuple(int(i) for i in np.unravel_index(where[0], x.shape))
            moved = f"{entry_name('x', index)} = {point.reshape(-1)[where[0]]}"
        error.add_note(f"fastgrad: while evaluating `fun` with {moved}.")
        raise


def _moved(x: NDArray[Any], point: NDArray[Any]) -> Index:
    other = (point != x) | (np.signbit(point) != np.signbit(x))
    return np.flatnonzero(other)


# ---- in the workers


def _itself(content: Any) -> Any:
    return content


def _outputs_at(
    content: tuple[Callable[[NDArray[Any]], Any], NDArray[Any]],
    moves: list[tuple[Index, NDArray[Any]]],
) -> list[NDArray[Any]]:
    """Return the outputs with some inputs moved, in arrays of their own."""
    fun, x = content
    results = []
    for columns, values in moves:
        point = x.copy()
        point.reshape(-1)[columns] = values
        results.append(_outputs_moved(fun, x, point).copy())
    return results


def _imaginary_at(
    content: tuple[Callable[[NDArray[Any]], Any], NDArray[Any]],
    points: list[tuple[Index, Array]],
) -> list[Array]:
    """Return the imaginary parts of the outputs with some inputs moved by ih."""
    fun, x = content
    shifted = (_shifted(x, *point) for point in points)
    return [_imaginary_parts(np.asarray(fun(point)).ravel()) for point in shifted]


def _shifted(x: NDArray[Any], columns: Any, h: Any) -> NDArray[Any]:
    point = x.astype(np.complex128)
    point.reshape(-1)[columns] += 1j * h
    return point


def _imaginary_parts(outputs: NDArray[Any]) -> Array:
    if outputs.dtype.kind != "c":
        raise TypeError(
            '`method="complex"` needs a `fun` that computes with the complex array it '
            f"is given and returns complex numbers, got {outputs.dtype}."
        )
    return outputs.imag.astype(np.float64)
