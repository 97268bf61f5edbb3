"""Edits of the user's gradient code that read another array.

What is due says which: of all arrays that may stand in a place, those whose dot product
with what the place weighs is right.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.codes import of_other
from fastgrad.causes.evidence import Evidence
from fastgrad.causes.known import Known, same
from fastgrad.causes.patterns import led_from
from fastgrad.causes.probes import NOBODYS
from fastgrad.causes.readings import BITS, Point, Reading, Readings
from fastgrad.causes.reverse import elementwise, is_mask
from fastgrad.causes.rewrites import New, Rewrite, goes, own
from fastgrad.causes.views import Projection
from fastgrad.program import Node, ops, value_of

Array = NDArray[np.float64]

_LINEAR = {"add", "subtract", "multiply", "negative", "contract", "sum", "view"}
_LINEAR |= {"reshape", "place", "take", "cumsum"}
_LEAST = 1e-9  # of the largest element
_WHOLE = 6.0  # bits of a value that is another one, whatever it is computed of
_MOVING = ("take", "view", "reshape")
_WRITING = (*_MOVING, "place", "sum", "add")


class Operation(NamedTuple):
    """How a value is combined with another array, and what weighs that then.

    ``weigh`` is of the value, and of what weighs it.
    """

    function: Callable[[Array, Array], Array]
    how: str
    bits: float
    weigh: Callable[[Array, Array], Array]


def _from_right(a: Array, w: Array) -> Array:
    n = a.shape[-1]
    return a.reshape(-1, n).T @ w.reshape(-1, n)


def _from_left(a: Array, w: Array) -> Array:
    return w.reshape(len(a), -1) @ a.reshape(len(a), -1).T


_BY = "{} is to be multiplied by "
_DIVIDED = Operation(np.divide, "{} is to be divided by {}", 2.0, np.multiply)
_FACTORS = (Operation(np.multiply, _BY + "{}", 1.0, np.multiply), _DIVIDED)
_LEFT = _BY + "{}, from the left"
_TWICE = Operation(
    *(lambda a, b: 2 * b @ a, _LEFT + ", and by 2", 2.0),
    lambda a, w: 2 * _from_left(a, w),
)
_MATRICES = (
    Operation(lambda a, b: a @ b, _BY + "the matrix {}", 1.0, _from_right),
    Operation(lambda a, b: b @ a, _LEFT, 1.0, _from_left),
    _TWICE,
)
_TERMS = (
    Operation(np.add, "{1} is to be added to {0}", 2.0, lambda a, w: w),
    Operation(np.subtract, "{1} is to be subtracted from {0}", 3.0, lambda a, w: w),
)


class Substitutes:
    """Edits at the turns of an operation, if they give what is due."""

    def __init__(self, evidence: Evidence, known: Known, readings: Readings) -> None:
        self.evidence, self.known = evidence, known
        self.readings = readings
        self.name, self.called = readings.name, readings.called
        self.local = readings  # with right values in turns of a loop

    def _of(self, view: Projection, turns: Sequence[Node]) -> Any:
        """What may be read in these turns."""
        return (self.local if view.is_local else self.readings).of(len(turns))

    # ---- other arrays

    def operands(self, view: Projection, turns: Sequence[Node]) -> Iterator[Rewrite]:
        """Yield what an operation may read instead."""
        old, node, stacks = view.before(turns), turns[0], self._of(view, turns)
        for i in range(len(node.inputs)):
            inputs = [n.inputs[i] for n in turns]
            if any(n not in view.parts for n in turns):
                continue
            shapes = tuple(y.shape for y in inputs)
            parts = [view.parts[n][i] for n in turns]
            linear = node.op in _LINEAR or (node.op == "divide" and not i)
            linear &= all(part is not None for part in parts)
            others = [tuple(s[::-1] for s in shapes)]
            if len(turns) == 1 and elementwise(node):  # of more axes, or of fewer
                others = [one for one in stacks if goes(one[0], node.shape)]
            for one in dict.fromkeys((shapes, *others)):
                some, stack = stacks.get(one, ([], None))
                fewer = all(map(goes, one, shapes))
                if linear and fewer and some and not view.is_bent(turns):
                    pairs = zip(parts, one, strict=True)
                    row = np.concatenate(
                        [ops.unbroadcast(a, s).ravel() for a, s in pairs]
                    )
                    values = [view.point.values[y] for y in inputs]
                    mine = old - float(sum(map(np.vdot, parts, values)))
                    fits = view.fits(stack @ row + mine, old)
                    some = [some[k] for k in np.flatnonzero(fits)]
                else:
                    some = some if one == shapes or elementwise(node) else []
                    some = [r for r in some if view.gives(turns, _with(i, r), old)]
                for reading in some:
                    edit = self._reads(i, inputs, reading)
                    is_count = node.op == "divide" and one != shapes == ((),)
                    yield edit._replace(code="reduction") if is_count else edit
        if not node.inputs and len(turns) == 1:
            yield from self._constants(node)

    def _constants(self, node: Node) -> Iterator[Rewrite]:
        """Another array for one that is given, wherever it is read."""
        some, _ = self.readings.of(1).get((node.shape,), ([], None))
        for one in some if node.op == "constant" and node.size > 1 else ():
            text = f"{self.name(node)} stands where {self.called(one)} is due"
            code = of_other([node], one, self.readings.point, self.known)
            yield Rewrite(code, text, BITS[one.role], _put(one), one.nodes, True)

    def _reads(self, i: int, some: Sequence[Node], reading: Reading) -> Rewrite:
        x, middle = some[0], len(some) // 2
        code = of_other(some, reading, self.readings.point, self.known)
        name, due = self.name(some[middle]), self.called(reading)
        if len(reading.nodes) == len(some):  # in the same turn
            due = self.called(reading._replace(node=reading.nodes[middle]))
        one_array = not x.active and _variable(name) == _variable(due) is not None
        if one_array and code in ("stale", "local_derivative"):
            code = "geometry"  # other elements of it
        text = f"{name} is used where {due} is due"
        if code == "local_derivative" and name == due.removesuffix(" of the loss"):
            code = "stale"  # the same, computed from something else
        if name == due:
            text = f"one value of {name} is used where another one is due"
        bits = BITS[reading.role] + (name == due)
        return Rewrite(code, text, bits, _with(i, reading), reading.nodes, not x.active)

    def values(self, view: Projection, turns: Sequence[Node]) -> Iterator[Rewrite]:
        """Yield what is due for a value, wherever it is read."""
        old = view.before(turns)
        read = sum(not set(turns).isdisjoint(n.inputs) for n in view.between)
        some, stack = self._of(view, turns).get(tuple(n.shape for n in turns), ([], 0))
        if read <= len(turns) or not some:  # those that one operation reads are others'
            return
        row = np.concatenate([view.weight[n].ravel() for n in turns])
        fits, strange = view.fits(stack @ row, old), turns[0] not in self.known
        for one, fit in zip(some, fits, strict=True):
            # What follows need not be linear in a value that may be wrong.
            if fit or (strange and view.gives(turns, _put(one), old, True)):
                edit = self._reads(0, turns, one)
                yield edit._replace(bits=edit.bits + _WHOLE, new=_put(one))

    def variables(self, view: Projection, turns: Sequence[Node]) -> Iterator[Rewrite]:
        """Yield what a line may read for a variable that it reads several times."""
        line = [n for n in view.between if n.source == turns[0].source]
        for i in range(len(turns[0].inputs) if view.is_local else 0):
            inputs = [n.inputs[i] for n in turns]
            number = {x: k for k, x in enumerate(inputs)}
            readers = [n for n in line if not number.keys().isdisjoint(n.inputs)]
            if len(readers) <= len(turns) or readers[0] is not turns[0]:
                continue
            shapes = tuple(x.shape for x in inputs)
            for one in self._of(view, turns).get(shapes, ([], None))[0]:
                new = _instead(number, one)
                if view.gives(readers, new, 0.0, True):
                    edit = self._reads(i, inputs, one)
                    yield edit._replace(new=new, turns=readers)

    # ---- factors and terms

    def factors(self, view: Projection, turns: Sequence[Node]) -> Iterator[Rewrite]:
        """Yield factors that are missing."""
        yield from self._missing(view, turns, _FACTORS)

    def matrices(self, view: Projection, turns: Sequence[Node]) -> Iterator[Rewrite]:
        """Yield square matrices that are missing."""
        if turns[0].inputs and 0 < turns[0].ndim <= 2:
            yield from self._missing(view, turns, _MATRICES)

    def terms(self, view: Projection, turns: Sequence[Node]) -> Iterator[Rewrite]:
        """Yield terms that are missing."""
        yield from self._missing(view, turns, _TERMS)

    def _missing(
        self, view: Projection, turns: Sequence[Node], operations: Sequence[Operation]
    ) -> Iterator[Rewrite]:
        """Yield arrays that go with a value's shape and are to be combined with it."""
        square = (turns[0].shape[:1] * 2,) * len(turns)
        for shapes, (some, stack) in self._of(view, turns).items():
            if operations is _MATRICES:
                fit = shapes == square
            else:
                fit = all(map(goes, shapes, (n.shape for n in turns)))
            for one in operations if fit else ():
                with suppress(*NOBODYS):
                    for k in self._fitting(view, turns, one, some, stack):
                        yield self._combined(turns[0], some[k], one)

    def _fitting(
        self,
        view: Projection,
        turns: Sequence[Node],
        how: Operation,
        some: Sequence[Reading],
        stack: Array,
    ) -> Iterator[int]:
        """Numbers of the arrays that, combined with a value, give what is due."""
        old, first = view.before(turns), some[0]
        if view.is_bent(turns):
            for k, one in enumerate(some):
                if view.gives(turns, _with_other(how.function, one), old):
                    yield k
            return
        rows = (how.weigh(view.old(n), view.weight[n]) for n in turns)
        shapes = (first.of(view.point, k).shape for k in range(len(turns)))
        pairs = zip(rows, shapes, strict=True)
        row = np.concatenate([ops.unbroadcast(r, s).ravel() for r, s in pairs])
        new = (1 / stack if how.function is np.divide else stack) @ row
        if how in _TERMS:
            new = how.function(np.asarray(old), new)
        yield from np.flatnonzero(view.fits(new, old)).tolist()

    def _combined(self, node: Node, reading: Reading, how: Operation) -> Rewrite:
        code = "accumulation"
        if how not in _TERMS:
            due = reading.of(self.readings.point, 0)
            masked = how.function is np.multiply and is_mask(due)
            code = "mask" if masked else "local_derivative"
            if reading.role == "parameter" and how in (_DIVIDED, _TWICE):
                code = "reparametrized"
        text = how.how.format(self.name(node), self.called(reading))
        bits, new = BITS[reading.role] + how.bits, _with_other(how.function, reading)
        return Rewrite(code, text, bits, new, reading.nodes, inserted=True)

    def elements(self, view: Projection, turns: Sequence[Node]) -> Iterator[Rewrite]:
        """Yield other elements of the same array, where it is known which are due."""
        node, moving = turns[0], turns[0].op in _MOVING
        if any(n not in view.targets for n in turns):
            return
        values, targets = view.point.values, view.targets
        pairs = [
            (values[n.inputs[0]] if moving else targets[n][0], targets[n][1])
            for n in turns
        ]
        found: list[Any] = [_places(a, due) for a, due in pairs]
        if any(places is None for places in found):
            return
        text = f"the elements of {self.name(node)} are due in another order"
        if moving:
            text = f"other elements of {self.name(node.inputs[0])} are due"
            text += f" in {self.name(node)}, or in another order"
        whole = node.op == "take" or all(a.size == due.size for a, due in pairs)
        code = "layout" if whole else "geometry"
        if all(_is_masked(view.old(n), targets[n][1]) for n in turns):
            code, text = "mask", f"some elements of {self.name(node)} are to be zero"

        def new(n: Node, v: Any, p: Point, k: int) -> Any:
            return (v[0] if moving else own(n, v)).ravel()[found[k]]

        yield Rewrite(code, text, 6.0, new, given=True)

    def written(self, view: Projection, turns: Sequence[Node]) -> Iterator[Rewrite]:
        """Yield what is to be written where an operation of the loss reads it."""
        node, old, values = turns[0], view.before(turns), view.point.values
        moved = led_from(node, _moved)[1:] if len(turns) == 1 else []
        reverse = self.readings.point.reverse
        for to in (group[0] for group in reverse.groups if group[0].op in _MOVING):
            for x in moved:
                new = partial(_written, x, reverse.number[to])
                sizes = to.inputs[0].size, to.size
                if sizes == (node.size, x.size) and view.gives(turns, new, old):
                    where = f"where the loss reads `{to.source.quoted}`"
                    text = f"{self.name(x)} is to be written {where}"
                    due = new(node, [], view.point, 0)
                    once = _is_overwritten(values[x], view.old(node), due)
                    code = "duplicate_index" if once else "layout"
                    yield Rewrite(code, text, 6.0, new)


def _variable(name: str) -> str | None:
    """The array of which a name says a part, if it does."""
    array, bracket, _ = name.partition("[")
    return array if bracket else None


def _more(term: float) -> New:
    return lambda node, inputs, point, k: own(node, inputs) + term


def _put(reading: Reading) -> New:
    return lambda node, inputs, point, k: reading.of(point, k)


def _with(i: int, reading: Reading) -> New:
    """The operation with another array for an input."""

    def new(node: Node, inputs: list[Array], point: Point, k: int) -> Any:
        return value_of(node, [*inputs[:i], reading.of(point, k), *inputs[i + 1 :]])

    return new


def _instead(number: Mapping[Node, int], one: Reading) -> New:
    """The operation with another array wherever it reads one of these."""

    def new(node: Node, values: list[Array], point: Point, k: int) -> Any:
        pairs = zip(node.inputs, values, strict=True)
        read = (one.of(point, number[x]) if x in number else a for x, a in pairs)
        return value_of(node, [*read])

    return new


def _places(a: Array, due: Array) -> Array | None:
    """Where the elements of an array stand in another one, if they all do."""
    flat, size = a.ravel(), np.abs(a).max(initial=0)
    order = np.argsort(flat)
    near = np.clip(np.searchsorted(flat[order], due - _LEAST * size), 0, flat.size - 1)
    places = order[near]
    alike = np.unique(flat).size > 2 and np.abs(flat[places] - due) <= _LEAST * size
    return np.asarray(places) if np.all(alike) else None


def _is_masked(given: Array, due: Array) -> bool:
    """Whether an array is what is due, but for elements that are to be zero."""
    return bool(np.any(due)) and same(given * (due != 0), due)


def _is_overwritten(written: Array, given: Array, due: Array) -> bool:
    """Whether of elements that are to be added in one place one is given, there."""
    shared = np.count_nonzero(due) < np.count_nonzero(written)
    there = np.array_equal(given != 0, due != 0)
    return bool(shared and there and np.isin(given[given != 0], written).all())


def _moved(node: Node) -> list[Node]:
    """The values whose elements, moved and added, are those of another one."""
    return [x for x in node.inputs if x.active and node.op in _WRITING]


def _written(
    x: Node, number: int, node: Node, values: list[Array], point: Point, k: int
) -> Array:
    """A value, written where an operation of the loss reads."""
    to = point.reverse.nodes[number]
    rule, given = ops.PRIMITIVES[to.op].derivative, [y.value for y in to.inputs]
    sent = rule(point.values[x].reshape(to.shape), to.value, given, to.ints)[0]
    return np.reshape(sent, node.shape)


def _with_other(function: Callable[[Array, Array], Array], reading: Reading) -> New:
    """What the operation gives, combined with another array."""
    return lambda node, inputs, point, k: function(
        own(node, inputs), reading.of(point, k)
    )


Kind = Callable[[Projection, Sequence[Node]], Iterator[Rewrite]]
