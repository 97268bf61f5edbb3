"""Entries drawn alike whatever the shape: no fan is needed."""

import decimal
import itertools
import math
from functools import cache
from typing import Unpack

import numpy as np

from fastgrad._arguments import choice, number
from fastgrad._arrays import AnyArray
from fastgrad._kernels import _philox
from fastgrad.initializers.draw import Draw, Options, scheme
from fastgrad.initializers.streams import Shape

_PI = decimal.Decimal("3.14159265358979323846264338327950288419716939937510582")


@scheme
def normal(
    shape: Shape, *, mean: float = 0.0, std: float = 1.0, **options: Unpack[Options]
) -> AnyArray:
    """Return normals of this mean and deviation, as all of this module for any shape.

    Parameters
    ----------
    shape : tuple of int
        Any shape: no fan is needed, and `layout`, `groups`, `transposed` and `stride`
        are there only so that all schemes are called alike.
    mean, std : float
        Of the distribution, which is not cut off.
    seed, name, dtype, out, rows, num_threads
        As for `variance_scaling`; with a mean other than zero there is a temporary
        array of float64.

    Examples
    --------
    >>> x = normal(100_000, mean=3.0, std=0.02)
    >>> round(float(x.mean()), 3), round(float(x.std()), 3)
    (3.0, 0.02)
    """
    tensor, mean = Draw.of(shape, options), number("mean", mean)
    std = number("std", std, least=0)
    if mean == 0:
        return tensor.filled(_philox.NORMAL, std)
    return tensor.written(mean + tensor.in_double(_philox.NORMAL, std))


@scheme
def uniform(
    shape: Shape, *, low: float = -1.0, high: float = 1.0, **options: Unpack[Options]
) -> AnyArray:
    """Return numbers that are equally likely everywhere between two bounds.

    Parameters
    ----------
    shape : tuple of int
        As for `normal`.
    low, high : float
        The bounds, which are reached only by rounding.
    seed, name, dtype, out, rows, num_threads
        As for `variance_scaling`; where the bounds are not opposite there is a
        temporary array of float64.

    Examples
    --------
    >>> x = uniform(1000, low=2.0, high=3.0)
    >>> bool(x.min() >= 2), bool(x.max() <= 3)
    (True, True)
    """
    tensor, low = Draw.of(shape, options), number("low", low)
    high = number("high", high, least=low)
    if low == -high:
        return tensor.filled(_philox.UNIFORM, high)
    half, middle = high / 2 - low / 2, high / 2 + low / 2
    drawn = middle + tensor.in_double(_philox.UNIFORM, half)
    return tensor.written(np.clip(drawn, low, high))


@scheme
def constant(
    shape: Shape, *, value: float = 0.0, **options: Unpack[Options]
) -> AnyArray:
    """Return the same number everywhere.

    Parameters
    ----------
    shape : tuple of int
        As for `normal`.
    value : float
        The number.
    dtype, out, rows
        As for `variance_scaling`; nothing here is random.

    Examples
    --------
    >>> constant((2, 3), value=0.5)
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]])
    """
    return Draw.of(shape, options).written(np.float64(number("value", value)))


@scheme
def truncated_normal(
    shape: Shape,
    *,
    std: float = 1.0,
    bound: float = 2.0,
    **options: Unpack[Options],
) -> AnyArray:
    """Return normals without tails, whose deviation *after* truncation is `std`.

    Parameters
    ----------
    shape : tuple of int
        As for `normal`.
    std : float
        Deviation of the values returned.
    bound : float
        Where to cut, in deviations of the normal that is cut, at least 0.1. The largest
        value is ``std * bound / truncated_std(bound)``.
    seed, name, dtype, out, rows, num_threads
        As for `variance_scaling`.

    Notes
    -----
    By inverting the distribution function (algorithm AS 241), one word each: nothing is
    rejected or clamped. Computed in float64 whatever the dtype.

    Examples
    --------
    >>> x = truncated_normal(100_000, std=0.02)
    >>> bool(abs(x.std() - 0.02) < 1e-4), bool(abs(x).max() < 0.0455)
    (True, True)
    """
    std = number("std", std, least=0)
    return filled(Draw.of(shape, options), "truncated_normal", std, bound)


def truncated_std(bound: float) -> float:
    """Return the deviation of a standard normal cut off at plus and minus `bound`.

    Examples
    --------
    >>> round(truncated_std(2.0), 12)
    0.879625661034
    """
    bound = number("bound", bound, least=0.1)
    density, inside, _ = _normal(bound)
    return math.sqrt(1 - 2 * bound * density / inside)


@cache
def _normal(z: float) -> tuple[float, float, float]:
    """Density at z, probability within and beyond z (on one side), rounded correctly.

    Those of libm differ between machines in their last bits. By Laplace's series, and
    his continued fraction far out.
    """
    if z > 39:
        return 0.0, 1.0, 0.0  # less than the smallest float
    with decimal.localcontext(decimal.Context(prec=50)):
        x = decimal.Decimal(z)
        density = (-x * x / 2).exp() / (2 * _PI).sqrt()
        if z < 6:
            term = total = x
            for n in itertools.count(1):
                term *= x * x / (2 * n + 1)
                total += term
                if term < total.scaleb(-50):
                    break
            beyond = (1 - 2 * density * total) / 2
        else:
            fraction = x
            for n in reversed(range(1, 100)):
                fraction = x + n / fraction
            beyond = density / fraction
        return float(density), float(1 - 2 * beyond), float(beyond)


def filled(tensor: Draw, distribution: str, std: float, bound: float = 2.0) -> AnyArray:
    """Return the tensor, of deviation `std`, from its stream."""
    choice("distribution", distribution, ("normal", "uniform", "truncated_normal"))
    if distribution == "normal":
        return tensor.filled(_philox.NORMAL, std)
    if distribution == "uniform":
        return tensor.filled(_philox.UNIFORM, std * math.sqrt(3))
    _, inside, outside = _normal(number("bound", bound, least=0.1))
    return tensor.filled(
        _philox.TRUNCATED, std / truncated_std(bound), inside=inside, outside=outside
    )
