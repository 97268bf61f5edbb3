"""Complex numbers: a pair of real arrays, of which traced ones record what is done.

Products and sums are real operations on the parts, so a program stays real. A part
that is zero throughout and does not depend on the parameters is left out of products.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.lib.stride_tricks import sliding_window_view

from fastgrad.program import graph, sources
from fastgrad.program.primitives.meanings import meaning_of
from fastgrad.program.primitives.meanings.products import contraction
from fastgrad.program.sources import TraceError
from fastgrad.program.trace import fourier
from fastgrad.program.trace.axes import Axes
from fastgrad.program.trace.foreign import Foreign
from fastgrad.program.trace.traced import Traced, any_live, is_basic

_FLOAT = np.dtype(float)


class Complex(Axes, NDArrayOperatorsMixin):
    """A complex array whose parts may be traced; real and imaginary part broadcast."""

    is_traced = True
    dtype = np.dtype(complex)

    def __init__(self, real: Any, imag: Any) -> None:
        shape = np.broadcast_shapes(np.shape(real), np.shape(imag))
        self.real, self.imag = (_shaped(part, shape) for part in (real, imag))

    @property
    def live(self) -> bool:
        """Whether a part belongs to the trace that is going on."""
        return is_live((self.real, self.imag))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return np.shape(self.real)

    def __len__(self) -> int:
        return len(self.real)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        if is_basic(key):  # a view, which sees what is written later
            self.real, self.imag = map(_writable, (self.real, self.imag))
        return Complex(self.real[key], self.imag[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, (list, tuple)):
            value = np.asarray(value) if not is_live(value) else np.stack(value)
        self.real, self.imag = map(_writable, (self.real, self.imag))
        self.real[key], self.imag[key] = value.real, value.imag

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return np.array(
            np.asarray(self.real) + 1j * np.asarray(self.imag), *args, **kwargs
        )

    def __complex__(self) -> complex:
        return complex(np.asarray(self))

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        return call_ufunc(ufunc, method, *inputs, **kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        return call(function, *args, **kwargs)


def _writable(part: Any) -> Any:
    return part if type(part) is Traced else Traced(graph.constant(part), _FLOAT)


def _shaped(part: Any, shape: tuple[int, ...]) -> Any:
    return part if np.shape(part) == shape else np.broadcast_to(part, shape)


#: Kinds of values that belong to a trace.
_RECORDING = frozenset([Traced, Complex, Foreign])


def is_complex(x: Any) -> bool:
    """Whether an argument is complex, or a sequence with a complex one in it."""
    if type(x) is Traced:
        return False
    if isinstance(x, (list, tuple)):
        return any(map(is_complex, x))
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype.kind == "c"
    return isinstance(x, (complex, Complex))


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """One NumPy function or ufunc with complex arguments, or with a complex result."""
    values = [*args, *kwargs.values()]
    if not any(map(is_live, values)):
        return function(*map(_plain, args), **{k: _plain(v) for k, v in kwargs.items()})
    with sources.spoken(label_of(function)):
        if function in _MULTILINEAR:
            return _multilinear(function, _MULTILINEAR[function], args, kwargs)
        if function in FUNCTIONS:
            return FUNCTIONS[function](*args, **kwargs)
    meaning = meaning_of(function)
    result = NotImplemented if meaning is None else meaning(*args, **kwargs)
    if result is not NotImplemented:
        return result
    raise TraceError(f"{label_of(function)} of complex numbers cannot be traced")


@functools.cache
def label_of(function: Any) -> str:
    """A function of NumPy as users write it."""
    module = getattr(function, "__module__", None) or "numpy"
    inner = {"numpy.linalg": ".linalg", "numpy.fft": ".fft"}.get(module, "")
    return f"np{inner}.{function.__name__}"


def call_ufunc(
    ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any
) -> Any:
    """The same for the methods of a ufunc."""
    if out is not None:
        (target,) = out if isinstance(out, tuple) else (out,)
        result = call_ufunc(ufunc, method, *inputs, **kwargs)
        if isinstance(target, np.ndarray):
            target = sources.current_trace.get().promote(target)
        if not isinstance(target, Complex):
            raise TraceError(f"np.{ufunc.__name__} with `out=` of real numbers")
        target[...] = result
        return target
    if method == "reduce" and ufunc is np.add:
        return call(np.sum, *inputs, **{"axis": 0, **kwargs})
    if method != "__call__" or kwargs:
        what = "".join(f", {name}=" for name in kwargs)
        raise TraceError(f"np.{ufunc.__name__}.{method} of complex numbers{what}")
    return call(ufunc, *inputs)


def is_live(x: Any) -> bool:
    """Whether something of the trace going on is among these values."""
    return any_live(x, _RECORDING)


def _plain(x: Any) -> Any:
    """`x` without the pairs of past traces."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(_plain, x))
    return np.asarray(x) if isinstance(x, Complex) else x


# ---- functions that are linear in each of their complex arguments --------------------


def _multilinear(
    function: Any, groups: Sequence[Sequence[int]], args: Any, kwargs: Any
) -> Any:
    """Expand the product of (real + i imag) over the arguments.

    Arguments of one group are parts of one vector: all real, or all imaginary.
    """
    given = [[i for i in group if i < len(args)] for group in groups]
    moving = [group for group in given if any(is_complex(args[i]) for i in group)]
    terms: list[list[Any]] = [[], []]
    for which in itertools.product((0, 1), repeat=len(moving)):
        parts = list(args)
        for group, imaginary in zip(moving, which, strict=True):
            for i in group:
                parts[i] = _part(args[i], imaginary)
        if any(_vanish(parts[i] for i in group) for group in moving):
            continue
        power = sum(which)
        result = function(*parts, **kwargs)
        terms[power % 2].append(-result if power >= 2 else result)
    if not any(terms):  # zero, of the shape it has
        terms[0].append(function(*(_part(x, 0) for x in args), **kwargs))
    return _joined(terms)


def _part(x: Any, imaginary: int) -> Any:
    if isinstance(x, (list, tuple)):
        return [_part(y, imaginary) for y in x]
    if is_complex(x):
        return x.imag if imaginary else x.real
    return np.zeros(np.shape(x)) if imaginary else x


def _vanish(parts: Any) -> bool:
    """Whether none of these depends on parameters, and all are zero."""
    return all(
        _vanish(x) if isinstance(x, (list, tuple)) else not _value_if_constant(x).any()
        for x in parts
    )


def _value_if_constant(x: Any) -> Any:
    """Its value at theta; not zero where it depends on parameters."""
    if not is_live(x):
        return np.asarray(x)
    return np.ones(()) if x.node.active else x.node.value


def _joined(terms: Sequence[Sequence[Any]]) -> Any:
    """The sums of the real and of the imaginary terms as a complex array or a list."""
    first = (terms[0] or terms[1])[0]
    if isinstance(first, list):
        pairs = ([[t[k] for t in part] for part in terms] for k in range(len(first)))
        return [_joined(pair) for pair in pairs]
    real, imag = (
        sum(part[1:], start=part[0]) if part else np.zeros(np.shape(first))
        for part in terms
    )
    return Complex(real, imag)


#: Function -> which arguments it is linear in; those of a group jointly.
_MULTILINEAR: dict[Any, tuple[tuple[int, ...], ...]] = {
    **dict.fromkeys((np.negative, np.positive), ((0,),)),
    **dict.fromkeys((np.add, np.subtract), ((0, 1),)),
    **dict.fromkeys((np.multiply, np.matmul, np.dot, np.inner, np.outer), ((0,), (1,))),
    np.tensordot: ((0,), (1,)),
    **dict.fromkeys((np.einsum, contraction), tuple((i,) for i in range(1, 16))),
    np.where: ((1, 2),),
    **dict.fromkeys(
        (
            *(np.sum, np.mean, np.cumsum, np.trace, np.diff),
            *(np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis),
            *(np.rollaxis, np.squeeze, np.expand_dims, np.broadcast_to, np.copy),
            *(np.atleast_1d, np.atleast_2d, np.atleast_3d, np.concatenate, np.stack),
            *(np.vstack, np.hstack, np.column_stack, np.split, np.array_split),
            *(np.vsplit, np.hsplit, np.pad, np.take, np.take_along_axis, np.repeat),
            *(np.tile, np.roll, np.rot90, np.flip, np.fliplr, np.flipud, np.diagonal),
            *(np.diag, np.tril, np.triu, np.fft.fftshift, np.fft.ifftshift),
            sliding_window_view,
        ),
        ((0,),),
    ),
}


# ---- the others ----------------------------------------------------------------------


def _polar(size: Any, angle: Any) -> Complex:
    return Complex(size * np.cos(angle), size * np.sin(angle))


def _absolute(z: Any) -> Any:
    return np.abs(z.real) if _vanish([z.imag]) else np.hypot(z.real, z.imag)


def _angle(z: Any, deg: bool = False) -> Any:
    angle = np.arctan2(z.imag, z.real)
    return angle * (180 / math.pi) if deg else angle


def _square_of_size(z: Any) -> Any:
    parts = [part for part in (z.real, z.imag) if not _vanish([part])]
    return sum(np.square(part) for part in parts)


def _conjugate(z: Any) -> Any:
    return Complex(z.real, -z.imag) if is_complex(z) else z


def _divide(x: Any, y: Any) -> Complex:
    if is_complex(y):
        x, y = x * _conjugate(y), _square_of_size(y)
    return Complex(x.real / y, x.imag / y)


def _log(z: Any) -> Complex:
    return Complex(0.5 * np.log(_square_of_size(z)), _angle(z))


def _power(z: Any, exponent: Any) -> Any:
    """Small whole powers by products, other constant ones in polar coordinates."""
    if is_complex(exponent) or not is_complex(z):
        return _exp(exponent * _log(z))
    if not is_live(exponent) and not np.ndim(exponent):
        if exponent in (-1, -2):
            return _divide(1.0, _power(z, -exponent))
        if exponent in (1, 2, 3):
            return math.prod([z] * (int(exponent) - 1), start=z)
    return _polar(_absolute(z) ** exponent, exponent * _angle(z))


def _exp(z: Any) -> Complex:
    if _vanish([z.real]):
        return Complex(np.cos(z.imag), np.sin(z.imag))
    return _polar(np.exp(z.real), z.imag)


def _cosh(z: Any) -> Complex:
    x, y = z.real, z.imag
    return Complex(np.cosh(x) * np.cos(y), np.sinh(x) * np.sin(y))


def _sinh(z: Any) -> Complex:
    x, y = z.real, z.imag
    return Complex(np.sinh(x) * np.cos(y), np.cosh(x) * np.sin(y))


def _norm(z: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Only the root of the sum of squares."""
    vector = isinstance(axis, int) or (axis is None and z.ndim == 1)
    if ord not in ((None, 2) if vector else (None, "fro")):
        raise TraceError(f"np.linalg.norm of complex numbers with ord={ord!r}")
    return np.sqrt(np.sum(_square_of_size(z), axis=axis, keepdims=keepdims))


def _vdot(x: Any, y: Any) -> Any:
    return np.dot(np.ravel(_conjugate(x)), np.ravel(y))


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.iscomplexobj: is_complex,
    np.isrealobj: lambda x: not is_complex(x),
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.absolute: _absolute,
    np.conjugate: _conjugate,
    np.divide: _divide,
    np.reciprocal: lambda z: _divide(1.0, z),
    np.square: lambda z: z * z,
    np.prod: lambda z, axis=None: math.prod(
        np.ravel(z) if axis is None else np.moveaxis(z, axis, 0)
    ),
    np.power: _power,
    np.float_power: _power,
    np.sqrt: lambda z: _power(z, 0.5),
    np.exp: _exp,
    np.log: _log,
    np.cosh: _cosh,
    np.sinh: _sinh,
    np.tanh: lambda z: _divide(_sinh(z), _cosh(z)),
    np.cos: lambda z: _cosh(1j * z),
    np.sin: lambda z: -1j * _sinh(1j * z),
    np.vecdot: lambda x, y: np.sum(_conjugate(x) * y, axis=-1),
    np.vdot: _vdot,
    np.linalg.norm: _norm,
}
#: Also of real arrays.
FROM_REAL: dict[Any, Callable[..., Any]] = {
    np.real: lambda z: z.real,
    np.imag: lambda z: z.imag,
    np.isreal: lambda z: z.imag == 0,
    np.iscomplex: lambda z: z.imag != 0,
    np.angle: _angle,
    **fourier.FUNCTIONS,
}
FUNCTIONS |= FROM_REAL


def concerns(function: Any, args: Any) -> bool:
    """Whether this call is for `call`, a traced array being among its arguments."""
    return function in FROM_REAL or is_complex(args)
