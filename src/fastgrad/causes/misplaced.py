"""The right array, but misarranged: cut to a part, moved along an axis, summed.

What comes down to an operation, the other factor beside it, or what it sends on may be
a triangle of what is due, may be one step late, or a sum over an axis that is to be
kept. The gradient is linear in each of them, so what weighs its elements in the error
that is seen is computed once, and any misarrangement is a dot product (`sieve`); all
contiguous parts of an axis are told apart by the running sum of its terms.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import Arrangement, Turn, arrangements
from fastgrad.causes.evidence import Evidence, Guess
from fastgrad.causes.reverse import Reverse, elementwise
from fastgrad.causes.sieve import CLOSE, Probe, independent
from fastgrad.causes.substitutes import Slot, of_product
from fastgrad.causes.watch import MOST_WORK, Watch
from fastgrad.program import ops
from fastgrad.program.graph import Node

Array = NDArray[np.float64]

_SIFTING, _LARGE = 0.2, 20_000  # what a look costs, in operations propagated
_ENTRIES = 3  # that a coincidence is not to explain
_HUGE = 300_000  # entries of arrays that are cut, but not moved


def misplaced(
    evidence: Evidence,
    reverse: Reverse,
    groups: Sequence[list[Node]],
    probes: Sequence[Probe],
) -> Iterator[Guess]:
    """Yield misarranged arrays that explain the error."""
    for group in groups:
        for slot in _slots(reverse, group):
            if reverse.work > MOST_WORK:
                return
            if not independent(reverse, dict.fromkeys(group, slot.i)):
                continue
            due = [slot.due(n) for n in group]
            if len({d.shape for d in due}) > 1 or due[0].size < 2:
                continue
            scales = [_Scale(probe, slot, group, due) for probe in probes]
            scales = [scale for scale in scales if scale.moves]
            for one in _fitting(reverse, scales, due):
                yield from _tried(evidence, reverse, slot, group, due, one)


def _tried(
    evidence: Evidence,
    reverse: Reverse,
    slot: Slot,
    group: list[Node],
    due: list[Array],
    one: Arrangement,
) -> Iterator[Guess]:
    watch = Watch(evidence, 1.0, strict=False)
    arrays = [one.turn(d) for d in due]
    with np.errstate(all="ignore"):
        reverse.change(slot.broken(reverse, group, arrays), watch)
    if watch.explained and watch.entries >= _ENTRIES:
        code = one.code
        if slot.role == "operand" and code == "mask":
            code = "local_derivative"
        text = f"{_WHAT[slot.role]} is used {one.how}".rstrip(",")
        yield watch.guess(code, text, one.cost, group[0])


_WHAT = {
    "upstream": "what comes down to {op}",
    "edge": "what comes down to {op}, for one of its inputs,",
    "operand": "the other operand of {op}",
    "result": "what {op} sends down",
}


# ---- places --------------------------------------------------------------------------


def _slots(reverse: Reverse, group: list[Node]) -> Iterator[Slot]:
    node = group[0]
    due = reverse.gradient.__getitem__
    yield Slot(None, "upstream", due, lambda n, g, c: c, lambda n, t: t)
    if node.op == "contract":
        for slot in of_product(reverse, group):
            role = "edge" if slot.role == "upstream" else slot.role
            yield Slot(slot.i, role, slot.due, slot.part, slot.weigh)
    elif elementwise(node) and not ops.PRIMITIVES[node.op].steps:
        yield from _of_function(reverse, group)
    for i, x in enumerate(node.inputs):
        if x.active and (x.op == "parameter" or len(reverse.users[x]) > 1):

            def sent(n: Node, i: int = i) -> Array:
                return reverse.part(n, i)

            yield Slot(i, "result", sent, lambda n, g, c: c, lambda n, t: t)


def _of_function(reverse: Reverse, group: list[Node]) -> Iterator[Slot]:
    node = group[0]
    active = [i for i, x in enumerate(node.inputs) if x.active]
    for i in active if len(node.inputs) > 1 else ():
        if len(active) > 1:

            def part(n: Node, g: Array, c: Array, i: int = i) -> Any:
                return c * reverse.slope(n, i)

            def weigh(n: Node, t: Array, i: int = i) -> Array:
                return np.broadcast_to(t * reverse.slope(n, i), n.shape)

            due = reverse.gradient.__getitem__
            yield Slot(i, "edge", due, part, weigh)
        if node.op == "multiply" and node.inputs[1 - i].value.ndim:

            def product(n: Node, g: Array, c: Array) -> Any:
                return g * c

            def beside(n: Node, i: int = i) -> Array:
                return n.inputs[1 - i].value

            def weigh_factor(n: Node, t: Array, i: int = i) -> Array:
                full = np.broadcast_to(t * reverse.gradient[n], n.shape)
                return ops.unbroadcast(full, n.inputs[1 - i].shape)

            yield Slot(i, "operand", beside, product, weigh_factor)


# ---- looking -------------------------------------------------------------------------


class _Scale:
    """What weighs the elements of an array in the error of one block."""

    def __init__(
        self, probe: Probe, slot: Slot, group: list[Node], due: list[Array]
    ) -> None:
        self.seen = probe.seen
        with np.errstate(all="ignore"):
            self.weights = [
                [_weight(slot, n, tangent) for n in group] for tangent in probe.tangents
            ]
            self.moves = any(w is not None for ws in self.weights for w in ws)
            self.terms = [
                sum(w * d for w, d in zip(ws, due, strict=True) if w is not None)
                for ws in (self.weights if self.moves else ())
            ]
        self.totals = [float(np.sum(terms)) for terms in self.terms]
        self.sizes = [float(np.abs(terms).sum()) for terms in self.terms]

    def fits(self, arrays: list[Array]) -> bool:
        """Whether these arrays, in place of what is due, give what is seen."""
        for ws, seen, total, size in zip(
            self.weights, self.seen, self.totals, self.sizes, strict=True
        ):
            moved, largest = -total, size + abs(seen)
            for w, a in zip(ws, arrays, strict=True):
                if w is not None:
                    terms = w * a
                    moved += float(terms.sum())
                    if abs(moved - seen) > CLOSE * largest:
                        largest += float(np.abs(terms).sum())
            if not abs(moved - seen) <= CLOSE * largest:
                return False
        return True

    def range(self, axis: int) -> tuple[int, int] | None:
        """The longest part of an axis to which the array may be cut."""
        sums: list[Array] = []
        for terms in self.terms:
            others = tuple(d for d in range(terms.ndim) if d != axis)
            sums.append(np.concatenate([[0.0], terms.sum(axis=others).cumsum()]))
        fits = np.ones((len(sums[0]),) * 2, bool)
        for s, seen, total, size in zip(
            sums, self.seen, self.totals, self.sizes, strict=True
        ):
            kept = s[None, :] - s[:, None]
            fits &= np.abs(kept - total - seen) <= CLOSE * (size + abs(seen))
        starts, stops = np.nonzero(np.triu(fits, 1))
        if not len(starts):
            return None
        k = int(np.argmax(stops - starts))
        return int(starts[k]), int(stops[k])


def _weight(slot: Slot, node: Node, tangent: Mapping[Node, Array]) -> Array | None:
    moving = tangent.get(slot.to(node))
    if moving is None:
        return None
    assert slot.weigh is not None
    return slot.weigh(node, moving)


def _fitting(
    reverse: Reverse, scales: list[_Scale], due: list[Array]
) -> Iterator[Arrangement]:
    """Yield the misarrangements that may explain a block."""
    if not scales:
        return
    shape = due[0].shape
    size = sum(d.size for d in due)
    yield from _ranges(scales, shape)
    if size > _HUGE:
        return
    for one in arrangements(shape):
        if reverse.work > MOST_WORK:
            return
        reverse.work += _SIFTING * (1 + size / _LARGE)
        arrays = [one.turn(d) for d in due]
        if any(scale.fits(arrays) for scale in scales):
            if not all(map(np.array_equal, arrays, due)):
                yield one


def _ranges(scales: list[_Scale], shape: tuple[int, ...]) -> Iterator[Arrangement]:
    for axis, n in enumerate(shape):
        if n < 2:
            continue
        for start, stop in {scale.range(axis) for scale in scales} - {None, (0, n)}:
            one = stop == start + 1
            where = str(start) if one else f"{start}:{stop}"
            how = f"only at {where} along axis {axis}"
            turn: Turn = partial(_cut, axis=axis, start=start, stop=stop)
            cost = 4.0 if start == 0 or stop == n else 4.3
            yield Arrangement("partial" if one else "geometry", how, turn, cost)


def _cut(x: Array, axis: int, start: int, stop: int) -> Array:
    kept = np.zeros_like(x)
    np.moveaxis(kept, axis, 0)[start:stop] = np.moveaxis(x, axis, 0)[start:stop]
    return kept


