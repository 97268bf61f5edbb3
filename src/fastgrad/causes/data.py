"""Other data than those of the loss: what is given to the user's gradient code.

What does not depend on the parameters is not traced. So an array that is made of one
that is given, before it is traced, is another one with it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.known import same
from fastgrad.causes.readings import BITS, Point, Reading, Readings
from fastgrad.causes.rewrites import Rewrite
from fastgrad.program import Node

Array = NDArray[np.float64]

_LEAST = 1e-9  # of a ratio that varies
_COMBINED = 64  # ways to replace several arrays that are tried
#: What a line may make of an array that is given, before it is traced.
_WAYS: tuple[Callable[[Array], Array], ...] = (
    *(lambda x: x, np.transpose, lambda x: (x > 0) * 1.0),
    *(lambda x: x * x, lambda x: 1 - x * x, lambda x: 1 - x, lambda x: x * (1 - x)),
)


def other_data(readings: Readings, given: Sequence[Node]) -> Iterator[Rewrite]:
    """Yield what arrays that the loss does not have may be."""
    stacks, roots = readings.of(1), _roots(given)
    each: list[list[Reading | None]] = []
    for base in roots:
        some = [r for r in stacks.get((base.shape,), ([], None))[0] if not r.nodes]
        kept = (r for r in some if r.role == "constant" or r.node.active)
        each.append([None, *(r for r in kept if r.role in ("constant", "value"))])
    several = np.prod([*map(len, each)]) <= _COMBINED
    alone = (
        [r if m == n else None for m in range(len(each))]
        for n, some in enumerate(each)
        for r in some
    )
    for chosen in product(*each) if several else alone:
        put = {b: r for b, r in zip(roots, chosen, strict=True) if r is not None}
        computed = any(r.node.active for r in put.values())
        if computed or sum(len(roots[b]) for b in put) > 1:  # one is told elsewhere
            names = " and ".join(map(readings.called, put.values()))
            text = f"other arrays are read than {names}"
            if len(put) == 1:
                text = f"{readings.name(*put)} stands where {names} is due"
            code = _code(put, readings.point)
            bits = max(BITS[r.role] for r in put.values())
            yield Rewrite(code, text, bits, partial(_made_of, roots, put), given=True)


def _way(a: Array, b: Array) -> Callable[[Array], Array] | None:
    """What makes an array of another one."""
    fit = (way for way in _WAYS if np.shape(way(a)) == b.shape and same(way(a), b))
    return next(fit, None)


def _roots(given: Sequence[Node]) -> dict[Node, dict[Node, Any]]:
    """Arrays of which the others are made, with what is made of each, and how."""
    roots: dict[Node, dict[Node, Any]] = {}
    each = {a: {b: _way(a.value, b.value) for b in given} for a in given}
    found = set[Node]()
    for base in sorted(given, key=lambda a: [*each[a].values()].count(None)):
        if base not in found:
            roots[base] = {b: w for b, w in each[base].items() if w and b not in found}
            found.update(roots[base])
    return roots


def _made_of(
    roots: Mapping[Node, Mapping[Node, Any]],
    put: Mapping[Node, Reading],
    node: Node,
    inputs: list[Array],
    point: Point,
    k: int,
) -> Any:
    for base, one in put.items():
        if way := roots[base].get(node):
            return way(one.of(point, 0))
    return node.value


def _code(put: Mapping[Node, Reading], point: Point) -> str:
    """Other data are those of an earlier batch, unless they are scaled only."""
    scaled = any(_is_scaled(node.value, one.of(point, 0)) for node, one in put.items())
    return "local_derivative" if scaled else "stale"


def _is_scaled(a: Array, due: Array) -> bool:
    """Whether an array, where it is not zero, is off by a factor along an axis."""
    there = a != 0
    if not due[there].all():
        return False
    ratio = np.where(there, due, np.nan) / a
    for axis in range(a.ndim):
        spread = np.fmax.reduce(ratio, axis) - np.fmin.reduce(ratio, axis)
        if a.shape[axis] > 1 and not (spread > _LEAST).any():
            return True
    return False
