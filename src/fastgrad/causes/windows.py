"""Arrays laid out in another order, and windows read from another place."""

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import unflattened
from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.reverse import Instead, Reverse, product_part
from fastgrad.causes.sieve import independent
from fastgrad.program.graph import Node

Array = NDArray[np.float64]

_AXES = 5  # of arrays whose axes are permuted
_STRIDES = ((1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (2, 2), (3, 2), (2, 3))


def window_reshapes(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """A change of shape undone as if the axes had lain in another order."""
    node = group[0]
    x = node.inputs[0]
    long = sum(n > 1 for n in x.shape)
    if not independent(reverse, dict.fromkeys(group)):
        return  # each order would have to be propagated
    if node.value.size == x.value.size and long > 1 and x.value.ndim <= _AXES:
        for order in permutations(range(x.value.ndim)):
            if list(order) == sorted(order):
                continue

            def part(n: Node, g: Array, order: tuple[int, ...] = order) -> Any:
                return unflattened(g, order, n.inputs[0].shape)

            text = f"{{op}} is undone as if the axes had been in the order {order}"
            yield Mistake("layout", text, everywhere(group, Instead(0, part)), 3.4)

        def fortran(n: Node, g: Array) -> Any:
            return g.reshape(n.inputs[0].shape, order="F")

        text = "{op} is undone in Fortran order"
        yield Mistake("layout", text, everywhere(group, Instead(0, fortran)), 3.4)


# ---- windows that are axes -----------------------------------------------------------


def window_reductions(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """Windows spread over some axes, read as if their entries followed each other."""
    node = group[0]
    axes = tuple(d for d, reduced in enumerate(node.ints) if reduced)
    ndim = node.inputs[0].value.ndim
    if axes == tuple(range(ndim - len(axes), ndim)):
        return

    def part(n: Node, g: Array) -> Any:
        x = n.inputs[0].value
        rows = x.reshape(g.size, -1)
        share = np.ones(rows.shape)
        if n.op == "max":
            share = (rows == rows.max(axis=1, keepdims=True)) * 1.0
        return (share * g.reshape(-1, 1)).reshape(x.shape)

    text = "the windows of {op} are read as if their entries followed each other"
    yield Mistake("geometry", text, everywhere(group, Instead(0, part)), 3.3)


# ---- windows that overlap ------------------------------------------------------------


def overlapping_windows(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """The windows that a product takes are read from another place."""
    for i in (0, 1):
        if not group[0].inputs[i].active:
            continue
        windows = group[0].inputs[1 - i].value
        for pairs, offset in _offsets(_overlaps(windows)):

            def part(
                n: Node, g: Array, i: int = i, pairs: Any = pairs, offset: int = offset
            ) -> Any:
                moved = n.inputs[1 - i].value
                for pair in pairs:
                    moved = _read(moved, pair, offset)
                return product_part(n, i, g, moved)

            where = " and ".join(str(pair[:2]) for pair in pairs)
            text = f"the windows that {{op}} takes along axes {where} are read "
            text += f"{abs(offset)} too {'early' if offset < 0 else 'late'}"
            yield Mistake("geometry", text, everywhere(group, Instead(i, part)), 3.5)


#: Two axes of windows, and how far one step along each moves in what they are cut from.
_Pair = tuple[int, int, int, int]


def _overlaps(x: Array) -> list[_Pair]:
    """Axes along which windows overlap, as an array of windows shows."""
    found = []
    for a, b in combinations([d for d, n in enumerate(x.shape) if n > 1], 2):
        for s, t in _STRIDES:
            one = np.moveaxis(x, (a, b), (0, 1))
            if one.shape[0] <= t or one.shape[1] <= s or np.ptp(one) == 0:
                continue
            if np.array_equal(one[t:, :-s], one[:-t, s:]):
                found.append((a, b, s, t))
                break
    return found


def _offsets(pairs: Sequence[_Pair]) -> Iterator[tuple[tuple[_Pair, ...], int]]:
    """Some of the axes, and by how much the windows are off along them."""
    for n in range(1, len(pairs) + 1):
        for some in combinations(pairs, n):
            axes = [d for pair in some for d in pair[:2]]
            if len(set(axes)) == len(axes):
                for offset in (-1, 1, -2, 2):
                    yield some, offset


def _read(x: Array, pair: _Pair, offset: int) -> Array:
    """Windows cut from the same array at another offset, zeros beyond its ends."""
    a, b, s, t = pair
    one = np.moveaxis(x, (a, b), (0, 1))
    rows, columns = one.shape[:2]
    place = s * np.arange(rows)[:, None] + t * np.arange(columns)
    line = np.zeros((place.max() + 1, *one.shape[2:]))
    line[place] = one
    moved = np.zeros_like(one)
    wanted = place + offset
    inside = (wanted >= 0) & (wanted < len(line))
    moved[inside] = line[wanted[inside]]
    return np.moveaxis(moved, (0, 1), (a, b))
