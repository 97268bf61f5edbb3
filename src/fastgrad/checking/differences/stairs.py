"""Losses in which small parameters are added to large numbers.

Between two neighbouring floating-point numbers of the sum the loss does not respond: it
is a staircase, on which small differences are zero or a whole step.
"""

import numpy as np

from fastgrad._arrays import Array, Flags, Index
from fastgrad.checking.differences.pairs import Pairs, entry_pairs
from fastgrad.checking.differences.scales import keeping_sign
from fastgrad.checking.differences.tables import ROUNDED
from fastgrad.losses import Losses

_WIDE = 2.0 ** -np.arange(6.0)  # of the scale: where smaller steps are all lost
_PROBES = 1 + np.arange(8) / 64  # times the smallest step that is seen
_FEW = 2  # steps of a staircase between them, at most


def noise_of_stairs(losses: Losses, index: Index, scale: Array, pairs: Pairs) -> Array:
    """Return the noise that stairs make of a difference, for each entry.

    Zero where the loss responds to the smallest steps, or is none; at most twenty
    evaluations for each of the others.

    Parameters
    ----------
    losses : Losses
    index : ndarray of int64, shape (n,)
        Entries.
    scale : ndarray of float64, shape (n,)
        Of each.
    pairs : Pairs of shape (n, k)
        Of each, along rows in which the steps shrink.
    """
    noise = np.zeros(len(index))
    seen = np.count_nonzero((pairs.plus != 0) & (pairs.minus != 0), axis=1)
    stored = (pairs.h_plus > 0) & (pairs.h_minus > 0)  # where the entry itself moves
    rows = np.arange(len(index))
    least = stored.shape[1] - 1 - np.argmax(stored[:, ::-1], axis=1)
    lost = (pairs.plus[rows, least] == 0) & (pairs.minus[rows, least] == 0)
    near = lost & (seen > 1)
    noise[near] = _height(losses, index[near], pairs[near], scale[near])
    far = np.flatnonzero(lost & (seen <= 1))
    reach = keeping_sign(scale[far], losses.theta[index[far]], _WIDE[0])
    wide = entry_pairs(losses, index[far], reach[:, None] * _WIDE)
    noise[far] = _height(losses, index[far], wide.joined(pairs[far]), scale[far])
    return ROUNDED * noise


def _height(losses: Losses, index: Index, pairs: Pairs, scale: Array) -> Array:
    """Return the height of the stairs at the smallest step that is seen, or zero."""
    height = np.zeros(len(index))
    seen = (pairs.plus != 0) & (pairs.minus != 0)
    which = np.flatnonzero(seen.any(axis=1))
    last = seen.shape[1] - 1 - np.argmax(seen[which, ::-1], axis=1)
    climbs = _climbs(pairs[which], last, scale[which])
    which, last = which[climbs], last[climbs]
    at = np.repeat(index[which], len(_PROBES))
    value = losses.theta[at] + np.outer(pairs.h_plus[which, last], _PROBES).ravel()
    with np.errstate(all="ignore"):
        change, _ = losses.at_entries(at, losses.representable(at, value))
        steps = np.abs(np.diff(change.reshape(-1, len(_PROBES)), axis=1))
        whole = np.abs(pairs.plus[which, last])
        own = np.where((steps > 0).any(axis=1), steps.max(axis=1), whole)
        few = np.isfinite(own) & ((steps > 0).sum(axis=1) <= _FEW)
    height[which[few]] = own[few]
    return height


def _climbs(pairs: Pairs, last: Index, scale: Array) -> Flags:
    """Whether changes get larger with larger steps: those of one jump do not.

    A step that is seen to both sides is half as wide as those of the staircase or more:
    four times as far it is two. An entry too small to be moved so far says nothing.
    """
    rows = np.arange(len(last))
    far = pairs.h_plus >= 3.7 * pairs.h_plus[rows, last][:, None]
    wider = far.shape[1] - 1 - np.argmax(far[:, ::-1], axis=1)
    with np.errstate(all="ignore"):
        more = [
            np.abs(change[rows, wider]) > np.abs(change[rows, last])
            for change in (pairs.plus, pairs.minus)
        ]
    small = pairs.h_plus.max(axis=1) < scale / 4
    climbs: Flags = np.where(far.any(axis=1), more[0] | more[1], small)
    return climbs


def shared_stairs(noise: Array, owner: Index, blocks: int) -> Array:
    """Return the noise that stairs make in each block: of most of its samples.

    One that is dead between two jumps looks as if it stood on a step.
    """
    shared = np.zeros(blocks)
    for b in np.unique(owner):
        shared[b] = 2 * np.median(noise[owner == b])
    return shared
