"""What the gradient would be with one mistake at one operation, and whether it is.

Two kinds of guesses come from the program. What one operation sends to one input may be
multiplied by a number (zero where a use is forgotten, two where it is counted twice, the
batch size where an average is), and the number follows by least squares. Or it may be
something else altogether, out of the table in `mistakes`.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from fastgrad.causes.evidence import Array, Evidence, Guess, fit, join
from fastgrad.causes.mistakes import Mistake, mistakes, stretched
from fastgrad.causes.reverse import Reverse, Sends, elementwise, rightly
from fastgrad.program.graph import Node

Change = Sequence[Array | None]

#: Constant factors that may be wrong beside another mistake.
_BESIDES = (-1.0, 2.0, 0.5, -2.0, -0.5)


def counterfactuals(evidence: Evidence, reverse: Reverse) -> list[Guess]:
    """Return every mistake in the program that gives the gradient under test."""
    wrong = sum(1 << b for b in evidence.wrong)
    groups = [
        group
        for group in reversed(reverse.groups)
        if any(reverse.reached[node] & wrong for node in group)
    ]
    found: list[Guess] = []
    statistics: list[tuple[Guess, Change, Any]] = []
    for group in groups:
        found += _edges(evidence, reverse, group, statistics)
    found += _several_statistics(evidence, reverse, statistics)
    for group in groups:
        found += _table(evidence, reverse, group)
    return found


def match(
    evidence: Evidence, change: Change, factor: float = 1.0
) -> tuple[dict[int, float], int]:
    """Return the residuals of blocks that this change explains, and how many not."""
    explained, against = {}, 0
    for b, (block, moved) in enumerate(zip(evidence.blocks, change, strict=True)):
        if moved is None:
            continue
        with np.errstate(all="ignore"):
            guess = block.right + factor * moved
        if not block.is_wrong:
            against += bool((np.abs(factor * moved) > 3 * block.bar).any())
            continue
        residual = block.residual(guess)
        if residual is not None:
            explained[b] = residual
        elif (np.abs(factor * moved) > 3 * block.bar).any():
            against += 1
    return explained, against


def _best_factor(evidence: Evidence, change: Change) -> float | None:
    """The multiple of the change that is nearest to the error of the largest block."""
    candidates = [
        (moved.size, b)
        for b, moved in enumerate(change)
        if moved is not None and evidence.blocks[b].is_wrong and np.any(moved)
    ]
    for _, b in sorted(candidates, reverse=True)[:2]:
        block, moved = evidence.blocks[b], change[b]
        assert moved is not None
        known = block.known
        if not np.isfinite(moved).all() or not np.isfinite(block.off[known]).all():
            return None
        c = fit(block.off[known], moved[known])
        if c is None:
            continue
        with np.errstate(all="ignore"):
            if block.residual(block.right + c[0] * moved) is not None:
                return float(c[0])
    return None


# ---- edges --------------------------------------------------------------------------------


def _edges(
    evidence: Evidence,
    reverse: Reverse,
    group: list[Node],
    statistics: list[Any],
) -> Iterator[Guess]:
    for i, x in enumerate(group[0].inputs):
        if not x.active:
            continue
        for which, nodes in _turns_of_loop(group):
            change = reverse.change(dict.fromkeys(nodes, _without(i)))
            if all(moved is None for moved in change):
                continue
            if len(nodes) == len(group) and is_statistic(group[0], i):
                statistics.append((group[0], i, change))
            guess = _edge(evidence, reverse, nodes, i, change, which)
            if guess is not None:
                yield guess
        if len(group) > 1:
            yield from _loop(evidence, reverse, group, i)


def _without(i: int, factor: float = 0.0) -> Sends:
    def sends(node: Node, g: Array) -> list[tuple[Node, Any]]:
        sent = rightly(node, g)
        x, part = sent[i]
        sent[i] = (x, factor * np.asarray(part))
        return sent

    return sends


def _turns_of_loop(group: list[Node]) -> Iterator[tuple[str, list[Node]]]:
    yield "", group
    if len(group) > 2:
        yield "in all turns of the loop but the first", group[1:]
        yield "in all turns of the loop but the last", group[:-1]
    if 1 < len(group) <= 24:
        for k, node in enumerate(group):
            yield f"in turn {k} of the loop", [node]


def _loop(
    evidence: Evidence, reverse: Reverse, group: list[Node], i: int
) -> Iterator[Guess]:
    """Factors in every turn of a loop, whose powers do not add up linearly."""
    for factor in (-1.0, 2.0, 0.5):
        change = reverse.change(dict.fromkeys(group, _without(i, factor)))
        explained, against = match(evidence, change)
        if explained:
            code, text, cost = _read(evidence, reverse, group[0], i, factor)
            yield Guess(
                code, explained, text, cost=cost + 0.3, node=group[0],
                gradient=_gradient(evidence, change), against=against,
            )  # fmt: skip


def _edge(
    evidence: Evidence,
    reverse: Reverse,
    nodes: list[Node],
    i: int,
    change: Change,
    which: str,
) -> Guess | None:
    s = _best_factor(evidence, change)
    if s is None:
        return None
    kept = 1 - s
    kept = 0.0 if abs(kept) < 1e-6 else kept
    explained, against = match(evidence, change, s)
    if not explained:
        return None
    entries = sum(
        int(np.count_nonzero(change[b])) for b in explained if change[b] is not None
    )
    if entries < 3 and kept and evidence.factor(kept) is None:
        return None
    code, text, cost = _read(evidence, reverse, nodes[0], i, kept)
    if kept == 0 and _all_zero(evidence, explained):
        code, cost = "zero", min(cost, 3.0)
    if which:
        text, cost = f"{text}, {which}", cost + 0.2
    return Guess(
        code, explained, text, cost=cost, node=nodes[0],
        gradient=_gradient(evidence, change, s), against=against,
    )  # fmt: skip


def _all_zero(evidence: Evidence, explained: dict[int, float]) -> bool:
    return not any(np.any(evidence.blocks[b].given) for b in explained)


def _gradient(evidence: Evidence, change: Change, factor: float = 1.0) -> list[Array]:
    return [
        block.right if moved is None else block.right + factor * moved
        for block, moved in zip(evidence.blocks, change, strict=True)
    ]


def _read(
    evidence: Evidence, reverse: Reverse, node: Node, i: int, kept: float
) -> tuple[str, str, float]:
    """What it means that input `i` of a node receives `kept` times its gradient."""
    x = node.inputs[i]
    several = len(reverse.users[x]) > 1
    what = f"its {_ordinal(i)} operand" if len(node.inputs) > 1 else "its input"
    if is_statistic(node, i):
        return _read_statistic(evidence, node, i, kept)
    if kept == 0:
        if node.op in ("where", "maximum", "minimum", "abs"):
            text = f"{{op}} passes no gradient to {what}"
            return "local_derivative", text, 3.3
        text = f"the gradient that {{op}} sends to {what} is not added"
        return "accumulation", text, 3.2 if several else 4.2
    if abs(kept + 1) < 1e-6:
        natural = node.op in ("subtract", "negative", "cos", "arccos", "reciprocal", "divide")
        text = f"what {{op}} sends to {what} has the wrong sign"
        return "local_derivative", text, 2.9 if natural else 4.2
    constants = [y.value for j, y in enumerate(node.inputs) if j != i and not y.active]
    if constants and constants[0].ndim == 0 and node.op in ("multiply", "divide"):
        c = float(constants[0])
        if node.op == "divide" and i == 0 and c:
            c = 1 / c
        for power, how in ((-1, "left out"), (1, "applied twice")):
            if c and abs(kept * c ** -power - 1) < 1e-7:
                return _constant_factor(node, c, how)
    if abs(kept - 2) < 1e-6 or abs(kept - 0.5) < 1e-6:
        if node.op == "square":
            how = "doubled" if kept > 1 else "left out"
            return "local_derivative", f"the factor 2 of {{op}} is {how}", 2.8
        if kept > 1:
            text = f"the gradient that {{op}} sends to {what} is added twice"
            return "accumulation", text, 3.0 if several or node.op == "add" else 4.1
    axes = stretched(node, i)
    count = int(np.prod([node.shape[d] for d in axes]))
    if axes and abs(kept * count - 1) < 1e-6:
        text = f"the gradient that {{op}} sends to {what} is averaged, not summed"
        return "reduction", text, 2.8
    name = evidence.factor(kept)
    text = f"what {{op}} sends to {what} is multiplied by {kept:.6g}"
    return "scale", text + (f", which is {name}" if name else ""), 4.0 if name else 4.9


def _constant_factor(node: Node, c: float, how: str) -> tuple[str, str, float]:
    if node.label.endswith("mean"):
        what = "the average" if how == "left out" else "the division by the count"
        return "scale", f"{what} of {{op}} ({1 / c:.6g}) is {how}", 2.8
    return "scale", f"the constant {c:.6g} of {{op}} is {how}", 2.9


def _read_statistic(
    evidence: Evidence, node: Node, i: int, kept: float
) -> tuple[str, str, float]:
    count = int(np.prod([node.shape[d] for d in stretched(node, i)]))
    if kept == 0:
        text = "the statistic that {op} normalises by is treated as a constant"
        return "cross_term", text, 2.9
    text = f"the term of the statistic in {{op}} is multiplied by {kept:.6g}"
    if abs(kept - count) < 1e-6 * count or abs(kept * count - 1) < 1e-6:
        return "reduction", f"{text}: sum and mean over {count} are mixed up", 3.0
    return "cross_term", text, 3.4


def _ordinal(i: int) -> str:
    return ("first", "second", "third")[i] if i < 3 else f"{i + 1}th"


# ---- statistics of normalisations -----------------------------------------------------------

_LOCAL = ("sum", "view", "reshape")


def _local(node: Node, limit: int = 60) -> set[Node]:
    """The node and what it comes from by elementwise operations and sums."""
    found, stack = {node}, [node]
    while stack and len(found) < limit:
        here = stack.pop()
        if not (elementwise(here) or here.op in _LOCAL):
            continue
        for x in here.inputs:
            if x.active and x not in found:
                found.add(x)
                stack.append(x)
    return found


def is_statistic(node: Node, i: int) -> bool:
    """Whether input `i` is a sum over the very values it is combined with."""
    if len(node.inputs) != 2 or not elementwise(node) or not stretched(node, i):
        return False
    other = node.inputs[1 - i]
    if not other.active:
        return False
    mine = _local(node.inputs[i])
    sums = [n for n in mine if n.op == "sum"]
    beside = _local(other)
    return any(n.inputs[0] in beside or _local(n) & beside for n in sums)


def _several_statistics(
    evidence: Evidence, reverse: Reverse, statistics: list[Any]
) -> Iterator[Guess]:
    """Terms of two statistics, say mean and variance, that are both wrong."""
    for one, other in list(combinations(statistics, 2))[:40]:
        first, second = one[2], other[2]
        for b in evidence.wrong:
            block = evidence.blocks[b]
            if first[b] is None or second[b] is None or block.given.size < 4:
                continue
            if not np.isfinite(first[b]).all() or not np.isfinite(second[b]).all():
                continue
            c = fit(block.off[block.known], first[b][block.known], second[b][block.known])
            if c is None or np.abs(c).min() < 1e-7:
                continue
            change = [
                None if p is None or q is None else c[0] * p + c[1] * q
                for p, q in zip(first, second, strict=True)
            ]
            explained, against = match(evidence, change)
            if not explained:
                continue
            kept = 1 - c
            kept[np.abs(kept) < 1e-6] = 0
            shown = join([f"{k:.4g}" for k in kept])
            text = (
                "both statistics are treated as constants"
                if not kept.any()
                else f"the terms of both statistics in {{op}} are multiplied by {shown}"
            )
            yield Guess(
                "cross_term", explained, text, cost=3.3 if not kept.any() else 3.9,
                node=one[0], gradient=_gradient(evidence, change), against=against,
            )  # fmt: skip
            break


# ---- the table ------------------------------------------------------------------------------


def _table(
    evidence: Evidence, reverse: Reverse, group: list[Node]
) -> Iterator[Guess]:
    dropped: Change | None = None
    for mistake in mistakes(reverse, group):
        try:
            with np.errstate(all="ignore"):
                change = reverse.change(mistake.broken)
        except (ValueError, IndexError):
            continue  # shapes that do not fit: nobody's code
        guess = _as_is(evidence, mistake, change)
        if guess is None and mistake.constant:
            if dropped is None:
                dropped = reverse.change(dict.fromkeys(group, lambda node, g: []))
            guess = _with_constant(evidence, mistake, change, dropped)
        if guess is not None:
            yield guess


def _as_is(evidence: Evidence, mistake: Mistake, change: Change) -> Guess | None:
    explained, against = match(evidence, change)
    if not explained:
        return None
    return Guess(
        mistake.code, explained, mistake.text, cost=mistake.cost, node=mistake.node,
        gradient=_gradient(evidence, change), against=against,
    )  # fmt: skip


def _with_constant(
    evidence: Evidence, mistake: Mistake, change: Change, dropped: Change
) -> Guess | None:
    """The mistake, times a usual constant."""
    for factor in _BESIDES:
        scaled = [
            None if p is None or q is None else q + factor * (p - q)
            for p, q in zip(change, dropped, strict=True)
        ]
        guess = _as_is(evidence, mistake, scaled)
        if guess is not None:
            guess.text += f" (times {factor:g})"
            guess.cost += 0.9
            return guess
    return None
