"""Ways to misarrange an array: parts of it, its elements moved, or summed in advance.

Each keeps the shape, so that whoever uses the array does not notice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Turn = Callable[[Array], Array]

_STEPS = (1, -1, 2, -2)
_PARTS = 4  # sizes of blocks that an axis is cut into
_AXES = 4  # of arrays whose axes are permuted


@dataclass(frozen=True)
class Arrangement:
    """A way to misarrange an array.

    Attributes
    ----------
    code : str
        The cause code.
    how : str
        Said of the array, as in "is rolled by 1 along axis 0".
    turn : callable
    cost : float
        How far-fetched it is.
    """

    code: str
    how: str
    turn: Turn
    cost: float = 4.0


def arrangements(shape: tuple[int, ...]) -> Iterator[Arrangement]:
    """Yield ways to misarrange an array of this shape."""
    long = [d for d, n in enumerate(shape) if n > 1]
    for axis in long:
        yield from _along(axis, shape[axis])
    yield from _summed(long)
    for a, b in combinations(long, 2):
        turn = partial(_inside, a=a, b=b)
        yield Arrangement("geometry", f"without the border of axes {a} and {b}", turn)
        if shape[a] == shape[b]:
            yield from _of_square(a, b)
    if len(long) > 1 and len(shape) <= _AXES:
        yield from _reordered(shape)


# ---- along one axis ------------------------------------------------------------------


def _along(axis: int, n: int) -> Iterator[Arrangement]:
    for step in (s for s in _STEPS if abs(s) < n):
        how = f"moved by {step} along axis {axis}"
        yield Arrangement("geometry", how, partial(shifted, step=step, axis=axis), 3.9)
        rolled = partial(np.roll, shift=step, axis=axis)
        how = f"rolled by {step} along axis {axis}"
        yield Arrangement("geometry", how, rolled, 3.9)
    reverse = partial(np.flip, axis=axis)
    yield Arrangement("geometry", f"reversed along axis {axis}", reverse)
    order = partial(np.sort, axis=axis)
    yield Arrangement("layout", f"sorted along axis {axis}", order, 4.1)
    for start, which in ((0, "even"), (1, "odd")):
        turn = partial(_every_second, axis=axis, start=start)
        yield Arrangement("geometry", f"cut to {which} places of axis {axis}", turn)
    for back, where in ((False, "earlier"), (True, "later")):
        turn = partial(_accumulated, axis=axis, back=back)
        how = f"added up with all {where} ones along axis {axis}"
        yield Arrangement("accumulation", how, turn, 4.1)
    for place, which in ((0, "first"), (-1, "last")):
        turn = partial(_one_for_all, axis=axis, place=place)
        how = f"with the {which} of axis {axis} in place of all"
        yield Arrangement("reduction", how, turn, 4.1)
    for size in [s for s in range(2, n) if n % s == 0][:_PARTS]:
        for mean, what in ((False, "summed"), (True, "averaged")):
            turn = partial(_by_blocks, axis=axis, size=size, mean=mean)
            how = f"{what} over groups of {size} along axis {axis}"
            yield Arrangement("reduction", how, turn)


def shifted(x: Array, step: int, axis: int) -> Array:
    """The array moved along an axis, zeros moving in."""
    moved = np.roll(x, step, axis)
    edge = slice(None, step) if step > 0 else slice(step, None)
    np.moveaxis(moved, axis, 0)[edge] = 0
    return moved


def _every_second(x: Array, axis: int, start: int) -> Array:
    kept = np.zeros_like(x)
    some = np.moveaxis(x, axis, 0)[start::2]
    np.moveaxis(kept, axis, 0)[start::2] = some
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


def _inside(x: Array, a: int, b: int) -> Array:
    kept = np.zeros_like(x)
    moved, source = (np.moveaxis(y, (a, b), (0, 1)) for y in (kept, x))
    moved[1:-1, 1:-1] = source[1:-1, 1:-1]
    return kept


# ---- sums ----------------------------------------------------------------------------


def _summed(long: list[int]) -> Iterator[Arrangement]:
    for n in range(1, min(len(long), 3) + 1):
        for axes in combinations(long, n):
            what = f"axis {axes[0]}" if n == 1 else f"axes {axes}"
            for mean, verb in ((False, "summed"), (True, "averaged")):
                turn = partial(_total, axes=axes, mean=mean)
                how = f"{verb} over {what}, which is to be kept,"
                yield Arrangement("reduction", how, turn, 3.8 + 0.1 * n)


def _total(x: Array, axes: tuple[int, ...], mean: bool) -> Array:
    total = (np.mean if mean else np.sum)(x, axis=axes, keepdims=True)
    return np.broadcast_to(total, x.shape)


# ---- two equal axes ------------------------------------------------------------------


def _of_square(a: int, b: int) -> Iterator[Arrangement]:
    where = f"of axes {a} and {b}"

    def by(turn: Turn) -> Turn:
        """On matrices of these axes."""

        def turned(x: Array) -> Array:
            moved = turn(np.moveaxis(x, (a, b), (-2, -1)))
            return np.moveaxis(moved, (-2, -1), (a, b))

        return turned

    for k, how in (
        (0, "the lower triangle"),
        (-1, "what is below the diagonal"),
    ):
        lower = by(partial(np.tril, k=k))
        yield Arrangement("mask", f"cut to {how} {where}", lower, 3.9)
        how = how.replace("lower", "upper").replace("below", "above")
        upper = by(partial(np.triu, k=-k))
        yield Arrangement("mask", f"cut to {how} {where}", upper, 3.9)
        for half, name in ((np.tril, "lower"), (np.triu, "upper")):
            diagonal = k if half is np.tril else -k

            def doubled(x: Array, half: Turn = half, k: int = diagonal) -> Array:
                return 2 * half(x, k)  # type: ignore[call-arg]

            how_ = f"cut to its {name} triangle {where} and doubled"
            yield Arrangement("accumulation", how_, by(doubled), 4.1)
    yield Arrangement("mask", f"cut to the diagonal {where}", by(_diagonal), 3.9)
    yield Arrangement(
        "mask", f"without the diagonal {where}", by(lambda x: x - _diagonal(x)), 3.9
    )
    yield Arrangement(
        "accumulation",
        f"with the diagonal {where} doubled",
        by(lambda x: x + _diagonal(x)),
    )
    yield Arrangement(
        "accumulation",
        f"with the diagonal {where} halved",
        by(lambda x: x - 0.5 * _diagonal(x)),
    )
    yield Arrangement(
        "layout", f"with axes {a} and {b} exchanged", by(lambda x: x.swapaxes(-1, -2))
    )
    yield Arrangement(
        "accumulation",
        f"added to its transpose {where}",
        by(lambda x: x + x.swapaxes(-1, -2)),
    )
    yield Arrangement(
        "accumulation",
        f"averaged with its transpose {where}",
        by(lambda x: (x + x.swapaxes(-1, -2)) / 2),
    )
    yield Arrangement(
        "accumulation",
        f"added to its transpose {where}, the diagonal once,",
        by(lambda x: x + x.swapaxes(-1, -2) - _diagonal(x)),
    )


def _diagonal(x: Array) -> Array:
    return np.asarray(x * np.eye(x.shape[-1]))


# ---- elements in another order -------------------------------------------------------


def _reordered(shape: tuple[int, ...]) -> Iterator[Arrangement]:
    for order in permutations(range(len(shape))):
        if list(order) == sorted(order):
            continue

        def written(x: Array, order: tuple[int, ...] = order) -> Array:
            return x.transpose(order).reshape(x.shape)

        how = f"flattened with its axes in the order {order}"
        yield Arrangement("layout", how, written, 4.1)
        how = f"unflattened with its axes in the order {order}"
        yield Arrangement("layout", how, partial(unflattened, order=order), 4.1)


def unflattened(x: Array, order: tuple[int, ...], shape: tuple[int, ...] = ()) -> Array:
    """The elements in a shape whose axes have been laid out in another order."""
    shape = shape or x.shape
    laid_out = x.reshape([shape[d] for d in order])
    return laid_out.transpose(np.argsort(order))
