"""Functions of single numbers: the module `math`, builtins, ufuncs made of others."""

from __future__ import annotations

import functools
import math

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import means

# ---- ufuncs made of others ----------------------------------------------------------


@means("numpy.isnan")
def isnan(x):
    return x != x


@means("numpy.isinf")
def isinf(x):
    return np.abs(x) == np.inf


@means("numpy.isfinite")
def isfinite(x):
    return np.abs(x) < np.inf


@means("numpy.signbit")
def signbit(x):
    return x < 0.0


@means("numpy.fix")
def fix(x):
    return np.trunc(x)


@means("numpy.around")
def around(a, decimals: int = 0):
    return np.round(a, decimals)


@means("scipy.special.round")
def rint(x):
    return np.rint(x)


@means("numpy.copysign", "math.copysign")
def copysign(x, y):
    return np.where(y < 0.0, -np.abs(x), np.abs(x))


@means("numpy.heaviside")
def heaviside(x, y):
    return np.where(x == 0.0, y, np.where(np.isnan(x), x, x > 0.0))


@means("numpy.logical_xor")
def logical_xor(x, y):
    return (asarray(x) != 0) != (asarray(y) != 0)


@means("numpy.remainder")
def remainder(x, y):
    return x - np.floor(x / y) * y


@means("numpy.floor_divide")
def floor_divide(x, y):
    return np.floor(x / y)


@means("numpy.divmod", "builtins.divmod")
def divmod_(x, y):
    return floor_divide(x, y), remainder(x, y)


@means("numpy.fmod", "math.fmod")
def fmod(x, y):
    return x - np.trunc(x / y) * y


@means("numpy.modf", "math.modf")
def modf(x):
    whole = np.trunc(x)
    return x - whole, whole


@means("numpy.fmax")
def fmax(x, y):
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.maximum(x, y)))


@means("numpy.fmin")
def fmin(x, y):
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.minimum(x, y)))


@means("numpy.deg2rad", "numpy.radians", "math.radians")
def radians(x):
    return x * (math.pi / 180)


@means("numpy.rad2deg", "numpy.degrees", "math.degrees")
def degrees(x):
    return x * (180 / math.pi)


@means("numpy.ldexp", "math.ldexp")
def ldexp(x, i):
    return x * 2.0**i


@means("numpy.vecdot", "numpy.linalg.vecdot")
def vecdot(x, y, axis: int = -1):
    x, y = np.moveaxis(asarray(x), axis, -1), np.moveaxis(asarray(y), axis, -1)
    return np.sum(np.conjugate(x) * y, axis=-1)


@means("numpy.matvec")
def matvec(a, x):
    return np.matmul(a, np.expand_dims(x, -1))[..., 0]


@means("numpy.vecmat")
def vecmat(x, a):
    return np.matmul(np.expand_dims(np.conjugate(x), -2), a)[..., 0, :]


# ---- the module math ----------------------------------------------------------------


def _number(x):
    return np.reshape(x, ())[()] if np.ndim(x) else x


def _as(ufunc):
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


def without_scipy(function):
    """Of traced arrays a primitive, of others the values, as a function of arrays."""
    ufunc = np.frompyfunc(function, 1, 1)
    return lambda x: ufunc(x) if is_traced(x) else np.asarray(ufunc(x), dtype=float)


def _lgamma(x: float):
    return math.inf if x <= 0 and x == math.floor(x) else math.lgamma(x)


_lgamma.__name__ = "lgamma"
erf, erfc, lgamma = map(without_scipy, (math.erf, math.erfc, _lgamma))
for _name, _function in {"erf": erf, "erfc": erfc, "lgamma": lgamma}.items():
    means(f"math.{_name}")(_as(_function))


@means("math.log")
def log(x, base=None):
    x = _number(x)
    return np.log(x) if base is None else np.log(x) / np.log(base)


@means("math.hypot")
def hypot(*coordinates):
    return functools.reduce(np.hypot, coordinates, 0.0)


@means("math.dist")
def dist(p, q):
    return np.sqrt(np.sum((asarray(p) - asarray(q)) ** 2))


@means("math.fsum")
def fsum(seq):
    return np.sum(asarray(list(seq)))


@means("math.prod")
def prod(iterable, *, start=1):
    return functools.reduce(lambda x, y: x * y, iterable, start)


# ---- the module cmath ---------------------------------------------------------------


def _of_complex(function):
    """A function of complex numbers, which real ones are too."""
    return lambda x: function(_number(x) + 0j)


for _name in ("exp", "sqrt", "sin", "cos", "sinh", "cosh", "tanh"):
    means(f"cmath.{_name}")(_of_complex(getattr(np, _name)))
means("cmath.phase")(_of_complex(np.angle))
means("cmath.polar")(_of_complex(lambda z: (np.abs(z), np.angle(z))))
means("cmath.tan")(_of_complex(lambda z: np.sin(z) / np.cos(z)))


@means("cmath.log")
def complex_log(x, base=None):
    found = np.log(_number(x) + 0j)
    return found if base is None else found / complex_log(base)


@means("cmath.log10")
def complex_log10(x):
    return np.log(_number(x) + 0j) / math.log(10)


@means("cmath.rect")
def rect(r, phi):
    return r * (np.cos(phi) + 1j * np.sin(phi))


# ---- builtins -----------------------------------------------------------------------


@means("builtins.float")
def float_(x):
    if np.size(x) != 1:
        raise TypeError("only 0-dimensional arrays can be converted to Python scalars")
    return np.copy(_number(x))


def _extreme(ufunc):
    """Of several numbers, or of the elements of one sequence."""

    def extreme(*args):
        numbers = args if len(args) > 1 else list(args[0])
        if not numbers or any(np.ndim(x) for x in numbers):
            return NotImplemented
        return functools.reduce(ufunc, numbers)

    return extreme


means("builtins.max")(_extreme(np.maximum))
means("builtins.min")(_extreme(np.minimum))


@means("builtins.complex")
def complex_(real=0.0, imag=0.0):
    return _number(real) + 1j * _number(imag)


@means("builtins.round")
def round_(number, ndigits: int | None = None):
    return NotImplemented if ndigits is None else np.round(number, ndigits)


@means("builtins.pow")
def pow_(base, exp, mod=None):
    return base**exp
