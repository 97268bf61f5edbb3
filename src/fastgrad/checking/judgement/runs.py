"""Runs of the user's function at points along a direction."""

from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.checking.judgement.handed import Handed
from fastgrad.checking.judgement.turns import Turns, count_turns
from fastgrad.losses import Losses


def rises(losses: Losses, direction: Array, points: Any) -> Array:
    """Return J(theta + t * direction) - J(theta) of the function itself."""
    function = getattr(losses, "here", losses)
    if not losses.bounded:
        return function.along(direction, points)
    changes = [function.along(losses.within(t * direction), 1.0)[0] for t in points]
    return np.array(changes, dtype=np.float64)


def turns_at(
    losses: Losses,
    direction: Array,
    t: float,
    most: float = np.inf,
    instead: Handed | None = None,
) -> Turns:
    """Return the turns of the loops of the loss at theta + t * direction.

    See `count_turns`.
    """
    nest = losses.nest
    saved = nest.snapshot(losses.theta)
    try:
        _move(losses, direction, t)
        losses.evaluations += 1
        with np.errstate(all="ignore"):
            return count_turns(losses.loss, nest.structure, most, instead)
    except Exception:  # not defined there, or endless
        return Turns()
    finally:
        nest.restore(saved)


def _move(losses: Losses, direction: Array, t: float) -> None:
    """Move the parameters to theta + t * direction, within bounds."""
    if losses.bounded:
        direction, t = losses.within(t * direction), 1.0
    nest = losses.nest
    for leaf, part in zip(nest.leaves, nest.split(direction), strict=True):
        np.add(leaf, t * part, out=leaf, casting="same_kind")
    losses.confine()
