"""Which entries are checked: all, or a few of each block."""

import itertools
from typing import Any

import numpy as np

from fastgrad._arguments import integer, refusal
from fastgrad.checking.differences import Index
from fastgrad.checking.judgement import Gradient
from fastgrad.losses import Losses


def check_coverage(coverage: Any) -> str | int:
    """Return "full", "locate" or a positive number; raise if it is none of them."""
    if isinstance(coverage, str) and coverage in ("full", "locate"):
        return coverage
    must = 'be "full", "locate" or the number of entries of each block'
    if isinstance(coverage, str):
        raise refusal(ValueError, "coverage", must, coverage)
    try:
        return integer("coverage", coverage, least=1)
    except (TypeError, ValueError) as error:
        raise refusal(type(error), "coverage", must, coverage) from None


def covered(
    losses: Losses, coverage: str | int, gradient: Gradient, rng: np.random.Generator
) -> Index:
    """Return the entries to check: all, or so many random ones of each block.

    Half of these where the gradient is not zero: of an embedding few rows are used.
    """
    if isinstance(coverage, str):
        return np.arange(losses.nest.size, dtype=_index_dtype(losses.nest.size))
    parts = [np.zeros(0, dtype=np.int64)]
    for start, stop in itertools.pairwise(losses.nest.offsets):
        used = start + np.flatnonzero(gradient.value[start:stop])
        used = rng.permutation(used)[: (coverage + 1) // 2]
        size = int(stop - start)
        some = start + rng.choice(size, min(size, coverage), replace=False)
        others = rng.permutation(np.setdiff1d(some, used))[: coverage - len(used)]
        parts.append(np.sort(np.concatenate([used, others])))
    return np.concatenate(parts).astype(np.int64)


def _index_dtype(size: int) -> Any:
    return np.int32 if size <= np.iinfo(np.int32).max else np.int64
