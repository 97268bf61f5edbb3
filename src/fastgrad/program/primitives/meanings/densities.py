"""Densities of `scipy.stats`: one line each, of the standardised variable.

Source of the formulas: the definitions in SciPy's documentation of each distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray
from fastgrad.program.primitives.meanings.numbers import erf, erfc
from fastgrad.program.primitives.meanings.numbers import lgamma as gammaln
from fastgrad.program.primitives.meanings.registry import MEANINGS, StandIn, means
from fastgrad.program.primitives.meanings.special import (
    betaln,
    expit,
    log_ndtr,
    ndtr,
    xlog1py,
    xlogy,
)

_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
Formula = Callable[..., Any]


class Frozen(StandIn):
    """A distribution with all its parameters, and some of its methods."""

    def __init__(self, **methods: Formula) -> None:
        vars(self).update(methods)


class Distribution(NamedTuple):
    """A distribution with its shape parameters, at location 0 and scale 1."""

    shapes: tuple[str, ...]
    #: Logarithm of the density, (z, *shapes).
    log_density: Formula
    #: Where the density is not zero.
    support: tuple[float, float] = (-math.inf, math.inf)
    #: The share below z, and above it: each keeps its digits where it is small.
    cdf: Formula | None = None
    sf: Formula | None = None


def _norm(z):
    return -0.5 * z**2 - _LOG_ROOT_2PI


def _gamma(z, a):
    return xlogy(a - 1.0, z) - z - gammaln(a)


def _logistic(z):
    return z - 2.0 * np.logaddexp(0.0, z)


def _t(z, df):
    half = (df + 1.0) / 2.0
    scale = gammaln(half) - gammaln(df / 2.0) - 0.5 * np.log(df * math.pi)
    return scale - half * np.log1p(z**2 / df)


def _f(z, dfn, dfd):
    n, m = dfn / 2.0, dfd / 2.0
    powers = n * np.log(dfn) + m * np.log(dfd) + xlogy(n - 1.0, z)
    return powers - (n + m) * np.log(dfd + dfn * z) - betaln(n, m)


def _beta(z, a, b):
    return xlog1py(b - 1.0, -z) + xlogy(a - 1.0, z) - betaln(a, b)


def _lognorm(z, s):
    return _norm(np.log(z) / s) - np.log(s * z)


def _truncnorm(z, a, b):
    """The share between the borders is taken from the side where both are small."""
    flipped = asarray(a > 0.0)
    low, high = np.where(flipped, -b, a), np.where(flipped, -a, b)
    density = _norm(z) - np.log(ndtr(high) - ndtr(low))
    return np.where((z < a) | (z > b), -np.inf, density)


_POSITIVE = (0.0, math.inf)
CONTINUOUS = {
    "norm": Distribution((), _norm, cdf=ndtr, sf=lambda z: ndtr(-z)),
    "expon": Distribution(
        (), lambda z: -z, _POSITIVE, lambda z: -np.expm1(-z), lambda z: np.exp(-z)
    ),
    "gamma": Distribution(("a",), _gamma, _POSITIVE),
    "chi2": Distribution(
        ("df",), lambda z, df: _gamma(z / 2, df / 2) - math.log(2), _POSITIVE
    ),
    "beta": Distribution(("a", "b"), _beta, (0.0, 1.0)),
    "t": Distribution(("df",), _t),
    "f": Distribution(("dfn", "dfd"), _f, _POSITIVE),
    "cauchy": Distribution(
        (),
        lambda z: -math.log(math.pi) - np.log1p(z**2),
        cdf=lambda z: np.arctan2(1.0, -z) / math.pi,
        sf=lambda z: np.arctan2(1.0, z) / math.pi,
    ),
    "halfcauchy": Distribution(
        (), lambda z: math.log(2 / math.pi) - np.log1p(z**2), _POSITIVE
    ),
    "laplace": Distribution((), lambda z: -math.log(2) - np.abs(z)),
    "logistic": Distribution((), _logistic, cdf=expit, sf=lambda z: expit(-z)),
    "lognorm": Distribution(
        ("s",),
        _lognorm,
        _POSITIVE,
        lambda z, s: ndtr(np.log(z) / s),
        lambda z, s: ndtr(-np.log(z) / s),
    ),
    "uniform": Distribution(
        (), lambda z: 0.0 * z, (0.0, 1.0), lambda z: z, lambda z: 1.0 - z
    ),
    "halfnorm": Distribution(
        (),
        lambda z: 0.5 * math.log(2 / math.pi) - 0.5 * z**2,
        _POSITIVE,
        lambda z: erf(z * math.sqrt(0.5)),
        lambda z: erfc(z * math.sqrt(0.5)),
    ),
    "invgamma": Distribution(
        ("a",), lambda z, a: -(a + 1.0) * np.log(z) - gammaln(a) - 1.0 / z, _POSITIVE
    ),
    "weibull_min": Distribution(
        ("c",),
        lambda z, c: np.log(c) + xlogy(c - 1.0, z) - z**c,
        _POSITIVE,
        lambda z, c: -np.expm1(-(z**c)),
        lambda z, c: np.exp(-(z**c)),
    ),
    "pareto": Distribution(
        ("b",),
        lambda z, b: np.log(b) - (b + 1.0) * np.log(z),
        (1.0, math.inf),
        lambda z, b: -np.expm1(-b * np.log(z)),
        lambda z, b: z**-b,
    ),
    "rayleigh": Distribution(
        (),
        lambda z: np.log(z) - 0.5 * z**2,
        _POSITIVE,
        lambda z: -np.expm1(-0.5 * z**2),
        lambda z: np.exp(-0.5 * z**2),
    ),
    "gumbel_r": Distribution(
        (),
        lambda z: -z - np.exp(-z),
        cdf=lambda z: np.exp(-np.exp(-z)),
        sf=lambda z: -np.expm1(-np.exp(-z)),
    ),
    "gumbel_l": Distribution((), lambda z: z - np.exp(z)),
    "truncnorm": Distribution(("a", "b"), _truncnorm),
    "skewnorm": Distribution(
        ("a",), lambda z, a: math.log(2) + _norm(z) + log_ndtr(a * z)
    ),
}


def _binom(k, n, p):
    ways = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return ways + xlogy(k, p) + xlog1py(n - k, -p)


def _nbinom(k, n, p):
    ways = gammaln(n + k) - gammaln(k + 1.0) - gammaln(n)
    return ways + n * np.log(p) + xlog1py(k, -p)


#: Of whole numbers, which do not depend on parameters.
DISCRETE = {
    "poisson": Distribution(
        ("mu",), lambda k, mu: xlogy(k, mu) - gammaln(k + 1.0) - mu, _POSITIVE
    ),
    "binom": Distribution(("n", "p"), _binom, _POSITIVE),
    "bernoulli": Distribution(
        ("p",), lambda k, p: xlogy(k, p) + xlog1py(1.0 - k, -p), (0.0, 1.0)
    ),
    "geom": Distribution(
        ("p",), lambda k, p: xlog1py(k - 1.0, -p) + np.log(p), (1.0, math.inf)
    ),
    "nbinom": Distribution(("n", "p"), _nbinom, _POSITIVE),
}


# ---- the methods of distributions ---------------------------------------------------


def _standard(found: Distribution, x, args, kwds):
    """(z, shapes, scale), whichever way the parameters were given."""
    names = (*found.shapes, "loc", "scale")
    given = dict(zip(names, args, strict=False)) | kwds
    loc, scale = asarray(given.get("loc", 0.0)), asarray(given.get("scale", 1.0))
    z = (asarray(x) - loc) / scale
    return z, [asarray(given[name]) for name in found.shapes], scale


def _density(found: Distribution, x, args, kwds):
    """Its logarithm; where the density is zero, -inf."""
    z, shapes, scale = _standard(found, x, args, kwds)
    low, high = found.support
    outside = (z < low) | (z > high)
    middle = low + 1.0 if high == math.inf else 0.5 * (low + high)
    inside = z if low == -math.inf else np.where(outside, middle, z)
    density = found.log_density(inside, *shapes) - np.log(scale)
    return density if low == -math.inf else np.where(outside, -np.inf, density)


def _share(formula: Formula | None, found: Distribution, *given):
    """One of the formulas for the shares below and above."""
    if formula is None:
        return NotImplemented
    z, shapes, _ = _standard(found, *given)
    low, high = found.support
    return formula(z if low == -math.inf else np.clip(z, low, high), *shapes)


def _cdf(found: Distribution, *given):
    return _share(found.cdf, found, *given)


def _sf(found: Distribution, *given):
    return _share(found.sf, found, *given)


def _log(side: float, formula: Formula):
    """The logarithm of such a share, which of the normal distribution may underflow."""

    def log(found: Distribution, *given):
        if found.cdf is ndtr:
            return _share(lambda z: log_ndtr(side * z), found, *given)
        share = formula(found, *given)
        return share if share is NotImplemented else np.log(share)

    return log


def _exp(formula: Formula):
    return lambda *args: np.exp(formula(*args))


#: Method -> what it gives of a distribution.
_CONTINUOUS: dict[str, Formula] = {
    "logpdf": _density,
    "pdf": _exp(_density),
    "cdf": _cdf,
    "sf": _sf,
    "logcdf": _log(1.0, _cdf),
    "logsf": _log(-1.0, _sf),
}
_DISCRETE: dict[str, Formula] = {"logpmf": _density, "pmf": _exp(_density)}
#: Methods that need the share below.
_SHARES = {"cdf", "sf", "logcdf", "logsf"}


def _method(found: Distribution, formula: Formula):
    def method(x, *args, **kwds):
        return formula(found, x, args, kwds)

    return method


def _frozen_method(word: str):
    def method(self, x):
        meaning = MEANINGS.get(f"scipy.stats.{self.dist.name}.{word}")
        return meaning(x, *self.args, **self.kwds) if meaning else NotImplemented

    return method


for _kind, _table, _methods in (
    ("continuous", CONTINUOUS, _CONTINUOUS),
    ("discrete", DISCRETE, _DISCRETE),
):
    for _word, _formula in _methods.items():
        for _name, _found in _table.items():
            if _found.cdf is not None or _word not in _SHARES:
                means(f"scipy.stats.{_name}.{_word}")(_method(_found, _formula))
        means(f"scipy.stats._distn_infrastructure.rv_{_kind}_frozen.{_word}")(
            _frozen_method(_word)
        )


@means("scipy.stats.rv_continuous.__call__", "scipy.stats.rv_discrete.__call__")
def freeze(self, *args, **kwds):
    """A distribution with its parameters, some of them traced."""

    def method(meaning: Formula):
        return lambda x: meaning(x, *args, **kwds)

    prefix = f"scipy.stats.{self.name}."
    methods = {
        name.removeprefix(prefix): method(meaning)
        for name, meaning in MEANINGS.items()
        if name.startswith(prefix)
    }
    return Frozen(**methods) if methods else NotImplemented


# ---- of several variables -----------------------------------------------------------


_SEVERAL = "scipy.stats.multivariate_normal"


@means(f"{_SEVERAL}.logpdf")
def multivariate_normal(x, mean=None, cov=1, allow_singular=False):
    """Through the Cholesky factor, which reads the lower triangle only."""
    x, cov = asarray(x), asarray(cov)
    mean = asarray(0.0 if mean is None else mean)
    if allow_singular:
        return NotImplemented
    n = max(cov.shape[:1] + mean.shape[:1], default=1)
    if cov.ndim < 2:
        cov = cov * np.eye(n)
    if n == 1 and x.ndim < 2:
        x = np.expand_dims(x, -1)
    factor = np.linalg.cholesky(cov)
    z = np.linalg.solve(factor, np.moveaxis(x - mean, -1, 0).reshape(n, -1))
    squares = np.reshape(np.sum(z**2, axis=0), x.shape[:-1])
    return -0.5 * squares - np.sum(np.log(np.diag(factor))) - n * _LOG_ROOT_2PI


@means(f"{_SEVERAL}.pdf")
def multivariate_normal_pdf(x, *args, **kwargs):
    log = multivariate_normal(x, *args, **kwargs)
    return log if log is NotImplemented else np.exp(log)


@means(f"{_SEVERAL}.__call__")
def freeze_normal(*args, **kwargs):
    return Frozen(
        logpdf=lambda x: MEANINGS[f"{_SEVERAL}.logpdf"](x, *args, **kwargs),
        pdf=lambda x: MEANINGS[f"{_SEVERAL}.pdf"](x, *args, **kwargs),
    )


@means("scipy.stats._multivariate.multivariate_normal_frozen.logpdf")
def frozen_normal(self, x):
    covariance = self.cov_object.covariance
    return MEANINGS[f"{_SEVERAL}.logpdf"](x, self.mean, covariance)


@means("scipy.stats._multivariate.multivariate_normal_frozen.pdf")
def frozen_normal_pdf(self, x):
    covariance = self.cov_object.covariance
    return MEANINGS[f"{_SEVERAL}.pdf"](x, self.mean, covariance)


@means("scipy.stats.dirichlet.logpdf")
def dirichlet(x, alpha):
    x, alpha = asarray(x), asarray(alpha)
    if x.shape[0] != alpha.shape[0]:  # the last share may be left out
        x = np.concatenate([x, 1.0 - np.sum(x, axis=0, keepdims=True)])
    powers = np.reshape(alpha - 1.0, alpha.shape + (1,) * (x.ndim - 1))
    scale = np.sum(gammaln(alpha)) - gammaln(np.sum(alpha))
    return np.sum(xlogy(powers, x), axis=0) - scale
