"""torch's views, joins, reads and writes at indices, and sorting, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad.interop.meanings import Unasked, add_at, padded, put


def expand(x, size: Sequence[int], implicit=False):
    lead = len(size) - len(np.shape(x))
    shape = [np.shape(x)[d - lead] if n == -1 else n for d, n in enumerate(size)]
    return np.broadcast_to(x, tuple(shape))


def narrow(x, dim: int = 0, start=None, end=None, step: int = 1):
    return x[_at(x, dim, slice(start, end, step))]


def select(x, dim: int, index: int):
    return x[_at(x, dim, index)]


def unbind(x, dim: int = 0):
    return [select(x, dim, i) for i in range(np.shape(x)[dim])]


def _at(x, dim: int, key):
    return (*(slice(None),) * (dim % len(np.shape(x))), key)


def split(x, size, dim: int = 0):
    n = np.shape(x)[dim]
    sizes = [size] * (n // size) if isinstance(size, int) else list(size)
    ends = np.cumsum(sizes).tolist()
    if isinstance(size, int) and n % size:
        ends.append(n)
    starts = [0, *ends[:-1]]
    return [narrow(x, dim, a, b) for a, b in zip(starts, ends, strict=True)]


def squeeze(x, dim=None):
    shape = np.shape(x)
    if dim is None:
        return np.squeeze(x)
    dims = [dim] if isinstance(dim, int) else dim
    return np.squeeze(x, axis=tuple(d for d in dims if shape and shape[d] == 1))


def unsqueeze(x, dim: int):
    return np.expand_dims(x, dim if dim >= 0 else dim + len(np.shape(x)) + 1)


def transpose(x, a: int, b: int):
    return np.swapaxes(x, a, b) if len(np.shape(x)) > 1 else x


def t(x):
    return np.transpose(x) if len(np.shape(x)) == 2 else x


def cat(xs: Sequence[Any], dim: int = 0):
    # torch lets vectors of no elements join anything.
    return np.concatenate([x for x in xs if np.shape(x) != (0,)], axis=dim)


def roll(x, shifts, dims=()):
    return np.roll(x, tuple(shifts), tuple(dims)) if dims else np.roll(x, shifts[0])


def pad(x, pad: Sequence[int], value: float = 0.0):
    widths = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    return padded(x, widths, value or 0.0)


def index(x, indices: Sequence[Any]):
    return x[tuple(slice(None) if i is None else i for i in indices)]


def _positions(x, key):
    return np.arange(math.prod(np.shape(x))).reshape(np.shape(x))[key]


def index_put(x, indices: Sequence[Any], values, accumulate=False):
    key = tuple(slice(None) if i is None else i for i in indices)
    positions = _positions(x, key)
    values = np.broadcast_to(values, positions.shape)
    return (add_at if accumulate else put)(x, positions, values)


def _grid(index, dim: int):
    """The places that `gather` and `scatter` mean."""
    grid = list(np.indices(index.shape, sparse=True))
    grid[dim] = index
    return tuple(grid)


def gather(x, dim: int, index, sparse_grad=False):
    _need_constant(index, "gather")
    return x[_grid(index, dim)] if len(np.shape(x)) else x[None][index]


def _need_constant(index, name: str):
    if not isinstance(index, np.ndarray):
        raise TypeError(f"torch.{name} at places that depend on parameters")


def scatter(x, dim: int, index, src):
    _need_constant(index, "scatter")
    window = tuple(slice(n) for n in index.shape)
    new = src[window] if np.ndim(src) else src
    positions = _positions(x, _grid(index, dim))
    return put(x, positions, np.broadcast_to(new, index.shape))


def scatter_add(x, dim: int, index, src):
    _need_constant(index, "scatter_add")
    new = src[tuple(slice(n) for n in index.shape)]
    return add_at(x, _positions(x, _grid(index, dim)), new)


def index_add(x, dim: int, index, source, alpha=1):
    positions = _positions(x, _at(x, dim, index))
    return add_at(x, positions, source * alpha)


def index_select(x, dim: int, index):
    _need_constant(index, "index_select")
    return np.take(x, index, axis=dim) if len(np.shape(x)) else x


def embedding(weight, index, *options):
    _need_constant(index, "embedding")
    return weight[index]


def slice_scatter(x, src, dim: int = 0, start=None, end=None, step: int = 1):
    return put(x, _positions(x, _at(x, dim, slice(start, end, step))), src)


def select_scatter(x, src, dim: int, index: int):
    return put(x, _positions(x, _at(x, dim, index)), src)


def sort(x, dim: int = -1, descending=False):
    order = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, order, axis=dim), Unasked("an order", lambda: order)


def topk(x, k: int, dim: int = -1, largest=True, sorted=True):
    ordered, order = sort(x, dim, largest)
    return narrow(ordered, dim, 0, k), Unasked(
        "an order", lambda: narrow(order.asked(), dim, 0, k)
    )


def kth(x, k: int, dim: int = -1, keepdim=False):
    """The k-th smallest, from 1 on, and where it is."""
    if not len(np.shape(x)):
        return x, Unasked("an order", lambda: np.zeros((), np.intp))
    ordered, order = sort(x, dim)

    def only(y):
        found = narrow(y, dim, k - 1, k)
        return found if keepdim else np.squeeze(found, axis=dim)

    return only(ordered), Unasked("an order", lambda: only(order.asked()))


def running(ufunc):
    """The extreme so far; where it is, is not known."""

    def running(x, dim: int):
        return ufunc.accumulate(x, axis=dim), Unasked("places")

    return running
