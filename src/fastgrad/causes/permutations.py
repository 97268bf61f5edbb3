"""The right numbers of a gradient in another order: parameters laid out otherwise.

Slices along an axis, be they entries, rows or columns, are known by a random projection
of each, and matched by sorting these: O(n log n) for any of the n! orders.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.evidence import Array, Block

Order = NDArray[np.int64]

_APART = 1e-7  # of the largest: slices are told apart by their projections
_WRITTEN = 16  # slices of which the order is written out
_SHOWN = 3  # of more


def permuted(block: Block) -> Iterator[tuple[Array, str, str]]:
    """Yield the right gradient reordered; how that is; and what gives it back.

    Along each axis along which the slices that are wrong are right ones of one another.
    """
    if not (block.known.all() and _has_the_same(block)):
        return
    for axis in range(block.given.ndim):
        order = _order(block, axis)
        if order is not None:
            how = f"in another order along axis {axis} ({_words(order)})"
            made = block.right.take(order, axis)
            yield made, how, _undone(order, axis)


def _has_the_same(block: Block) -> bool:
    """Whether there may be the same numbers: their sums and their squares are."""
    given, right = block.given.ravel(), block.right.ravel()
    squares = right @ right
    largest = float(np.sqrt(squares * right.size))  # that a sum of such squares can be
    alike = abs(given @ given - squares) <= _APART * squares
    return bool(alike and abs(given.sum() - right.sum()) <= _APART * largest)


def _order(block: Block, axis: int) -> Order | None:
    """Return which slice of the right gradient stands at each place, if one does."""
    given, right, wrong = (
        np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
        for x in (block.given, block.right, block.wrong)
    )
    some = np.flatnonzero(wrong.any(axis=1))
    weights = np.random.default_rng(0).uniform(0.5, 1.5, size=given.shape[1])
    due, found = right[some] @ weights, given[some] @ weights
    by_size = np.argsort(due)
    told = np.diff(due[by_size]) > _APART * np.abs(due).max(initial=0.0)
    # Of few different numbers, as signs are, there is an order by chance.
    if 2 * told.sum() < np.any(right[some], axis=1).sum() or not told.any():
        return None
    order = np.arange(len(given))
    order[some[np.argsort(found)]] = some[by_size]
    return order


def _words(order: Order) -> str:
    """What stands where it does not belong."""
    moved = np.flatnonzero(order != np.arange(len(order)))
    pairs = (f"{k} holds {order[k]}" for k in moved[:_SHOWN].tolist())
    return ", ".join(pairs) + ", ..." * (len(moved) > _SHOWN)


def _undone(order: Order, axis: int) -> str:
    """Return the formula that puts the slices back, if it is a short one."""
    n = len(order)
    if n > _WRITTEN:
        return "write each to its own place"
    where = ":, " * axis + str(np.argsort(order).tolist())
    return f"`grads[{where}]`"
