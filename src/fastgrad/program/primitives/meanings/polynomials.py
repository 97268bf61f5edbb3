"""Polynomials: of powers, and of the orthogonal families by their recurrences.

Source of the recurrences: Abramowitz and Stegun, *Handbook of Mathematical Functions*,
table 22.7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray
from fastgrad.program.primitives.meanings.calculus import convolve
from fastgrad.program.primitives.meanings.registry import StandIn, means


def horner(coefficients, x):
    """From the highest power down."""
    y = 0.0 * asarray(x)
    for c in coefficients:
        y = y * x + c
    return y


@means("numpy.polyval")
def polyval(p, x):
    return horner(asarray(p), asarray(x))


@means("numpy.polynomial.polynomial.polyval")
def polyval_rising(x, c, tensor=True):
    c, x = asarray(c), asarray(x)
    if tensor:
        c = np.reshape(c, c.shape + (1,) * x.ndim)
    return horner(c[::-1], x)


@means("numpy.polyder")
def polyder(p, m: int = 1):
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


@means("numpy.polyint")
def polyint(p, m: int = 1, k=None):
    constants = np.zeros(m) if k is None else np.ravel(asarray(k)) * np.ones(m)
    for i in range(m):
        p = np.concatenate([p / np.arange(len(p), 0, -1), constants[i : i + 1]])
    return p


@means("numpy.polymul")
def polymul(a1, a2):
    return convolve(a1, a2)


def _lengthened(p, n: int):
    p = np.atleast_1d(asarray(p))
    return np.pad(p, (n - p.size, 0))


@means("numpy.polyadd")
def polyadd(a1, a2):
    if np.ndim(a1) > 1 or np.ndim(a2) > 1:
        return NotImplemented
    n = max(np.size(a1), np.size(a2))
    return _lengthened(a1, n) + _lengthened(a2, n)


@means("numpy.polysub")
def polysub(a1, a2):
    return polyadd(a1, np.negative(asarray(a2)))


class Polynomial(StandIn):
    """What ``np.poly1d(c)`` and ``np.polynomial.Polynomial(c)`` are asked for."""

    def __init__(self, falling):
        self._falling = falling

    def __call__(self, x):  # noqa: D102
        return horner(self._falling, asarray(x))

    def deriv(self, m: int = 1):
        """The derivative."""
        return Polynomial(polyder(self._falling, m))

    def integ(self, m: int = 1):
        """The integral from zero."""
        return Polynomial(polyint(self._falling, m))


@means("numpy.poly1d")
def poly1d(c_or_r):
    return Polynomial(asarray(c_or_r))


@means("numpy.polynomial.Polynomial")
def polynomial(coef):
    return Polynomial(asarray(coef)[::-1])


# ---- orthogonal families ------------------------------------------------------------

#: P_1, and P_(k + 1) from k, x, P_k and P_(k - 1); P_0 is 1.
Family = tuple[Callable[[Any], Any], Callable[[int, Any, Any, Any], Any]]
_FAMILIES: dict[str, Family] = {
    "chebyt": (lambda x: x, lambda k, x, p, q: 2 * x * p - q),
    "chebyu": (lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - q),
    "legendre": (
        lambda x: x,
        lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1),
    ),
    "hermite": (lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - 2 * k * q),
    "hermitenorm": (lambda x: x, lambda k, x, p, q: x * p - k * q),
    "laguerre": (
        lambda x: 1 - x,
        lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1),
    ),
}


def _members(family: Family, x, n: int):
    """P_0 .. P_n at x."""
    first, following = family
    before, here = 0.0 * x + 1.0, first(x)
    yield before
    for k in range(1, n + 1):
        yield here
        before, here = here, following(k, x, here, before)


def _member(family: Family):
    """P_n, for a whole n."""

    def evaluate(n, x):
        if not isinstance(n, (int, np.integer)):
            return NotImplemented
        return list(_members(family, x, int(n)))[-1]

    return evaluate


def _series(family: Family):
    """The sum of c_k P_k."""

    def evaluate(x, c, tensor=True):
        c, x = asarray(c), asarray(x)
        if c.ndim > 1:
            return NotImplemented
        return sum(c[k] * p for k, p in enumerate(_members(family, x, len(c) - 1)))

    return evaluate


def _matrix(family: Family):
    """P_0 .. P_deg along a new last axis."""

    def evaluate(x, deg: int):
        return np.stack(list(_members(family, asarray(x), deg)), axis=-1)

    return evaluate


for _name, _family in _FAMILIES.items():
    means(f"scipy.special.eval_{_name}")(_member(_family))
for _module, _prefix, _name in (
    ("chebyshev", "cheb", "chebyt"),
    ("legendre", "leg", "legendre"),
    ("hermite", "herm", "hermite"),
    ("hermite_e", "herme", "hermitenorm"),
    ("laguerre", "lag", "laguerre"),
):
    means(f"numpy.polynomial.{_module}.{_prefix}val")(_series(_FAMILIES[_name]))
    means(f"numpy.polynomial.{_module}.{_prefix}vander")(_matrix(_FAMILIES[_name]))


@means("numpy.polynomial.polynomial.polyvander")
def polyvander(x, deg: int):
    return np.stack([asarray(x) ** k for k in range(deg + 1)], axis=-1)
