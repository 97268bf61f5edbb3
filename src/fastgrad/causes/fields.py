"""What a broken step hands on, solved for from what arrived at the parameters.

The gradient of the parameters is linear in what a step sends down. Where the parameters
are more than the unknowns, a least-squares solution that leaves nothing says that the
step alone is wrong, and what it did: the slope it used at each place, or the factors of
the terms of a normalisation. So a mistake is named that nobody has thought of.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from fastgrad.causes.combinations import beyond, fitted, matched, stacked
from fastgrad.causes.evidence import Array, Evidence, Guess
from fastgrad.causes.patterns import Normalization, argument, normalization
from fastgrad.causes.reverse import Reverse
from fastgrad.causes.watch import Change, Watch
from fastgrad.program.graph import Node

_UNKNOWNS = 256
_BITS = 16  # of a mask tried at once
_SAME = 1e-6


def fields(
    evidence: Evidence, reverse: Reverse, groups: Sequence[list[Node]]
) -> Iterator[Guess]:
    """Yield steps that are wrong in a way of their own, for operations not in loops."""
    for group in groups:
        if len(group) > 1:
            continue
        one = normalization(group[0])
        if one is not None:
            yield from _normalised(evidence, reverse, one)
        x = argument(group[0]) or _masked(group[0])
        if x is not None:
            yield from _slopes(evidence, reverse, group[0], x)


def _enough(evidence: Evidence, unknowns: int) -> bool:
    equations = sum(int(evidence.blocks[b].known.sum()) for b in evidence.wrong)
    return equations >= unknowns + max(4, unknowns // 10)


def _sent(
    reverse: Reverse, node: Node, x: Node, shapes: Sequence[Array]
) -> tuple[Change, list[Change]]:
    """The change if the node sends nothing, and what each of these does beyond it."""
    dropped = reverse.change({node: lambda n, g: []})
    assert dropped is not None
    terms: list[Change] = []
    for shape in shapes:
        sent = reverse.change({node: partial(_instead, x, shape)})
        assert sent is not None
        terms.append(beyond(sent, dropped))
    return dropped, terms


def _instead(x: Node, sent: Array, node: Node, g: Array) -> list[tuple[Node, Array]]:
    return [(x, sent)]


# ---- functions and masks -------------------------------------------------------------


def _masked(node: Node) -> Node | None:
    """The x of x times a constant array, as of a mask."""
    if node.op != "multiply":
        return None
    active = [x for x in node.inputs if x.active]
    return active[0] if len(active) == 1 and active[0].shape == node.shape else None


def _slopes(
    evidence: Evidence, reverse: Reverse, node: Node, x: Node
) -> Iterator[Guess]:
    n = node.value.size
    if x.shape != node.shape or not 8 <= n <= _UNKNOWNS:
        return
    g = reverse.gradient[node].ravel()
    units = g[:, None] * np.eye(n)
    if _enough(evidence, n):
        dropped, terms = _sent(reverse, node, x, list(units.reshape(n, *node.shape)))
        found = fitted(evidence, terms, dropped)
        if found is not None:
            yield from _read_slopes(reverse, node, x, *found)
    elif argument(node) is None:
        dropped, terms = _sent(reverse, node, x, list(units.reshape(n, *node.shape)))
        yield from _another_mask(evidence, node, dropped, terms)


def _read_slopes(
    reverse: Reverse, node: Node, x: Node, used: Array, watch: Watch
) -> Iterator[Guess]:
    g = reverse.gradient[node].ravel()
    seen = np.abs(g) > 1e-6 * np.abs(g).max(initial=0)
    at, used = x.value.ravel()[seen], used[seen]
    if _is_mask(used):
        text, code = "another mask than that of {op} is used", "mask"
        if argument(node) is not None:
            text, code = "{op} passes its gradient by a mask", "local_derivative"
        yield watch.guess(code, text, 4.0, node)
    elif argument(node) is not None and _is_function(at, used):
        right = _right_slope(reverse, node, x).ravel()[seen]
        k = int(np.argmax(np.abs(used - right)))
        text = (
            f"another derivative than that of {{op}} is used: at {at[k]:.4g} it is "
            f"{right[k]:.4g}, and {used[k]:.4g} was used"
        )
        yield watch.guess("local_derivative", text, 4.0, node)


def _right_slope(reverse: Reverse, node: Node, x: Node) -> Array:
    if x not in node.inputs:  # a sigmoid
        return node.value * (1 - node.value)
    with np.errstate(all="ignore"):
        return reverse.part(node, node.inputs.index(x)) / reverse.gradient[node]


def _is_mask(used: Array) -> bool:
    top = np.abs(used).max(initial=0)
    on = np.abs(used) > _SAME * top
    return bool(on.any() and not on.all() and np.ptp(used[on]) < _SAME * top)


def _is_function(at: Array, used: Array) -> bool:
    """Whether the slopes used follow from where they were used, and are no accident."""
    degree = min(6, at.size // 4)
    if degree < 3 or np.ptp(used) < _SAME * np.abs(used).max():
        return False
    left = used - Polynomial.fit(at, used, degree)(at)
    return bool(np.var(left) < 1e-3 * np.var(used))


def _another_mask(
    evidence: Evidence, node: Node, dropped: Change, terms: Sequence[Change]
) -> Iterator[Guess]:
    """A mask has few values: all masks are tried, unit by unit."""
    mask = next(x.value for x in node.inputs if not x.active)
    values = np.unique(mask)
    if values.size != 2 or values[0] != 0:
        return
    matrix, target = stacked(evidence, terms, dropped)
    used = np.zeros(len(terms))
    for unknowns in _separate(np.abs(matrix) > 0):
        if unknowns.size > _BITS:
            return
        choices = np.arange(2**unknowns.size)[:, None] >> np.arange(unknowns.size) & 1
        rows = (np.abs(matrix[unknowns]) > 0).any(axis=0)
        if not rows.any():
            continue
        left = values[1] * choices @ matrix[unknowns][:, rows] - target[rows]
        used[unknowns] = values[1] * choices[np.argmin(np.abs(left).max(axis=1))]
    watch = matched(evidence, used, terms, dropped)
    if watch is not None:
        yield watch.guess("mask", "another mask than that of {op} is used", 4.0, node)


def _separate(touches: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Sets of rows that share no column."""
    left = np.arange(len(touches))
    sets = []
    while left.size:
        columns = touches[left[0]]
        while True:
            some = touches[:, columns].any(axis=1)
            more = touches[some].any(axis=0) | columns
            if (more == columns).all():
                break
            columns = more
        sets.append(np.union1d(np.flatnonzero(some), left[:1]))
        left = np.setdiff1d(left, sets[-1])
    return sets


# ---- normalisations ------------------------------------------------------------------


def _normalised(
    evidence: Evidence, reverse: Reverse, one: Normalization
) -> Iterator[Guess]:
    """The terms dn, mean and slope of the closed form, each by a factor per group."""
    node, g = one.node, reverse.gradient[one.node]
    groups = _groups(node.shape, one.axes)
    terms = {"the division": g, "the term of the variance": node.value}
    if one.centred:
        terms["the term of the mean"] = np.ones(node.shape)
    if len(terms) * len(groups) > _UNKNOWNS:
        return
    reduce = np.mean if one.mean else np.sum
    inverse = np.broadcast_to(one.inverse, node.shape)
    each = [
        inverse,
        -inverse * reduce(g * node.value, axis=one.axes, keepdims=True),
        -inverse * np.mean(g, axis=one.axes, keepdims=True),
    ]
    right = np.stack(
        [[field[group][0] for group in groups] for field in each[: len(terms)]]
    )
    shapes = [term * group for term in terms.values() for group in groups]
    _, sent = _sent(reverse, node, one.x, shapes)
    for some in (slice(None), *(slice(k, k + 1) for k in range(len(terms)))):
        wrong = np.zeros(right.shape, dtype=bool)
        wrong[some] = True
        free = np.flatnonzero(wrong)
        if not _enough(evidence, free.size):
            continue
        # What is right is sent already: the rest is by how much it is too large.
        found = fitted(evidence, [sent[k] for k in free])
        if found is not None:
            used = right.copy()
            used[wrong] += found[0]
            yield from _read_terms(found[1], node, list(terms), used, right)
            return


def _groups(shape: tuple[int, ...], axes: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    """For each set of places that share their statistics, where they are."""
    kept = tuple(1 if d in axes else n for d, n in enumerate(shape))
    number = np.broadcast_to(np.arange(np.prod(kept)).reshape(kept), shape)
    return [number == k for k in range(int(np.prod(kept)))]


def _read_terms(
    watch: Watch,
    node: Node,
    names: list[str],
    used: Array,
    right: Array,
) -> Iterator[Guess]:
    size = np.abs(right).max(axis=1, keepdims=True)
    off = (np.abs(used - right) > _SAME * size).any(axis=1)
    ratio = used / right
    # With another deviation the normalised values are others, too, or they are not.
    powers = (ratio[0], ratio[0] ** 3)
    if np.allclose(ratio[2:], ratio[0], rtol=1e-5, atol=0) and any(
        np.allclose(ratio[1], power, rtol=1e-5, atol=0) for power in powers
    ):
        text, code = "what {op} sends down is divided by another deviation", 0
    elif off.sum() == 1:
        text, code = f"{names[int(np.argmax(off))]} of {{op}} is wrong", int(not off[0])
    elif not off[0]:
        text, code = "the terms of both statistics of {op} are wrong", 1
    else:
        return
    name = ("local_derivative", "cross_term")[code]
    yield watch.guess(name, text, 4.1, node)
