"""The entries of a Jacobian as parameters of losses.

Each is the derivative of one output by one input, so everything that checks a gradient
checks a Jacobian. One evaluation of the function serves all entries of a column, or of
a group of columns. Outputs are measured in units of their own noise, so that one row
may be much larger than another.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences import CLOSER, RUNGS, Every, ecnoise
from fastgrad.checking.jacobians.outputs import BATCH, Outputs
from fastgrad.losses import Losses, Progress
from fastgrad.params import Nest, Vector


class Entries(Losses):
    """Losses whose parameter (i, j) is x[j], and whose loss output i.

    Attributes
    ----------
    row, column : ndarray of int64
        Of each entry.
    unit : ndarray of float64
        Of each output: its noise.
    """

    noise = 1.0
    joint = False

    def __init__(
        self,
        outputs: Outputs,
        row: Index,
        column: Index,
        group: Index | None,
        blocks: dict[str, tuple[int, ...]],
    ) -> None:
        self.outputs, self.row, self.column = outputs, row, column
        alone = np.arange(outputs.x.size, dtype=np.int32)
        self.group = alone if group is None else group
        x = outputs.x.ravel()[column]
        ends = np.cumsum([int(np.prod(shape)) for shape in blocks.values()])
        parts = np.split(x, ends[:-1])
        named = zip(blocks.items(), parts, strict=True)
        nest = Nest({name: part.reshape(shape) for (name, shape), part in named})
        self._kept: dict[tuple[bytes, bytes], Array] = {}
        self.progress = Progress(show=False)
        super().__init__(outputs.fun, nest, self.progress)
        if x.dtype == np.float64:
            self.theta = x  # what the nest holds, which nobody moves
        self.engine = "python" if outputs.workers is None else "workers"
        if outputs.many is not None:
            self.engine = "vectorized"
        self.unit = self._noise()
        self.base = float(np.max(np.abs(outputs.at_x) / self.unit, initial=0.0))

    @property
    def units(self) -> Array:
        """Of each entry: the noise of its output."""
        return self.unit[self.row]

    def units_of(self, index: Index | Every) -> Array:
        """Return the same of some entries."""
        return self.unit[self.row[np.asarray(index)]]

    @property
    def raised(self) -> Exception | None:  # type: ignore[override]
        """See `Losses`."""
        return self.outputs.raised

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`; one evaluation per group of columns and value."""
        index = np.asarray(index, dtype=np.int64)
        value = np.asarray(value, dtype=np.float64)
        column, outputs = self.column[index], self.outputs
        x = outputs.x.ravel()[column].astype(np.float64)
        beyond = (value < outputs.lower[column]) | (value > outputs.upper[column])
        if not beyond.any():
            return self._inside(index, value), None
        # What lies outside is extrapolated from two points inside.
        out = np.empty(len(index))
        out[~beyond] = self._inside(index[~beyond], value[~beyond])
        one = self._inside(index[beyond], (2 * x - value)[beyond])
        two = self._inside(index[beyond], (3 * x - 2 * value)[beyond])
        out[beyond] = two - 3 * one
        return out, None

    def pieces(self, index: Any, size: int) -> Iterator[Any]:
        """See `Losses.pieces`; columns that move together are."""
        every = len(index) == len(self.column)
        column = self.column if every else self.column[index]
        order = np.argsort(self.group[column], kind="stable")
        for start in range(0, max(1, len(order)), size):
            yield np.sort(order[start : start + size])

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """Return nan: entries of different outputs cannot be moved together."""
        return np.full(np.size(t), np.nan)

    def let_go(self) -> None:
        """See `Losses.let_go`."""
        self._kept.clear()

    def imaginary(self, index: ArrayLike, h: ArrayLike) -> Vector:
        """See `Losses.imaginary`; one evaluation per group of columns and h."""
        index, h = np.asarray(index), np.asarray(h)
        points, call = self._plan(self.column[index], h)
        out = np.empty(len(index))
        order = np.argsort(call, kind="stable")
        edges = np.searchsorted(call[order], np.arange(len(points) + 1))
        imaginary = self.outputs.imaginary(points)
        for k, outputs in enumerate(imaginary):
            mine = order[edges[k] : edges[k + 1]]
            own = index[mine]
            row = self.row[own]
            out[mine] = outputs[row] / self.unit[row]
        return out

    def representable(self, index: ArrayLike, value: ArrayLike) -> Vector:
        """See `Losses.representable`."""
        return np.asarray(value).astype(self.outputs.x.dtype).astype(np.float64)

    def _inside(self, index: Index, value: Vector) -> Vector:
        """Return differences at points within the bounds (nan if they are not)."""
        out = np.full(len(index), np.nan)
        lower, upper = self.outputs.lower, self.outputs.upper
        column = self.column[index]
        inside = np.flatnonzero((value >= lower[column]) & (value <= upper[column]))
        if inside.size == 0:
            return out
        points, call = self._plan(column[inside], value[inside])
        order = np.argsort(call, kind="stable")
        edges = np.searchsorted(call[order], np.arange(len(points) + 1))
        several = max(1, BATCH // self.outputs.x.size)
        for start in range(0, len(points), several):
            stop = min(start + several, len(points))
            rises = self._rises(points[start:stop])
            mine = order[edges[start] : edges[stop]]
            own = index[inside[mine]]
            row = self.row[own]
            out[inside[mine]] = rises[call[mine] - start, row] / self.unit[row]
        return out

    def _plan(
        self, column: Index, value: Vector
    ) -> tuple[list[tuple[Index, Vector]], Index]:
        """Return which inputs to move to what in each call; the call of each request.

        One call serves one value of each column of a group.
        """
        order = np.lexsort((value, column))
        first = np.ones(len(order), dtype=bool)
        first[1:] = (np.diff(column[order]) != 0) | (np.diff(value[order]) != 0)
        pair = np.empty_like(order)
        pair[order] = np.cumsum(first) - 1
        columns, values = column[order][first], value[order][first]
        turn = np.arange(len(columns)) - np.searchsorted(columns, columns)
        key = self.group[columns].astype(np.int64) * (int(turn.max()) + 1) + turn
        _, call = np.unique(key, return_inverse=True)
        by_call = np.argsort(call, kind="stable")
        edges = np.flatnonzero(np.diff(call[by_call])) + 1
        points = [(columns[own], values[own]) for own in np.split(by_call, edges)]
        return points, call[pair]

    def _rises(self, points: list[tuple[Index, Vector]]) -> Array:
        """Return the changes of all outputs at points; what is known is not asked.

        Where there are many outputs a piece is a part of a column, and so is the next.
        """
        outputs, kept = self.outputs, self._kept
        keys = [(column.tobytes(), value.tobytes()) for column, value in points]
        new = [k for k, key in enumerate(keys) if key not in kept]
        with np.errstate(all="ignore"):
            moved = (outputs.moved(*points[k]) for k in new)
            rises = outputs.at(moved, len(new)) - outputs.at_x
        found = dict(zip((keys[k] for k in new), map(np.copy, rises), strict=True))
        rows = [found[key] if key in found else kept.pop(key) for key in keys]
        kept.update(zip(keys, rows, strict=True))  # the last to go are those just asked
        size = max(1, len(outputs.at_x))
        # A pair of each column, of its first pass, or of each step one is tried at.
        pairs = min(len(self.row) / size, len(RUNGS) + len(CLOSER))
        most = max(BATCH / size, 2 * pairs)
        while len(kept) > most:
            del kept[next(iter(kept))]
        return np.stack(rows)

    def _noise(self) -> Array:
        """Return the noise of each output along a random direction."""
        rng = np.random.default_rng(0)
        outputs = self.outputs
        x = outputs.x.ravel().astype(np.float64)
        scale = np.maximum(np.abs(x), np.median(np.abs(x[x != 0])) if x.any() else 1.0)
        noise = np.full(len(outputs.at_x), np.inf)
        for spacing in (1e-9, 1e-6, 1e-4, 1e-2):
            direction = rng.standard_normal(x.size) * scale * spacing
            room = outputs.upper - x < 7 * np.abs(direction)
            direction = np.abs(direction) * np.where(room, -1.0, 1.0)
            along = [
                np.clip(x + k * direction, outputs.lower, outputs.upper)
                for k in range(7)
            ]
            shape, dtype = outputs.x.shape, outputs.x.dtype
            values = outputs.at((p.reshape(shape).astype(dtype) for p in along), 7)
            with np.errstate(all="ignore"):
                bound, found = ecnoise(values.T)
            noise = np.fmin(noise, bound)
            if found.all() or (spacing > 1e-6 and np.isfinite(noise).all()):
                break
        size, seen = np.abs(outputs.at_x), np.isfinite(noise) & (noise > 0)
        # What looks exact may be left of terms that cancel, as large as other outputs.
        size = np.where(seen, size, np.maximum(size, 1e-8 * size.max(initial=0.0)))
        usual = outputs.eps * size
        floor = np.where((usual > 0) | seen, usual, outputs.eps)
        known = np.isfinite(noise) & (size > 0)
        if known.any():  # rounded as most others, an output may look exact by chance
            typical = np.quantile(noise[known] / size[known], 0.25)
            floor = np.maximum(floor, typical * size)
        noise = np.where(np.isfinite(noise), np.maximum(noise, 0.1 * floor), floor)
        # A one-sided stencil adds up to four times the noise of a central one.
        bounded = np.isfinite(outputs.room()).any()
        return noise * (4.0 if bounded else 1.0)


def spread(entries: NDArray[Any], row: Index, column: Index, shape: Any) -> Any:
    """Return entries as a dense matrix."""
    matrix = np.zeros(shape)
    matrix[row, column] = entries
    return matrix
