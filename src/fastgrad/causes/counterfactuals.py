"""What the gradient would be with one mistake at one operation, and whether it is.

Two kinds of guesses come from the program. What one operation sends to one input may be
multiplied by a number (zero where a use is forgotten, two where it is counted twice,
the batch size where an average is), and the number follows by least squares. Or it may
be something else altogether, out of the `bank`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastgrad.causes.bank import mistakes_at
from fastgrad.causes.budget import Budget
from fastgrad.causes.combinations import several_terms
from fastgrad.causes.evidence import Array, Evidence, Guess
from fastgrad.causes.fields import fields
from fastgrad.causes.misplaced import misplaced
from fastgrad.causes.mistakes import Mistake, miscounted, plain
from fastgrad.causes.normalizations import is_statistic
from fastgrad.causes.reverse import Instead, Reverse, Sends, nothing, stretched
from fastgrad.causes.sieve import Sieve
from fastgrad.causes.substitutes import substitutes
from fastgrad.causes.watch import Change, Watch
from fastgrad.program.graph import Node

#: Cost from which on a guess is only taken for want of another.
_ODD = 4.5


def counterfactuals(
    evidence: Evidence, reverse: Reverse, budget: Budget
) -> list[Guess]:
    """Return mistakes in the program that give the gradient under test.

    First those that explain all wrong blocks and touch no right one; only where there
    is none, those that explain some.
    """
    wrong = sum(1 << b for b in evidence.wrong)
    groups = list(reversed(reverse.groups))
    covering = [g for g in groups if _reach(reverse, g) & wrong == wrong]
    touching = [g for g in groups if _reach(reverse, g) & wrong]
    found: list[Guess] = []
    sieve = Sieve(evidence, reverse)
    _search(evidence, reverse, covering, sieve, found, strict=True)
    if not _explained(evidence, found):
        budget.collect(misplaced(evidence, reverse, touching, sieve.probes), found)
        budget.collect(substitutes(evidence, reverse, touching, sieve.probes), found)
    if not _explained(evidence, found):
        budget.collect(fields(evidence, reverse, touching), found)
    if any(set(g.blocks) >= set(evidence.wrong) for g in found):
        return found
    some: list[Guess] = []
    _search(evidence, reverse, touching, sieve, some, strict=False)
    known = {b for guess in some for b in guess.blocks}
    alone = (g for g in found if g.cost < _ODD and not known & set(g.blocks))
    return [*some, *alone]


def _explained(evidence: Evidence, found: list[Guess]) -> bool:
    """Whether all that is wrong is explained, and not by an odd factor only."""
    wrong = set(evidence.wrong)
    return any(
        g.cost < _ODD and not g.against and set(g.blocks) >= wrong for g in found
    )


def _reach(reverse: Reverse, group: list[Node]) -> int:
    bits = 0
    for node in group:
        bits |= reverse.reached[node]
    return bits


def _search(
    evidence: Evidence,
    reverse: Reverse,
    groups: list[list[Node]],
    sieve: Sieve,
    found: list[Guess],
    *,
    strict: bool,
) -> None:
    budget = reverse.budget
    for group in groups:
        budget.collect(_edges(evidence, reverse, group, sieve, strict), found)
        budget.collect(_table(evidence, reverse, group, sieve, strict), found)
    if strict and not found:
        budget.collect(_other_values(evidence, reverse, groups), found)
    if strict:
        budget.collect(several_terms(evidence, reverse, groups), found)


def _other_values(
    evidence: Evidence, reverse: Reverse, groups: list[list[Node]]
) -> Iterator[Guess]:
    """The gradient at values that lack a term of the forward pass, as noise or data."""
    for node in (n for group in groups if len(group) == 1 for n in group):
        for what, value in miscounted(node):
            if np.array_equal(value, node.value):
                continue
            reverse.budget.check()
            try:
                gradient = reverse.replayed({node: value})
            except np.linalg.LinAlgError:
                continue  # no matrix that could be factorised
            watch = Watch(evidence, 1.0)
            for b, block in enumerate(evidence.blocks):
                if not watch(b, gradient[b] - block.right):
                    break
            else:
                # Noise that is added to the parameters makes another point of them.
                noisy = any(plain(x).op == "parameter" for x in node.inputs)
                code = "stale" if noisy else "local_derivative"
                text = f"the gradient is taken at {{op}} {what}"
                yield watch.guess(code, text, 3.6, node)


# ---- edges ---------------------------------------------------------------------------


def _edges(
    evidence: Evidence,
    reverse: Reverse,
    group: list[Node],
    sieve: Sieve,
    strict: bool,
) -> Iterator[Guess]:
    wrong = sum(1 << b for b in evidence.wrong)
    for i in range(len(group[0].inputs)):
        nodes = [n for n in group if n.inputs[i].active]
        reach = _reached_by(reverse, dict.fromkeys(nodes, Instead(i, nothing)))
        if not reach & wrong or (strict and reach & wrong != wrong):
            continue
        for which, some in _turns_of_loop(nodes, strict):
            broken: dict[Node, Sends] = dict.fromkeys(some, Instead(i, nothing))
            if not sieve.passes(broken, None):
                continue
            watch = Watch(evidence, None, strict=strict)
            reverse.change(broken, watch)
            if watch.explained and watch.factor is not None:
                yield from _edge(evidence, reverse, some[0], i, which, watch)
        if len(nodes) > 1:
            yield from _loop(evidence, reverse, nodes, i, strict)


def _turns_of_loop(group: list[Node], strict: bool) -> Iterator[tuple[str, list[Node]]]:
    if group:
        yield "", group
    if len(group) > 2:
        yield "in all turns of the loop but the first", group[1:]
        yield "in all turns of the loop but the last", group[:-1]
    if 1 < len(group) <= (24 if strict else 4):
        for k, node in enumerate(group):
            yield f"in turn {k} of the loop", [node]


def _loop(
    evidence: Evidence, reverse: Reverse, group: list[Node], i: int, strict: bool
) -> Iterator[Guess]:
    """Factors in every turn of a loop, whose powers do not add up linearly."""
    for factor in (-1.0, 2.0, 0.5):

        def part(node: Node, g: Array, factor: float = factor) -> Any:
            return factor * np.asarray(reverse.send(node, g)[i])

        watch = Watch(evidence, 1.0, strict=strict)
        reverse.change(dict.fromkeys(group, Instead(i, part)), watch)
        if watch.explained:
            code, text, cost = _read(evidence, reverse, group[0], i, factor)
            yield watch.guess(code, text, cost + 0.3, group[0])


def _edge(
    evidence: Evidence, reverse: Reverse, node: Node, i: int, which: str, watch: Watch
) -> Iterator[Guess]:
    kept = 1 - (watch.factor or 0.0)
    kept = 0.0 if abs(kept) < 1e-6 else kept
    if kept and watch.entries < 3 and evidence.factor(kept) is None:
        return
    code, text, cost = _read(evidence, reverse, node, i, kept)
    if kept == 0 and _all_zero(evidence, watch.explained):
        code, cost = "zero", min(cost, 3.0)
    if which:
        text, cost = f"{text}, {which}", cost + 0.2
    yield watch.guess(code, text, cost, node)


def _all_zero(evidence: Evidence, explained: dict[int, float]) -> bool:
    return not any(np.any(evidence.blocks[b].given) for b in explained)


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
            return "local_derivative", text, 3.0
        if _is_term(reverse, node, x):
            text = "a term of the derivative of {op} is left out"
            return "local_derivative", text, 3.0
        text = f"the gradient that {{op}} sends to {what} is not added"
        return "accumulation", text, 3.2 if several else 4.2
    if abs(kept + 1) < 1e-6:
        natural = node.op in (
            "subtract",
            "negative",
            "cos",
            "arccos",
            "reciprocal",
            "divide",
        )
        text = f"what {{op}} sends to {what} has the wrong sign"
        return "local_derivative", text, 2.9 if natural else 4.2
    constants = [y.value for j, y in enumerate(node.inputs) if j != i and not y.active]
    if constants and constants[0].ndim == 0 and node.op in ("multiply", "divide"):
        c = float(constants[0])
        if node.op == "divide" and i == 0 and c:
            c = 1 / c
        for power, how in ((-1, "left out"), (1, "applied twice")):
            if c and abs(kept * c**-power - 1) < 1e-7:
                return _constant_factor(evidence, node, c, how)
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


def _is_term(reverse: Reverse, node: Node, x: Node) -> bool:
    """Whether one call uses a value in several operations, as a power does.

    Turns of a loop are one operation each, of several calls.
    """
    if not node.label.startswith("np."):
        return False
    turns = next(group for group in reverse.groups if node in group)
    call = node.source.site, node.label
    users = {user for user, _ in reverse.users[x]}.difference(turns)
    return any((user.source.site, user.label) == call for user in users)


def _constant_factor(
    evidence: Evidence, node: Node, c: float, how: str
) -> tuple[str, str, float]:
    if node.label.endswith("mean"):
        what = "the average" if how == "left out" else "the division by the count"
        return "scale", f"{what} of {{op}} ({1 / c:.6g}) is {how}", 2.8
    # The whole gradient times a number is a scale; so is a count in a part of it.
    counts = {n for n in evidence.counts if n == round(n) and n > 1}
    is_count = any(abs(abs(c) * k - 1) < 1e-9 for k in counts)
    of_loss = node.value.ndim == 0
    code = "scale" if of_loss or is_count else "local_derivative"
    return code, f"the constant {c:.6g} of {{op}} is {how}", 2.6


def _read_statistic(
    evidence: Evidence, node: Node, i: int, kept: float
) -> tuple[str, str, float]:
    count = int(np.prod([node.shape[d] for d in stretched(node, i)]))
    if kept == 0:
        text = "the statistic that {op} normalises by is treated as a constant"
        return "cross_term", text, 2.9
    text = f"the term of the statistic in {{op}} is multiplied by {kept:.6g}"
    if abs(kept - count) < 1e-6 * count or abs(kept * count - 1) < 1e-6:
        return "reduction", f"{text}: sum and mean over {count} are mixed up", 2.7
    return "cross_term", text, 3.4


def _ordinal(i: int) -> str:
    return ("first", "second", "third")[i] if i < 3 else f"{i + 1}th"


# ---- the table -----------------------------------------------------------------------


def _table(
    evidence: Evidence,
    reverse: Reverse,
    group: list[Node],
    sieve: Sieve,
    strict: bool,
) -> Iterator[Guess]:
    silent: dict[Node, Sends] = dict.fromkeys(group, lambda node, g: [])
    dropped: Change | None = None
    wrong = sum(1 << b for b in evidence.wrong)
    for mistake in mistakes_at(reverse, group):
        reach = _reached_by(reverse, mistake.broken)
        if not reach & wrong or (strict and reach & wrong != wrong):
            continue
        # Where blocks may differ, the first one's factor need not be the others'.
        factors = (None,) if strict or mistake.step else (1.0, None)
        for factor in factors if mistake.constant or mistake.step else (1.0,):
            if not _may(sieve, mistake, factor, silent):
                continue
            if mistake.constant and dropped is None:
                dropped = reverse.change(silent)
            base = dropped if mistake.constant else None
            watch = Watch(evidence, factor, base=base, strict=strict)
            if _tried(reverse, mistake, watch):
                yield _as_guess(evidence, mistake, watch)
                break


def _may(
    sieve: Sieve,
    mistake: Mistake,
    factor: float | None,
    silent: Mapping[Node, Sends],
) -> bool:
    try:
        return sieve.passes(
            mistake.broken, factor, silent if mistake.constant else None
        )
    except (ValueError, IndexError):
        return False  # shapes that do not fit: nobody's code


def _tried(reverse: Reverse, mistake: Mistake, watch: Watch) -> bool:
    try:
        with np.errstate(all="ignore"):
            reverse.change(mistake.broken, watch)
    except (ValueError, IndexError):
        return False  # shapes that do not fit: nobody's code
    return bool(watch.explained) and watch.certain


def _reached_by(reverse: Reverse, broken: Mapping[Node, Sends]) -> int:
    """The parameters whose gradients may change, as bits."""
    bits = 0
    for node, sends in broken.items():
        to = node.inputs[sends.i] if isinstance(sends, Instead) else node
        bits |= reverse.reached.get(to, 0)
    return bits


def _as_guess(evidence: Evidence, mistake: Mistake, watch: Watch) -> Guess:
    factor = watch.factor
    if factor is None or factor == 1 or mistake.step:
        return watch.guess(mistake.code, mistake.text, mistake.cost, mistake.node)
    name = evidence.factor(factor)
    text = f"{mistake.text}, and it is multiplied by {factor:.6g}"
    cost = mistake.cost + (0.9 if name else 1.5)
    return watch.guess(mistake.code, text, cost, mistake.node)
