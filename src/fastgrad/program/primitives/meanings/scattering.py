"""Adding, multiplying, ... elements into places that several of them may share."""

from __future__ import annotations

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import means


def scattered(x, target, n: int, reduce=np.sum, neutral: float = 0.0):
    """The sums of the elements of each target: out[target[i]] += x[i], of length n.

    Targets with about as many elements are read as rows of one array, so that in all
    at most twice as many numbers are added as there are elements.
    """
    target = np.asarray(target, dtype=np.intp)
    count = np.bincount(target, minlength=n)
    order = np.argsort(target, kind="stable")
    start = np.cumsum(count) - count
    nothing = np.full((1, *x.shape[1:]), neutral)
    spare = np.concatenate([x, nothing])
    level = np.ceil(np.log2(np.maximum(count, 1)))
    sums, placed = [], [np.empty(0, np.intp)]
    for one in np.unique(level[count > 0]):
        targets = np.flatnonzero((level == one) & (count > 0))
        column = np.arange(int(2**one))
        inside = column < count[targets, None]
        source = order[np.where(inside, start[targets, None] + column, 0)]
        sums.append(reduce(spare[np.where(inside, source, len(x))], axis=1))
        placed.append(targets)
    found = np.concatenate(placed)
    row = np.full(n, len(found))
    row[found] = np.arange(len(found))
    return np.concatenate([*sums, nothing])[row]


@means("numpy.bincount")
def bincount(x, /, weights=None, minlength: int = 0):
    if is_traced(x):
        return NotImplemented
    n = max(minlength, int(np.max(x, initial=-1)) + 1)
    return scattered(np.ravel(asarray(weights)), x, n)


@means("numpy.histogram")
def histogram(a, bins=10, range=None, density: bool | None = None, weights=None):
    """Of constant positions, with weights that are traced."""
    if is_traced(a) or is_traced(bins):
        return NotImplemented
    edges = np.histogram_bin_edges(a, bins, range)
    at = np.searchsorted(edges, np.ravel(a), side="right") - 1
    at = np.where(np.ravel(a) == edges[-1], len(edges) - 2, at)
    inside = np.flatnonzero((at >= 0) & (at < len(edges) - 1))
    heights = scattered(np.ravel(asarray(weights))[inside], at[inside], len(edges) - 1)
    if density:
        heights = heights / np.diff(edges) / np.sum(heights)
    return heights, edges


def _at(ufunc, reduce, neutral: float):
    """``ufunc.at``: every use of a place counts, also of the same one."""

    def at(a, indices, b):
        if is_traced(indices):
            return NotImplemented
        places = np.arange(a.size).reshape(a.shape)[indices]
        values = np.ravel(np.broadcast_to(asarray(b), places.shape))
        found = scattered(values, np.ravel(places), a.size, reduce, neutral)
        a[...] = ufunc(a, np.reshape(found, a.shape))
        return None

    return at


for _name, _reduce, _neutral in (
    ("add", np.sum, 0.0),
    ("subtract", np.sum, 0.0),
    ("multiply", np.prod, 1.0),
    ("divide", np.prod, 1.0),
    ("maximum", np.max, -np.inf),
    ("minimum", np.min, np.inf),
):
    means(f"numpy.{_name}.at")(_at(getattr(np, _name), _reduce, _neutral))


@means("numpy.add.reduceat")
def add_reduceat(array, indices, axis: int = 0):
    """From each index to the next; one element where the next is not behind it."""
    x = np.moveaxis(asarray(array), axis, 0)
    ends = [*indices[1:], len(x)]
    parts = [
        np.sum(x[i : max(j, i + 1)], axis=0) for i, j in zip(indices, ends, strict=True)
    ]
    return np.moveaxis(np.stack(parts), 0, axis)
