"""How noisy the loss is, and the step that suits it.

A computed loss is smooth plus noise: rounding, float32 arithmetic somewhere inside, the
tolerance of a solver. A difference quotient with step h is off by about noise / h plus
h^2 |J'''| / 6, so the best step and the error bar follow from the noise and from how
fast the slope changes. Both are measured here, on a few entries of each block.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences.exact import FINE, exact_bars
from fastgrad.checking.differences.ladders import ladder
from fastgrad.checking.differences.pairs import (
    EPS,
    KAPPA,
    RATIO,
    RUNGS,
    Pairs,
    entry_pairs,
)
from fastgrad.checking.differences.scales import (
    PIECE,
    Given,
    Owner,
    Scale,
    Step,
    binary,
    keeping_sign,
)
from fastgrad.checking.differences.stairs import noise_of_stairs, shared_stairs
from fastgrad.checking.differences.tables import (
    POINTS,
    ROUNDED,
    bent_once,
    ecnoise,
    is_steep,
    quantum_of,
    rounding_of,
    row_of,
)
from fastgrad.losses import Losses

# Of the scale. Close first: from afar, anything rough looks like noise.
_SPACINGS = 2.0 ** -np.array([30.0, 22.0, 36.0, 44.0, 50.0])
_WIDE = 2.0 ** -np.array([14.0, 6.0])  # for losses that do not respond to these
_LOUD = 1e-3  # of the loss: more noise than that may be a pole
_SAMPLES = 6  # per block, at most: some thirty evaluations each


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a few entries of each block say about the loss.

    Attributes
    ----------
    scale : Scale
        The size of a change of each entry that matters.
    step : Step
        The step for each entry.
    noise : ndarray of float64, shape (number of blocks,)
        Standard deviation of a loss difference.
    truncation : ndarray of float64, shape (number of blocks,)
        Error of the slope from the step's size, times the scale.
    block : Owner
        The block of each entry.
    method : str
        ``"exact"``, ``"central"``, ``"forward"``, ``"backward"``, ``"complex"`` or
        ``"ridders"``.
    curvature : float
        Of the loss, times the square of the scale.
    base : float
        The size of the loss.
    fixed : Given or None
        The step that was asked for, if it was.
    ladders : (ndarray of int64, Pairs) or None
        The entries, and the pairs at all `RUNGS` there, if no step was asked for.
    """

    scale: Scale
    step: Step
    noise: Array
    truncation: Array
    block: Owner
    method: str
    curvature: float
    base: float
    fixed: Given | None = None
    ladders: tuple[Index, Pairs] | None = None

    def pairs(self, losses: Losses, index: Index) -> Pairs:
        """Measure the loss on both sides of entries, at their steps."""
        return entry_pairs(losses, index, self.step[index])

    def error(self, pairs: Pairs, index: Index) -> Array:
        """Return the error bars of the slopes of `pairs`."""
        block = self.block[index]
        distance = pairs.distance(self.method)
        noise = KAPPA * np.sqrt(2) * self.noise[block] / distance
        bar: Array = noise + pairs.rounding()
        return bar + self.truncation[block] / self.scale[index]


def calibrate(
    losses: Losses,
    rng: np.random.Generator,
    *,
    method: str = "central",
    step: Given | None = None,
) -> Calibration:
    """Measure noise and curvature on a few entries of each block; choose the steps.

    Parameters
    ----------
    losses : Losses
    rng : Generator
        Picks the entries.
    method : {"central", "forward", "backward", "complex", "ridders"}
    step : Given, optional
        Take these steps.

    Notes
    -----
    About 30 evaluations for each of at most six entries per block, and never for more
    than one entry in 100 of a large problem.
    """
    offsets = losses.nest.offsets
    block, scale = Owner(offsets), Scale(losses.theta, offsets)
    index = _sample(losses, rng)
    if method == "central" and step is None and _forms_differences(losses):
        exact = _calibrate_exact(losses, index, scale, block)
        if exact is not None:
            return exact
    own, owner, blocks = scale[index], block[index], len(offsets) - 1
    noise = measure_noise(losses, index, own)
    lost = ~np.isfinite(noise)  # no response: they may be dead by chance
    if lost.any():
        noise[lost] = noise_along(losses, scale, rng)
    noise = pooled(noise, owner, blocks)
    noise = np.maximum(noise, rounding_of(losses))
    given = None if method == "complex" else step  # none on the real axis
    steps = own[:, None] * RUNGS if given is None else _fixed_rungs(given, index)
    pairs = entry_pairs(losses, index, steps)
    if given is None:
        stairs = noise_of_stairs(losses, index, own, pairs)
        noise = np.maximum(noise, shared_stairs(stairs, owner, blocks))
    of = (pairs, own, noise[owner], owner, blocks, method, given is None)
    relative, truncation = _compare_rungs(*of)
    return Calibration(
        *(scale, Step(scale, block, relative, given), noise, truncation, block),
        *(method, _curvature(pairs, own), abs(losses.base), step),
        (index, pairs) if given is None else None,
    )


def _forms_differences(losses: Losses) -> bool:
    """Whether differences are formed operation by operation, from start to end."""
    calls = losses.python_operations  # whose results are subtracted
    return losses.engine == "compiled" and not calls


def _calibrate_exact(
    losses: Losses, index: Index, scale: Scale, block: Owner
) -> Calibration | None:
    """Return the calibration of differences that carry no noise, if these do not."""
    own, owner = scale[index], block[index]
    blocks = len(losses.nest.offsets) - 1
    pairs = entry_pairs(losses, index, binary(scale.own(index)[:, None], RUNGS))
    known = ladder(pairs, np.full(len(index), losses.rounding))
    bars = exact_bars(losses, index, scale, owner, known, blocks)
    if bars is None:
        return None
    noise = np.maximum(pooled(known.noise, owner, blocks), losses.rounding)
    step = Step(scale, block, np.full(blocks, FINE), None)
    return Calibration(
        *(scale, step, noise, bars, block),
        *("exact", _curvature(pairs, own), abs(losses.base), None, (index, pairs)),
    )


def _curvature(pairs: Pairs, scale: Array) -> float:
    """Return the typical second derivative, times the square of the scale."""
    with np.errstate(all="ignore"):
        bends = np.abs(pairs.jump / pairs.span) * scale[:, None] ** 2
    middle = bends[:, bends.shape[1] // 2]
    return float(np.median(np.where(np.isfinite(middle), middle, 0.0)))


def measure_noise(losses: Losses, index: Index, scale: Array) -> Array:
    """Return the noise of a loss difference near each of some entries.

    Where seven points show no noise, or more than noise, other spacings are tried: at
    most 49 evaluations per entry, and 21 each time that it is much of the loss. Then
    the smallest upper bound has to do; it is infinite where the loss never responds.
    """
    noise = np.full(len(index), np.inf)
    todo, uneven = np.arange(len(index)), np.ones(len(index), dtype=bool)
    for spacing in _SPACINGS:
        if todo.size == 0:
            return noise
        bound, found, even = _noise_at(losses, index[todo], scale[todo], spacing)
        least = np.minimum(noise[todo], bound)
        if spacing > _SPACINGS[0]:  # more than closer points leave is none
            found &= bound <= 4 * noise[todo]
        else:  # less than they show, by chance, is
            least[found] = bound[found]
        loud = found & (bound > _LOUD * abs(losses.base))
        found[loud] = ~is_steep(losses, index[todo[loud]], scale[todo[loud]], spacing)
        noise[todo] = least
        uneven[todo[even]] = False
        todo = todo[~found]
    if np.isfinite(noise).any():  # entries that do not respond say nothing
        todo = todo[uneven[todo]]
    for spacing in _WIDE:
        if todo.size == 0:
            break
        bound, found, _ = _noise_at(losses, index[todo], scale[todo], spacing, far=True)
        noise[todo] = np.minimum(noise[todo], bound)
        todo = todo[~found]
    return noise


def _noise_at(
    losses: Losses, index: Index, scale: Array, spacing: float, *, far: bool = False
) -> tuple[Array, Flags, Flags]:
    """Return a bound by seven points, whether it is the noise, if they are even.

    What responds from afar only says nothing unless it is noise or stairs all over.
    """
    change, even = row_of(losses, index, scale, spacing)
    with np.errstate(all="ignore"):
        bound, found = ecnoise(change)
        bent, beside = bent_once(change, abs(losses.base))
        bound = np.where(bent & np.isfinite(bound), beside, bound)
        if far:
            steps = np.diff(change, axis=1)
            several = np.count_nonzero(steps, axis=1) > 1  # one may be all there is
            seen = several & np.isfinite(quantum_of(steps))
            found &= np.count_nonzero(steps == 0, axis=1) < 2  # dead on one side alone
            bound = np.where(found | seen, bound, np.inf)
    bound = np.where(even & np.isfinite(bound), bound, np.inf)
    return bound, found & even & ~bent, even


def noise_along(losses: Losses, scale: Scale, rng: np.random.Generator) -> float:
    """Return the noise of a loss difference along a random direction.

    Of what cannot be moved together, the rounding.
    """
    if not losses.joint:
        return EPS * abs(losses.base)
    direction = rng.standard_normal(losses.nest.size)
    spacings, coarse = np.concatenate([_SPACINGS, _WIDE]), EPS
    if losses.engine != "compiled":
        coarse = max(float(np.finfo(dtype).eps) for dtype in losses.nest.dtypes)
    if coarse > EPS:  # points that are stored as they are: their rounding is no noise
        np.sign(direction, out=direction)
        spacings = spacings[spacings >= 4 * coarse]
    scale.stretch(direction)
    for start in range(0, len(direction) if coarse > EPS else 0, PIECE):
        part = direction[start : start + PIECE]
        np.copysign(binary(np.abs(part)), part, out=part)
    grid = np.arange(POINTS) - POINTS // 2
    direction = losses.inward(direction, float(_WIDE.max() * grid.max()))
    bound = np.inf
    for spacing in spacings:
        with np.errstate(all="ignore"):
            change = losses.along(direction, spacing * grid)[None]
            noise, found = ecnoise(change)
            bent, beside = bent_once(change, abs(losses.base))
            bent &= np.isnan(quantum_of(np.diff(change)))  # stairs turn like that, too
            noise = np.where(bent & np.isfinite(noise), beside, noise)
        bound = float(np.fmin(bound, noise[0]))
        if found[0] and not bent[0]:
            break
    return bound if np.isfinite(bound) else _coarseness(losses, direction)


def _coarseness(losses: Losses, direction: Array) -> float:
    """Return the noise of a loss that does not respond to small changes.

    It is rounded to few digits if large changes show stairs; or really constant.
    """
    try:
        with np.errstate(all="ignore"):
            sized = keeping_sign(np.abs(direction), losses.theta, 1.0)
            direction = np.copysign(sized, direction)
            change = np.diff(losses.along(direction, np.linspace(-1, 1, POINTS)))
    except Exception:  # the loss cannot be computed that far away
        change = np.zeros(POINTS - 1)
    with np.errstate(all="ignore"):
        quantum = float(quantum_of(change[None])[0])
    usual = EPS * abs(losses.base)
    return ROUNDED * quantum if quantum > 1e4 * usual else usual


def _sample(losses: Losses, rng: np.random.Generator) -> Index:
    """Pick a few entries of each block, in order; a budget keeps them few in all.

    Of what is read at all: the rest says nothing about the loss.
    """
    offsets = losses.nest.offsets
    sizes = np.diff(offsets)
    budget = max(12, int(offsets[-1]) // 250)
    wanted = np.minimum(np.clip(-(-sizes // 25), 2, _SAMPLES), sizes)
    if wanted.sum() > budget:
        blocks = int(np.count_nonzero(sizes))
        wanted = np.minimum(wanted, max(1, budget // blocks))
        first = rng.permutation(np.flatnonzero(wanted))[:budget]
        wanted[np.setdiff1d(np.arange(len(sizes)), first)] = 0
    chosen = [
        start + np.sort(_pick(losses.reads(slice(start, stop)), count, rng))
        for (start, stop), count in zip(pairwise(offsets), wanted, strict=True)
        if count
    ]
    return np.concatenate(chosen).astype(np.int64)


def _pick(read: Flags, count: int, rng: np.random.Generator) -> Index:
    """Pick some of what is read; of all, where nothing is."""
    if read.all() or not read.any():
        return rng.choice(len(read), count, replace=False)
    some = np.flatnonzero(read)
    return rng.choice(some, min(count, len(some)), replace=False)


def pooled(noise: Array, owner: Index, blocks: int) -> Array:
    """Noise per block: twice the median of its samples, or half that of all.

    A kink among the points of one sample looks like noise.
    """
    known = np.isfinite(noise)
    pooled = np.full(blocks, 0.5 * np.median(noise[known]))
    for b in np.unique(owner[known]):
        pooled[b] = max(pooled[b], 2 * np.median(noise[known & (owner == b)]))
    return pooled


def _fixed_rungs(step: Given, index: Index) -> Array:
    """Return the steps asked for after coarser ones that show their truncation."""
    return np.outer(step[index], [RATIO, 1.0])


def _compare_rungs(
    pairs: Pairs,
    scale: Array,
    noise: Array,
    owner: Index,
    blocks: int,
    method: str,
    choose: bool,
) -> tuple[Array, Array]:
    """For each block the best step relative to the scale, and its truncation.

    The best step leaves the noise larger than the truncation, which is known less well.
    """
    slopes = pairs.slopes(method)
    gain = RATIO if method in ("forward", "backward") else RATIO**2
    with np.errstate(all="ignore"):
        truncation = np.full_like(slopes, np.inf)
        truncation[:, 1:] = np.abs(np.diff(slopes, axis=1)) / (gain - 1)
        distance = pairs.distance(method)
        bars = KAPPA * np.sqrt(2) * noise[:, None] / distance + pairs.rounding()
        cost = np.maximum(bars, 4 * truncation)
        if choose:
            known = ladder(pairs, noise)
            off = np.where(
                known.kink[:, None], 0, np.abs(slopes - known.value[:, None])
            )
            cost = np.fmax(cost, off)
        cost = np.where(np.isfinite(cost), cost, np.inf) * scale[:, None]
        truncation = np.where(np.isfinite(truncation), truncation, 0) * scale[:, None]
    rung = np.full(blocks, slopes.shape[1] - 1)
    bound = np.zeros(blocks)
    for b in np.unique(owner):
        own = owner == b
        rung[b] = _cheapest(cost[own]) if choose else 1
        bound[b] = 4 * np.quantile(truncation[own, rung[b]], 0.75)
    unseen = np.setdiff1d(np.arange(blocks), owner)
    rung[unseen] = int(np.median(rung[np.unique(owner)]))
    bound[unseen] = bound.max()
    return (RUNGS[rung] if choose else np.ones(blocks)), bound


def _cheapest(cost: Array) -> int:
    """Return the rung with the least typical error, relative to each one's best."""
    least = cost.min(axis=1, keepdims=True)
    usable = np.isfinite(least[:, 0]) & (least[:, 0] > 0)
    if not usable.any():
        return len(RUNGS) // 2
    relative = np.log(cost[usable]) - np.log(least[usable])
    return int(np.argmin(np.mean(np.minimum(relative, 50.0), axis=0)))
