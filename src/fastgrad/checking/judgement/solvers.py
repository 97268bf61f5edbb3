"""Losses that iterate until something is small: a solver, an adaptive integrator.

What they compute jumps wherever the number of iterations changes, and between the jumps
its slope is not that of the function meant, which a gradient by the implicit function
theorem has. Differences with small steps measure that other slope to many digits.

How many turns each loop takes tells, or how often a function calls itself. Where that
changes along a line through theta, the loss jumps by the error the solver allows
itself, and its slope is off by about that over the distance between two jumps. A branch
that is taken once more or less is no solver: the loss may jump there, as at a cutoff,
but its slope here is its own.
"""

import time
from collections.abc import Iterator

import numpy as np

from fastgrad._arrays import Array, Index
from fastgrad.checking.judgement.evidence import UNDECIDED, WRONG, Judgement, Jump
from fastgrad.checking.judgement.turns import Loop, Turns, count_turns
from fastgrad.losses import Losses

# Of the scale: how far from theta another number of iterations is looked for.
_REACH = 2.0 ** -np.array([8.0, 5.0, 3.0, 2.0, 1.0])
_HALVINGS = 40
_SHARE = 0.01  # of the largest change: adaptive steps change the slope without a jump
_PLAUSIBLE = 0.2  # of the largest change: what is off by more is no tolerance
_TRIED = 3  # entries along which a jump is looked for
_SECONDS = 0.2  # a loss that takes longer is not watched line by line


def excuse_solver(
    losses: Losses, entries: Judgement, rng: np.random.Generator
) -> Jump | None:
    """Leave open what may be the tolerance of a solver rather than a wrong gradient.

    Returns
    -------
    Jump or None
        Of the loss, if there is such a solver.
    """
    effect = entries.size * entries.unit
    largest = np.max(effect, initial=0.0, where=np.isfinite(effect))
    off = entries.off * entries.unit
    wrong = np.flatnonzero((entries.kind == WRONG) & (off <= _PLAUSIBLE * largest))
    if wrong.size == 0 or not _quick(losses):
        return None
    nearest = wrong[np.argsort(off[wrong])[:_TRIED]]
    jumps = list(_jumps(losses, entries, nearest, rng))
    if not jumps:
        return None
    slack = max(_SHARE * largest, *(jump.slope for jump in jumps))
    entries.kind[wrong[off[wrong] <= slack]] = UNDECIDED
    return max(jumps, key=lambda jump: jump.size)


def _jumps(
    losses: Losses, entries: Judgement, which: Index, rng: np.random.Generator
) -> Iterator[Jump]:
    """Yield the jumps along some entries, and along all entries at once."""
    everywhere = np.zeros(losses.nest.size)
    everywhere[entries.index] = entries.unit * rng.choice(
        [-1.0, 1.0], len(entries.unit)
    )
    directions = [everywhere]
    for k in which:
        alone = np.zeros(losses.nest.size)
        alone[entries.index[k]] = entries.unit[k]
        directions.insert(0, alone)
    for direction in directions:
        jump = find_jump(losses, direction)
        if jump is not None:
            yield jump


def _quick(losses: Losses) -> bool:
    if not callable(losses.loss):
        return False
    started = time.perf_counter()
    alone = losses.along(np.zeros(losses.nest.size), np.zeros(1))
    if not np.isfinite(alone[0]):  # entries of a Jacobian: they cannot be moved
        return False
    return time.perf_counter() - started < _SECONDS


def find_jump(losses: Losses, direction: Array) -> Jump | None:
    """Return the next jump along a direction that another number of turns explains."""
    here = _run(losses, direction, 0.0)
    for reach in _REACH:
        for sign in (1.0, -1.0):
            loop = _changed(losses, here, _run(losses, direction, sign * reach))
            if loop is not None:
                return _bisect(losses, direction, here, sign * reach, loop)
    return None


def _bisect(
    losses: Losses, direction: Array, here: Turns, far: float, loop: Loop
) -> Jump | None:
    """Return the jump between theta and where `loop` takes more or fewer turns."""
    near = 0.0
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        if _run(losses, direction, middle)[loop] == here[loop]:
            near = middle
        else:
            far = middle
    function = getattr(losses, "here", losses)  # the jump is of the function itself
    one, other = (
        float(function.along(losses.within(t * direction), 1.0)[0]) for t in (near, far)
    )
    size = abs(other - one)
    file, line = _file_of(losses), loop.line
    if file != loop.file and here.lines[loop]:  # where the loss calls it
        line = here.lines[loop]
    else:
        file = loop.file
    name = file.replace("\\", "/").rsplit("/", 1)[-1]
    where = f"{name}, line {line}"
    return Jump(abs(far), size, where) if np.isfinite(size) else None


def _file_of(losses: Losses) -> str:
    """Return the file of the loss."""
    return str(getattr(getattr(losses.loss, "__code__", None), "co_filename", ""))


def _changed(losses: Losses, here: Turns, there: Turns) -> Loop | None:
    """Return a loop that takes several turns at both, and not equally many.

    In the file of the loss, if there is one. Where a loop is only begun more or less
    often, a branch around it is what changed; and what runs through a list that has
    become longer, as of neighbours, iterates until nothing.
    """
    changed = []
    for loop, turns in here.items():
        others = there[loop]
        several = max(turns, default=0) > 1 and max(others, default=0) > 1
        as_often = turns.total() == others.total()
        several &= loop.decides
        if several and (turns != others if as_often else set(turns) != set(others)):
            changed.append(loop)
    file = _file_of(losses)
    return min(changed, key=lambda loop: loop.file != file, default=None)


def _run(losses: Losses, direction: Array, t: float) -> Turns:
    """Return the turns of the loops of the loss at theta + t * direction."""
    nest = losses.nest
    saved = nest.snapshot()
    try:
        moves = nest.split(losses.within(t * direction))
        for leaf, part in zip(nest.leaves, moves, strict=True):
            np.add(leaf, part, out=leaf, casting="same_kind")
        losses.confine()
        losses.evaluations += 1
        with np.errstate(all="ignore"):
            return count_turns(losses.loss, nest.structure)
    except Exception:  # not defined there
        return Turns()
    finally:
        nest.restore(saved)
