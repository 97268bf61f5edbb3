"""Making arrays: of sequences, blocks, ranges, diagonals; and writing into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings.registry import means


def is_traced(x: Any) -> bool:
    """Whether it is a traced array, or a sequence with one in it."""
    if isinstance(x, (list, tuple)):
        return any(map(is_traced, x))
    return bool(getattr(x, "live", False))


@means(
    *("numpy.asarray", "numpy.asanyarray", "numpy.ascontiguousarray"),
    *("numpy.asfortranarray", "numpy.asarray_chkfinite"),
)
def asarray(a: Any, dtype: Any = None, order: Any = None) -> Any:
    """Itself, or the stack of a sequence's elements."""
    if not is_traced(a):
        return np.asarray(a, dtype)
    if isinstance(a, (list, tuple)):
        a = np.stack([asarray(x) for x in a])
    return a if dtype in (None, a.dtype) else a.astype(dtype)


@means("numpy.array")
def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: Any = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
) -> Any:
    x = asarray(object, dtype)
    if x.ndim < ndmin:
        x = np.reshape(x, (1,) * (ndmin - x.ndim) + x.shape)
    # NumPy's enumeration of copy modes refuses to be a truth value.
    return np.copy(x) if getattr(copy, "name", copy) in (True, "ALWAYS") else x


@means("numpy.float64", "numpy.float32", "numpy.float16", "numpy.longdouble")
def number(x: Any) -> Any:
    """A scalar stays one: the precision in which a program computes is its own."""
    return np.copy(asarray(x))


@means("numpy.iterable")
def iterable(y: Any) -> bool:
    return np.ndim(y) > 0


@means("numpy.result_type")
def result_type(*arrays_and_dtypes: Any) -> Any:
    given = (x.dtype if is_traced(x) else x for x in arrays_and_dtypes)
    return np.result_type(*given)


@means("numpy.fromfunction")
def fromfunction(
    function: Any, shape: Any, *, dtype: Any = float, **kwargs: Any
) -> Any:
    return function(*np.indices(shape, dtype), **kwargs)


@means("numpy.fromiter")
def fromiter(iter: Any, dtype: Any = None, count: int = -1) -> Any:
    elements = list(iter)
    return asarray(elements if count < 0 else elements[:count])


@means("numpy.ndenumerate")
def ndenumerate(arr: Any) -> Any:
    return ((at, arr[at]) for at in np.ndindex(arr.shape))


@means("numpy.nditer")
def nditer(op: Any) -> Any:
    if not isinstance(op, (list, tuple)):
        return iter(np.ravel(op))
    return zip(*map(np.ravel, broadcast_arrays(*op)), strict=True)


@means("numpy.astype")
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: None = None) -> Any:
    return x.astype(dtype)


@means("numpy.full")
def full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C") -> Any:
    return np.copy(np.broadcast_to(asarray(fill_value, dtype), shape))


# ---- joining ------------------------------------------------------------------------


@means("numpy.dstack")
def dstack(tup: Sequence[Any]) -> Any:
    return np.concatenate([np.atleast_3d(asarray(x)) for x in tup], axis=2)


@means("numpy.append")
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    arr, values = asarray(arr), asarray(values)
    if axis is None:
        return np.concatenate([np.ravel(arr), np.ravel(values)])
    return np.concatenate([arr, values], axis)


@means("numpy.block")
def block(arrays: Any) -> Any:
    """The innermost lists are joined along the last axis, those around along others."""
    depth = _depth(arrays)
    ndim = max(depth, *(np.ndim(x) for x in _leaves(arrays)))
    return _block(arrays, depth, ndim)


def _depth(arrays: Any) -> int:
    return 1 + _depth(arrays[0]) if isinstance(arrays, list) else 0


def _leaves(arrays: Any) -> list[Any]:
    if isinstance(arrays, list):
        return [leaf for part in arrays for leaf in _leaves(part)]
    return [arrays]


def _block(arrays: Any, depth: int, ndim: int) -> Any:
    if not depth:
        return array(arrays, ndmin=ndim)
    return np.concatenate([_block(x, depth - 1, ndim) for x in arrays], axis=-depth)


def _pieces(key: Any, ndim: int) -> list[Any] | None:
    """What is between the brackets of ``np.r_[...]``; None for its directives."""
    pieces = key if isinstance(key, tuple) else (key,)
    if any(isinstance(piece, str) for piece in pieces):
        return None
    return [
        array(np.r_[piece] if isinstance(piece, slice) else piece, ndmin=ndim)
        for piece in pieces
    ]


@means("numpy.r_.__getitem__")
def rows(key: Any) -> Any:
    pieces = _pieces(key, 1)
    return NotImplemented if pieces is None else np.concatenate(pieces, axis=0)


@means("numpy.c_.__getitem__")
def columns(key: Any) -> Any:
    pieces = _pieces(key, 1)
    if pieces is None:
        return NotImplemented
    return np.concatenate(
        [np.expand_dims(x, 1) if x.ndim == 1 else x for x in pieces], axis=-1
    )


@means("numpy.insert")
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """Where the elements of both end up is what NumPy does to their numbers."""
    arr, values = asarray(arr), asarray(values)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    old = np.arange(1, arr.size + 1).reshape(arr.shape)
    new = -1 - np.arange(values.size).reshape(values.shape)
    number = np.insert(old, obj, new, axis)
    return np.concatenate([np.ravel(arr), np.ravel(values)])[
        np.where(number > 0, number - 1, arr.size - 1 - number)
    ]


@means("numpy.delete")
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    numbers = np.arange(arr.size).reshape(arr.shape)
    return np.ravel(arr)[np.delete(numbers, obj, axis)]


@means("numpy.resize")
def resize(a: Any, new_shape: Any) -> Any:
    return np.ravel(a)[np.resize(np.arange(a.size), new_shape)]


@means("numpy.dsplit")
def dsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, axis=2)


@means("numpy.unstack")
def unstack(x: Any, /, *, axis: int = 0) -> Any:
    return tuple(np.moveaxis(x, axis, 0))


@means("numpy.broadcast_arrays")
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    args = tuple(map(asarray, args))
    shape = np.broadcast_shapes(*(x.shape for x in args))
    return tuple(np.broadcast_to(x, shape) for x in args)


@means("numpy.meshgrid")
def meshgrid(
    *xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> Any:
    numbers = [np.arange(np.size(x)) for x in xi]
    grids = np.meshgrid(*numbers, sparse=sparse, indexing=indexing)  # type: ignore[call-overload]
    return tuple(np.ravel(x)[grid] for x, grid in zip(xi, grids, strict=True))


# ---- ranges and diagonals -----------------------------------------------------------


@means("numpy.linspace")
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    start, stop = asarray(start), asarray(stop)
    shares = np.linspace(0.0, 1.0, num, endpoint)
    shares = shares.reshape(
        -1, *(1 for _ in np.broadcast_shapes(start.shape, stop.shape))
    )
    points = start + (stop - start) * shares
    points = np.moveaxis(points, 0, axis)
    return (points, (stop - start) / (num - endpoint)) if retstep else points


@means("numpy.logspace")
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    return np.power(base, linspace(start, stop, num, endpoint, axis=axis))


@means("numpy.geomspace")
def geomspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Of positive numbers."""
    logs = linspace(np.log(start), np.log(stop), num, endpoint, axis=axis)
    return np.exp(logs)


@means("numpy.diagflat")
def diagflat(v: Any, k: int = 0) -> Any:
    return np.diag(np.ravel(v), k)


@means("numpy.vander")
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    n = x.size if N is None else N
    powers = [x**k for k in range(n)]
    return np.stack(powers if increasing else powers[::-1], axis=1)


@means("numpy.tril")
def tril(m: Any, k: int = 0) -> Any:
    return np.where(np.tril(np.ones(m.shape), k), m, 0.0)


@means("numpy.triu")
def triu(m: Any, k: int = 0) -> Any:
    return np.where(np.triu(np.ones(m.shape), k), m, 0.0)


@means("numpy.trace")
def trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None
) -> Any:
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


@means("scipy.linalg.toeplitz")
def toeplitz(c: Any, r: Any = None) -> Any:
    c = asarray(c)
    r = c if r is None else asarray(r)
    if c.ndim != 1 or r.ndim != 1:
        return NotImplemented
    behind = np.concatenate([r[:0:-1], c])
    i, j = np.indices((c.size, r.size))
    return behind[i - j + r.size - 1]


@means("scipy.linalg.circulant")
def circulant(c: Any) -> Any:
    if c.ndim != 1:
        return NotImplemented
    i, j = np.indices((c.size, c.size))
    return c[(i - j) % c.size]


@means("scipy.linalg.hankel")
def hankel(c: Any, r: Any = None) -> Any:
    c = asarray(c)
    r = np.zeros(c.size) if r is None else asarray(r)
    if c.ndim != 1 or r.ndim != 1:
        return NotImplemented
    i, j = np.indices((c.size, r.size))
    return np.concatenate([c, r[1:]])[i + j]


@means("scipy.linalg.block_diag")
def block_diag(*arrs: Any) -> Any:
    blocks = [array(x, ndmin=2) for x in arrs]
    if any(x.ndim > 2 for x in blocks):
        return NotImplemented
    widths = [x.shape[1] for x in blocks]
    return np.concatenate(
        [
            np.pad(x, ((0, 0), (sum(widths[:i]), sum(widths[i + 1 :]))))
            for i, x in enumerate(blocks)
        ]
    )


def squared_size(x: Any) -> Any:
    """The square of each element, or of its modulus."""
    return np.square(np.abs(x) if np.iscomplexobj(x) else x)


#: Elements of an intermediate array; of a larger one the function itself is called.
LARGEST = 2**21


def normalized_axes(axis: Any, ndim: int) -> list[int]:
    """Axes counted from the front; all of them for None."""
    given = range(ndim) if axis is None else np.atleast_1d(axis)
    return [int(d) % ndim for d in given]
