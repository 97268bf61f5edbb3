"""The error of a gradient projected on what an edit changes: a dot product each.

If an edit sends `d` more to a value `x`, the gradient along a direction `r` of the
parameters changes by ``<x', d>``, where ``x'`` says how `x` moves with the parameters.
So the program is run forward along a few directions; a dot product at the edited
operation then tells whether the error, seen along them, is what the edit changes.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from fastgrad.causes.evidence import Array, Evidence
from fastgrad.causes.reverse import Reverse
from fastgrad.causes.sites import New, Site
from fastgrad.program import Node

CLOSE = 1e-6  # of the terms of a dot product, what they must agree to
#: What shapes that do not fit raise: nobody's code.
NOBODYS = (ValueError, IndexError, TypeError, np.linalg.LinAlgError)
_LONG = 256  # axes of which parts are looked for


class Probes:
    """The error in sets of blocks, seen along random directions of their parameters.

    It is ``seen[set, direction]``; `tangents` say how each value moves along each.
    """

    def __init__(
        self,
        evidence: Evidence,
        reverse: Reverse,
        sets: Sequence[Sequence[int]],
        directions: int = 2,
    ) -> None:
        self.tangents: list[dict[Node, Array]] = []
        self.seen = np.zeros((len(sets), directions))
        for s, blocks in enumerate(sets):
            rng = np.random.default_rng(list(blocks))
            for d in range(directions):
                along = {}
                for b in blocks:
                    block = evidence.blocks[b]
                    usable = block.known & np.isfinite(block.off)
                    r = np.where(usable, rng.standard_normal(usable.shape), 0.0)
                    along[reverse.program.parameters[b]] = r
                    if block.is_wrong:
                        self.seen[s, d] += np.vdot(r, np.where(usable, block.off, 0.0))
                self.tangents.append(reverse.tangents(along))

    def agree(self, total: Array, size: Array) -> bool:
        """Whether a change along the directions is the error in one of the sets."""
        total, size = total.reshape(self.seen.shape), size.reshape(self.seen.shape)
        near = CLOSE * (size + np.abs(self.seen))
        fits = (np.abs(total - self.seen) <= near).all(axis=1)
        return bool((fits & (np.abs(total) > near).any(axis=1)).any())


class View:
    """What weighs the elements of a site's array in what the probes see.

    For each turn that is seen, of `nodes`: the array's shape; a row of `weights` for
    each direction; the dot products with what stands there by rights, and how large
    they may be, in `right` and `sizes`.
    """

    def __init__(self, probes: Probes, reverse: Reverse, site: Site) -> None:
        self.probes = probes
        self.nodes, self.shapes, self.weights, self.due = [], [], [], []
        for node in site.nodes:
            each = [site.weights(node, t) for t in probes.tangents]
            due = np.asarray(site.due(node, reverse.gradient[node]))
            if due.size and any(w is not None for w in each):
                nothing = np.zeros(due.size)
                rows = [nothing if w is None else np.ravel(w) for w in each]
                self.nodes.append(node)
                self.shapes.append(due.shape)
                self.weights.append(np.stack(rows))
                self.due.append(due.ravel())
        self.is_uniform = len(set(self.shapes)) == 1
        self._stacked = _stacked(self.weights) if self.is_uniform else None
        if self.nodes:
            self._norms = np.stack([_lengths(w) for w in self.weights])
            self.right, self.sizes = self.weighed(self.due)

    def weighed(self, arrays: Sequence[Array]) -> tuple[Array, Array]:
        """The dot products with an array for each turn, and how large they may be."""
        if self._stacked is not None:
            stacked = _stacked(arrays)
            totals = np.matmul(self._stacked, stacked[:, :, None])[:, :, 0]
            lengths = _lengths(stacked)
        else:
            totals = np.stack(
                [w @ a for w, a in zip(self.weights, arrays, strict=True)]
            )
            lengths = np.array([np.linalg.norm(a) for a in arrays])
        return totals, self._norms * lengths[:, None]

    def made(self, reverse: Reverse, new: New) -> list[Array]:
        """What an edit puts there in each turn; raises if shapes do not fit."""
        arrays = []
        for n, shape in zip(self.nodes, self.shapes, strict=True):
            array = np.asarray(new(n, reverse.gradient[n]))
            if array.shape != shape:
                array = np.broadcast_to(array, shape)
            arrays.append(array.ravel())
        return arrays

    def fitting(
        self, arrays: Sequence[Array], free: str = ""
    ) -> Iterator[tuple[str, Any, float]]:
        """Yield in which turns these arrays give what is seen, and by what factor."""
        totals, sizes = self.weighed(arrays)
        turns, which = _turns(len(self.nodes))
        shape = (len(turns), *self.probes.seen.shape)

        def summed(each: Array) -> Array:
            return (turns @ each if len(turns) > 1 else each).reshape(shape)

        seen: Any = self.probes.seen
        made = summed(totals)
        change, base = made, summed(sizes)
        if free != "step":
            change, base = summed(totals - self.right), summed(sizes + self.sizes)
        near = CLOSE * (base + np.abs(seen))
        fits: Any = (np.abs(change - seen) <= near).all(axis=2)
        if fits.any():
            fits &= (np.abs(change) > near).any(axis=2)
            for j in np.flatnonzero(fits.any(axis=1)):
                yield which[j], np.flatnonzero(turns[j]), 1.0
        if free:
            close, factor = _multiples(made, made - change + seen, near)
            if close.any():
                close &= ~fits & np.isfinite(factor) & (np.abs(factor) > CLOSE)
                close &= (np.abs(made) > CLOSE * base).any(axis=2)
                for j, p in np.argwhere(close):
                    yield which[j], np.flatnonzero(turns[j]), float(factor[j, p])

    def factors(self) -> Iterator[tuple[str, Any, float]]:
        """Yield by what numbers what is due may be multiplied to be the error."""
        for which, some, step in self.fitting(self.due, "step"):
            kept = 1 + step
            yield which, some, 0.0 if abs(kept) < CLOSE else kept

    def parts(self, axis: int) -> Iterator[tuple[int, int]]:
        """Yield the longest part of an axis to which what stands there may be cut."""
        shape, seen = self.shapes[0], self.probes.seen
        if shape[axis] > _LONG:
            return
        others = tuple(d + 1 for d in range(len(shape)) if d != axis)
        pairs = zip(self.weights, self.due, strict=True)
        terms = np.sum([w * a for w, a in pairs], axis=0)
        along = terms.reshape(-1, *shape).sum(axis=others).cumsum(axis=1)
        sums = np.pad(along, ((0, 0), (1, 0))).reshape(*seen.shape, -1)
        near = CLOSE * (self.sizes.sum(axis=0).reshape(seen.shape) + np.abs(seen))
        kept = self.right.sum(axis=0).reshape(seen.shape) + seen
        for some, step, close in zip(sums, kept, near, strict=True):
            off = some[:, None, :] - some[:, :, None] - step[:, None, None]
            fits = (np.abs(off) <= close[:, None, None]).all(axis=0)
            starts, stops = np.nonzero(np.triu(fits, 1))
            if starts.size:
                longest = int(np.argmax(stops - starts))
                one = int(starts[longest]), int(stops[longest])
                if one != (0, shape[axis]):
                    yield one


def _stacked(arrays: Sequence[Array]) -> Array:
    """Arrays of one shape one after the other; a view of one alone."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def _multiples(made: Array, target: Array, near: Array) -> tuple[Any, Array]:
    """Where a number makes one the other along the last axis, and that number.

    It follows from the direction that tells most.
    """
    most = np.abs(made).argmax(axis=2).ravel()
    one = np.arange(most.size), most
    rows = -1, made.shape[2]
    factor = target.reshape(rows)[one] / made.reshape(rows)[one]
    factor = factor.reshape(made.shape[:2])
    off = np.abs(factor[:, :, None] * made - target)
    return (off <= near * (1 + np.abs(factor))[:, :, None]).all(axis=2), factor


def _lengths(rows: Array) -> Array:
    """The norm of each row."""
    lengths: Array = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return lengths


@cache
def _turns(count: int) -> tuple[Array, list[str]]:
    """Which turns of a loop, a row each, and words: all; all but one end; each."""
    rows: list[Any] = [np.ones(count)]
    words = [""]
    if count > 2:
        rows += [np.arange(count) > 0, np.arange(count) < count - 1]
        words += [f", in all turns of the loop but the {w}" for w in ("first", "last")]
    if count > 1:
        rows += list(np.eye(count))
        words += [f", in turn {k} of the loop" for k in range(count)]
    return np.array(rows, dtype=float), words
