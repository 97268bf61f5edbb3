"""Edits of several operations at once that are one mistake of the user's.

What is written where it is to be added: whatever was there before is lost. Operations
that send to one value write one after the other; rows that one operation takes may be
those of as many turns of a loop. A value that is another one wherever the reverse pass
reads it, or in all that follows from it, too. The products of complex numbers.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain, product
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.patterns import is_statistic, miscounted, plain
from fastgrad.causes.reverse import Extra, Reverse, elementwise, recomputed
from fastgrad.causes.ties import equal_winners, reduced_axes
from fastgrad.program import Node, ops

Array = NDArray[np.float64]

#: Cause code, words, and what the operations send beyond what is right.
Compound = tuple[str, str, dict[Node, Extra]]
#: What of the others is lost; what comes first; in which order.
_ORDERS: tuple[Any, ...] = (
    ("all", "earlier", "none"),
    (attrgetter("by_operation"), attrgetter("by_turn")),
    (1, -1),
)
_MOST = 2000  # writes to one value that are looked at one by one


class _Write(NamedTuple):
    """What an operation sends to input `i`: all of it, or what it took as row `k`."""

    node: Node
    i: int
    k: Any
    where: Any  # a key of the value, or a mask
    by_operation: tuple[float, float]
    by_turn: tuple[float, float]


def compounds(reverse: Reverse, group: list[Node]) -> Iterator[Compound]:
    """Yield the edits of several operations, of which the group is the first."""
    yield from _overwritten(reverse, group)
    yield from _misread(reverse, group)
    if len(group) == 1:
        yield from _conjugates(reverse, group[0])
        yield from _elsewhere(reverse, group[0])


# ---- equal winners -------------------------------------------------------------------


def in_full(reverse: Reverse, group: list[Node]) -> Iterator[Compound]:
    """Yield that each of equal winners receives all that comes down.

    Of more than two values that are compared in pairs each may be a winner.
    """
    if not any(map(equal_winners, group)):
        return
    pairs, chained = {*group}, [*group]
    while chained:
        node = chained.pop()
        beside = (*node.inputs, *(user for user, _ in reverse.users.get(node, ())))
        others = [n for n in beside if n.op == node.op and n not in pairs]
        pairs.update(others)
        chained += others
    text = "{op} sends its gradient in full to each of several equal winners"
    for some in (group, pairs)[: 1 + (len(pairs) > len(group))]:
        yield "mask", text, dict.fromkeys(some, partial(_all_of_it, reverse))


def _all_of_it(reverse: Reverse, node: Node, g: Array) -> Iterator[tuple[Node, Any]]:
    """What equal winners receive more."""
    for i, won in equal_winners(node).items():
        if node.op == "max":
            more = np.expand_dims(g, reduced_axes(node)) - reverse.send(node, g)[i]
        else:
            more = g - g * reverse.slope(node, i)
        yield node.inputs[i], np.where(won, more, 0.0)


def _conjugates(reverse: Reverse, node: Node) -> Iterator[Compound]:
    """Products of complex numbers that are undone without the conjugate.

    Of the four real products only that of the imaginary parts is subtracted.
    """
    product = node.inputs[0]
    if node.op != "negative" or product.op not in ("multiply", "contract"):
        return
    call = node.source.site, node.label
    four = [n for n in reverse.nodes if n.op == product.op]
    four = [n for n in four if (n.source.site, n.label) == call]
    for k in (0, 1):
        other = product.inputs[1 - k].value
        edited: dict[Node, Extra] = {
            n: partial(_negated, reverse, i)
            for n in four
            for i in (0, 1)
            if n.inputs[i].active and np.array_equal(n.inputs[1 - i].value, other)
        }
        if len(edited) > 1:
            text = "the other factor of {op} is to be conjugated on the way back"
            yield "conjugate", text, edited


def _negated(
    reverse: Reverse, i: int, node: Node, g: Array
) -> Iterator[tuple[Node, Any]]:
    yield node.inputs[i], -2 * np.asarray(reverse.send(node, g)[i])


# ---- values that are misread ------------------------------------------------------


def _misread(reverse: Reverse, group: list[Node]) -> Iterator[Compound]:
    """A value that is another one wherever the reverse pass reads it."""
    each = [{how: (code, new) for how, code, new in _others(n)} for n in group]
    for how, (code, _) in each[0].items():
        put = {n: t[how][1] for n, t in zip(group, each, strict=True) if how in t}
        readers = {
            m for n in put for m in (n, *(u for u, _ in reverse.users.get(n, ())))
        }
        text = f"the backward pass takes {{op}} {how}"
        yield code, text, dict.fromkeys(readers, partial(_with, put))


def _others(node: Node) -> Iterator[tuple[str, str, Array]]:
    """What may be taken for a value."""
    yield from miscounted(node)
    if not elementwise(node) or len(node.inputs) != 1:
        return
    x = node.inputs[0]
    evaluate = ops.PRIMITIVES[node.op].evaluate
    for how, code, value in miscounted(x):
        yield f"of its input {how}", code, evaluate([value], ())
    local = "local_derivative"
    yield "of itself", local, evaluate([node.value], ())
    yield "for its input", local, x.value
    yield "of its inverse", local, evaluate([1 / node.value], ())


def _elsewhere(reverse: Reverse, node: Node) -> Iterator[Compound]:
    """The whole gradient at a value that lacks a term, as the noise of a sample."""
    for how, code, value in miscounted(node):
        reverse.budget.check()
        try:
            moved = recomputed(reverse.nodes, {node: value}, reverse.budget)
        except np.linalg.LinAlgError:
            continue  # no matrix that could be factorised
        put = {n: m.value for n, m in moved.items()}
        readers = [n for n in reverse.nodes if put.keys() & {n, *n.inputs}]
        # Noise that is added to the parameters makes another point of them.
        noisy = any(plain(x).op == "parameter" for x in node.inputs)
        text = f"the gradient is taken at {{op}} {how}"
        code = "stale" if noisy else code
        yield code, text, dict.fromkeys(readers, partial(_with, put))


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
    right = rule(g, node.value, own, node.ints)
    parts = rule(g, out, inputs, node.ints)
    for x, one, other in zip(node.inputs, right, parts, strict=True):
        if x.active:
            yield x, np.asarray(other) - np.asarray(one)


# ---- what is written where it is to be added -----------------------------------------


def _overwritten(reverse: Reverse, group: list[Node]) -> Iterator[Compound]:
    """Yield what is sent if the operations write, in either order of their turns.

    Lost may be all that others send there, what they send earlier, or none of it.
    """
    text = "what {op} sends down replaces what it is to be added to"
    for i in range(len(group[0].inputs)):
        own = {(n, i) for n in group}
        to = {_origin(n.inputs[i]) for n in group if n.inputs[i].active}
        statistic = any(is_statistic(n, j) for n in group for j in (0, 1))
        tried = set[Any]()
        for sparse in (False, True):
            each = {x: _writes(reverse, x, sparse) for x in to - reverse.neutral}
            if any(len(some) > _MOST for some in each.values()):
                break
            alone = [{x: some} for x, some in each.items()] if len(each) == 2 else []
            sent: dict[Node, Extra]
            lost_of = (_lost(one, own, tried) for one in (each, *alone))
            for code, lost in chain(*lost_of):
                sent = {n: partial(_less, reverse, of) for n, of in lost.items()}
                yield "cross_term" if statistic else code, text, sent


def _lost(
    each: Mapping[Node, list[_Write]], own: set[tuple[Node, int]], tried: set[Any]
) -> Iterator[tuple[str, dict[Node, dict[int, Any]]]]:
    """Yield a code, and what is lost, in each order once."""
    for others, key, step in product(*_ORDERS):
        lost: dict[Node, dict[int, Any]] = {}
        for x, some in each.items():
            order = sorted(some, key=key)[::step]
            _lose(lost, x, order, own, others)
        off = tuple(off.tobytes() for of in lost.values() for off in of.values())
        if (*each, off) not in tried and any(b"\1" in one for one in off):
            tried.add((*each, off))
            rows = any(n.op == "take" for n, _ in own)
            rows |= all(_are_rows([w.where for w in some]) for some in each.values())
            yield "duplicate_index" if rows else "accumulation", lost


def _are_rows(masks: list[Any]) -> bool:
    """Whether these are parts of an array, some of them the same, that do not overlap.

    All of an array is none.
    """
    if any(np.ndim(mask) == 0 or mask.all() for mask in masks):
        return False
    count = np.sum(masks, axis=0)
    return all(np.ptp(count[mask]) == 0 for mask in masks if mask.any())


def _origin(x: Node) -> Node:
    """The value that another one is a view of, as a whole."""
    while x.op in ("view", "reshape") and np.array_equal(x.value, x.inputs[0].value):
        (x,) = x.inputs
    return x


def _users(reverse: Reverse, x: Node) -> Iterator[tuple[Node, int]]:
    """The operations that use a value, or one that is the same."""
    for user, i in reverse.users.get(x, ()):
        if _origin(user) is user:
            yield user, i
        else:
            yield from _users(reverse, user)


def _writes(reverse: Reverse, x: Node, sparse: bool) -> list[_Write]:
    """What is sent to a value; of `sparse` ones no zeros are written."""
    found = []
    for n, i in _users(reverse, x):
        number = reverse.number[n]
        if n.op == "take":
            rows = n.ints[1:]
            for k, row in enumerate(rows):
                time = k / len(rows)
                found.append(_Write(n, i, k, row, (number, time), (time, number)))
        else:
            ones = np.asarray(reverse.send(n, np.ones(n.shape))[i])
            lands = np.broadcast_to(ones != 0, n.inputs[i].shape)
            if sparse:
                lands = lands & (reverse.part(n, i) != 0)
            lands = lands.reshape(x.shape)
            found.append(_Write(n, i, ..., lands, (number, 0), (0, number)))
    return found


def _lose(
    lost: dict[Node, dict[int, Any]],
    x: Node,
    writes: list[_Write],
    own: set[tuple[Node, int]],
    others: str,
) -> None:
    """Note what is lost, from the last to the first."""
    written = np.zeros(x.shape, dtype=bool)
    if others != "earlier":
        writes = sorted(writes, key=lambda w: w[:2] in own)
    for n, i, k, where, *_ in reversed(writes):
        if (n, i) in own or others != "none":
            shape = n.shape if n.op == "take" else x.shape
            off = lost.setdefault(n, {}).setdefault(i, np.zeros(shape, dtype=bool))
            off[k] = written[where if n.op == "take" else ...]
        if (n, i) in own:
            written[where] = True


def _less(
    reverse: Reverse, lost: Mapping[int, Any], node: Node, g: Any
) -> Iterator[tuple[Node, Any]]:
    """What a node sends less if that is lost."""
    for i, off in lost.items():
        x = node.inputs[i]
        if node.op == "take":
            yield x, -np.asarray(reverse.send(node, np.where(off, g, 0.0))[i])
        else:
            sent = np.broadcast_to(reverse.send(node, g)[i], x.shape)
            yield x, np.where(off.reshape(x.shape), -sent, 0.0)
