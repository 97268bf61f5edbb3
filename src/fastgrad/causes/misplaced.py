"""The right array, but misarranged: cut to a part, moved along an axis, summed.

What comes down to an operation, the other factor beside it, or what it sends on may be
a triangle of what is due, may be one step late, or a sum over an axis that is to be
kept. The gradient is linear in each of them, so what weighs its elements in the error
that is seen is computed once, and any misarrangement is a dot product (`sieve`); all
contiguous parts of an axis are told apart by the running sum of its terms.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import Arrangement, Turn, arrangements
from fastgrad.causes.evidence import Evidence, Guess
from fastgrad.causes.reverse import Instead, Reverse, Sends, elementwise
from fastgrad.causes.sieve import CLOSE, Probe, independent
from fastgrad.causes.substitutes import Slot, of_product
from fastgrad.causes.watch import Watch
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]

_SIFTING, _LARGE = 0.2, 20_000  # what a look costs, in operations propagated
_TURNS = 4  # of a loop, that are looked at one by one
_ENTRIES = 3  # that a coincidence is not to explain
_LEADS = 8  # places of equal sums, of which a part may begin at any
_HUGE = 300_000  # entries of arrays that are cut, but not moved


def misplaced(
    evidence: Evidence,
    reverse: Reverse,
    groups: Sequence[list[Node]],
    probes: Sequence[Probe],
) -> Iterator[Guess]:
    """Yield misarranged arrays that explain the error."""
    for group in groups:
        for which, some in _turns(group):
            for slot in _slots(reverse, some):
                for one in _fitting(reverse, _scales(reverse, probes, slot, some)):
                    yield from _tried(evidence, reverse, slot, some, one, which)


def _turns(group: list[Node]) -> Iterator[tuple[str, list[Node]]]:
    """All turns of a loop; each, if they are few."""
    yield "", group
    if 1 < len(group) <= _TURNS:
        for k, node in enumerate(group):
            yield f", in turn {k} of the loop", [node]


def _tried(
    evidence: Evidence,
    reverse: Reverse,
    slot: Slot,
    group: list[Node],
    one: Arrangement,
    which: str,
) -> Iterator[Guess]:
    watch = Watch(evidence, 1.0, strict=False)
    try:
        with np.errstate(all="ignore"):
            reverse.change(_broken(reverse, slot, group, one.turn), watch)
    except (ValueError, IndexError):
        return  # fits one turn of a loop, not the others
    if watch.explained and watch.entries >= _ENTRIES:
        code = one.code
        if slot.role == "operand" and code == "mask":
            code = "local_derivative"
        text = f"{_WHAT[slot.role]} is used {one.how}".rstrip(",") + which
        yield watch.guess(code, text, 4.0 + 0.2 * bool(which), group[0])


def _broken(
    reverse: Reverse, slot: Slot, group: list[Node], turn: Turn
) -> dict[Node, Sends]:
    """The operations with what is due in this slot misarranged."""
    i = slot.i
    if i is None:
        return dict.fromkeys(group, lambda n, g: reverse.rightly(n, turn(g)))

    def part(n: Node, g: Array) -> Any:
        if slot.role == "result":
            return turn(np.broadcast_to(reverse.send(n, g)[i], n.inputs[i].shape))
        return slot.part(n, g, turn(slot.due(n) if slot.role == "operand" else g))

    return dict.fromkeys(group, Instead(i, part))


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


def _scales(
    reverse: Reverse, probes: Sequence[Probe], slot: Slot, group: list[Node]
) -> list["_Scale"]:
    """For blocks that see the slot, and in one turn only unless all are alike."""
    alike = len({slot.due(n).shape for n in group}) == 1
    alike = alike and independent(reverse, dict.fromkeys(group, slot.i))
    by_turns: dict[tuple[Node, ...], list[Probe]] = defaultdict(list)
    for probe in probes:
        seeing = tuple(n for n in group if slot.to(n) in probe.tangents[0])
        if seeing and slot.due(seeing[0]).size > 1 and (alike or len(seeing) == 1):
            by_turns[seeing].append(probe)
    return [_Scale(some, slot, seeing) for seeing, some in by_turns.items()]


class _Scale:
    """What weighs the elements of an array in the errors of some blocks.

    A row for each block and direction, a column for each element in each turn.
    """

    def __init__(
        self, probes: Sequence[Probe], slot: Slot, group: Sequence[Node]
    ) -> None:
        self.due = [slot.due(n) for n in group]
        self.seen = np.array([seen for probe in probes for seen in probe.seen])
        self._directions = len(probes[0].seen)
        weigh = slot.weigh
        assert weigh is not None
        with np.errstate(all="ignore"):
            self.weights = np.stack(
                [
                    _flat([weigh(n, tangent[slot.to(n)]) for n in group])
                    for probe in probes
                    for tangent in probe.tangents
                ]
            )
            self._sizes = np.abs(self.weights)
            self.totals, self.sizes = self._weighed(self.due)

    def _weighed(self, arrays: Sequence[Array]) -> tuple[Array, Array]:
        """The dot products with these arrays, and the sums of their terms' sizes."""
        flat = _flat(arrays)
        return self.weights @ flat, self._sizes @ np.abs(flat)

    def fits(self, turn: Turn) -> bool:
        """Whether what is due, so turned, gives what is seen of some block."""
        arrays = [turn(d) for d in self.due]
        totals, sizes = self._weighed(arrays)
        near = CLOSE * (sizes + self.sizes + np.abs(self.seen))
        close = np.abs(totals - self.totals - self.seen) <= near
        fits = close.reshape(-1, self._directions).all(axis=1).any()
        return bool(fits) and not all(map(np.array_equal, arrays, self.due))

    def ranges(self, axis: int) -> Iterator[tuple[int, int] | None]:
        """The longest part of an axis to which the array may be cut, by block."""
        shape = self.due[0].shape
        others = tuple(d for d in range(len(shape)) if d != axis)
        near = CLOSE * (self.sizes + np.abs(self.seen))
        kept = self.totals + self.seen
        for first in range(0, len(self.seen), self._directions):
            rows = slice(first, first + self._directions)
            terms = self.weights[rows] * _flat(self.due)
            terms = terms.reshape(-1, len(self.due), *shape)
            sums = [
                np.concatenate([[0.0], one.sum(axis=0).sum(axis=others).cumsum()])
                for one in terms
            ]
            yield _range(sums, kept[rows].tolist(), near[rows].tolist())


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(array) for array in arrays])


def _range(
    sums: Sequence[Array], kept: Sequence[float], near: Sequence[float]
) -> tuple[int, int] | None:
    """The longest part whose running sums grow by what is kept, all of them.

    By search in the sorted sums, so that no pairs of places are kept in memory.
    """
    order = np.argsort(sums[0], kind="stable")
    ordered, stops = sums[0][order], np.arange(len(order))
    first = np.searchsorted(ordered, sums[0] - kept[0] - near[0])
    last = np.searchsorted(ordered, sums[0] - kept[0] + near[0], side="right")
    best: tuple[int, int] | None = None
    for k in range(_LEADS):
        some = stops[first + k < last]
        starts = order[first[some] + k]
        fits = starts < some
        for s, step, close in zip(sums, kept, near, strict=True):
            fits &= np.abs(s[some] - s[starts] - step) <= close
        if fits.any():
            i = int(np.argmax(np.where(fits, some - starts, 0)))
            found = int(starts[i]), int(some[i])
            if best is None or found[1] - found[0] > best[1] - best[0]:
                best = found
    return best


def _fitting(reverse: Reverse, scales: list[_Scale]) -> Iterator[Arrangement]:
    """Yield the misarrangements that may explain a block."""
    by_shape: dict[tuple[int, ...], list[_Scale]] = defaultdict(list)
    for scale in scales:
        by_shape[scale.due[0].shape].append(scale)
    for shape, some in by_shape.items():
        yield from _ranges(some, shape)
        size = sum(d.size for d in some[0].due)
        for one in arrangements(shape) if size <= _HUGE else ():
            reverse.budget.check()
            if any(scale.fits(one.turn) for scale in some):
                yield one


def _ranges(scales: list[_Scale], shape: tuple[int, ...]) -> Iterator[Arrangement]:
    for axis, n in enumerate(shape):
        if n < 2:
            continue
        for found in {one for scale in scales for one in scale.ranges(axis)}:
            if found is None or found == (0, n):
                continue
            start, stop = found
            one = stop == start + 1
            where = str(start) if one else f"{start}:{stop}"
            turn = partial(_cut, axis=axis, start=start, stop=stop)
            how = f"only at {where} along axis {axis}"
            yield Arrangement("partial" if one else "geometry", how, turn)


def _cut(x: Array, axis: int, start: int, stop: int) -> Array:
    kept = np.zeros_like(x)
    np.moveaxis(kept, axis, 0)[start:stop] = np.moveaxis(x, axis, 0)[start:stop]
    return kept
