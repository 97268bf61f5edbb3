"""Ways to misarrange an array: parts of it, its elements moved, or summed in advance.

Each keeps the shape, so that whoever uses the array does not notice.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations, permutations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Turn = Callable[[Array], Array]

_STEPS = (1, -1, 2, -2)
_AXES = 4  # of arrays whose axes are permuted


class Arrangement(NamedTuple):
    """A way to misarrange an array.

    ``how`` is said of the array, as in "is rolled by 1 along axis 0"; ``undo`` is the
    formula that gives `grads` back what it was, where there is one; ``commutes``
    whether it is the same of every n-th row and column.
    """

    code: str
    how: str
    turn: Turn
    undo: str = ""
    commutes: bool = False


def arrangements(
    shape: tuple[int, ...], *, parts: bool = True
) -> Iterator[Arrangement]:
    """Yield ways to misarrange an array of this shape."""
    long = [d for d, n in enumerate(shape) if n > 1]
    for a, b in combinations(long, 2):
        if shape[a] == shape[b]:
            yield from _of_square(a, b, len(shape))
    for n in (1, 2) if parts else ():
        for axes in combinations(long, n):
            yield from _some(axes, shape)
    for n in (1, 2, 3):
        for axes in combinations(long, n):
            yield from _over(axes, shape)
    for axis in long:
        yield from _along(axis, shape[axis])
    if len(long) > 1 and len(shape) <= _AXES:
        yield from _reordered(shape)


_ENDS = (slice(None, 1), slice(-1, None), slice(None, -1), slice(1, None))


def _some(axes: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[Arrangement]:
    """Only the ends, or all but the ends, of some axes."""
    where = f"along axis {axes[0]}" if len(axes) == 1 else f"along axes {axes}"
    for ends in _ENDS:
        kept = [range(shape[d])[ends] for d in axes]
        said = [f"{k.start}:{k.stop}" if len(k) > 1 else f"{k.start}" for k in kept]
        one = all(len(k) == 1 for k in kept) or (axes == (0,) and len(shape) > 1)
        turn = partial(_kept, axes=axes, where=ends)
        how = f"only at {', '.join(said)} {where}"
        yield Arrangement("partial" if one else "geometry", how, turn)


def _kept(x: Array, axes: tuple[int, ...], where: slice) -> Array:
    kept = np.zeros_like(x)
    key = tuple(where if d in axes else slice(None) for d in range(x.ndim))
    kept[key] = x[key]
    return kept


def _over(axes: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[Arrangement]:
    what = f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"
    flipped = partial(np.flip, axis=axes)
    undo = f"np.flip(grads, {axes})"
    code = "layout" if all(shape[d] == 2 for d in axes) else "geometry"
    yield Arrangement(code, f"reversed along {what}", flipped, undo)
    for mean, verb in ((False, "summed"), (True, "averaged")):
        how = f"{verb} over {what}, which is to be kept,"
        yield Arrangement("reduction", how, partial(_total, axes=axes, mean=mean))


def _total(x: Array, axes: tuple[int, ...], mean: bool) -> Array:
    total = (np.mean if mean else np.sum)(x, axis=axes, keepdims=True)
    return np.broadcast_to(total, x.shape)


# ---- along one axis ------------------------------------------------------------------


def _along(axis: int, n: int) -> Iterator[Arrangement]:
    for step in (s for s in _STEPS if abs(s) < n):
        yield from _by(step, axis)


def _by(step: int, axis: int) -> Iterator[Arrangement]:
    where = f"by {step} along axis {axis}"
    moved = partial(_shifted, step=step, axis=axis)
    yield Arrangement("geometry", f"moved {where}", moved)
    rolled = partial(np.roll, shift=step, axis=axis)
    undo = f"np.roll(grads, {-step}, {axis})"
    # Nothing but the order is lost.
    yield Arrangement("layout", f"rolled {where}", rolled, undo)


def moves(shape: tuple[int, ...], steps: Sequence[Any]) -> Iterator[Arrangement]:
    """Yield an array of this shape moved so far, along its axes or as it is flat."""
    axes = shape if len(steps) == len(shape) else (int(np.prod(shape)),)
    # The shorter way round.
    by = [int((k + n // 2) % n) - n // 2 for k, n in zip(steps, axes, strict=True)]
    moved = [d for d, step in enumerate(by) if step]
    if not moved:
        return
    if len(axes) < len(shape):
        rolled, undo = partial(np.roll, shift=by[0]), f"np.roll(grads, {-by[0]})"
        yield Arrangement("layout", f"rolled by {by[0]} as it is flat", rolled, undo)
    elif len(moved) == 1:
        yield from _by(by[moved[0]], moved[0])
    else:
        every = tuple(range(len(by)))
        rolled = partial(np.roll, shift=by, axis=every)
        undo = f"np.roll(grads, {tuple(-step for step in by)}, {every})"
        where = f"by {tuple(by)} along all axes"
        yield Arrangement("layout", f"rolled {where}", rolled, undo)


def _shifted(x: Array, step: int, axis: int) -> Array:
    """The array moved along an axis, zeros moving in, if it varies there."""
    if (x == x.take([0], axis)).all():
        return x
    moved = np.roll(x, step, axis)
    edge = slice(None, step) if step > 0 else slice(step, None)
    np.moveaxis(moved, axis, 0)[edge] = 0
    return moved


# ---- two axes ------------------------------------------------------------------------


def _t(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _diagonal(x: Array) -> Array:
    return np.asarray(x * np.eye(x.shape[-1]))


_BOTH = "accumulation"
#: Of square matrices.
_SQUARE: tuple[tuple[str, str, Turn], ...] = (
    ("layout", "transposed", _t),
    ("mask", "cut to the lower triangle", np.tril),
    ("mask", "cut to the upper triangle", np.triu),
    ("mask", "cut to what is below the diagonal", partial(np.tril, k=-1)),
    ("mask", "cut to what is above the diagonal", partial(np.triu, k=1)),
    ("mask", "cut to the diagonal", _diagonal),
    ("mask", "without the diagonal", lambda x: x - _diagonal(x)),
    (_BOTH, "cut to above the diagonal and doubled", lambda x: 2 * np.triu(x, 1)),
    (_BOTH, "with the diagonal doubled", lambda x: x + _diagonal(x)),
    (_BOTH, "doubled off the diagonal", lambda x: 2 * x - _diagonal(x)),
    (_BOTH, "added to its transpose", lambda x: x + _t(x)),
    ("layout", "averaged with its transpose", lambda x: (x + _t(x)) / 2),
    (
        _BOTH,
        "added to its transpose, the diagonal once,",
        lambda x: x + _t(x) - _diagonal(x),
    ),
)


def _of_square(a: int, b: int, ndim: int) -> Iterator[Arrangement]:
    for code, how, turn in _SQUARE:

        def turned(x: Array, turn: Turn = turn) -> Array:
            matrices = turn(np.moveaxis(x, (a, b), (-2, -1)))
            return np.moveaxis(matrices, (-2, -1), (a, b))

        swapped = "grads.T" if ndim == 2 else f"np.swapaxes(grads, {a}, {b})"
        undo = swapped if turn is _t else ""
        where = "" if ndim == 2 else f" in axes {a} and {b}"
        yield Arrangement(code, how.rstrip(",") + where, turned, undo, True)


# ---- elements in another order -------------------------------------------------------


def _reordered(shape: tuple[int, ...]) -> Iterator[Arrangement]:
    for order in permutations(range(len(shape))):
        if list(order) == sorted(order):
            continue
        back = tuple(np.argsort(order).tolist())

        def written(x: Array, order: tuple[int, ...] = order) -> Array:
            return x.transpose(order).reshape(x.shape)

        moved = tuple(shape[d] for d in order)
        undo = f"grads.reshape({moved}).transpose({back})"
        how = f"flattened with its axes in the order {order}"
        yield Arrangement("layout", how, written, undo)
        how = f"unflattened with its axes in the order {order}"
        if order == tuple(reversed(range(len(shape)))):
            how = "in Fortran order"
        undo = f"grads.transpose({order}).reshape(grads.shape)"
        yield Arrangement("layout", how, partial(unflattened, order=order), undo)


def unflattened(x: Array, order: tuple[int, ...], shape: tuple[int, ...] = ()) -> Array:
    """The elements in a shape whose axes have been laid out in another order."""
    shape = shape or x.shape
    laid_out = x.reshape([shape[d] for d in order])
    return laid_out.transpose(np.argsort(order))


def cut(x: Array, axis: int, start: int, stop: int) -> Array:
    """The array with zeros outside of a part of an axis."""
    kept = np.zeros_like(x)
    np.moveaxis(kept, axis, 0)[start:stop] = np.moveaxis(x, axis, 0)[start:stop]
    return kept
