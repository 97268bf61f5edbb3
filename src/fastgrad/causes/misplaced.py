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
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import Arrangement, Turn, arrangements
from fastgrad.causes.evidence import Evidence, Guess
from fastgrad.causes.reverse import Instead, Reverse, Sends, elementwise, stretched
from fastgrad.causes.sieve import CLOSE, Probe, independent
from fastgrad.causes.substitutes import Slot, of_product
from fastgrad.causes.watch import Watch
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]

_SIFTING, _LARGE = 0.2, 20_000  # what a look costs, in operations propagated
_MOVING = ("sum", "max", "view", "take", "reshape")
_TURNS = 4  # of a loop, that are looked at one by one
_ENTRIES = 2  # that a coincidence is not to explain
_LEADS = 8  # places of equal sums, of which a part may begin at any
_MASKS = 8  # of one shape, that are tried
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
                scales = _scales(reverse, probes, slot, some)
                for one, factor in _fitting(reverse, scales, slot.role != "operand"):
                    if factor == 1 or evidence.factor(factor) is not None:
                        turn = _times(one.turn, factor)
                        how = (
                            one.how
                            if factor == 1
                            else f"{one.how}, times {factor:.6g},"
                        )
                        one = one._replace(turn=turn, how=how, fitted=factor != 1)
                        yield from _tried(evidence, reverse, slot, some, one, which)


def _times(turn: Turn, factor: float) -> Turn:
    return turn if factor == 1 else lambda x: factor * turn(x)


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
    if watch.explained and watch.entries >= (_ENTRIES if one.fitted else 1):
        code = one.code
        if slot.role == "operand" and code == "mask":
            code = "local_derivative"
        if code == "partial" and slot.i is not None and stretched(group[0], slot.i):
            code = "reduction"
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
        alone = x.op != "parameter" and len(reverse.users[x]) == 1
        if x.active and (node.op in _MOVING or not alone):

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
    """For each block that sees the slot, and in one turn only unless all are alike."""
    alike = len({slot.due(n).shape for n in group}) == 1
    alike = alike and independent(reverse, dict.fromkeys(group, slot.i))
    found = []
    for probe in probes:
        seeing = [n for n in group if slot.to(n) in probe.tangents[0]]
        if seeing and slot.due(seeing[0]).size > 1 and (alike or len(seeing) == 1):
            found.append(_Scale(probe, slot, seeing))
    return found


class _Scale:
    """What weighs the elements of an array in the error of one block."""

    def __init__(self, probe: Probe, slot: Slot, group: list[Node]) -> None:
        self.seen = probe.seen
        self.due = [slot.due(n) for n in group]
        assert slot.weigh is not None
        with np.errstate(all="ignore"):
            self.weights = [
                [slot.weigh(n, tangent[slot.to(n)]) for n in group]
                for tangent in probe.tangents
            ]
            self.terms = [
                np.sum([w * d for w, d in zip(ws, self.due, strict=True)], axis=0)
                for ws in self.weights
            ]
        self.totals = [float(terms.sum()) for terms in self.terms]
        self.sizes = [float(np.abs(terms).sum()) for terms in self.terms]
        self.flat = np.stack([_flat(ws) for ws in self.weights])
        self.norms = np.linalg.norm(self.flat, axis=1)

    def fits(self, turned: Array, scaled: bool) -> float | None:
        """By what factor what is due, so turned, gives what is seen; 1 if not scaled."""
        size = float(np.linalg.norm(turned)) * self.norms
        found, factor = self.flat @ turned, 1.0
        for k, (seen, total) in enumerate(zip(self.seen, self.totals, strict=True)):
            if scaled and not k and found[0]:
                factor = float((total + seen) / found[0])
                factor = 1.0 if abs(factor - 1) < CLOSE else factor
            near = CLOSE * (self.sizes[k] + abs(seen) + abs(factor) * size[k])
            if not abs(factor * found[k] - total - seen) <= near:
                return None
        return factor if abs(factor) > CLOSE else None

    def range(self, axis: int) -> tuple[int, int] | None:
        """The longest part of an axis to which the array may be cut."""
        sums: list[Array] = []
        for terms in self.terms:
            others = tuple(d for d in range(terms.ndim) if d != axis)
            sums.append(np.concatenate([[0.0], terms.sum(axis=others).cumsum()]))
        kept = [t + seen for t, seen in zip(self.totals, self.seen, strict=True)]
        near = [
            CLOSE * (size + abs(seen))
            for size, seen in zip(self.sizes, self.seen, strict=True)
        ]
        return _range(sums, kept, near)


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(a) for a in arrays])


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


def _fitting(
    reverse: Reverse, scales: list[_Scale], scaled: bool
) -> Iterator[tuple[Arrangement, float]]:
    """Yield the misarrangements that may explain a block, and by which factor."""
    alike: dict[object, list[_Scale]] = defaultdict(list)
    for scale in scales:
        alike[scale.due[0].shape, len(scale.due)].append(scale)
    for some in alike.values():
        due = some[0].due
        for one in _ranges(some, due[0].shape):
            yield one, 1.0
        whole = _flat(due)
        shape = due[0].shape
        ways = chain(arrangements(shape), _masks(reverse, shape))
        for one in ways if whole.size <= _HUGE else ():
            reverse.budget.check()
            turned = _flat([one.turn(d) for d in due])
            factors = {scale.fits(turned, scaled) for scale in some} - {None}
            if factors and not np.array_equal(turned, whole):
                yield from ((one, f) for f in factors if f is not None)


def _masks(reverse: Reverse, shape: tuple[int, ...]) -> Iterator[Arrangement]:
    """Masks of the loss, once more or the other way round."""
    for mask in [m for m in reverse.masks if m.shape == shape][:_MASKS]:
        for on, where in ((mask != 0, "on"), (mask == 0, "off")):
            how = f"masked, so that it counts where a mask of the loss is {where},"
            yield Arrangement("mask", how, partial(np.multiply, on * 1.0))


def _ranges(scales: list[_Scale], shape: tuple[int, ...]) -> Iterator[Arrangement]:
    for axis, n in enumerate(shape):
        if n < 2:
            continue
        for found in {scale.range(axis) for scale in scales}:
            if found is None or found == (0, n):
                continue
            start, stop = found
            one = stop == start + 1
            where = str(start) if one else f"{start}:{stop}"
            turn = partial(_cut, axis=axis, start=start, stop=stop)
            how = f"only at {where} along axis {axis}"
            yield Arrangement("partial" if one else "geometry", how, turn, fitted=True)


def _cut(x: Array, axis: int, start: int, stop: int) -> Array:
    kept = np.zeros_like(x)
    np.moveaxis(kept, axis, 0)[start:stop] = np.moveaxis(x, axis, 0)[start:stop]
    return kept
