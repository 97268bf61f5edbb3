"""Which entries are checked: all, or a few of each block."""

import itertools
from typing import Any

import numpy as np

from fastgrad._arguments import integer, refusal
from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import PIECE, Every
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
) -> Index | Every:
    """Return the entries to check: all, or so many random ones of each block.

    Half of these where the gradient is not zero: of an embedding few rows are used.
    """
    if coverage == "locate":  # which, is found out
        return np.zeros(0, dtype=np.int64)
    if isinstance(coverage, str):
        return Every(0, losses.nest.size)
    parts = [np.zeros(0, dtype=np.int64)]
    for start, stop in itertools.pairwise(losses.nest.offsets):
        used = start + _some_nonzero(
            gradient.value[start:stop], (coverage + 1) // 2, rng
        )
        size = int(stop - start)
        some = start + rng.choice(size, min(size, coverage), replace=False)
        others = rng.permutation(np.setdiff1d(some, used))[: coverage - len(used)]
        parts.append(np.sort(np.concatenate([used, others])))
    return np.concatenate(parts).astype(np.int64)


def _some_nonzero(values: Array, count: int, rng: np.random.Generator) -> Index:
    """Return where so many of the values that are not zero are, picked at random."""
    starts = np.arange(0, len(values), PIECE)
    numbers = [np.count_nonzero(values[s : s + PIECE]) for s in starts]
    edges = np.concatenate([[0], np.cumsum(numbers, dtype=np.int64)])
    ranks = rng.choice(edges[-1], min(count, int(edges[-1])), replace=False)
    piece = np.searchsorted(edges, ranks, side="right") - 1
    found = np.empty(len(ranks), dtype=np.int64)
    for k in np.unique(piece).tolist():
        own = np.flatnonzero(values[starts[k] : starts[k] + PIECE])
        found[piece == k] = starts[k] + own[ranks[piece == k] - edges[k]]
    return found
