"""Making arrays: of sequences, blocks, ranges, diagonals; and writing into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings.registry import means


def is_traced(x):
    """Whether it is a traced array, or a sequence with one in it."""
    if isinstance(x, (list, tuple)):
        return any(map(is_traced, x))
    return bool(getattr(x, "live", False))


@means("numpy.asarray", "numpy.asanyarray", "numpy.asarray_chkfinite")
def asarray(a, dtype=None, order=None):
    """Itself, or the stack of a sequence's elements."""
    if not is_traced(a):
        return np.asarray(a, dtype)
    if isinstance(a, (list, tuple)):
        a = np.stack([asarray(x) for x in a])
    return a if dtype in (None, a.dtype) else a.astype(dtype)


@means("numpy.ascontiguousarray", "numpy.asfortranarray")
def in_order(a, dtype=None):
    """The same, of one axis at least."""
    return np.atleast_1d(asarray(a, dtype))


@means("numpy.array")
def array(object, dtype=None, *, copy=True, order="K", subok=False, ndmin: int = 0):
    x = asarray(object, dtype)
    if x.ndim < ndmin:
        x = np.reshape(x, (1,) * (ndmin - x.ndim) + x.shape)
    if isinstance(object, (list, tuple)):
        return x  # which is new
    # NumPy's enumeration of copy modes refuses to be a truth value.
    return np.copy(x) if getattr(copy, "name", copy) in (True, "ALWAYS") else x


@means("numpy.float64", "numpy.float32", "numpy.float16", "numpy.longdouble")
def number(x):
    """A scalar stays one: the precision in which a program computes is its own."""
    return np.copy(asarray(x))


@means("numpy.iterable")
def iterable(y):
    return np.ndim(y) > 0


@means("numpy.result_type")
def result_type(*arrays_and_dtypes):
    given = (x.dtype if is_traced(x) else x for x in arrays_and_dtypes)
    return np.result_type(*given)


@means("numpy.fromfunction")
def fromfunction(function, shape, *, dtype=float, **kwargs):
    return function(*np.indices(shape, dtype), **kwargs)


@means("numpy.fromiter")
def fromiter(iter, dtype=None, count: int = -1):
    elements = list(iter)
    return asarray(elements if count < 0 else elements[:count], dtype)


@means("numpy.ndenumerate")
def ndenumerate(arr):
    return ((at, arr[at]) for at in np.ndindex(arr.shape))


@means("numpy.nditer")
def nditer(op, flags=(), op_flags=()):
    known = {"multi_index", "c_index", "refs_ok", "zerosize_ok"}
    arrays = op if isinstance(op, (list, tuple)) else (op,)
    if not known.issuperset(flags) or any(x is None for x in arrays):
        return NotImplemented
    same = len({np.shape(x) for x in arrays}) == 1
    return Walk(arrays if same else broadcast_arrays(*arrays))


class Walk:
    """The elements of arrays one after the other, to be read and written."""

    def __init__(self, arrays):
        self._arrays = [x if isinstance(x, np.ndarray) else asarray(x) for x in arrays]
        self._places = list(np.ndindex(np.shape(arrays[0])))
        self._begun = False
        self.index = 0

    @property
    def multi_index(self):
        """The index of the element."""
        return self._places[self.index]

    @property
    def finished(self):
        """Whether there is no element any more."""
        return self.index >= len(self._places)

    @property
    def value(self):
        """The element, or one of each array: views of these."""
        found = [x[(*self.multi_index, ...)] for x in self._arrays]
        return found[0] if len(found) == 1 else tuple(found)

    def __getitem__(self, operand):
        return self._arrays[operand][(*self.multi_index, ...)]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def iternext(self):
        """Go on; whether there is another element."""
        self.index += 1
        return not self.finished

    def __iter__(self):
        return self

    def __next__(self):
        self.index += self._begun
        self._begun = True
        if self.finished:
            raise StopIteration
        return self.value


@means("numpy.astype")
def astype(x, dtype, /, *, copy=True, device=None):
    return x.astype(dtype)


@means("numpy.full")
def full(shape, fill_value, dtype=None, order="C"):
    return np.copy(np.broadcast_to(asarray(fill_value, dtype), shape))


# ---- joining ------------------------------------------------------------------------


@means("numpy.dstack")
def dstack(tup: Sequence[Any]):
    return np.concatenate([np.atleast_3d(asarray(x)) for x in tup], axis=2)


@means("numpy.append")
def append(arr, values, axis: int | None = None):
    arr, values = asarray(arr), asarray(values)
    if axis is None:
        return np.concatenate([np.ravel(arr), np.ravel(values)])
    return np.concatenate([arr, values], axis)


@means("numpy.block")
def block(arrays):
    """The innermost lists are joined along the last axis, those around along others."""
    depth = _depth(arrays)
    ndim = max(depth, *(np.ndim(x) for x in _leaves(arrays)))
    return _block(arrays, depth, ndim)


def _depth(arrays):
    return 1 + _depth(arrays[0]) if isinstance(arrays, list) else 0


def _leaves(arrays):
    if isinstance(arrays, list):
        return [leaf for part in arrays for leaf in _leaves(part)]
    return [arrays]


def _block(arrays, depth: int, ndim: int):
    if not depth:
        return array(arrays, ndmin=ndim)
    return np.concatenate([_block(x, depth - 1, ndim) for x in arrays], axis=-depth)


def _pieces(key, ndim: int):
    """What is between the brackets of ``np.r_[...]``; None for its directives."""
    pieces = key if isinstance(key, tuple) else (key,)
    if any(isinstance(piece, str) for piece in pieces):
        return None
    return [
        array(np.r_[piece] if isinstance(piece, slice) else piece, ndmin=ndim)
        for piece in pieces
    ]


@means("numpy.r_.__getitem__")
def rows(key):
    pieces = _pieces(key, 1)
    return NotImplemented if pieces is None else np.concatenate(pieces, axis=0)


@means("numpy.c_.__getitem__")
def columns(key):
    pieces = _pieces(key, 1)
    if pieces is None:
        return NotImplemented
    return np.concatenate(
        [np.expand_dims(x, 1) if x.ndim == 1 else x for x in pieces], axis=-1
    )


@means("numpy.insert")
def insert(arr, obj, values, axis: int | None = None):
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
def delete(arr, obj, axis: int | None = None):
    numbers = np.arange(arr.size).reshape(arr.shape)
    return np.ravel(arr)[np.delete(numbers, obj, axis)]


@means("numpy.resize")
def resize(a, new_shape):
    return np.ravel(a)[np.resize(np.arange(a.size), new_shape)]


@means("numpy.dsplit")
def dsplit(ary, indices_or_sections):
    return np.split(ary, indices_or_sections, axis=2)


@means("numpy.unstack")
def unstack(x, /, *, axis: int = 0):
    return tuple(np.moveaxis(x, axis, 0))


@means("numpy.broadcast_arrays")
def broadcast_arrays(*args, subok=False):
    args = tuple(map(asarray, args))
    shape = np.broadcast_shapes(*(x.shape for x in args))
    return tuple(np.broadcast_to(x, shape) for x in args)


@means("numpy.meshgrid")
def meshgrid(*xi, copy=True, sparse=False, indexing: str = "xy"):
    numbers = [np.arange(np.size(x)) for x in xi]
    grids = np.meshgrid(*numbers, sparse=sparse, indexing=indexing)  # type: ignore[call-overload]
    return tuple(np.ravel(x)[grid] for x, grid in zip(xi, grids, strict=True))


# ---- ranges and diagonals -----------------------------------------------------------


@means("numpy.linspace")
def linspace(
    start, stop, num: int = 50, endpoint=True, retstep=False, dtype=None, axis: int = 0
):
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
    start, stop, num: int = 50, endpoint=True, base=10.0, dtype=None, axis: int = 0
):
    return np.power(base, linspace(start, stop, num, endpoint, axis=axis))


@means("numpy.geomspace")
def geomspace(start, stop, num: int = 50, endpoint=True, dtype=None, axis: int = 0):
    """Of positive numbers."""
    if not (np.all(asarray(start) > 0) and np.all(asarray(stop) > 0)):
        return NotImplemented
    logs = linspace(np.log(start), np.log(stop), num, endpoint, axis=axis)
    return np.exp(logs)


@means("numpy.diagflat")
def diagflat(v, k: int = 0):
    return np.diag(np.ravel(v), k)


@means("numpy.vander")
def vander(x, N: int | None = None, increasing=False):
    n = x.size if N is None else N
    powers = [x**k for k in range(n)]
    return np.stack(powers if increasing else powers[::-1], axis=1)


@means("numpy.tril")
def tril(m, k: int = 0):
    return np.where(np.tril(np.ones(m.shape), k), m, 0.0)


@means("numpy.triu")
def triu(m, k: int = 0):
    return np.where(np.triu(np.ones(m.shape), k), m, 0.0)


@means("numpy.trace")
def trace(a, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype=None):
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


@means("scipy.linalg.toeplitz")
def toeplitz(c, r=None):
    c = asarray(c)
    r = c if r is None else asarray(r)
    if c.ndim != 1 or r.ndim != 1:
        return NotImplemented
    behind = np.concatenate([r[:0:-1], c])
    i, j = np.indices((c.size, r.size))
    return behind[i - j + r.size - 1]


@means("scipy.linalg.circulant")
def circulant(c):
    if c.ndim != 1:
        return NotImplemented
    i, j = np.indices((c.size, c.size))
    return c[(i - j) % c.size]


@means("scipy.linalg.hankel")
def hankel(c, r=None):
    c = asarray(c)
    r = np.zeros(c.size) if r is None else asarray(r)
    if c.ndim != 1 or r.ndim != 1:
        return NotImplemented
    i, j = np.indices((c.size, r.size))
    return np.concatenate([c, r[1:]])[i + j]


@means("scipy.linalg.block_diag")
def block_diag(*arrs):
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


def squared_size(x):
    """The square of each element, or of its modulus."""
    return np.square(np.abs(x) if np.iscomplexobj(x) else x)


#: Elements of an intermediate array; of a larger one the function itself is called.
LARGEST = 2**21


def normalized_axes(axis, ndim: int):
    """Axes counted from the front; all of them for None."""
    given = range(ndim) if axis is None else np.atleast_1d(axis)
    return [int(d) % ndim for d in given]
