"""The noise of a function, from its values at points close together."""

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences.pairs import EPS
from fastgrad.checking.differences.scales import binary
from fastgrad.losses import Losses

_SINGLE = 2.0**-23
_LEAST = 0.01  # of the rounding of a sum, if its samples are subtracted one by one
ROUNDED = 12**-0.5  # standard deviation of rounding, in units of the last place
POINTS = 7  # in a row
_CLOSER = 2.0 ** -np.array([36.0, 44.0])  # where what is steep is told from noise


def ecnoise(values: Array) -> tuple[Array, Flags]:
    """Estimate the noise of a function from values at equally spaced points.

    Moré and Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011):
    differences of high order remove what is smooth and keep the noise, whose size is
    believed where three orders in turn agree.

    Parameters
    ----------
    values : ndarray of float64, shape (n, m)
        n functions at m >= 5 points each.

    Returns
    -------
    noise : ndarray of float64, shape (n,)
        Standard deviations; where `found` is not set, an upper bound.
    found : ndarray of bool, shape (n,)
        False where the points are so close that half the values are the same, or so
        far apart that the values are not noise alone.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.linspace(0, 1e-6, 7)
    >>> noise, found = ecnoise(np.exp(x)[None] + 1e-9 * rng.normal(size=(1, 7)))
    >>> bool(3e-10 < noise[0] < 3e-9), bool(found[0])
    (True, True)
    """
    m = values.shape[1]
    table, unit, gamma = values, np.ones(len(values)), 1.0
    sizes, both_signs = [], []
    for order in range(1, m):
        table = np.diff(table, axis=1)
        if order == 1:  # squares of it must neither vanish nor overflow
            largest = np.abs(table).max(axis=1)
            unit = np.where(np.isfinite(largest) & (largest > 0), largest, 1.0)
            table = table / unit[:, None]
        gamma *= 0.5 * order / (2 * order - 1)
        sizes.append(np.sqrt(gamma * np.mean(table**2, axis=1)))
        both_signs.append((table.min(axis=1) < 0) & (table.max(axis=1) > 0))
    noise, found = np.min(sizes, axis=0), np.zeros(len(values), dtype=bool)
    for k in range(m - 3):
        three = np.stack(sizes[k : k + 3])
        level = three.max(axis=0) <= 4 * three.min(axis=0)
        here = ~found & level & both_signs[k]
        noise = np.where(here, sizes[k], noise)
        found |= here
    noise = noise * unit
    change = np.diff(values, axis=1)
    flat = (change == 0).sum(axis=1) >= m / 2
    quantum = quantum_of(change)
    bound = np.where(found | np.isnan(quantum), noise, ROUNDED * quantum)
    return np.where(flat, np.inf, bound), found & ~flat


def bent_once(change: Array, base: float) -> tuple[Flags, Array]:
    """Return whether rows are two straight lines, and the noise of these.

    A kink between them is not noise, where it is more than rounding.
    """
    bends = np.diff(change, 2, axis=1)
    size = np.sort(np.abs(bends), axis=1)
    straight = size[:, -3]  # the kink is in two of them, and turns one way
    bent = np.abs(bends.sum(axis=1)) > 0.9 * size.sum(axis=1)
    bent &= size[:, -1] > 1000 * EPS * base
    rounding = EPS * np.abs(change).max(axis=1)
    return bent & (straight <= 1e-6 * size[:, -1]), np.fmax(straight, rounding)


def is_steep(losses: Losses, index: Index, scale: Array, spacing: float) -> Flags:
    """Whether seven points are too far apart to tell noise from a steep slope.

    As next to a pole: closer ones are on a line, which rises as much from one of the
    seven to the next as they are apart.
    """
    steep = np.zeros(len(index), dtype=bool)
    if steep.size == 0:
        return steep
    change, _ = row_of(losses, index, scale, spacing)
    for closer in _CLOSER[spacing > _CLOSER]:
        near, even = row_of(losses, index, scale, closer)
        with np.errstate(all="ignore"):
            apart = np.median(np.abs(change), axis=1)
            rise = np.abs(near[:, -1] - near[:, 0]) / (POINTS - 1)
            more = 4 * rise * (spacing / closer) > apart
        steep |= even & more & _is_line(near) & ~_is_line(change)
    return steep


def _is_line(change: Array) -> Flags:
    """Whether rows rise from point to point by about the same."""
    with np.errstate(all="ignore"):
        rises = np.diff(change, axis=1)
        line: Flags = 2 * np.ptp(rises, axis=1) < np.abs(rises.mean(axis=1))
    return line


def row_of(
    losses: Losses, index: Index, scale: Array, spacing: float
) -> tuple[Array, Flags]:
    """Return the loss at seven points around each entry, and if these are even."""
    at = np.repeat(index, POINTS)
    gap = binary(scale, np.full(len(index), spacing))
    grid = gap[:, None] * (np.arange(POINTS) - POINTS // 2)
    value = losses.theta[at] + grid.ravel()
    stored = losses.representable(at, value)
    with np.errstate(all="ignore"):
        change = losses.at_entries(at, stored)[0].reshape(grid.shape)
    off = np.abs(stored - value).reshape(grid.shape)
    return change, np.all(off < 0.01 * gap[:, None], axis=1)


def quantum_of(change: Array) -> Array:
    """Return what rows of changes are small multiples of; nan where nothing."""
    size = np.abs(change)
    apart = np.abs(size[:, :, None] - size[:, None, :]).reshape(len(size), -1)
    sizes = np.concatenate([size, apart], axis=1)
    least = np.min(np.where(sizes > 0, sizes, np.inf), axis=1)
    with np.errstate(all="ignore"):
        count = size / least[:, None]
    stairs = ((count == np.rint(count)) & (count < 1000)).all(axis=1)
    return np.where(stairs & np.isfinite(least), least, np.nan)


def rounding_of(losses: Losses) -> float:
    """Return the least noise of a difference of losses: of what rounds them.

    A value of float32's digits, nearly all of them in use, is a float32 number. Where a
    few points happen to be exact others are not, if only a little of the usual rounding
    is left of samples that are subtracted one by one.
    """
    if losses.engine == "compiled":
        return losses.rounding
    digits = float(np.frexp(losses.base)[0]) * 2.0**24
    single = digits == np.rint(digits) and digits % 2**8 != 0
    least = ROUNDED * _SINGLE if single else _LEAST * EPS
    return max(losses.rounding, least * abs(losses.base))
