"""Functions of single numbers: the module `math`, builtins, ufuncs made of others."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import means

# ---- ufuncs made of others ----------------------------------------------------------


@means("numpy.isnan")
def isnan(x: Any) -> Any:
    return x != x


@means("numpy.isinf")
def isinf(x: Any) -> Any:
    return np.abs(x) == np.inf


@means("numpy.isfinite")
def isfinite(x: Any) -> Any:
    return np.abs(x) < np.inf


@means("numpy.signbit")
def signbit(x: Any) -> Any:
    return x < 0.0


@means("numpy.fix")
def fix(x: Any) -> Any:
    return np.trunc(x)


@means("numpy.around")
def around(a: Any, decimals: int = 0) -> Any:
    return np.round(a, decimals)


@means("scipy.special.round")
def rint(x: Any) -> Any:
    return np.rint(x)


@means("numpy.copysign", "math.copysign")
def copysign(x: Any, y: Any) -> Any:
    return np.where(y < 0.0, -np.abs(x), np.abs(x))


@means("numpy.heaviside")
def heaviside(x: Any, y: Any) -> Any:
    return np.where(x == 0.0, y, np.where(np.isnan(x), x, x > 0.0))


@means("numpy.logical_xor")
def logical_xor(x: Any, y: Any) -> Any:
    return (asarray(x) != 0) != (asarray(y) != 0)


@means("numpy.remainder")
def remainder(x: Any, y: Any) -> Any:
    return x - np.floor(x / y) * y


@means("numpy.floor_divide")
def floor_divide(x: Any, y: Any) -> Any:
    return np.floor(x / y)


@means("numpy.divmod", "builtins.divmod")
def divmod_(x: Any, y: Any) -> Any:
    return floor_divide(x, y), remainder(x, y)


@means("numpy.fmod", "math.fmod")
def fmod(x: Any, y: Any) -> Any:
    return x - np.trunc(x / y) * y


@means("numpy.modf", "math.modf")
def modf(x: Any) -> Any:
    whole = np.trunc(x)
    return x - whole, whole


@means("numpy.fmax")
def fmax(x: Any, y: Any) -> Any:
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.maximum(x, y)))


@means("numpy.fmin")
def fmin(x: Any, y: Any) -> Any:
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.minimum(x, y)))


@means("numpy.deg2rad", "numpy.radians", "math.radians")
def radians(x: Any) -> Any:
    return x * (math.pi / 180)


@means("numpy.rad2deg", "numpy.degrees", "math.degrees")
def degrees(x: Any) -> Any:
    return x * (180 / math.pi)


@means("numpy.ldexp", "math.ldexp")
def ldexp(x: Any, i: Any) -> Any:
    return x * 2.0**i


@means("numpy.vecdot", "numpy.linalg.vecdot")
def vecdot(x: Any, y: Any, axis: int = -1) -> Any:
    x, y = np.moveaxis(asarray(x), axis, -1), np.moveaxis(asarray(y), axis, -1)
    return np.sum(np.conjugate(x) * y, axis=-1)


@means("numpy.matvec")
def matvec(a: Any, x: Any) -> Any:
    return np.matmul(a, np.expand_dims(x, -1))[..., 0]


@means("numpy.vecmat")
def vecmat(x: Any, a: Any) -> Any:
    return np.matmul(np.expand_dims(np.conjugate(x), -2), a)[..., 0, :]


# ---- the module math ----------------------------------------------------------------


def _number(x: Any) -> Any:
    return np.reshape(x, ())[()] if np.ndim(x) else x


def _as(ufunc: Any) -> Any:
    """A function of numbers, which arrays of one element are too."""
    return lambda *args: ufunc(*map(_number, args))


_SAME_NAME = (
    *("exp", "expm1", "log2", "log10", "log1p", "sqrt", "cbrt", "exp2", "fabs"),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh"),
)
_OTHER_NAME = {
    **{
        f"a{name}": f"arc{name}"
        for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")
    },
    "pow": "power",
    "atan2": "arctan2",
}
for _name, _ufunc in {**{n: n for n in _SAME_NAME}, **_OTHER_NAME}.items():
    means(f"math.{_name}")(_as(getattr(np, _ufunc)))


def _without_scipy(function: Any) -> Any:
    """Of traced arrays a primitive, of others the values, as a function of arrays."""
    ufunc = np.frompyfunc(function, 1, 1)
    return lambda x: ufunc(x) if is_traced(x) else np.asarray(ufunc(x), dtype=float)


def _lgamma(x: float) -> float:
    return math.inf if x <= 0 and x == math.floor(x) else math.lgamma(x)


_lgamma.__name__ = "lgamma"
erf, erfc, lgamma = map(_without_scipy, (math.erf, math.erfc, _lgamma))
for _name, _function in {"erf": erf, "erfc": erfc, "lgamma": lgamma}.items():
    means(f"math.{_name}")(_as(_function))


@means("math.log")
def log(x: Any, base: Any = None) -> Any:
    x = _number(x)
    return np.log(x) if base is None else np.log(x) / np.log(base)


@means("math.hypot")
def hypot(*coordinates: Any) -> Any:
    return functools.reduce(np.hypot, coordinates, 0.0)


@means("math.dist")
def dist(p: Any, q: Any) -> Any:
    return np.sqrt(np.sum((asarray(p) - asarray(q)) ** 2))


@means("math.fsum")
def fsum(seq: Any) -> Any:
    return np.sum(asarray(list(seq)))


@means("math.prod")
def prod(iterable: Any, *, start: Any = 1) -> Any:
    return functools.reduce(lambda x, y: x * y, iterable, start)


# ---- builtins -----------------------------------------------------------------------


@means("builtins.float")
def float_(x: Any) -> Any:
    if np.size(x) != 1:
        raise TypeError("only 0-dimensional arrays can be converted to Python scalars")
    return np.copy(_number(x))


def _extreme(ufunc: Any) -> Any:
    """Of several numbers, or of the elements of one sequence."""

    def extreme(*args: Any) -> Any:
        numbers = args if len(args) > 1 else list(args[0])
        if not numbers or any(np.ndim(x) for x in numbers):
            return NotImplemented
        return functools.reduce(ufunc, numbers)

    return extreme


means("builtins.max")(_extreme(np.maximum))
means("builtins.min")(_extreme(np.minimum))


@means("builtins.round")
def round_(number: Any, ndigits: int | None = None) -> Any:
    return NotImplemented if ndigits is None else np.round(number, ndigits)


@means("builtins.pow")
def pow_(base: Any, exp: Any, mod: None = None) -> Any:
    return base**exp
