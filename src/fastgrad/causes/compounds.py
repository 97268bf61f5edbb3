"""Edits of several operations at once, that are one mistake of the user's.

A value that is another one wherever the reverse pass reads it, uses of a value of which
one counts, the four products of complex numbers.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.arrangements import arrangements
from fastgrad.causes.patterns import miscounted, plain
from fastgrad.causes.reverse import Extra, Reverse, elementwise
from fastgrad.program import Node, ops

Array = NDArray[np.float64]
_USES = 12  # of a value
_LARGE = 50_000  # entries of data that are left as they are
_MOVES = ("view", "reshape", "place")
#: Cause code, words, and what the operations send beyond what is right.
Compound = tuple[str, str, dict[Node, Extra]]


def compounds(reverse: Reverse, group: list[Node]) -> Iterator[Compound]:
    """Yield the edits of several operations, of which the group is the first."""
    yield from _lone_uses(reverse, group)
    yield from _conjugates(reverse, group)
    yield from _values(reverse, group)
    yield from _elsewhere(reverse, group)


def _instead(reverse: Reverse, i: int, part: Callable[[Node, Array], Any]) -> Extra:
    """Another part is sent to input `i`."""

    def extra(n: Node, g: Array) -> Iterator[tuple[Node, Any]]:
        yield n.inputs[i], part(n, g) - np.asarray(reverse.send(n, g)[i])

    return extra


# ---- uses ----------------------------------------------------------------------------


def _lone_uses(reverse: Reverse, group: list[Node]) -> Iterator[Compound]:
    """Only one of the uses counts, as when a gradient is assigned, not added to."""
    node = group[0]
    if len(group) > 1:
        return
    firsts = [x for x in node.inputs if x.op == "parameter"]
    for x in (node, *(x for x in firsts if reverse.users[x][0][0] is node)):
        uses = list(_uses(reverse, x))
        if not 2 < len(uses) <= _USES or len({n for n, _ in uses}) < len(uses):
            continue
        last = max(reverse.number[n] for n, _ in uses)
        for kept in uses:
            edited = {
                n: _instead(reverse, i, lambda n, g: 0.0)
                for n, i in uses
                if (n, i) != kept
            }
            which = "last" if reverse.number[kept[0]] == last else kept[0].label
            what = x.label if x is not node else "{op}"
            text = f"of the {len(uses)} uses of {what} only one counts, the {which}"
            yield "accumulation", text, edited


def _uses(reverse: Reverse, x: Node) -> Iterator[tuple[Node, int]]:
    """The operations that use a value, or a part of it that has only been moved."""
    for user, i in reverse.users.get(x, ()):
        if user.op in _MOVES:
            yield from _uses(reverse, user)
        else:
            yield user, i


# ---- complex numbers -----------------------------------------------------------------


def _conjugates(reverse: Reverse, group: list[Node]) -> Iterator[Compound]:
    """Products of complex numbers that are undone without the conjugate.

    Of the four real products only that of the imaginary parts is subtracted.
    """
    node = group[0]
    if node.op != "negative" or node.inputs[0].op not in ("multiply", "contract"):
        return
    product = node.inputs[0]
    four = [n for n in reverse.nodes if n.op == product.op and _alike(n, node)]
    for k in (0, 1) if _alike(product, node) else ():
        other = product.inputs[1 - k].value
        edited = {
            n: _instead(reverse, i, partial(_negated, reverse, i))
            for n in four
            for i in (0, 1)
            if n.inputs[i].active and np.array_equal(n.inputs[1 - i].value, other)
        }
        if len(edited) > 1:
            text = "the other factor of {op} is to be conjugated on the way back"
            yield "conjugate", text, edited


def _alike(node: Node, other: Node) -> bool:
    """Whether both are part of one operation of the user's."""
    return node.source.site == other.source.site and node.label == other.label


def _negated(reverse: Reverse, i: int, node: Node, g: Array) -> Any:
    return -np.asarray(reverse.send(node, g)[i])


# ---- values --------------------------------------------------------------------------


def _values(reverse: Reverse, group: list[Node]) -> Iterator[Compound]:
    """A value that is another one wherever the reverse pass reads it."""
    each = [dict(_others(n)) for n in group]
    for how, (code, _) in each[0].items():
        put = {n: t[how][1] for n, t in zip(group, each, strict=True) if how in t}
        edited: dict[Node, Extra] = {}
        for n in put:
            for m in (n, *(u for u, _ in reverse.users.get(n, ()))):
                edited[m] = partial(_with, put)
        yield code, f"the backward pass takes {{op}} {how}", edited


def _elsewhere(reverse: Reverse, group: list[Node]) -> Iterator[Compound]:
    """The whole gradient at a value that lacks a term, as the noise of a sample."""
    node = group[0]
    for how, value in miscounted(node) if len(group) == 1 else ():
        reverse.budget.check()
        try:
            moved = reverse.moved({node: value})
        except np.linalg.LinAlgError:
            continue  # no matrix that could be factorised
        put = {n: m.value for n, m in moved.items()}
        readers = [n for n in reverse.nodes if put.keys() & {n, *n.inputs}]
        edited: dict[Node, Extra] = {n: partial(_with, put) for n in readers}
        # Noise that is added to the parameters makes another point of them.
        noisy = any(plain(x).op == "parameter" for x in node.inputs)
        code = "stale" if noisy else "local_derivative"
        yield code, f"the gradient is taken at {{op}} {how}", edited


def _others(node: Node) -> Iterator[tuple[str, tuple[str, Array]]]:
    """What may be taken for a value: code, and the value."""
    for how, value in miscounted(node):
        yield how, ("local_derivative", value)
    if node.op in ("add", "subtract"):
        yield from _of_other_data(node)
    if not elementwise(node) or len(node.inputs) != 1:
        return
    x = node.inputs[0]
    evaluate = ops.PRIMITIVES[node.op].evaluate
    with np.errstate(all="ignore"):
        for how, value in miscounted(x):
            yield f"of its input {how}", ("local_derivative", evaluate([value], ()))
        yield "of itself", ("local_derivative", evaluate([node.value], ()))
        yield "for its input", ("local_derivative", x.value)
        inverse = evaluate([1 / node.value], ())
        yield "of its inverse", ("local_derivative", inverse)


def _of_other_data(node: Node) -> Iterator[tuple[str, tuple[str, Array]]]:
    """A difference from data, taken from other rows or columns of it."""
    sizes = [0 if y.active else y.value.size for y in node.inputs]
    k = int(np.argmax(sizes))
    data, rest = node.inputs[k].value, node.inputs[1 - k].value
    if not 1 < sizes[k] <= _LARGE:
        return
    sign = -1 if node.op == "subtract" else 1
    for one in arrangements(data.shape):
        turned = one.turn(data)
        value = (rest + sign * turned) if k else turned + sign * rest
        code = "local_derivative" if one.code == "mask" else one.code
        yield f"with its data {one.how}".rstrip(","), (code, value)


def _with(
    put: Mapping[Node, Array], node: Node, g: Array
) -> Iterator[tuple[Node, Any]]:
    """What a node sends more if values that it reads were these."""
    rule = ops.PRIMITIVES[node.op].derivative
    own = [x.value for x in node.inputs]
    inputs = [put.get(x, x.value) for x in node.inputs]
    out = put.get(node, node.value)
    if elementwise(node):
        own = [np.broadcast_to(x, node.shape) for x in own]
        inputs = [np.broadcast_to(x, node.shape) for x in inputs]
    if node not in put and elementwise(node):
        out = ops.PRIMITIVES[node.op].evaluate(inputs, node.ints)
    with np.errstate(all="ignore"):
        right, parts = (
            rule(g, node.value, own, node.ints),
            rule(g, out, inputs, node.ints),
        )
    for x, one, other in zip(node.inputs, right, parts, strict=True):
        if x.active:
            yield x, np.asarray(other) - np.asarray(one)
