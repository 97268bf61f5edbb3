"""Edits of the user's gradient code about a variable in all its uses, or its elements.

What a line reads twice, what is made of an array that is given, variables exchanged;
elements in another order, or written elsewhere than the loss reads them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.known import same
from fastgrad.causes.readings import BITS, Point, Reading
from fastgrad.causes.rewrites import New, Rewrite, own
from fastgrad.causes.substitutes import Substitutes
from fastgrad.causes.views import Projection
from fastgrad.program import Node, ops, value_of

Array = NDArray[np.float64]

_LEAST = 1e-9  # relative, of elements that differ
_MOVING = ("take", "view", "reshape")
_WRITING = (*_MOVING, "place", "sum", "add")
#: What a line may make of an array that is given, before it is traced.
_WAYS: tuple[Callable[[Array], Array], ...] = (
    *(lambda x: x, np.transpose, lambda x: (x > 0) * 1.0),
    *(lambda x: x * x, lambda x: 1 - x * x, lambda x: 1 - x, lambda x: x * (1 - x)),
)


class Variables(Substitutes):
    """Edits of all uses of a variable, or of where its elements are."""

    def cached(self, constants: Sequence[Node]) -> Iterator[Rewrite]:
        """Yield values of the loss for one that is given, and for what is made of it.

        What does not depend on the parameters is not traced.
        """
        for base in constants:
            ways = [_way(base.value, node.value) for node in constants]
            for one in self.readings.of(1).get((base.shape,), ([], None))[0]:
                if one.role == "value" and one.node.active:
                    text = f"{self.name(base)} stands where {self.called(one)} is due"
                    new = _made_of(ways, one)
                    yield Rewrite("stale", text, BITS["value"], new, given=True)

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

    def exchanged(self, groups: Sequence[Sequence[Node]]) -> Iterator[Rewrite]:
        """Yield what two operations of a line read, one for the other."""
        for some, others in combinations(groups, 2):
            one, two = some[0], others[0]
            if one.source != two.source or len(some) != len(others) or one is two:
                continue
            for (i, x), (j, y) in product(enumerate(one.inputs), enumerate(two.inputs)):
                if x is not y and x.shape == y.shape and x.size > 1:
                    text = f"{self.name(x)} and {self.name(y)} are exchanged"
                    new = partial(_exchanged, some, others, (i, j))
                    yield Rewrite("layout", text, 5.0, new, turns=[*some, *others])

    # ---- elements

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
        moved = [*_moved_from(node)] if len(turns) == 1 else []
        reverse = self.readings.point.reverse
        for to in (group[0] for group in reverse.groups if group[0].op in _MOVING):
            for x in moved:
                new = partial(_written, x, reverse.number[to])
                sizes = to.inputs[0].size, to.size
                if sizes == (node.size, x.size) and view.gives(turns, new, old):
                    where = f"where the loss reads `{to.source.code}`"
                    text = f"{self.name(x)} is to be written {where}"
                    due = new(node, [], view.point, 0)
                    once = _is_overwritten(values[x], view.old(node), due)
                    code = "duplicate_index" if once else "layout"
                    yield Rewrite(code, text, 6.0, new)


def _way(a: Array, b: Array) -> Callable[[Array], Array] | None:
    """What makes an array of another one."""
    fit = (way for way in _WAYS if np.shape(way(a)) == b.shape and same(way(a), b))
    return next(fit, None)


def _made_of(ways: Sequence[Callable[[Array], Array] | None], one: Reading) -> New:
    def new(node: Node, values: list[Array], point: Point, k: int) -> Any:
        way = ways[k]
        return node.value if way is None else way(one.of(point, 0))

    return new


def _instead(number: Mapping[Node, int], one: Reading) -> New:
    """The operation with another array wherever it reads one of these."""

    def new(node: Node, values: list[Array], point: Point, k: int) -> Any:
        pairs = zip(node.inputs, values, strict=True)
        read = (one.of(point, number[x]) if x in number else a for x, a in pairs)
        return value_of(node, [*read])

    return new


def _exchanged(
    some: Sequence[Node],
    others: Sequence[Node],
    inputs: tuple[int, int],
    node: Node,
    values: list[Array],
    point: Point,
    k: int,
) -> Any:
    """One of two operations that reads what the other one is to read."""
    mine, its = inputs if k < len(some) else inputs[::-1]
    other = [*others, *some][k].inputs[its]
    return value_of(node, [*values[:mine], point.values[other], *values[mine + 1 :]])


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


def _moved_from(node: Node) -> Iterator[Node]:
    """The values whose elements, moved and added, are those of another one."""
    stack, seen = [node], {node}
    while stack:
        here = stack.pop()
        inputs = here.inputs if here.op in _WRITING else ()
        active = [x for x in inputs if x.active and x not in seen]
        yield from active
        stack += active
        seen.update(active)


def _written(
    x: Node, number: int, node: Node, values: list[Array], point: Point, k: int
) -> Array:
    """A value, written where an operation of the loss reads."""
    to = point.reverse.nodes[number]
    rule, given = ops.PRIMITIVES[to.op].derivative, [y.value for y in to.inputs]
    sent = rule(point.values[x].reshape(to.shape), to.value, given, to.ints)[0]
    return np.reshape(sent, node.shape)
