"""Special functions, by identities that keep the accuracy of double precision.

Sources: Abramowitz and Stegun, *Handbook of Mathematical Functions*, 6.3 (digamma), 7.1
(error function); NIST *Digital Library of Mathematical Functions*, chapters 5 and 7.
"""

from __future__ import annotations

import math

import numpy as np

from fastgrad.program.primitives.elementwise import normal_below
from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.numbers import lgamma as gammaln
from fastgrad.program.primitives.meanings.numbers import without_scipy
from fastgrad.program.primitives.meanings.polynomials import horner
from fastgrad.program.primitives.meanings.registry import means

_LN2 = math.log(2)
_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)


# ---- exponentials and logarithms ----------------------------------------------------


@means("scipy.special.expit")
def expit(x):
    return np.reciprocal(1.0 + np.exp(-x))


@means("scipy.special.logit")
def logit(x):
    return np.log(x) - np.log1p(-x)


@means("scipy.special.log_expit")
def log_expit(x):
    return -np.logaddexp(0.0, -x)


@means("scipy.special.softplus")
def softplus(x):
    return np.logaddexp(0.0, x)


@means("numpy.logaddexp2")
def logaddexp2(x, y):
    return np.logaddexp(x * _LN2, y * _LN2) / _LN2


@means("scipy.special.exprel")
def exprel(x):
    apart = np.where(x == 0.0, 1.0, x)
    return np.where(x == 0.0, 1.0 + 0.5 * x, np.expm1(apart) / apart)


@means("scipy.special.cosm1")
def cosm1(x):
    return -2.0 * np.sin(0.5 * x) ** 2


@means("scipy.special.powm1")
def powm1(x, y):
    return np.expm1(y * np.log(x))


@means("scipy.special.exp10")
def exp10(x):
    return np.power(10.0, x)


@means("scipy.special.logsumexp")
def logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False):
    if return_sign:
        return NotImplemented
    a = np.atleast_1d(asarray(a))
    top = np.max(a, axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    terms = np.exp(a - top)
    total = np.sum(terms if b is None else terms * b, axis, keepdims=True)
    out = np.log(total) + top
    return out if keepdims else np.squeeze(out, axis)


@means("scipy.special.softmax")
def softmax(x, axis=None):
    e = np.exp(x - np.max(x, axis, keepdims=True))
    return e / np.sum(e, axis, keepdims=True)


@means("scipy.special.log_softmax")
def log_softmax(x, axis=None):
    lower = x - np.max(x, axis, keepdims=True)
    return lower - np.log(np.sum(np.exp(lower), axis, keepdims=True))


# ---- entropies ----------------------------------------------------------------------


@means("scipy.special.xlogy")
def xlogy(x, y):
    return x * np.log(np.where(asarray(x) == 0.0, 1.0, y))


@means("scipy.special.xlog1py")
def xlog1py(x, y):
    return x * np.log1p(np.where(asarray(x) == 0.0, 0.0, y))


@means("scipy.special.entr")
def entr(x):
    return np.where(x < 0.0, -np.inf, -xlogy(x, np.where(x > 0.0, x, 1.0)))


@means("scipy.special.rel_entr")
def rel_entr(x, y):
    inside = (asarray(x) > 0.0) & (asarray(y) > 0.0)
    nothing = (asarray(x) == 0.0) & (asarray(y) >= 0.0)
    ratio = np.where(inside, x, 1.0) / np.where(inside, y, 1.0)
    return np.where(inside, x * np.log(ratio), np.where(nothing, 0.0, np.inf))


@means("scipy.special.kl_div")
def kl_div(x, y):
    return rel_entr(x, y) - x + y


@means("scipy.special.boxcox")
def boxcox(x, lmbda):
    return boxcox1p(x - 1.0, lmbda)


@means("scipy.special.boxcox1p")
def boxcox1p(x, lmbda):
    log = np.log1p(x)
    return log * exprel(lmbda * log)


@means("scipy.special.inv_boxcox")
def inv_boxcox(x, lmbda):
    return inv_boxcox1p(x, lmbda) + 1.0


@means("scipy.special.inv_boxcox1p")
def inv_boxcox1p(x, lmbda):
    power = np.asarray(lmbda) if not is_traced(lmbda) else lmbda
    apart = np.where(power == 0.0, 1.0, power)
    return np.expm1(np.where(power == 0.0, x, np.log1p(apart * x) / apart))


@means("scipy.special.huber")
def huber(delta, r):
    size = np.abs(r)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


@means("scipy.special.pseudo_huber")
def pseudo_huber(delta, r):
    u = r / delta
    return delta**2 * (u**2 / (1.0 + np.sqrt(1.0 + u**2)))


# ---- the normal distribution --------------------------------------------------------


ndtr = without_scipy(normal_below)

#: (2k - 1)!! with alternating signs, from the last to the first: A&S 26.2.12.
_MILLS = [(-1) ** k * float(math.prod(range(1, 2 * k, 2))) for k in range(9, -1, -1)]
#: From here down the asymptotic series has every digit, and from here up the logarithm
#: of what is left to 1. Differences across a seam are rounded: few variables are there.
_TAIL, _UPPER = -20.1, 0.6745


@means("scipy.special.log_ndtr")
def log_ndtr(x):
    near, far = np.maximum(x, _TAIL), np.minimum(x, _TAIL)
    upper = np.log1p(-ndtr(-np.maximum(near, _UPPER)))
    lower = np.log(ndtr(np.minimum(near, _UPPER)))
    series = horner(_MILLS, far**-2)
    tail = -0.5 * far**2 - np.log(-far) - _LOG_ROOT_2PI + np.log(series)
    return np.where(x < _TAIL, tail, np.where(x > _UPPER, upper, lower))


# ---- the gamma function and its kin -------------------------------------------------

#: B_2k / 2k, from the last to the first: A&S 6.3.18.
_DIGAMMA = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12][::-1]
#: The series has every digit from here on.
_FAR = 10


@means("scipy.special.digamma", "scipy.special.psi")
def digamma(x):
    """Moved up by the recurrence; below zero by reflection."""
    x = asarray(x)
    below = x <= 0.0
    up = np.where(below, 1.0 - x, x)
    moved = up + _FAR
    series = np.log(moved) - 0.5 / moved - horner(_DIGAMMA, moved**-2) / moved**2
    steps = sum(1.0 / (up + k) for k in range(_FAR))
    turn = math.pi / np.tan(math.pi * np.where(below, x, 0.5))
    return series - steps - np.where(below, turn, 0.0)


@means("scipy.special.polygamma")
def polygamma(n, x):
    """Of positive numbers, as `digamma`: A&S 6.4.6 and 6.4.11."""
    if not isinstance(n, (int, np.integer)):
        return NotImplemented
    if n == 0:
        return digamma(x)
    far = asarray(x) + _FAR
    terms = [
        2 * k * b * math.factorial(2 * k + n - 1) / math.factorial(2 * k)
        for k, b in enumerate(_DIGAMMA[::-1], 1)
    ]
    series = horner(terms[::-1], far**-2) / far ** (n + 2)
    leading = math.factorial(n - 1) / far**n + math.factorial(n) / (2 * far ** (n + 1))
    steps = math.factorial(n) * sum((x + k) ** -(n + 1.0) for k in range(_FAR))
    return (-1) ** (n + 1) * (series + leading + steps)


@means("scipy.special.loggamma")
def loggamma(z):
    return gammaln(z)


@means("scipy.special.gammasgn")
def gammasgn(x):
    return _sign_of_gamma(x)


def _sign_of_gamma(x):
    odd = np.floor(np.minimum(x, 0.0)) % 2.0 != 0.0  # no step at positive integers
    return np.where(odd, -1.0, 1.0)


@means("scipy.special.gamma")
def gamma(x):
    return _sign_of_gamma(x) * np.exp(gammaln(x))


@means("scipy.special.rgamma")
def rgamma(x):
    return _sign_of_gamma(x) * np.exp(-gammaln(x))


@means("math.gamma")
def gamma_of_number(x):
    return gamma(x)


@means("scipy.special.betaln")
def betaln(a, b):
    return gammaln(a) + gammaln(b) - gammaln(a + b)


@means("scipy.special.beta")
def beta(a, b):
    sign = _sign_of_gamma(a) * _sign_of_gamma(b) * _sign_of_gamma(a + b)
    return sign * np.exp(betaln(a, b))


@means("scipy.special.poch")
def poch(z, m):
    sign = _sign_of_gamma(z) * _sign_of_gamma(z + m)
    return sign * np.exp(gammaln(z + m) - gammaln(z))


@means("scipy.special.binom")
def binom(n, k):
    return 1.0 / ((n + 1.0) * beta(n - k + 1.0, k + 1.0))


@means("scipy.special.comb")
def comb(N, k, *, exact=False, repetition=False):
    return NotImplemented if exact or repetition else _ways(binom, N, k)


@means("scipy.special.perm")
def perm(N, k, exact=False):
    return NotImplemented if exact else _ways(lambda n, m: poch(n - m + 1.0, m), N, k)


def _ways(count, n, k):
    """None, of what cannot be chosen."""
    n, k = asarray(n), asarray(k)
    return np.where((n >= 0) & (k >= 0) & (k <= n), count(n, k), 0.0)


@means("scipy.special.multigammaln")
def multigammaln(a, d: int):
    parts = sum(gammaln(a - 0.5 * j) for j in range(d))
    return parts + 0.25 * d * (d - 1) * math.log(math.pi)


# ---- others -------------------------------------------------------------------------


@means("numpy.sinc")
def sinc(x):
    y = math.pi * np.where(x == 0.0, 1.0, x)
    return np.where(x == 0.0, 1.0, np.sin(y) / y)


@means("scipy.special.radian")
def radian(d, m, s):
    return (d + m / 60.0 + s / 3600.0) * (math.pi / 180)


def _in_degrees(function):
    return lambda x: function(x * (math.pi / 180))


for _name in ("sin", "cos", "tan"):
    means(f"scipy.special.{_name}dg")(_in_degrees(getattr(np, _name)))
