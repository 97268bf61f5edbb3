"""Moments of Dask arrays, computed by Dask: each block's where it is, then merged.

Only states of a few numbers per feature travel. They are merged in the order of the
blocks, so the result depends on how the array is cut into blocks, and on nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.statistics.moments import Accumulator, empty_state, state_of
from fastgrad.statistics.tables import as_numbers, as_weights


def accumulator(x: Any, weights: Any = None) -> Accumulator:
    """Return the moments of a Dask array, as of `Accumulator.updated`."""
    import dask.array
    import dask.base
    from dask.delayed import delayed

    array: Any = dask.array  # partly typed
    base: Any = dask.base
    if x.ndim != 2:
        raise ValueError(f"`X` must have shape (samples, features), got {x.ndim}D.")
    x = x.rechunk({1: -1})
    blocks = x.to_delayed().ravel()
    state = delayed(_block_state)
    if weights is None:
        parts = [state(block) for block in blocks]
    else:
        w = array.asarray(weights).rechunk({0: x.chunks[0]}).to_delayed()
        parts = [state(block, part) for block, part in zip(blocks, w, strict=True)]
    result = Accumulator.of(x.shape[1])
    for part in base.compute(*parts):
        result = result.merged(Accumulator(x.shape[1], part))
    return result


def _block_state(x: Any, weights: Any = None) -> np.ndarray[Any, np.dtype[np.float64]]:
    array = as_numbers(x, "X")
    if not len(array):
        return empty_state(array.shape[1])
    w = None if weights is None else as_weights(weights, len(array), "sample_weight")
    return state_of(array, [0], w, 1)
