"""Losses that iterate until something is small: a solver, an adaptive integrator.

What they compute jumps wherever the number of iterations changes, and between the jumps
its slope is not that of the function meant, which a gradient by the implicit function
theorem has. Differences with small steps measure that other slope to many digits.

How many turns each loop takes tells, or how often a function calls itself, or is called
back. Where that changes along a line through theta, the loss jumps by the error the
solver allows itself, and its slope is off by about that over the distance between two
jumps; or, where steps adapt, by what it changes by there or is uneven by on the way.
Where it is handed its tolerance, a tighter one shows what that does to the slope. A
branch that is taken once more or less is no solver: the loss may jump there, as at a
cutoff, but its slope here is its own.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.checking.differences import RUNGS, Scale
from fastgrad.checking.judgement.evidence import UNDECIDED, WRONG, Judgement, Jump
from fastgrad.checking.judgement.runs import rises, turns_at
from fastgrad.checking.judgement.tighter import Tighter
from fastgrad.checking.judgement.turns import Loop, Turns
from fastgrad.losses import Losses

# Of the scale: how far from theta another number of iterations is looked for; less than
# a scale, unless that leads away from zero.
_REACH = 2.0 ** np.array([-8.0, -5.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0])
# How far from a jump slopes are measured. It is found better than that, also of its own
# distance.
_BESIDE = RUNGS[2]
# Where else, and over which distance.
_PLACES = 0.5 * np.cos(np.pi * (np.arange(24) + 0.5) / 24)
_FINE = RUNGS[4]
_UNSEEN = 4.0  # times the largest rest: of what happens between the places
_AROUND = 8.0  # times the way to a jump: further away there may be a pole
_PLAUSIBLE = 0.2  # of the largest change: what is off by more is no tolerance
_TRIED = 3  # entries along which a jump is looked for: some forty runs each
_SECONDS = 0.2  # a loss that takes longer is not watched line by line
_LONGER = 10.0  # times what it takes at theta: then it may never end


class Solvers:
    """Excuses entries by the jumps of a loss that iterates, where there are such.

    Blocks through which none was found are not looked at again, piece by piece.
    """

    def __init__(self, losses: Losses, scale: Scale, rng: np.random.Generator) -> None:
        self._losses, self._scale, self._rng = losses, scale, rng
        self._smooth = np.zeros(len(losses.nest.names), dtype=bool)
        self._tighter = Tighter(losses)

    def excuse(self, entries: Judgement) -> Jump | None:
        """Leave open what may be the tolerance of a solver, rather than wrong.

        Returns
        -------
        Jump or None
            Of the loss, if there is such a solver.
        """
        effect = entries.size * entries.unit
        largest = float(np.max(effect, initial=0.0, where=np.isfinite(effect)))
        off = entries.off * entries.unit
        wrong = (entries.kind == WRONG) & np.isfinite(off)
        wrong = np.flatnonzero(wrong & ~self._smooth[entries.block])
        if wrong.size == 0 or not _quick(self._losses):
            return None
        wrong = wrong[np.argsort(off[wrong], kind="stable")]
        meant, certain = self._tighter.compare(entries, wrong)
        plausible = ~meant & (off[wrong] <= _PLAUSIBLE * largest)
        if not (meant | plausible).any():
            return None
        first = np.concatenate([wrong[meant], wrong[~meant]])[:_TRIED]
        enough = float(np.max(off[wrong], initial=0.0, where=plausible))
        found: Jump | None = None
        for jump in self._jumps(entries, first, certain):
            if found is None or jump.slack(largest) > found.slack(largest):
                found = jump
            if found.slack(largest) >= enough:
                break
        if found is None:
            self._smooth[entries.block[wrong]] |= not certain
            return None
        excused = meant | (plausible & (off[wrong] <= found.slack(largest)))
        entries.kind[wrong[excused]] = UNDECIDED
        return found

    def _jumps(self, entries: Judgement, which: Index, certain: bool) -> Iterator[Jump]:
        """Yield the jumps along some entries, and along all parameters at once.

        None of tolerances that are known, where these excuse nothing for `certain`.
        """
        known = self._tighter if certain else None
        find = partial(find_jumps, self._losses, here=self._tighter.usual, known=known)
        size = self._losses.nest.size
        direction = np.zeros(size)  # one for all: it is as large as all parameters
        for k in which[::-1]:
            direction[entries.index[k]] = entries.unit[k]
            yield from find(direction)
            direction[entries.index[k]] = 0.0
        direction[:] = self._rng.integers(2, size=size, dtype=np.int8)
        direction *= 2.0
        direction -= 1.0
        direction[entries.index] *= entries.unit / self._scale[entries.index]
        self._scale.stretch(direction)
        effects = entries.size * entries.unit
        together = float(np.sum(effects, where=np.isfinite(effects)))
        left = min(_slope(self._losses, direction) / together, 1.0) if together else 1.0
        for jump in find(direction):
            # Slopes that go in all directions cancel: less is left to have a share of.
            yield replace(jump, share=left * jump.share)


def _quick(losses: Losses) -> bool:
    if not callable(losses.loss) or not losses.joint:
        return False
    started = time.perf_counter()
    losses.along(np.zeros(losses.nest.size), np.zeros(1))
    return time.perf_counter() - started < _SECONDS


def find_jumps(
    losses: Losses, direction: Array, here: Turns, known: Tighter | None
) -> Iterator[Jump]:
    """Yield the next jumps to both sides that another number of turns explains.

    Each again with its share of what slopes are uneven by, should that be asked for.
    """
    away = direction * losses.theta  # from zero
    np.sign(away, out=away)
    outward = 1.0 if away.sum() >= 0 else -1.0
    nearer = away.min() < 0 if outward > 0 else away.max() > 0  # of some entries
    del away  # as large as all parameters
    near = _REACH[_REACH < 1]
    reaches = outward * (near if nearer else _REACH), -outward * near
    jumps = []
    for reach in reaches:
        for jump in _next_jump(losses, direction, here, reach, known):
            jumps.append(jump)
            yield jump
    if jumps:
        nearest = min(jump.distance for jump in jumps)
        places = _PLACES * min(_AROUND * nearest, 1.0)
        uneven = _unevenness(losses, direction, places, _LONGER * here.events)
        yield from (replace(jump, share=max(jump.share, uneven)) for jump in jumps)


def _next_jump(
    losses: Losses,
    direction: Array,
    here: Turns,
    reach: Array,
    known: Tighter | None,
) -> Iterator[Jump]:
    """Yield the first jump that is come upon at some distances, if there is one.

    By a loop of the file of the loss, where several are in question.
    """
    near, file, most = 0.0, _file_of(losses), _LONGER * here.events
    for far in reach.tolist():
        changed = here.changed(turns_at(losses, direction, far, most))
        if known is not None:
            changed = [loop for loop in changed if not known.governs(loop, file)]
        if changed:
            loop = min(changed, key=lambda loop: loop.file != file)
            yield from _bisect(losses, direction, here, (near, far), loop)
            return
        near = far


def _bisect(
    losses: Losses,
    direction: Array,
    here: Turns,
    between: tuple[float, float],
    loop: Loop,
) -> Iterator[Jump]:
    """Yield the jump to where `loop` takes more or fewer turns than at theta."""
    (near, far), most = between, _LONGER * here.events
    while abs(far - near) > max(_BESIDE * min(abs(far), 1.0), RUNGS[-1]):
        middle = (near + far) / 2
        if turns_at(losses, direction, middle, most)[loop] == here[loop]:
            near = middle
        else:
            far = middle
    size, share = _change(losses, direction, near, far)
    if np.isfinite(size):
        yield Jump(abs(far), size, share, _place(losses, here, loop))


def _change(
    losses: Losses, direction: Array, near: float, far: float
) -> tuple[float, float]:
    """Return by how much the loss jumps there, and which share of its slope changes."""
    side = np.sign(far)
    points = [near - side * _BESIDE, near, far, far + side * _BESIDE]
    before, one, other, after = rises(losses, direction, points)
    here = _BESIDE * _slope(losses, direction)
    with np.errstate(all="ignore"):
        slopes = np.array([one - before, after - other, here])
        share = abs(slopes[0] - slopes[1]) / np.abs(slopes).max()
        rise = (slopes[0] + slopes[1]) / 2 * abs(far - near) / _BESIDE
    size = abs(other - one - rise)  # what a smooth loss changes by is no jump
    return float(size), float(share) if np.isfinite(share) else 0.0


def _slope(losses: Losses, direction: Array) -> float:
    """Return the size of the slope along a direction, where it is known."""
    ahead, behind = rises(losses, direction, [_BESIDE, -_BESIDE])
    slope = float(abs(ahead - behind)) / (2 * _BESIDE)
    return slope if np.isfinite(slope) else np.inf


def _unevenness(losses: Losses, direction: Array, places: Array, most: float) -> float:
    """Return which share of the slope is no smooth function along a direction.

    Seen at places where the function ends after so many events.
    """
    ends = [bool(turns_at(losses, direction, t, most)) for t in places.tolist()]
    places = places[ends]
    ahead, behind = (
        rises(losses, direction, places + step) for step in (_FINE, -_FINE)
    )
    known = np.isfinite(ahead) & np.isfinite(behind)
    slopes, places = (ahead - behind)[known], places[known]
    degree = len(places) // 2  # of what is smooth: the other half is left over
    if degree < 1 or not slopes.any():
        return 0.0
    smooth = np.polynomial.Chebyshev.fit(places, slopes, degree)
    rest = float(np.abs(slopes - smooth(places)).max() / np.abs(slopes).max())
    return _UNSEEN * rest * float(np.sqrt(len(places) / (len(places) - 1 - degree)))


def _place(losses: Losses, here: Turns, loop: Loop) -> str:
    """Return the line of a loop, or that of the loss which calls it."""
    file, line = _file_of(losses), loop.line
    if file != loop.file and here.lines[loop]:
        line = here.lines[loop]
    else:
        file = loop.file
    name = file.replace("\\", "/").rsplit("/", 1)[-1]
    return f"{name}, line {line}"


def _file_of(losses: Losses) -> str:
    """Return the file of the loss."""
    return str(getattr(getattr(losses.loss, "__code__", None), "co_filename", ""))
