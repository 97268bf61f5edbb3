"""Slopes from four central differences, of eighth order: many digits, few evaluations.

With steps h, 2h, 3h, 4h, (56 D(h) - 28 D(2h) + 8 D(3h) - D(4h)) / 35 is off by
h^8 J^(9) / 630. So the step may be so large that noise is divided by much of the entry
itself: h is of the size of the relative noise to the power 1/9. The last terms that
were removed, of differences and of second differences, tell by how much the result may
be off: more than what is left where the loss is smooth, and what a kink shifts it by
wherever that is. Where it is more than the noise leaves, the steps are an eighth, until
they suit the entry: curvature differs within a block, and kinks are close to some
entries. Four steps that all hold whole waves see none: a fifth that is much smaller
has to agree.
"""

from dataclasses import dataclass

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences.noise import measure_noise, noise_along, pooled
from fastgrad.checking.differences.pairs import (
    CLOSER,
    EPS,
    KAPPA,
    RATIO,
    RUNGS,
    SURE,
    Pairs,
    entry_pairs,
)
from fastgrad.checking.differences.scales import Owner, Scale, binary
from fastgrad.checking.differences.stairs import noise_of_stairs, shared_stairs
from fastgrad.checking.differences.tables import rounding_of
from fastgrad.losses import Losses

MULTIPLES = np.array([4.0, 3.0, 2.0, 1.0])
_WEIGHTS = np.array([-1.0, 8.0, -28.0, 56.0]) / 35  # of D at these times h
_GAIN = float(np.linalg.norm(_WEIGHTS / MULTIPLES))  # of the noise of D(h) in the limit
LARGEST = 2.0**-3  # of the scale: the first h, at most
WIDTHS = RUNGS[[0, 4, 9]]  # at which stairs are looked for
# Of a block, at which noise is measured and the first step found: 15 evaluations each.
_SAMPLES = 2
_OF_KINK = 14.0  # times what a kink nearer than 4h leaves: it shifts the limit by less
_GOOD = 1e-3  # of a slope: a wider bar is worth a ladder


def extrapolated_slopes(
    losses: Losses, index: Index, rng: np.random.Generator
) -> tuple[Array, Array, Index]:
    """Return slopes and their bars, infinite where no four steps agree.

    And which of them may be known better by other ways.

    Ten evaluations for each entry that the steps of its block suit, and eight more for
    each time that they are too wide. Noise takes some seven at two entries a block.
    """
    search = _Search(losses, index, rng)
    blocks = np.unique(search.block)
    some = np.concatenate(
        [np.flatnonzero(search.block == b)[:_SAMPLES] for b in blocks]
    )
    search.run(some, np.zeros(len(some), dtype=np.int64))
    first = np.zeros(1 + blocks.max(initial=0), dtype=np.int64)
    for b in blocks:
        first[b] = search.level[some[search.block[some] == b]].min()
    rest = np.setdiff1d(np.arange(len(index)), some)
    search.run(rest, first[search.block[rest]])
    with np.errstate(all="ignore"):
        vague = ~search.settled & ~(search.error <= _GOOD * np.abs(search.value))
    return search.value, search.error, np.flatnonzero(vague)


class _Search:
    """The best slope of each entry so far, its bar, and at which level it was found.

    `plain` is the difference at h, as far as it is known.
    """

    def __init__(self, losses: Losses, index: Index, rng: np.random.Generator) -> None:
        offsets = losses.nest.offsets
        scale = Scale(losses.theta, offsets)
        self.losses, self.index = losses, index
        self.scale = binary(scale[index])
        self.block = Owner(offsets)[index]
        self.value, self.error, self.plain = np.full((3, len(index)), np.nan)
        self.error[:] = np.inf
        self.level = np.zeros(len(index), dtype=np.int64)
        self.settled = np.zeros(len(index), dtype=bool)
        noise, step = self._noise(scale, rng)
        self.noise, self.step = noise[self.block], step[self.block]

    def _noise(self, scale: Scale, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return the noise of each block, and the first step relative to the scale."""
        blocks = len(self.losses.nest.offsets) - 1
        some = np.concatenate(
            [
                rng.permutation(np.flatnonzero(self.block == b))[:_SAMPLES]
                for b in np.unique(self.block)
            ]
        )
        own, owner = self.scale[some], self.block[some]
        noise = np.full(len(some), self.losses.noise)
        if np.isnan(self.losses.noise):
            noise = measure_noise(self.losses, self.index[some], own)
        lost = ~np.isfinite(noise)
        if lost.any():
            noise[lost] = noise_along(self.losses, scale, rng)
        noise = np.fmax(pooled(noise, owner, blocks), rounding_of(self.losses))
        pairs = entry_pairs(self.losses, self.index[some], own[:, None] * WIDTHS)
        stairs = noise_of_stairs(self.losses, self.index[some], own, pairs)
        noise = np.fmax(noise, shared_stairs(stairs, owner, blocks))
        change = np.fmax(np.abs(pairs.plus), np.abs(pairs.minus))[:, 0] / WIDTHS[0]
        size = np.zeros(blocks)
        np.fmax.at(size, owner, np.where(np.isfinite(change), change, 0.0))
        with np.errstate(all="ignore"):
            step = (noise / size) ** (1 / 9)
        return noise, binary(np.where((step > 0) & (step < LARGEST), step, LARGEST))

    def run(self, which: Index, level: Index) -> None:
        """Measure some entries, until a far smaller step has nothing against it."""
        while which.size:
            self._descend(which, level)
            off = self._off_closely(which)
            hidden = off > self.error[which]
            which = which[hidden]
            self.error[which], self.settled[which] = off[hidden], False
            level = self.level[which] + 1

    def _descend(self, which: Index, level: Index) -> None:
        """Measure some entries, at ever smaller steps until that is in vain."""
        for _ in (*RUNGS, *CLOSER):  # no further than ladders
            if which.size == 0:
                return
            step = self._step(which, level)
            pairs = entry_pairs(
                self.losses, self.index[which], step[:, None] * MULTIPLES
            )
            found = extrapolated(pairs, self.noise[which])
            # Nothing is seen any more on a step of a staircase.
            lost = (found.value == 0) & (np.nan_to_num(self.value[which]) != 0)
            better = ~lost & (found.error < self.error[which])
            # Of what noise cannot tell apart, values from afar are mostly better.
            apart = np.abs(found.value - self.value[which])
            same = apart <= found.error / KAPPA
            mine = which[better]
            self.value[mine] = np.where(same, self.value[which], found.value)[better]
            self.error[mine] = (found.error + np.where(same, apart, 0.0))[better]
            self.level[mine] = level[better]
            self.plain[mine] = pairs.central[better, -1]
            self.settled[which] |= found.settled
            # At smaller steps noise alone would be more than what is known.
            vain = lost | found.settled | (RATIO * found.noise > self.error[which])
            # What changes little, but is known less well, has noise that was not seen.
            best, error = self.value[which], self.error[which]
            off = np.fmax(np.abs(found.value - best), error)
            vain |= (found.error > error) & (off <= _GOOD * np.abs(best))
            which, level = which[~vain], level[~vain] + 1

    def _off_closely(self, which: Index) -> Array:
        """Return how far off slopes are, at least, by those over a much smaller step.

        Four steps that all hold whole waves see none of them; one that is no simple
        share of these holds others.
        """
        step = self._step(which, self.level[which]) * (5 / 256)
        pairs = entry_pairs(self.losses, self.index[which], step)
        value = self.value[which]
        with np.errstate(all="ignore"):
            noise = KAPPA * np.sqrt(2) * self.noise[which] / pairs.span
            bend = np.abs(self.plain[which] - value) / RATIO**2
            off = np.abs(pairs.central - value) - noise - pairs.rounding() - bend
        # Nothing is seen on a step of a staircase, nor from one to the next.
        return np.where((pairs.plus != 0) & (pairs.minus != 0), off, 0.0)

    def _step(self, which: Index, level: Index) -> Array:
        step: Array = (
            self.scale[which] * self.step[which] * RATIO ** -level.astype(float)
        )
        return step


@dataclass(frozen=True, slots=True)
class Extrapolated:
    """Slopes from four steps; `settled` where smaller ones would be no better."""

    value: Array
    error: Array
    noise: Array
    settled: Flags


def extrapolated(pairs: Pairs, noise: Array) -> Extrapolated:
    """Return what the differences at 4h, 3h, 2h and h make of the slope."""
    with np.errstate(all="ignore"):
        value, odd = _limit(pairs.central)
        bar = KAPPA * np.sqrt(2) * noise / pairs.span[:, 3] + pairs.rounding()[:, 3]
        bar *= _GAIN
        around = (pairs.plus + pairs.minus) / (MULTIPLES**2 * pairs.span[:, 3:])
        _, even = _limit(around)
        truncation = _OF_KINK * (odd + 2 * even)
        truncation[_is_spike(pairs, noise)] = np.inf
        if pairs.crossed is not None:
            truncation[pairs.crossed.any(axis=1)] = np.inf
        error = bar + truncation
        error = np.where(np.isfinite(value) & np.isfinite(error), error, np.inf)
        settled = np.isfinite(error) & (truncation <= RATIO * bar)
    return Extrapolated(value, error, bar, settled)


def _is_spike(pairs: Pairs, noise: Array) -> Flags:
    """Whether the sum of both sides hardly shrinks with the step.

    Of a kink it does as the step; next to a pole, closer than all steps, it does not.
    """
    even = np.abs(pairs.plus + pairs.minus)
    rounding = EPS * (np.abs(pairs.plus) + np.abs(pairs.minus))
    sure = even[:, -1] > SURE * (noise + rounding[:, -1])
    return sure & (even[:, 0] < 2 * even[:, -1])


def _limit(values: Array) -> tuple[Array, Array]:
    """Return the limit of values at 4h, 3h, 2h and h, and the last term removed.

    Of the sixth power.
    """
    _, three, two, one = values.T
    best = (15 * one - 6 * two + three) / 10
    limit = (values * _WEIGHTS).sum(axis=1)  # to the same bits, of however many rows
    return limit, np.abs(limit - best)
