"""Entries of a Jacobian from two evaluations a column, or a group of columns."""

import numpy as np
from numpy.typing import NDArray

from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import RATIO, binary
from fastgrad.checking.jacobians.outputs import BATCH, Outputs
from fastgrad.checking.jacobians.sparsity import members

_BENT = 1e-3  # of a difference: a change of slope that is worth a smaller step


def quick_slopes(
    outputs: Outputs,
    row: Index,
    column: Index,
    group: Index | None,
    method: str,
    step: Array | None,
) -> Array | None:
    """Return the entries of a Jacobian from two evaluations a column, or one forward.

    The step follows from the noise of the outputs, which two evaluations show; columns
    that bend more than suits it get a second, smaller one. Returns None where the
    outputs are noisier than rounding makes them.

    Parameters
    ----------
    outputs : Outputs
    row, column : ndarray of int64
        The entries.
    group : ndarray of int64, shape (n,), or None
        Columns that are moved together; None if each is moved alone, and the entries
        are those of the whole matrix, row by row.
    method : {"central", "forward", "backward"}
    step : ndarray of float64, shape (n,), optional
        Taken for each column, once.
    """
    if step is not None:
        return _measured(outputs, step, row, column, group, method)[0]
    if outputs.loud:
        return None
    order = 1 / 3 if method == "central" else 1 / 2
    steps = binary(outputs.noise_level**order * outputs.scale)
    value, bent = _measured(outputs, steps, row, column, group, method)
    if bent.any():
        steps = np.where(bent, steps / RATIO, 0.0)
        finer, _ = _measured(outputs, steps, row, column, group, method)
        better = (RATIO**2 * finer - value) / (RATIO**2 - 1)
        value = np.where(bent[column], better, value)
    return value


def _measured(
    outputs: Outputs,
    steps: Array,
    row: Index,
    column: Index,
    group: Index | None,
    method: str,
) -> tuple[Array, NDArray[np.bool_]]:
    """Return the slopes of the entries, and who bends; nan for steps of 0."""
    sides = _sides(outputs, steps, method)
    if group is None:
        return _by_column(outputs, sides, np.flatnonzero(steps))
    moved = np.isin(group, group[steps > 0])
    return _by_group(outputs, sides, np.where(moved, group, -1), row, column)


def _sides(outputs: Outputs, step: Array, method: str) -> list[Array]:
    """Return where each column is moved to: to both sides, or inward at a bound."""
    x = outputs.x.ravel()
    free = (x + step <= outputs.upper) & (x - step >= outputs.lower)
    short = np.minimum(step, outputs.room() / 2) * outputs.inward()
    moves = [np.where(free, step, short), np.where(free, -step, 2 * short)]
    sides = {"forward": slice(1), "backward": slice(1, 2)}
    return [x + move for move in moves[sides.get(method, slice(2))]]


def _by_column(
    outputs: Outputs, sides: list[Array], columns: Index
) -> tuple[Array, NDArray[np.bool_]]:
    """Return the slopes, row by row, some columns measured; which of them bend."""
    x = outputs.x.ravel()
    matrix = np.full((x.size, outputs.at_x.size), np.nan)
    bent = np.zeros(x.size, dtype=bool)
    several = max(1, BATCH // (len(sides) * max(1, outputs.at_x.size)))
    for start in range(0, len(columns), several):
        own = columns[start : start + several]
        count = len(sides) * len(own)
        points = (outputs.moved(j, side[j]) for side in sides for j in own.tolist())
        rises = np.split(outputs.at(points, count) - outputs.at_x, len(sides))
        offsets = [(side[own].astype(x.dtype) - x[own])[:, None] for side in sides]
        matrix[own] = slopes(rises, offsets)
        if len(sides) == 2:
            bend, size = (np.abs(f(*rises)).max(axis=1) for f in (np.add, np.subtract))
            bent[own] = bend > _BENT * size
    return matrix.T.ravel(), bent


def _by_group(
    outputs: Outputs, sides: list[Array], group: Index, row: Index, column: Index
) -> tuple[Array, NDArray[np.bool_]]:
    """Return the slopes of entries whose columns are moved in groups; who bends."""
    x = outputs.x.ravel()
    value, bent = np.full(len(row), np.nan), np.zeros(x.size, dtype=bool)
    offset = [side.astype(x.dtype) - x for side in sides]
    of_columns = dict(members(group))
    for g, entries in members(group[column]):
        own = of_columns[g]
        points = (outputs.moved(own, side[own]) for side in sides)
        rises = (outputs.at(points, len(sides)) - outputs.at_x)[:, row[entries]]
        value[entries] = slopes(list(rises), [o[column[entries]] for o in offset])
        if len(sides) == 2:
            size = np.zeros((2, x.size))
            with np.errstate(invalid="ignore"):  # outside the domain
                np.maximum.at(size[0], column[entries], np.abs(rises[0] + rises[1]))
                np.maximum.at(size[1], column[entries], np.abs(rises[0] - rises[1]))
            bent |= size[0] > _BENT * size[1]
    return value, bent


def slopes(rises: list[Array], offsets: list[Array]) -> Array:
    """Return the slope at 0: of the chord, or one-sided of the parabola through 0."""
    with np.errstate(all="ignore"):
        if len(rises) == 1:
            return rises[0] / offsets[0]
        (f, g), (s, t) = rises, offsets
        curve = (f * (t / s) - g * (s / t)) / (t - s)
        return np.where(s * t < 0, (f - g) / (s - t), curve)
