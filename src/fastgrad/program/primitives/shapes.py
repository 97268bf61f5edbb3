"""Shape: indexing, reshaping, joining, splitting, padding, rearranging."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives.reductions import Axis, normalize_axes
from fastgrad.program.primitives.table import stands_for
from fastgrad.program.primitives.ufuncs import elementwise


def gather(x: Node, positions: Any, label: str) -> Node:
    """`x.ravel()[positions]`: a view of `x` where these are evenly spaced."""
    positions = np.asarray(positions)
    if not x.active:
        return graph.constant(x.value.ravel()[positions])
    if positions.size == x.value.size == 1:
        return graph.reshape(x, positions.shape, label)
    if positions.size == x.value.size and _is_range(positions.ravel()):
        return graph.reshape(x, positions.shape, label)
    moves = _moves(x.shape, positions)
    if moves is not None:
        return graph.view(x, *moves, positions.shape, label)
    rows = _rows(x, positions, label)
    if rows is not None:
        return rows
    flat = graph.reshape(x, (x.value.size,), label)
    taken = graph.take(flat, positions.ravel(), label)
    return graph.reshape(taken, positions.shape, label)


def _rows(x: Node, positions: Any, label: str) -> Node | None:
    """Evenly spaced rows of a view of `x`, in any order, where that is what it is.

    A perturbation then stays within its place of the rows.
    """
    if positions.ndim < 2 or not positions.size:
        return None
    ahead = positions.reshape(len(positions), -1)[:, 0]
    inner = positions[0] - ahead[0]
    if not (positions == ahead.reshape(-1, *[1] * inner.ndim) + inner).all():
        return None
    lowest = ahead.min()
    apart = int(np.gcd.reduce(ahead - lowest)) or 1
    which = (ahead - lowest) // apart
    count = np.arange(which.max() + 1).reshape(-1, *[1] * inner.ndim)
    moves = _moves(x.shape, lowest + apart * count + inner)
    if moves is None:
        return None
    shape = (len(count), *inner.shape)
    return graph.take(graph.view(x, *moves, shape, label), which, label)


def _is_range(positions: Any) -> bool:
    return bool((positions == np.arange(positions.size)).all())


def _moves(
    shape: tuple[int, ...], positions: Any
) -> tuple[list[int], list[int]] | None:
    """Offset and moves of the view that shows these positions, if there is one."""
    if not positions.size:
        return None
    first = int(positions.flat[0])
    offset = [int(i) for i in np.unravel_index(first, shape)]
    reach, moves, expected = list(offset), [], np.asarray(first)
    for d, n in enumerate(positions.shape):
        ahead = (0,) * d + (1,) + (0,) * (positions.ndim - d - 1)
        step = int(positions[ahead]) - first if n > 1 else 0
        expected = expected[..., None] + step * np.arange(n)
        move = _move(shape, reach, step, n)
        if move is None:
            return None
        moves += move
    return (offset, moves) if np.array_equal(expected, positions) else None


def _move(
    shape: tuple[int, ...], reach: list[int], step: int, n: int
) -> list[int] | None:
    """The axis to go along so that positions rise by `step`, and how far each time."""
    if step == 0:
        return [-1, 0]
    for axis in range(len(shape)):
        stride = math.prod(shape[axis + 1 :])
        if stride and step % stride == 0:
            each = step // stride
            end = reach[axis] + each * (n - 1)
            if 0 <= end < shape[axis]:
                reach[axis] = end
                return [axis, each]
    return None


def _rearranged(x: Node, function: Callable[[Any], Any], label: str) -> Node:
    """Whatever `function` does to the positions of `x`."""
    return gather(x, function(np.arange(x.value.size).reshape(x.shape)), label)


#: Kinds of keys that pick boxes, as NumPy's integers do.
_BASIC = frozenset([int, slice, type(None), type(Ellipsis)])
_WHOLE = frozenset([int])


def index(x: Node, key: Any, label: str) -> Node:
    """`x[key]` for slices, integers, None, Ellipsis and constant index arrays."""
    if type(key) is int and x.value.ndim == 1:  # loops do little else
        element = x.value[key]
        return graph.view(x, (key % len(x.value),), (), (), label, element)
    key = key if isinstance(key, tuple) else (key,)
    if len(key) == x.value.ndim and _WHOLE.issuperset(map(type, key)):
        element = x.value[key]
        at = [k % n for k, n in zip(key, x.shape, strict=True)]
        return graph.view(x, at, (), (), label, element)
    if not all([type(k) in _BASIC or isinstance(k, np.integer) for k in key]):
        return _index_arrays(x, key, label)
    n_given = sum(k is not None and k is not Ellipsis for k in key)
    if Ellipsis not in key:
        key = (*key, Ellipsis)
    rest = [slice(None)] * (x.value.ndim - n_given)
    at = key.index(Ellipsis)
    offset: list[int] = []
    moves: list[int] = []
    shape: list[int] = []
    for k in (*key[:at], *rest, *key[at + 1 :]):
        axis = len(offset)
        if k is None:
            shape.append(1)
            moves += [-1, 0]
        elif isinstance(k, slice):
            span = range(*k.indices(x.shape[axis]))
            offset.append(span.start if len(span) else 0)
            moves += [axis, span.step]
            shape.append(len(span))
        else:
            n = x.shape[axis]
            if not -n <= k < n:
                raise IndexError(f"index {k} is out of bounds for axis of size {n}")
            offset.append(int(k) % n)
    return graph.view(x, offset, moves, tuple(shape), label, x.value[key])


def _index_arrays(x: Node, key: tuple[Any, ...], label: str) -> Node:
    """An index with arrays: one of integers takes along an axis, others gather."""
    arrays = [d for d, k in enumerate(key) if not isinstance(k, slice)]
    if len(arrays) == 1 and all(k == slice(None) for k in key if isinstance(k, slice)):
        chosen = np.asarray(key[arrays[0]])
        if chosen.dtype.kind in "iu" and chosen.ndim:
            return _take_axis(x, chosen, arrays[0], label)
    return _rearranged(x, lambda positions: positions[key], label)


def _take_axis(x: Node, chosen: Any, axis: int, label: str) -> Node:
    n = x.shape[axis]
    chosen = np.asarray(chosen)
    if chosen.size and not (-n <= chosen.min() and chosen.max() < n):
        raise IndexError(f"index out of bounds for axis of size {n}")
    order = [axis, *(d for d in range(x.value.ndim) if d != axis)]
    front = graph.transpose(x, order, label)
    taken = graph.take(front, (chosen % n).ravel(), label)
    full = graph.reshape(taken, chosen.shape + front.shape[1:], label)
    lead = chosen.ndim
    back = list(range(lead, lead + axis)) + list(range(lead))
    back += list(range(lead + axis, full.value.ndim))
    return graph.transpose(full, back, label)


@stands_for(np.take)
def take(x: Node, indices: Any, axis: int | None = None, *, label: str) -> Node:
    if axis is None or not x.value.ndim:
        return gather(x, np.arange(x.value.size)[np.asarray(indices)], label)
    (axis,) = normalize_axes(axis, x.value.ndim)
    return _take_axis(x, indices, axis, label)


def assign(x: Node, key: Any, new: Node, label: str) -> Node:
    """`x` after ``x[key] = new``, for a constant key."""
    positions = np.arange(x.value.size).reshape(x.shape)[key]
    new = graph.broadcast_to(new, positions.shape, label)
    source = np.zeros(x.value.size, dtype=np.intp)
    chosen = np.zeros(x.value.size, dtype=bool)
    source[positions.ravel()] = np.arange(positions.size)
    chosen[positions.ravel()] = True
    if not positions.size:
        return x
    mask = graph.constant(chosen.reshape(x.shape))
    spread = gather(new, source.reshape(x.shape), label)
    return elementwise("where", mask, spread, x, label=label)


@stands_for(np.reshape, shares=True)
def reshape(x: Node, shape: Any, order: str = "C", *, label: str) -> Node:
    if order not in ("C", "A", None):
        return _rearranged(x, lambda p: p.reshape(shape, order=order), label)
    return graph.reshape(x, x.value.reshape(shape).shape, label)


@stands_for(np.ravel, shares=True)
def ravel(x: Node, order: str = "C", *, label: str) -> Node:
    # Arrays of a program lie in C order, so "as it lies" is that.
    return reshape(x, (-1,), "C" if order == "K" else order, label=label)


@stands_for(np.transpose, shares=True)
def transpose(x: Node, axes: Any = None, *, label: str) -> Node:
    ndim = x.value.ndim
    order = range(ndim)[::-1] if axes is None else normalize_axes(axes, ndim)
    return graph.transpose(x, list(order), label)


def permuted(function: Callable[..., Any]) -> Callable[..., Node]:
    """A function that only permutes axes."""

    def permute(x: Node, *args: Any, label: str, **kwargs: Any) -> Node:
        # Distinct lengths would do; strides of an index tell the axes apart for sure.
        probe = np.lib.stride_tricks.as_strided(
            np.zeros(1), x.shape, [8 << d for d in range(x.value.ndim)]
        )
        moved = function(probe, *args, **kwargs)
        axes = [int(s).bit_length() - 4 for s in moved.strides]
        return graph.transpose(x, axes, label)

    return permute


@stands_for(np.squeeze, shares=True)
def squeeze(x: Node, axis: Axis = None, *, label: str) -> Node:
    return graph.reshape(x, np.squeeze(x.value, axis).shape, label)


@stands_for(np.expand_dims, shares=True)
def expand_dims(x: Node, axis: Any, *, label: str) -> Node:
    return graph.reshape(x, np.expand_dims(x.value, axis).shape, label)


def _parts(xs: Sequence[Node] | Node, label: str) -> Sequence[Node]:
    """The arrays to join: those of one array are along its first axis."""
    if isinstance(xs, Node):
        return [index(xs, i, label) for i in range(xs.shape[0])]
    return xs


@stands_for(np.concatenate)
def concatenate(xs: Sequence[Node] | Node, axis: int | None = 0, *, label: str) -> Node:
    xs = _parts(xs, label)
    if axis is None:
        xs, axis = [ravel(x, label=label) for x in xs], 0
    out = np.concatenate([x.value for x in xs], axis=axis)
    (axis,) = normalize_axes(axis, out.ndim)
    offsets, start = [], 0
    for x in xs:
        offsets.append([start if d == axis else 0 for d in range(out.ndim)])
        start += x.shape[axis]
    return graph.place(xs, offsets, out, label, out)


@stands_for(np.stack)
def stack(xs: Sequence[Node] | Node, axis: int = 0, *, label: str) -> Node:
    xs = _parts(xs, label)
    (axis,) = normalize_axes(axis, xs[0].value.ndim + 1)
    rows = [graph.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]), label) for x in xs]
    return concatenate(rows, axis, label=label)


def joined(function: Callable[..., Any], axis: int) -> Callable[..., Node]:
    """vstack, hstack, column_stack: concatenate after giving each input more axes."""

    def join(xs: Sequence[Node] | Node, *, label: str) -> Node:
        xs = _parts(xs, label)
        along = 0 if function is np.hstack and xs[0].value.ndim < 2 else axis
        rows = []
        for x in xs:
            alone = function([x.value])
            rows.append(graph.reshape(x, alone.shape, label))
        return concatenate(rows, along, label=label)

    return join


def split(function: Callable[..., Any]) -> Callable[..., list[Node]]:
    def split(x: Node, *args: Any, label: str, **kwargs: Any) -> list[Node]:
        parts = function(np.arange(x.value.size).reshape(x.shape), *args, **kwargs)
        return [_part(x, part, label) for part in parts]

    return split


def _part(x: Node, part: Any, label: str) -> Node:
    """The contiguous block of `x` that holds these positions."""
    if not part.size:
        return gather(x, part, label)
    first = np.unravel_index(part.flat[0], x.shape)
    key = tuple(
        slice(int(lo), int(lo) + n) for lo, n in zip(first, part.shape, strict=True)
    )
    return index(x, key, label)


@stands_for(np.pad)
def pad(
    x: Node, pad_width: Any, mode: str = "constant", *, label: str, **kwargs: Any
) -> Node:
    if mode != "constant":
        return _rearranged(x, lambda p: np.pad(p, pad_width, mode, **kwargs), label)  # type: ignore[call-overload]
    out = np.pad(x.value, pad_width, **kwargs)
    before = np.broadcast_to(np.asarray(pad_width), (x.value.ndim, 2))[:, 0]
    return graph.place([x], [before.tolist()], out, label)


@stands_for(sliding_window_view, shares=True)
def sliding_windows(
    x: Node, window_shape: Any, axis: Any = None, *, label: str, **kwargs: Any
) -> Node:
    axes = normalize_axes(axis, x.value.ndim)
    shape = sliding_window_view(x.value, window_shape, axes).shape
    moves = [k for d in range(x.value.ndim) for k in (d, 1)]
    moves += [k for a in axes for k in (a, 1)]
    return graph.view(x, [0] * x.value.ndim, moves, shape, label)


@stands_for(np.diagonal, shares=True)
def diagonal(
    x: Node, offset: int = 0, axis1: int = 0, axis2: int = 1, *, label: str
) -> Node:
    return _rearranged(x, lambda p: np.diagonal(p, offset, axis1, axis2), label)


@stands_for(np.diag, shares=True)
def diag(x: Node, k: int = 0, *, label: str) -> Node:
    if x.value.ndim != 1:
        return _rearranged(x, lambda p: np.diag(p, k), label)
    n = x.shape[0] + abs(k)
    positions = np.flatnonzero(np.diag(np.ones(x.shape[0]), k))
    return assign(
        graph.constant(np.zeros((n, n))), np.unravel_index(positions, (n, n)), x, label
    )


def rearranging(function: Callable[..., Any]) -> Callable[..., Node]:
    """A function that moves or repeats elements, whatever its arguments."""

    def rearrange(x: Node, *args: Any, label: str, **kwargs: Any) -> Node:
        return _rearranged(x, lambda p: function(p, *args, **kwargs), label)

    return rearrange


@stands_for(np.flip, shares=True)
def flip(x: Node, axis: Axis = None, *, label: str) -> Node:
    axes = normalize_axes(axis, x.value.ndim)
    key = tuple(
        slice(None, None, -1) if d in axes else slice(None) for d in range(x.value.ndim)
    )
    return index(x, key, label)


def atleast(ndim: int) -> Callable[..., Node]:
    def atleast(x: Node, *, label: str) -> Node:
        shape = (np.atleast_1d, np.atleast_2d, np.atleast_3d)[ndim - 1](x.value).shape
        return graph.reshape(x, shape, label)

    return atleast


@stands_for(np.broadcast_to, shares=True)
def broadcast_to(x: Node, shape: Any, *, label: str) -> Node:
    return graph.broadcast_to(x, np.broadcast_to(x.value, shape).shape, label)


@stands_for(np.copy)
def copy(x: Node, order: str = "K", subok: bool = False, *, label: str) -> Node:
    return x


_function: Any
for _function in (np.swapaxes, np.moveaxis, np.rollaxis):
    stands_for(_function, shares=True)(permuted(_function))
for _ndim, _function in enumerate((np.atleast_1d, np.atleast_2d, np.atleast_3d), 1):
    stands_for(_function, shares=True)(atleast(_ndim))
for _function, _axis in {np.vstack: 0, np.hstack: 1, np.column_stack: 1}.items():
    stands_for(_function)(joined(_function, _axis))
for _function in (np.split, np.array_split, np.vsplit, np.hsplit):
    stands_for(_function, shares=True)(split(_function))
for _function in (np.repeat, np.tile, np.roll, np.fft.fftshift, np.fft.ifftshift):
    stands_for(_function)(rearranging(_function))
for _axis, _function in enumerate((np.flipud, np.fliplr)):
    stands_for(_function, shares=True)(partial(flip, axis=_axis))
stands_for(np.rot90, shares=True)(rearranging(np.rot90))
