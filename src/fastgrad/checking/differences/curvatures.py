"""Second differences of a loss.

Along u = h_i e_i + h_j e_j the sum of both sides is ``u' H u``, and that of e_i and e_j
taken off leaves ``2 h_i h_j H_ij`` (polarisation). What is left over is a series in the
square of the step, which halved steps take away term by term (Romberg); the estimate is
believed on which neighbours in that table agree best, with the noise of its step.
"""

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.checking.differences.extrapolation import LARGEST
from fastgrad.checking.differences.imaginary import random_directions
from fastgrad.checking.differences.noise import noise_along
from fastgrad.checking.differences.pairs import CLOSE, EPS, KAPPA, SURE
from fastgrad.checking.differences.scales import Scale, binary
from fastgrad.checking.differences.slopes import FEW
from fastgrad.losses import Losses

_LADDER = np.exp2(-np.arange(41.0))
_RUNGS = 5  # that are taken at first: two evaluations each
_FURTHER = 2  # at a time, for pairs whose series has not ended
_ALONG = slice(4, 14)  # of the ladder, along a random direction
_GOOD = 1e-10  # of an entry: what remains of its series does not matter


class Curvatures:
    """Entries of the Hessian of a loss, by second differences.

    Parameters
    ----------
    losses : Losses
    step : float, optional
        The absolute step of every entry, without extrapolation. By default steps follow
        from the noise of the loss, or, of a few entries, from how differences converge.
    """

    def __init__(self, losses: Losses, step: float | None) -> None:
        self.losses, self.step = losses, step
        scale = Scale(losses.theta, losses.nest.offsets)
        self.noise = noise_along(losses, scale, np.random.default_rng(0))
        self.noise = max(self.noise, EPS * abs(losses.base))
        self.unit = binary(scale[:]) if step is None else np.full(len(scale), step)

    def entries(self, row: Index, column: Index) -> tuple[Array, Array]:
        """Return some entries, and their error bars."""
        size = len(self.unit)
        low, high = np.minimum(row, column), np.maximum(row, column)
        pairs, which = np.unique(low * size + high, return_inverse=True)
        i, j = np.divmod(pairs, size)
        if self.step is not None:
            value, error = self._measured(i, j, np.ones(1))
        elif len(pairs) > FEW:
            value, error = self._measured(i, j, self._usual_times())
        else:
            value, error = self._refined(i, j)
        return value[which], error[which]

    def refuse_others(
        self, row: Index, column: Index, value: Array, error: Array
    ) -> None:
        """Raise ValueError if entries beside these, or across from them, are not zero.

        Along a random direction u, u' H u is what the entries make of it; or not.
        """
        size = len(self.unit)
        pair = np.minimum(row, column) * size + np.maximum(row, column)
        _, first = np.unique(pair, return_index=True)
        i, j, value, error = row[first], column[first], value[first], error[first]
        [direction] = random_directions(self.unit, np.random.default_rng(0), 1)
        bend = self._bend_along(_LADDER[_ALONG], direction)[None]
        noise = 2 * KAPPA * self.noise / _LADDER[_ALONG] ** 2
        found, rest, bar = (float(x[0]) for x in _limit(bend, noise[None]))
        times = np.where(i == j, 1.0, 2.0) * direction[i] * direction[j]
        told, size_of_all = times @ value, np.abs(times) @ np.abs(value)
        off = rest + bar + np.abs(times) @ error + CLOSE * size_of_all
        if abs(found - told) > SURE * off:
            raise ValueError(
                "`sparsity` must be nonzero wherever the Hessian is: along a random "
                f"direction the second derivative is {found:.6g}, and {told:.6g} by "
                "the entries that it allows."
            )

    def _usual_times(self) -> Array:
        base = abs(self.losses.base)
        level = self.noise / max(base, self.noise, 1e-300)
        power = np.rint(np.log2(min(level ** (1 / 6), LARGEST)))
        return np.exp2([power + 1, power])

    def _refined(self, i: Index, j: Index) -> tuple[Array, Array]:
        """Return entries at ever finer steps, as long as their series has not ended."""
        value, error = np.full((2, len(i)), np.nan)
        open_, table = np.arange(len(i)), np.empty((len(i), 0))
        for stop in range(_RUNGS, len(_LADDER) + 1, _FURTHER):
            times = _LADDER[table.shape[1] : stop]
            further = self._bends(i[open_], j[open_], times)
            table = np.concatenate([table, further], axis=1)
            found = self._limits(i[open_], j[open_], table, _LADDER[:stop])
            value[open_], error[open_], rest = found
            with np.errstate(invalid="ignore"):
                enough = np.fmax(error[open_] - rest, _GOOD * np.abs(value[open_]))
                goes_on = ~(np.isfinite(error[open_]) & (rest <= enough))
                # Finer steps have more noise than what is known is off by.
                area = self.unit[i[open_]] * self.unit[j[open_]]
                goes_on &= KAPPA * self.noise / times[-1] ** 2 / area < error[open_]
            open_, table = open_[goes_on], table[goes_on]
            if open_.size == 0:
                break
        return value, error

    def _measured(self, i: Index, j: Index, times: Array) -> tuple[Array, Array]:
        """Return entries and their bars."""
        value, error, _ = self._limits(i, j, self._bends(i, j, times), times)
        return value, error

    def _limits(
        self, i: Index, j: Index, bends: Array, times: Array
    ) -> tuple[Array, Array, Array]:
        """Return entries, their bars, and how much of these is not noise."""
        noise = KAPPA * np.where(i == j, 2, 3)[:, None] * self.noise / times**2
        value, rest, noise = _limit(bends, noise)
        area = self.unit[i] * self.unit[j]
        with np.errstate(all="ignore"):
            return value / area, (rest + noise) / area, rest / area

    def _bends(self, i: Index, j: Index, times: Array) -> Array:
        """Return a row for each pair, in its units, and a column for each time.

        `times` are the steps in units of each entry, each half of the one before.
        """
        alone = {k: self._along(times, k) for k in np.union1d(i, j).tolist()}
        bends = np.empty((len(i), len(times)))
        with np.errstate(all="ignore"):
            for k, (a, b) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
                bends[k] = alone[a]
                if a != b:
                    bends[k] = (self._along(times, a, b) - alone[a] - alone[b]) / 2
        return bends

    def _along(self, times: Array, *entries: int) -> Array:
        """Return u' H u at each time, u being the units of these entries."""
        direction = np.zeros(len(self.unit))
        direction[list(entries)] = self.unit[list(entries)]
        return self._bend_along(times, direction)

    def _bend_along(self, times: Array, direction: Array) -> Array:
        both = np.concatenate([times, -times])
        with np.errstate(all="ignore"):
            up, down = np.split(self.losses.along(direction, both), 2)
            bends: Array = (up + down) / times**2
        return bends


def _limit(bends: Array, noise: Array) -> tuple[Array, Array, Array]:
    """Return the limit of each row, what its series leaves in doubt, and its noise."""
    rows = np.arange(len(bends))
    before, after = bends, bends
    value, left, loud = [bends[:, -1]], [np.full(len(bends), 0.0)], [noise[:, -1]]
    with np.errstate(all="ignore"):
        for m in range(1, bends.shape[1]):
            after = before[:, 1:] + np.diff(before) / (4.0**m - 1)
            apart = np.maximum(np.abs(after - before[:, 1:]), np.abs(np.diff(before)))
            value.extend(after.T)
            left.extend(apart.T)
            loud.extend(noise[:, m:].T)
            before = after
        if bends.shape[1] > 1:  # one step alone tells nothing
            left[0] = np.full(len(bends), np.inf)
        values, rest, bars = np.array(value), np.array(left), np.array(loud)
        whole = np.where(np.isfinite(values), rest + bars, np.inf)
    best = np.argmin(whole, axis=0)
    return values[best, rows], rest[best, rows], bars[best, rows]
