"""torch's views, joins, reads and writes at indices, and sorting, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastgrad.interop.meanings import Unasked, add_at, padded, put


def expand(x: Any, size: Sequence[int], implicit: bool = False) -> Any:
    lead = len(size) - len(np.shape(x))
    shape = [np.shape(x)[d - lead] if n == -1 else n for d, n in enumerate(size)]
    return np.broadcast_to(x, tuple(shape))


def narrow(
    x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    return x[_at(x, dim, slice(start, end, step))]


def select(x: Any, dim: int, index: int) -> Any:
    return x[_at(x, dim, index)]


def unbind(x: Any, dim: int = 0) -> Any:
    return [select(x, dim, i) for i in range(np.shape(x)[dim])]


def _at(x: Any, dim: int, key: Any) -> tuple[Any, ...]:
    return (*(slice(None),) * (dim % len(np.shape(x))), key)


def split(x: Any, size: Any, dim: int = 0) -> Any:
    n = np.shape(x)[dim]
    sizes = [size] * (n // size) if isinstance(size, int) else list(size)
    ends = np.cumsum(sizes).tolist()
    if isinstance(size, int) and n % size:
        ends.append(n)
    starts = [0, *ends[:-1]]
    return [narrow(x, dim, a, b) for a, b in zip(starts, ends, strict=True)]


def squeeze(x: Any, dim: Any = None) -> Any:
    shape = np.shape(x)
    if dim is None:
        return np.squeeze(x)
    dims = [dim] if isinstance(dim, int) else dim
    return np.squeeze(x, axis=tuple(d for d in dims if shape and shape[d] == 1))


def unsqueeze(x: Any, dim: int) -> Any:
    return np.expand_dims(x, dim if dim >= 0 else dim + len(np.shape(x)) + 1)


def transpose(x: Any, a: int, b: int) -> Any:
    return np.swapaxes(x, a, b) if len(np.shape(x)) > 1 else x


def t(x: Any) -> Any:
    return np.transpose(x) if len(np.shape(x)) == 2 else x


def cat(xs: Sequence[Any], dim: int = 0) -> Any:
    # torch lets vectors of no elements join anything.
    return np.concatenate([x for x in xs if np.shape(x) != (0,)], axis=dim)


def roll(x: Any, shifts: Any, dims: Any = ()) -> Any:
    return np.roll(x, tuple(shifts), tuple(dims)) if dims else np.roll(x, shifts[0])


def pad(x: Any, pad: Sequence[int], value: float = 0.0) -> Any:
    widths = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    return padded(x, widths, value or 0.0)


def index(x: Any, indices: Sequence[Any]) -> Any:
    return x[tuple(slice(None) if i is None else i for i in indices)]


def _positions(x: Any, key: Any) -> Any:
    return np.arange(math.prod(np.shape(x))).reshape(np.shape(x))[key]


def index_put(
    x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False
) -> Any:
    key = tuple(slice(None) if i is None else i for i in indices)
    positions = _positions(x, key)
    values = np.broadcast_to(values, positions.shape)
    return (add_at if accumulate else put)(x, positions, values)


def _grid(index: Any, dim: int) -> tuple[Any, ...]:
    """The places that `gather` and `scatter` mean."""
    grid = list(np.indices(index.shape, sparse=True))
    grid[dim] = index
    return tuple(grid)


def gather(x: Any, dim: int, index: Any, sparse_grad: bool = False) -> Any:
    _need_constant(index, "gather")
    return x[_grid(index, dim)] if len(np.shape(x)) else x[None][index]


def _need_constant(index: Any, name: str) -> None:
    if not isinstance(index, np.ndarray):
        raise TypeError(f"torch.{name} at places that depend on parameters")


def scatter(x: Any, dim: int, index: Any, src: Any) -> Any:
    _need_constant(index, "scatter")
    window = tuple(slice(n) for n in index.shape)
    new = src[window] if np.ndim(src) else src
    positions = _positions(x, _grid(index, dim))
    return put(x, positions, np.broadcast_to(new, index.shape))


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    _need_constant(index, "scatter_add")
    new = src[tuple(slice(n) for n in index.shape)]
    return add_at(x, _positions(x, _grid(index, dim)), new)


def index_add(x: Any, dim: int, index: Any, source: Any, alpha: Any = 1) -> Any:
    positions = _positions(x, _at(x, dim, index))
    return add_at(x, positions, source * alpha)


def index_select(x: Any, dim: int, index: Any) -> Any:
    _need_constant(index, "index_select")
    return np.take(x, index, axis=dim) if len(np.shape(x)) else x


def embedding(weight: Any, index: Any, *options: Any) -> Any:
    _need_constant(index, "embedding")
    return weight[index]


def slice_scatter(
    x: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    return put(x, _positions(x, _at(x, dim, slice(start, end, step))), src)


def select_scatter(x: Any, src: Any, dim: int, index: int) -> Any:
    return put(x, _positions(x, _at(x, dim, index)), src)


def sort(x: Any, dim: int = -1, descending: bool = False) -> Any:
    order = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, order, axis=dim), Unasked("an order", lambda: order)


def topk(
    x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Any:
    ordered, order = sort(x, dim, largest)
    return narrow(ordered, dim, 0, k), Unasked(
        "an order", lambda: narrow(order.asked(), dim, 0, k)
    )


def kth(x: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest, from 1 on, and where it is."""
    if not len(np.shape(x)):
        return x, Unasked("an order", lambda: np.zeros((), np.intp))
    ordered, order = sort(x, dim)

    def only(y: Any) -> Any:
        found = narrow(y, dim, k - 1, k)
        return found if keepdim else np.squeeze(found, axis=dim)

    return only(ordered), Unasked("an order", lambda: only(order.asked()))


def running(ufunc: Any) -> Callable[..., Any]:
    """The extreme so far; where it is, is not known."""

    def running(x: Any, dim: int) -> Any:
        return ufunc.accumulate(x, axis=dim), Unasked("places")

    return running
