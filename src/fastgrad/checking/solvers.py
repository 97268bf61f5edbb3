"""Losses that iterate until something is small: a solver, an adaptive integrator.

What they compute jumps wherever the number of iterations changes, and between the jumps
its slope is not that of the function meant, which a gradient by the implicit function
theorem has. Differences with small steps measure that other slope to many digits.

How many times each line runs tells. Where that changes along a line through theta, the
loss jumps by the error the solver allows itself, and its slope is off by about that
over the distance between two jumps.
"""

import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np

from fastgrad.checking.differences import Array, Index
from fastgrad.checking.judgement import UNDECIDED, WRONG, Judgement, Jump
from fastgrad.losses.interface import Losses

Lines = Counter[tuple[str, int]]

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
            line = _loop(losses, here, _run(losses, direction, sign * reach))
            if line is not None:
                return _bisect(losses, direction, here, sign * reach, line)
    return None


def _bisect(
    losses: Losses, direction: Array, here: Lines, far: float, line: tuple[str, int]
) -> Jump | None:
    """Return the jump between theta and where `line` runs more or less often."""
    near = 0.0
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        if _run(losses, direction, middle)[line] == here[line]:
            near = middle
        else:
            far = middle
    function = getattr(losses, "here", losses)  # the jump is of the function itself
    one, other = (
        float(function.along(losses.within(t * direction), 1.0)[0]) for t in (near, far)
    )
    size = abs(other - one)
    name = line[0].replace("\\", "/").rsplit("/", 1)[-1]
    return (
        Jump(abs(far), size, f"{name}, line {line[1]}") if np.isfinite(size) else None
    )


def _loop(losses: Losses, here: Lines, there: Lines) -> tuple[str, int] | None:
    """Return a line that runs several times at both, and not equally often.

    In the file of the loss, if there is one.
    """
    changed = [
        line
        for line, times in here.items()
        if times > 1 and there[line] > 1 and there[line] != times
    ]
    file = getattr(getattr(losses.loss, "__code__", None), "co_filename", None)
    return min(changed, key=lambda line: line[0] != file, default=None)


def _run(losses: Losses, direction: Array, t: float) -> Lines:
    """Return how often each line of the loss runs at theta + t * direction."""
    lines: Lines = Counter()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            lines[frame.f_code.co_filename, frame.f_lineno] += 1
        return trace

    nest, before = losses.nest, sys.gettrace()
    saved, collecting = nest.snapshot(), gc.isenabled()
    gc.disable()  # callbacks of the collector are not the loss
    try:
        moves = nest.split(losses.within(t * direction))
        for leaf, part in zip(nest.leaves, moves, strict=True):
            np.add(leaf, part, out=leaf, casting="same_kind")
        losses.confine()
        losses.evaluations += 1
        with np.errstate(all="ignore"):
            sys.settrace(trace)
            losses.loss(nest.structure)
    except Exception:  # not defined there
        return Counter()
    finally:
        sys.settrace(before)
        if collecting:
            gc.enable()
        nest.restore(saved)
    return lines
