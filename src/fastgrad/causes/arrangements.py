"""Ways to misarrange an array: parts of it, its elements moved, or summed in advance.

Each keeps the shape, so that whoever uses the array does not notice.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Turn = Callable[[Array], Array]

_STEPS = (1, -1, 2, -2)
_PARTS = 4  # sizes of blocks that an axis is cut into
_AXES = 4  # of arrays whose axes are permuted


class Arrangement(NamedTuple):
    """A way to misarrange an array.

    Attributes
    ----------
    code : str
        The cause code.
    how : str
        Said of the array, as in "is rolled by 1 along axis 0".
    turn : callable
    undo : str
        The formula that gives `grads` back what it was, where there is one.
    """

    code: str
    how: str
    turn: Turn
    undo: str = ""


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
            yield from _some(axes)
    for n in (1, 2, 3):
        for axes in combinations(long, n):
            yield from _over(axes)
    for axis in long:
        yield from _along(axis, shape[axis], len(shape))
    for a, b in combinations(long, 2):
        inside = partial(_inside, a=a, b=b)
        yield Arrangement("geometry", f"without the border of axes {a} and {b}", inside)
    if len(long) > 1 and len(shape) <= _AXES:
        yield from _reordered(shape)


_SOME: tuple[tuple[str, str, slice], ...] = (
    ("partial", "the first", slice(None, 1)),
    ("partial", "the last", slice(-1, None)),
    ("geometry", "all but the last", slice(None, -1)),
    ("geometry", "all but the first", slice(1, None)),
)


def _some(axes: tuple[int, ...]) -> Iterator[Arrangement]:
    """Only the ends, or all but the ends, of some axes."""
    what = f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"
    for code, which, where in _SOME:
        turn = partial(_kept, axes=axes, where=where)
        yield Arrangement(code, f"only at {which} along {what}", turn)


def _kept(x: Array, axes: tuple[int, ...], where: slice) -> Array:
    kept = np.zeros_like(x)
    key = tuple(where if d in axes else slice(None) for d in range(x.ndim))
    kept[key] = x[key]
    return kept


def _over(axes: tuple[int, ...]) -> Iterator[Arrangement]:
    what = f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"
    flipped = partial(np.flip, axis=axes)
    undo = f"np.flip(grads, {axes})"
    yield Arrangement("geometry", f"reversed along {what}", flipped, undo)
    for mean, verb in ((False, "summed"), (True, "averaged")):
        how = f"{verb} over {what}, which is to be kept,"
        yield Arrangement("reduction", how, partial(_total, axes=axes, mean=mean))


def _total(x: Array, axes: tuple[int, ...], mean: bool) -> Array:
    total = (np.mean if mean else np.sum)(x, axis=axes, keepdims=True)
    return np.broadcast_to(total, x.shape)


# ---- along one axis ------------------------------------------------------------------


def _along(axis: int, n: int, ndim: int) -> Iterator[Arrangement]:
    where = f"along axis {axis}"
    for step in (s for s in _STEPS if abs(s) < n):
        rolled = partial(np.roll, shift=step, axis=axis)
        undo = f"np.roll(grads, {-step}, {axis})"
        # Of a vector nothing but the order is lost.
        code = "geometry" if ndim > 1 else "layout"
        yield Arrangement(code, f"rolled by {step} {where}", rolled, undo)
        moved = partial(shifted, step=step, axis=axis)
        yield Arrangement("geometry", f"moved by {step} {where}", moved)
    yield Arrangement("layout", f"sorted {where}", partial(np.sort, axis=axis))
    for start, which in ((0, "even"), (1, "odd")):
        turn = partial(_every_second, axis=axis, start=start)
        yield Arrangement("geometry", f"cut to {which} places of axis {axis}", turn)
    for back, which in ((False, "earlier"), (True, "later")):
        turn = partial(_accumulated, axis=axis, back=back)
        how = f"added up with all {which} ones {where}"
        yield Arrangement("accumulation", how, turn)
    for place, which in ((0, "first"), (-1, "last")):
        turn = partial(_one_for_all, axis=axis, place=place)
        how = f"with the {which} of axis {axis} in place of all"
        yield Arrangement("reduction", how, turn)
    for size in [s for s in range(2, n) if n % s == 0][:_PARTS]:
        for mean, what in ((False, "summed"), (True, "averaged")):
            turn = partial(_by_blocks, axis=axis, size=size, mean=mean)
            how = f"{what} over groups of {size} {where}"
            yield Arrangement("reduction", how, turn)


def shifted(x: Array, step: int, axis: int) -> Array:
    """The array moved along an axis, zeros moving in."""
    moved = np.roll(x, step, axis)
    edge = slice(None, step) if step > 0 else slice(step, None)
    np.moveaxis(moved, axis, 0)[edge] = 0
    return moved


def _every_second(x: Array, axis: int, start: int) -> Array:
    kept = np.zeros_like(x)
    np.moveaxis(kept, axis, 0)[start::2] = np.moveaxis(x, axis, 0)[start::2]
    return kept


def _one_for_all(x: Array, axis: int, place: int) -> Array:
    return np.broadcast_to(np.take(x, [place], axis), x.shape)


def _accumulated(x: Array, axis: int, back: bool) -> Array:
    if back:
        return np.flip(np.flip(x, axis).cumsum(axis), axis)
    return x.cumsum(axis)


def _by_blocks(x: Array, axis: int, size: int, mean: bool) -> Array:
    blocks = x.reshape(*x.shape[:axis], -1, size, *x.shape[axis + 1 :])
    return _total(blocks, (axis + 1,), mean).reshape(x.shape)


# ---- two axes ------------------------------------------------------------------------


def _inside(x: Array, a: int, b: int) -> Array:
    kept = np.zeros_like(x)
    moved, source = (np.moveaxis(y, (a, b), (0, 1)) for y in (kept, x))
    moved[1:-1, 1:-1] = source[1:-1, 1:-1]
    return kept


def _t(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _diagonal(x: Array) -> Array:
    return np.asarray(x * np.eye(x.shape[-1]))


#: Of square matrices.
_SQUARE: tuple[Arrangement, ...] = (
    Arrangement("layout", "transposed", _t, "np.swapaxes(grads, {a}, {b})"),
    Arrangement("mask", "cut to the lower triangle", np.tril),
    Arrangement("mask", "cut to the upper triangle", np.triu),
    Arrangement("mask", "cut to what is below the diagonal", partial(np.tril, k=-1)),
    Arrangement("mask", "cut to what is above the diagonal", partial(np.triu, k=1)),
    Arrangement("mask", "cut to the diagonal", _diagonal),
    Arrangement("mask", "without the diagonal", lambda x: x - _diagonal(x)),
    Arrangement(
        "accumulation",
        "cut to the lower triangle and doubled",
        lambda x: 2 * np.tril(x),
    ),
    Arrangement(
        "accumulation",
        "cut to the upper triangle and doubled",
        lambda x: 2 * np.triu(x),
    ),
    Arrangement(
        "accumulation",
        "cut to what is below the diagonal and doubled",
        lambda x: 2 * np.tril(x, -1),
    ),
    Arrangement(
        "accumulation",
        "cut to what is above the diagonal and doubled",
        lambda x: 2 * np.triu(x, 1),
    ),
    Arrangement(
        "accumulation", "with the diagonal doubled", lambda x: x + _diagonal(x)
    ),
    Arrangement(
        "accumulation", "with the diagonal halved", lambda x: x - 0.5 * _diagonal(x)
    ),
    Arrangement(
        "accumulation",
        "doubled off the diagonal, as for a symmetric matrix,",
        lambda x: 2 * x - _diagonal(x),
    ),
    Arrangement("accumulation", "added to its transpose", lambda x: x + _t(x)),
    Arrangement("layout", "averaged with its transpose", lambda x: (x + _t(x)) / 2),
    Arrangement(
        "accumulation",
        "added to its transpose, the diagonal once,",
        lambda x: x + _t(x) - _diagonal(x),
    ),
)


def _of_square(a: int, b: int, ndim: int) -> Iterator[Arrangement]:
    for one in _SQUARE:

        def turn(x: Array, turn: Turn = one.turn) -> Array:
            turned = turn(np.moveaxis(x, (a, b), (-2, -1)))
            return np.moveaxis(turned, (-2, -1), (a, b))

        how = one.how if ndim == 2 else f"{one.how.rstrip(',')} in axes {a} and {b}"
        yield one._replace(how=how, turn=turn, undo=one.undo.format(a=a, b=b))


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
