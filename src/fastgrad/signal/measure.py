"""Sizes of arrays: of signals, gradients and weights, by layer, unit and sample."""

import math
from typing import NamedTuple

import numpy as np

from fastgrad._arrays import Array
from fastgrad.signal.scaled import Scaled


class Size(NamedTuple):
    """Statistics of one array; logarithms are to base 2."""

    mean: float  # relative to the root of the mean square
    log2_rms: float
    kurtosis: float  # 3 for a normal distribution
    log2_max: float
    correlation: float | None  # mean cosine between two samples
    decorrelation: float | None  # 1 minus that, without its rounding error


def measure(x: Scaled, axes: str | None) -> Size:
    """Return the statistics of an array.

    Parameters
    ----------
    x : Scaled
    axes : str or None
        For each axis "u" if it tells units apart and "s" if samples.
    """
    flat = x.mantissa.ravel()
    square = float(flat @ flat) / max(flat.size, 1)
    if not 0 < square < math.inf:
        return Size(math.nan, x.log2_rms, math.nan, x.log2_max, None, None)
    mean = float(flat.mean())
    centred = flat - mean
    np.square(centred, out=centred)
    variance = float(centred.mean())
    fourth = float(centred @ centred) / flat.size
    kurtosis = fourth / variance**2 if variance > 1e-30 * square else math.nan
    apart = _decorrelation(x.mantissa, axes)
    return Size(
        mean / math.sqrt(square),
        x.log2_rms,
        kurtosis,
        x.log2_max,
        None if apart is None else 1 - apart,
        apart,
    )


def _decorrelation(x: Array, axes: str | None) -> float | None:
    """Return 1 minus the mean cosine of two samples.

    From the length of the mean of the normalised samples: one pass, no pairs.
    """
    if axes is None or "s" not in axes or "u" not in axes:
        return None
    rows = as_matrix(x, axes)
    if rows.shape[1] == 1:
        return None  # of one unit the cosine is a sign
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    norms = norms[norms > 0] if (norms == 0).any() else norms
    n = len(norms)
    if n < 2:
        return None
    if n < len(rows):
        rows = rows[np.einsum("ij,ij->i", rows, rows) > 0]
    centre = (1 / norms) @ rows / n
    if float(centre @ centre) < 0.999:
        return (1 - float(centre @ centre)) * n / (n - 1)
    away = rows / norms[:, None] - centre
    return float(np.einsum("ij,ij->", away, away)) / (n - 1)


def as_matrix(x: Array, axes: str) -> Array:
    """Return an array of shape (samples, units)."""
    order = [d for d, a in enumerate(axes) if a == "s"]
    n = math.prod(x.shape[d] for d in order)
    order += [d for d, a in enumerate(axes) if a == "u"]
    return x.transpose(order).reshape(n, -1)


_SAMPLES = 32  # whose scalar products tell how independent samples are


def concentration(x: Array, axes: str | None) -> float:
    """Return the variance of a mean of squares over samples, relative to one sample's.

    The mean squared cosine of all pairs of samples, each with itself included: 1 if all
    are the same, 1 / samples if they are orthogonal.
    """
    if axes is None or "s" not in axes or "u" not in axes:
        return 1.0
    rows = as_matrix(x, axes)
    n = len(rows)
    rows = rows[:: max(1, n // _SAMPLES)]
    products = rows @ rows.T
    own = np.diag(products)
    total = float(own.sum()) ** 2 - float(own @ own)
    if n < 2 or not 0 < total < math.inf:
        return 1.0
    pairs = (float(np.square(products).sum()) - float(own @ own)) / total
    return 1 / n + (1 - 1 / n) * min(pairs, 1.0)


def dead_share(post: Scaled, axes: str) -> float:
    """Return the share of units that are 0 in every sample."""
    samples = tuple(d for d, a in enumerate(axes) if a == "s")
    alive = post.mantissa.any(axis=samples)
    return 1 - float(np.mean(alive))


def saturated_shares(
    x: Scaled, flat: tuple[float, float], axes: str | None
) -> tuple[float, float]:
    """Return the shares of saturated entries, and of units saturated throughout."""
    z = x.true
    saturated = (z < flat[0]) | (z > flat[1])
    share = float(np.mean(saturated))
    if axes is None or not share:
        return share, 0.0
    samples = tuple(d for d, a in enumerate(axes) if a == "s")
    return share, float(np.mean(saturated.all(axis=samples)))


class Growth(NamedTuple):
    """A straight line through log2 of sizes."""

    slope: float  # per layer
    error: float  # half-width of its 95 % confidence interval
    total: float  # last minus first


def growth(depth: Array, log2_size: Array) -> Growth:
    """Return the least-squares growth of sizes with depth; nan for one layer."""
    use = np.isfinite(log2_size)
    x, y = depth[use], log2_size[use]
    if len(np.unique(x)) < 2:
        return Growth(math.nan, math.nan, 0.0)
    # From the first point: sums of rounded logarithms would cost digits.
    x0, y0 = x - x.mean(), (y - y[0]) - (y - y[0]).mean()
    slope = float(x0 @ y0 / (x0 @ x0))
    rest = y0 - slope * x0
    n = len(x)
    deviation = math.sqrt(float(rest @ rest) / (n - 2)) if n > 2 else math.nan
    error = _student(n - 2) * deviation / math.sqrt(float(x0 @ x0))
    return Growth(slope, error, float(y[np.argmax(x)] - y[np.argmin(x)]))


def _student(freedom: int) -> float:
    """Return the 97.5 % point of Student's distribution (to 1 %)."""
    if freedom < 1:
        return math.nan
    z = 1.959964
    if freedom < 3:
        return (12.706, 4.303)[freedom - 1]
    v = float(freedom)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
