"""Statistics by exact rational arithmetic: oracles for the tests."""

from fractions import Fraction

import mpmath
import numpy as np

mpmath.mp.dps = 60


def exact_moments(values, weights=None, ddof=0):
    """Return mean and variance of the stored values, as fractions."""
    v = [Fraction(float(x)) for x in values]
    w = (
        [Fraction(1)] * len(v)
        if weights is None
        else [Fraction(float(x)) for x in weights]
    )
    total = sum(w)
    mean = sum(a * b for a, b in zip(w, v, strict=True)) / total
    squares = sum(a * (b - mean) ** 2 for a, b in zip(w, v, strict=True))
    return mean, squares / (total - ddof)


def exact_std(values, weights=None, ddof=0):
    """Return the standard deviation of the stored values, to 60 digits."""
    _, variance = exact_moments(values, weights, ddof)
    return mpmath.sqrt(mpmath.mpf(variance.numerator) / variance.denominator)


def digits(found, exact):
    """Return the correct digits of `found`, the NIST's LRE, at most 17."""
    if isinstance(exact, Fraction):
        exact = mpmath.mpf(exact.numerator) / exact.denominator
    error = abs(mpmath.mpf(float(found)) - exact)
    if not np.isfinite(float(found)):
        return 0.0
    if error == 0:
        return 17.0
    return min(17.0, float(-mpmath.log10(error / abs(exact) if exact else error)))
