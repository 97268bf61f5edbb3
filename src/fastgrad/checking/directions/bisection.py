"""Find the wrong entries of a large gradient in few evaluations.

Along a Gaussian direction u the derivative of the loss minus g.u is e.u, e being the
error of the gradient g: zero if g is right, and beyond the noise if it is wrong, be it
in a single entry. That is linear in the entries, so a block that is wrong is halved
until the wrong entries are left; of two halves one is measured and the other follows
by subtraction. One wrong entry of P takes about 2 log2(P) evaluations, k of them
2 k (log2(P / k) + 1).

Directions are Gaussian, never of signs: two equal and opposite errors cancel along half
of all directions of signs, and along hardly any Gaussian one. They are confined to one
block at a time, for the error of an entry must be seen beside its own block's gradient.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastgrad._arguments import refusal
from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import (
    DIRECTIONS,
    EPS,
    KAPPA,
    PIECE,
    RATIO,
    Calibration,
    Owner,
    Scale,
    Step,
    direction_pairs,
    ladder,
    noise_along,
    typical,
)
from fastgrad.checking.judgement import Gradient, Verdicts, judge
from fastgrad.losses import Losses

# Of the step at which noise and curvature balance, if both are of the usual size.
_RUNGS = RATIO ** np.arange(2.0, -3.0, -1.0)
_ENOUGH = 32  # wrong entries of a block: each takes as many evaluations as the first
_BESIDE = 8  # others, at least, that say whether the block is wrong throughout
# Evaluations, about, of the directions of a right block, and of each entry looked at.
_OF_BLOCK, _OF_ENTRY = 15, 20
# |u| of an entry is larger in one of the Gaussian directions, 99 times of 100.
UNLUCKY = 0.01 ** (1 / DIRECTIONS) * (np.pi / 2) ** 0.5


@dataclass(slots=True)
class Search:
    """What random directions say about one block.

    Attributes
    ----------
    mismatch : list of float
        e.u along each direction.
    expected : list of float
        g.u along each.
    error : float
        Bar of the mismatches.
    size : float
        The standard deviation of g.u.
    scale : float
        Of the block's entries, typically: what u is in units of.
    step : float
        Along the directions.
    direction : ndarray of float64, shape (number of entries,)
        The last of them.
    found : list of int
        Entries that the search ended at.
    clouded : int
        Parts of the block in which there is an error that noise hides.
    stopped : bool
        Whether there were too many wrong entries to find them all.
    sample : ndarray of int64
        Entries taken at random.
    """

    mismatch: list[float]
    expected: list[float]
    error: float
    size: float
    scale: float = 0.0
    step: float = 0.0
    direction: Array = field(default_factory=lambda: np.zeros(0))
    found: list[int] = field(default_factory=list)
    clouded: int = 0
    stopped: bool = False
    sample: Index = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def relative_error(self) -> float:
        """The textbook's, of the derivatives along the directions."""
        return searched_error([self])

    @property
    def slope(self) -> float:
        """The derivative along the last direction."""
        return sum(terms[-1] for terms in (self.mismatch, self.expected) if terms)

    @property
    def differs(self) -> bool:
        """Whether the gradient is wrong along some direction."""
        return max(np.abs(self.mismatch), default=0.0) > 2 * self.error

    @property
    def decisive(self) -> bool:
        """Whether an error as large as a tenth of the gradient would have shown."""
        if self.size == 0:
            return True
        return bool(np.isfinite(self.error)) and self.error <= 0.1 * self.size


def searched_error(searches: list[Search]) -> float:
    """Return norm(n.u - g.u) / (norm(n.u) + norm(g.u)) over all directions."""
    off = np.array([value for search in searches for value in search.mismatch])
    own = np.array([value for search in searches for value in search.expected])
    total = norm(own) + norm(own + off)
    return float(norm(off) / total) if total else 0.0


def locate(
    losses: Losses, gradient: Gradient, rng: np.random.Generator
) -> tuple[list[Search], Verdicts, Calibration]:
    """Search each block for wrong entries.

    Parameters
    ----------
    losses : Losses
    gradient : Gradient
    rng : Generator

    Returns
    -------
    searches : list of Search
        One per block.
    entries : Verdicts
        The entries found, and a few others of their blocks, each checked by itself.
    calibration : Calibration
        By which it was.
    """
    offsets = losses.nest.offsets
    scale = Scale(losses.theta, offsets)
    noise = noise_along(losses, scale, rng)
    searches, steps = [], np.empty(len(offsets) - 1)
    _say_how_long(losses, _OF_BLOCK * len(steps))
    for b, (start, stop) in enumerate(itertools.pairwise(offsets)):
        probe = _Probe(losses, gradient, scale, noise, int(start), int(stop), rng)
        searches.append(_search(probe))
        steps[b] = probe.step
    owner, nothing = Owner(offsets), np.zeros(len(steps))
    calibration = Calibration(
        *(scale, Step(scale, owner, steps, None), nothing + noise, nothing, owner),
        *("central", 0.0, abs(losses.base)),
    )
    parts = zip(searches, itertools.pairwise(offsets.tolist()), strict=True)
    index = np.concatenate([_looked_at(search, *part, rng) for search, part in parts])
    _say_how_long(losses, _OF_ENTRY * len(index))
    return searches, judge(losses, calibration, gradient, index, rng), calibration


def _say_how_long(losses: Losses, evaluations: int) -> None:
    """Have it said, before long, how long these will take and what is cheaper."""
    cheaper = "`coverage=10` checks 10 entries"
    if len(losses.nest.names) > 1:
        cheaper = "`blocks=` checks some of the blocks"
    if losses.engine == "python":
        cheaper += "; `workers=` takes an executor"
    losses.progress.plan(
        evaluations, f"Cheaper: {cheaper}. `progress=False` says nothing."
    )


def _looked_at(
    search: Search, start: int, stop: int, rng: np.random.Generator
) -> Index:
    """Return the entries found in a block from `start` to `stop`, and as many others.

    Without these, whatever is wrong with a row would be what is wrong with the block.
    """
    found = np.array(search.found, dtype=np.int64)
    if not search.differs:
        return found
    count = min(max(_BESIDE, len(found)), stop - start)
    search.sample = start + rng.choice(stop - start, count, replace=False)
    return np.union1d(found, search.sample)


def refuse_formula(method: str, step: float | None, bounds: Any = None) -> None:
    """Raise ValueError if a difference formula for entries was asked for."""
    if method not in ("auto", "central"):
        raise ValueError(
            '`coverage="locate"` takes central differences along directions: `method` '
            f'must be "auto" or "central", got {method!r}.'
        )
    if step is not None:
        must = 'be None with `coverage="locate"`, which chooses its own steps'
        raise refusal(ValueError, "step", must, step)
    if bounds is not None:
        must = 'be None with `coverage="locate"`, which moves all entries both ways'
        raise refusal(ValueError, "bounds", must, bounds)


class _Probe:
    """Measures e.u on parts of one block, along one direction u."""

    def __init__(
        self,
        losses: Losses,
        gradient: Gradient,
        scale: Scale,
        noise: float,
        start: int,
        stop: int,
        rng: np.random.Generator,
    ) -> None:
        self.losses, self.noise, self.rng = losses, noise, rng
        self.start, self.stop = start, stop
        self._scale, self.gradient = scale, gradient.value[start:stop]
        b = losses.nest.block_of(start) if stop > start else 0
        self.eps = float(gradient.eps[b])
        level = max(noise, EPS * abs(losses.base)) / (abs(losses.base) or 1.0)
        self.rungs = _RUNGS * 2.0 ** np.rint(np.log2(max(level, EPS)) / 3)
        self.step, self.truncation = float(self.rungs[2]), 0.0
        self.turn()

    def turn(self) -> None:
        """Take another direction."""
        self.u = self.rng.standard_normal(self.stop - self.start)
        self._scale.stretch(self.u, self.start)

    @property
    def scale(self) -> float:
        """The typical scale of an entry of the block."""
        return float(np.median(self._scale[typical(self.start, self.stop)]))

    def terms(self, low: int = 0, high: int | None = None) -> Array:
        """Return those of g.u on entries low to high of the block."""
        g = self.gradient[low:high]
        terms: Array = np.where(np.isfinite(g), g, 0)
        with np.errstate(all="ignore"):
            terms *= self.u[low:high]
        return terms

    def calibrate(self) -> tuple[float, float]:
        """Return e.u on the whole block and its bar; choose the step for its parts."""
        n = len(self.u)
        pairs = direction_pairs(self.losses, self._confined(0, n), self.rungs)
        best = ladder(pairs[None], np.array([self.noise]))
        value, error = float(best.value[0]), float(best.error[0])
        off = np.abs(pairs.central - value) + self._bar(self.rungs)
        k = int(np.argmin(np.where(np.isfinite(off), off, np.inf)))
        self.step = float(self.rungs[k])
        off_here = float(np.abs(pairs.central[k] - value))
        self.truncation = 2 * off_here + error if np.isfinite(off_here) else np.inf
        return value - self.expected(0, n), error + self._rounding(0, n)

    def mismatch(self, low: int, high: int) -> float:
        """Return e.u on entries low to high of the block: two evaluations."""
        pairs = direction_pairs(
            self.losses, self._confined(low, high), np.array([self.step])
        )
        return float(pairs.central[0]) - self.expected(low, high)

    def error(self, low: int, high: int) -> float:
        """Return the bar of `mismatch`."""
        share = float(np.sqrt((high - low) / max(1, len(self.u))))
        bar = float(self._bar(np.array(self.step)))
        return bar + self._rounding(low, high) + self.truncation * share

    def _rounding(self, low: int, high: int) -> float:
        size = norm(self.terms(low, high))
        return (64 * self.eps + EPS * float(np.sqrt(high - low))) * size

    def _bar(self, step: Array) -> Array:
        bar: Array = KAPPA * np.sqrt(2) * self.noise / (2 * step)
        return bar

    def _confined(self, low: int, high: int) -> Array:
        direction = np.zeros(self.losses.nest.size)
        direction[self.start + low : self.start + high] = self.u[low:high]
        return direction

    def expected(self, low: int = 0, high: int | None = None) -> float:
        """Return g.u on entries low to high of the block."""
        return float(np.sum(self.terms(low, high)))


def norm(terms: Array) -> float:
    """Return the norm; squares may overflow where it does not."""
    largest = float(max(terms.max(initial=0.0), -terms.min(initial=0.0)))
    if largest == 0 or not np.isfinite(largest):
        return largest
    squares = 0.0
    for start in range(0, len(terms), PIECE):
        share = terms[start : start + PIECE] / largest
        squares += float(share @ share)
    return largest * float(np.sqrt(squares))


def _search(probe: _Probe) -> Search:
    """Probe a block along random directions, and bisect the first that differs."""
    n = probe.stop - probe.start
    if n == 0:
        return Search([], [], 0.0, 0.0)
    first, error = probe.calibrate()
    size, scale = norm(probe.terms()), probe.scale
    search = Search([first], [probe.expected()], error, size, scale, probe.step)
    while len(search.mismatch) < DIRECTIONS and not search.differs:
        probe.turn()
        value, error = probe.mismatch(0, n), probe.error(0, n)
        if abs(value) > error:  # by a ladder of its own
            value, error = probe.calibrate()
        search.mismatch.append(value)
        search.expected.append(probe.expected())
        search.error = max(search.error, error)
    search.direction = probe.u
    if search.differs:
        _bisect(probe, search)
    return search


def _bisect(probe: _Probe, search: Search) -> None:
    """Halve the parts that differ, down to single entries."""
    n = probe.stop - probe.start
    parts = [(0, n, search.mismatch[-1], probe.error(0, n))]
    while parts:
        low, high, value, error = parts.pop()
        if high - low == 1:
            search.found.append(probe.start + low)
            continue
        if len(search.found) + len(parts) >= _ENOUGH:
            search.stopped = True
            continue
        middle = (low + high) // 2
        left, bar = probe.mismatch(low, middle), probe.error(low, middle)
        right, wider = value - left, error + bar
        ambiguous = wider < abs(right) <= 4 * wider
        if ambiguous or (abs(right) <= wider and abs(left) <= 2 * bar):
            right, wider = probe.mismatch(middle, high), probe.error(middle, high)
        halves = [(low, middle, left, bar), (middle, high, right, wider)]
        wrong = [part for part in halves if abs(part[2]) > 2 * part[3]]
        search.clouded += not wrong
        parts += sorted(wrong, key=lambda part: abs(part[2]))
