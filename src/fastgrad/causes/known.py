"""What is known to be right: the values of the loss's program, and gradients there."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.budget import Budget
from fastgrad.causes.readings import Point, computed, orders, side_by_side, stacked
from fastgrad.causes.reverse import Reverse
from fastgrad.program import Node

Array = NDArray[np.float64]

_EQUAL = 1e-9  # of the largest entry, or of the norm: the same but for rounding


class Known:
    """The arrays of a program and of its reverse pass.

    Values, gradients, what operations send to their inputs, and slopes.
    """

    def __init__(self, reverse: Reverse, budget: Budget) -> None:
        self.reverse = reverse
        self._turns: dict[tuple[tuple[int, ...], ...], list[list[Array]]] = {}
        self._loops: dict[int, list[list[Array]]] = defaultdict(list)
        of_size: dict[int, list[Array]] = defaultdict(list)
        point = Point({}, reverse, ())
        for group in [*reverse.groups, *reverse.helpers]:
            budget.check()
            for one in computed(reverse, group):
                turns = [one.of(point, k) for k in range(len(group))]
                self._loops[len(group)] += map(list, orders(turns))
                for array in turns:
                    of_size[array.size].append(array)
        beside = []
        for some in side_by_side(reverse.groups):
            budget.check()
            for one in stacked(reverse, some):
                turns = [one.of(point, k) for k in range(len(some[0]))]
                self._loops[len(turns)] += map(list, orders(turns))
                of_size[len(some)] += turns
                beside += turns if one.role == "value" else []
        for x in dict.fromkeys(x for node in reverse.nodes for x in node.inputs):
            if not x.inputs:
                of_size[x.value.size].append(x.value)
                if x in reverse.gradient:
                    of_size[x.value.size].append(reverse.gradient[x])
        # By id, for they are held.
        self._values = {id(x.value) for n in reverse.nodes for x in (n, *n.inputs)}
        self._values.update(map(id, beside))
        self._of_size = dict(of_size)
        self._sums = {
            size: np.array([_sums(a) for a in some]) for size, some in of_size.items()
        }
        self._of_shape: dict[tuple[int, ...], tuple[list[Array], Array]] = {}
        self._known: dict[Node, bool] = {}
        self._forward: dict[Node, bool] = {}

    def __contains__(self, node: Node) -> bool:
        if node not in self._known:
            self._known[node] = not node.active or self.has(node.value)
        return self._known[node]

    def has(self, value: Array) -> bool:
        """Whether it is known, or stands there in another shape only."""
        alike = self._alike(value)
        of_shape = [x for x in alike if x.shape == value.shape]
        if of_shape:
            return any(same(value, x) for x in of_shape)
        mine = np.sort(value, axis=None)
        return any(same(mine, np.sort(x, axis=None)) for x in alike)

    def lacks(self, node: Node) -> bool:
        """Whether it is an array that is given, and that the loss does not have."""
        x = node.value
        given = not node.active and x.size > 1 and bool(np.ptp(x))
        return given and not self.has(x) and not self.has(x.T)

    def _alike(self, value: Array) -> list[Array]:
        """Those with the same elements, perhaps."""
        if value.size not in self._of_size or not np.any(value):
            return []
        some, sums = self._of_size[value.size], self._sums[value.size]
        mine = _sums(value)
        alike = (np.abs(sums - mine) <= _EQUAL * mine[:1]).all(axis=1)
        return [some[k] for k in np.flatnonzero(alike)]

    def is_passed_back(self, node: Node) -> bool:
        """Whether it is a gradient, rather than a value, of the program."""
        alike = self._alike(node.value)
        return any(id(x) not in self._values for x in alike)

    def is_forward(self, node: Node) -> bool:
        """Whether it is a value of the program, and no gradient."""
        if node not in self._forward:
            here = node in self and not self.is_passed_back(node)
            self._forward[node] = here
        return self._forward[node]

    def is_gradient(self, node: Node) -> bool:
        """Whether it is one, and no value of the program."""
        alike = self._alike(node.value)
        return bool(alike) and all(id(x) not in self._values for x in alike)

    def fitting(
        self, value: Array, weight: Array, due: float, close: float
    ) -> Iterator[Array]:
        """Yield what may stand for a value and changes a weighted sum as it is due."""
        some, stacked = self._stack(value.shape)
        if some:
            old = float(np.vdot(weight, value))
            new = stacked @ weight.ravel()
            fits = np.abs(new - old - due) <= close * (np.abs(new) + abs(old))
            yield from (some[k] for k in np.flatnonzero(fits))

    def _stack(self, shape: tuple[int, ...]) -> tuple[list[Array], Array]:
        if shape not in self._of_shape:
            size = int(np.prod(shape))
            some = [_turned(a, shape) for a in self._of_size.get(size, ())]
            fit = [a for a in some if a is not None]
            self._of_shape[shape] = fit, np.array([np.ravel(a) for a in fit])
        return self._of_shape[shape]

    def loops(self, shapes: tuple[tuple[int, ...], ...]) -> list[list[Array]]:
        """What may stand for values of these shapes, those of turns of a loop."""
        if shapes in self._turns:
            return self._turns[shapes]
        found, count = self._turns.setdefault(shapes, []), len(shapes)
        longer = [
            t for turns in self._loops[count + 1] for t in (turns[1:], turns[:-1])
        ]
        for turns in self._loops[count] + longer:
            turned = [_turned(a, s) for a, s in zip(turns, shapes, strict=True)]
            fit = [a for a in turned if a is not None]
            if len(fit) == len(turned):
                found.append(fit)
        return found


def same(a: Array, b: Array) -> bool:
    """Whether two arrays differ by rounding only."""
    size = float(np.abs(b).max(initial=0))
    if size == np.inf:
        rest = np.isfinite(b)
        return np.array_equal(a[~rest], b[~rest]) and same(a[rest], b[rest])
    return bool((np.abs(a - b) <= _EQUAL * size).all())


def _turned(a: Array, shape: tuple[int, ...]) -> Array | None:
    """An array in this shape, if it has it but for their order and axes of one."""
    if a.shape == shape:
        return a
    if a.T.shape == shape:
        return a.T
    long = [n for n in shape if n > 1]
    return a.reshape(shape) if [n for n in a.shape if n > 1] == long else None


def _sums(a: Array) -> Array:
    """What does not change with the order of elements, in their unit."""
    size = np.abs(a)
    root = max(a.size, 1) ** 0.5
    return np.array([np.linalg.norm(a), size.sum() / root, np.cbrt(np.sum(size**3))])
