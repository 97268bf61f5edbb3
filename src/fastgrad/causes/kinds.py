"""Kinds of mistakes in an expression: a part left out, repeated, exchanged.

Each takes a part of what an operation sends and yields what may stand there instead;
an edit is that, in the same place of every turn of a loop.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from fastgrad.causes.expressions import Expression, call, symbol
from fastgrad.causes.patterns import is_statistic
from fastgrad.causes.reverse import Reverse, elementwise, is_mask
from fastgrad.causes.rules import FUNCTIONS, Rule, later, slope_of
from fastgrad.causes.sites import Edit, Site
from fastgrad.program import Node, ops

#: A kind, and what stands there instead.
Variants = Iterator[tuple[str, Any]]

_EXCHANGED = {
    np.multiply: np.divide,
    np.divide: np.multiply,
    np.add: np.subtract,
    np.subtract: np.add,
    np.sum: np.mean,
    np.mean: np.sum,
    np.greater: np.less,
    np.less: np.greater,
    np.equal: np.not_equal,
    np.not_equal: np.equal,
    np.linalg.solve: np.matmul,
}
_OF_TERMS = (np.add, np.subtract, np.sum, np.mean)
_COMPARISONS = (np.greater, np.less, np.equal, np.not_equal)


# ---- edits of a part of an expression ------------------------------------------------


def _left_out(t: Expression, rule: Rule) -> Variants:
    """A factor, a term, a function, a reduction."""
    if t.function in _COMPARISONS:
        yield "left out", np.ones(t.shape)
        return
    for k, a in enumerate(t.args):
        shown = isinstance(a, Expression) and _fits(a.shape, t.shape)
        if shown and (t.function is not np.divide or k == 0):
            yield "left out", a
        if shown and t.function is np.subtract and k == 1:
            yield "left out", -a


def _fits(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether an array can be repeated into a shape, or is repeated from it."""
    pairs = zip(shape[::-1], other[::-1], strict=False)
    return len(shape) <= len(other) and all(m == n or 1 in (m, n) for m, n in pairs)


def _exchanged(t: Expression, rule: Rule) -> Variants:
    """Multiplied for divided, added for subtracted, the mean for the sum."""
    other = _EXCHANGED.get(t.function)
    if other is not None:
        yield "exchanged", call(other, *t.args, **t.kwargs)
    if t.function is np.negative:
        yield "sign", t.args[0]


def _first_term(t: Expression, rule: Rule) -> Variants:
    """The first of three terms and more, alone."""
    first: Any = t
    while isinstance(first, Expression) and first.function in (np.add, np.subtract):
        first = first.args[0]
    inner = isinstance(first, Expression) and first is not t
    if inner and first.shape == t.shape and first is not t.args[0]:
        yield "left out", first


def _another_symbol(t: Expression, rule: Rule) -> Variants:
    """Its value for its input, what comes down for either."""
    if t.function is None:
        for name, other in _symbols(rule).items():
            if name != t.name and other.shape == t.shape:
                yield f"{name} for {t.name}", other


def _symbols(rule: Rule) -> dict[str, Expression]:
    known = {"g": rule.g, "y": symbol("y", rule.node.value)}
    if rule.i is None or len(rule.node.inputs) == 1:
        known["x"] = symbol("x", rule.to.value)
    elif elementwise(rule.node):
        for name, x in zip("abc", rule.node.inputs, strict=False):
            known[name] = symbol(name, np.broadcast_to(x.value, rule.node.shape))
    return known


def _over_others(t: Expression, rule: Rule) -> Variants:
    """Summed or averaged over other axes."""
    if t.function in (np.sum, np.mean) and t.kwargs.get("keepdims"):
        (a,), axes = t.args, t.kwargs["axis"]
        for n in range(1, a.ndim + 1):
            for other in combinations(range(a.ndim), n):
                if other != axes:
                    new = call(t.function, a, axis=other, keepdims=True)
                    yield f"over axes {other}", new


def _running(t: Expression, rule: Rule) -> Variants:
    """Sums of all behind an entry, taken of others."""
    if t.function is later:
        (a,), axis = t.args, t.kwargs["axis"]
        before = call(np.cumsum, a, axis=axis)
        whole = call(np.sum, a, axis=axis, keepdims=True)
        for new in (before, before - a, t - a, whole + 0 * a):
            yield "of others", new


_OF_PARTS: tuple[Callable[[Expression, Rule], Variants], ...] = (
    _left_out,
    _exchanged,
    _another_symbol,
    _over_others,
    _running,
    _first_term,
)


# ---- edits of a whole rule -----------------------------------------------------------


def _of_whole(rule: Rule) -> Variants:
    """Edits that have no one place in the expression."""
    g, sent = rule.g, rule.sent
    down = sent.args[0] if rule.name == "sigmoid" else g  # minus g, of exp(x)
    if g.shape == sent.shape:
        yield "passed", down
        yield "twice", sent.replace("g", sent)
    for other in _symbols(rule).values():
        if other.shape == sent.shape:
            yield "times a symbol", sent * other
    yield from _all_over_others(rule)
    if rule.name == "log-softmax":
        # With a softmax behind it, or taken for one.
        p = np.exp(symbol("y", rule.node.value))
        axis = next(t.kwargs["axis"] for _, t in sent.parts() if "axis" in t.kwargs)
        for some in (sent, g):
            yield "softmax", p * (some - np.sum(some * p, axis=axis, keepdims=True))
        yield "softmax", sent * (p * (1 - p))
    elif rule.name in ("", "sigmoid") and sent.function is np.multiply:
        single = sum(x.active for x in rule.node.inputs) == 1
        yield from (
            _of_functions(rule, down) if single and rule.to.shape == g.shape else ()
        )


def _all_over_others(rule: Rule) -> Variants:
    """All sums and means of an expression over other axes."""
    parts = [(p, t) for p, t in rule.sent.parts() if t.function in (np.sum, np.mean)]
    for kinds in zip(*(_over_others(t, rule) for _, t in parts), strict=False):
        if len(parts) > 1:
            sent = rule.sent
            for (path, _), (_, new) in zip(parts, kinds, strict=True):
                sent = sent.put(path, new)
            yield kinds[0][0], sent


def _of_functions(rule: Rule, g: Any) -> Variants:
    """The derivative of another function, or of this one at another value."""
    x, y = symbol("x", rule.to.value), symbol("y", rule.node.value)
    for name in FUNCTIONS:
        for out, at in ((y, x), (x, x), (y, y)):
            with suppress(TypeError, ValueError):  # works on its arrays in place
                yield f"of {name}", g * slope_of(name, out, at)
    op = rule.name or rule.node.op
    if op == "sigmoid" or len(rule.node.inputs) == 1:
        evaluate = ops.PRIMITIVES[rule.node.op].evaluate
        again = (
            1 / (1 + np.exp(-y.value))
            if rule.name
            else evaluate([y.value], rule.node.ints)
        )
        yield "of its output", g * slope_of(op, symbol("", again), y)


# ---- what they are called ------------------------------------------------------------


_CHOICES = ("maximum", "minimum", "where")
COUPLED = ("softmax", "log-softmax", "normalisation")
_INSTEAD = "{which} sends {sent}, where {due} is due"


@dataclass(frozen=True)
class _Text:
    """A text that is put together where it is told: of few edits it is."""

    words: str
    said: dict[str, object]

    def __str__(self) -> str:
        return self.words.format(op="{op}", **self.said)


class Named(NamedTuple):
    """What is sent instead; whether a number may be wrong besides."""

    code: str
    text: object
    sent: Expression
    scaled: bool = False


def _named(
    rule: Rule, kind: str, sent: Expression, part: Expression | None = None
) -> Named:
    """An edit of this kind, of a part of a rule, by the first code that holds."""
    function, op = None if part is None else part.function, rule.node.op
    left_out, passed = kind == "left out", kind == "passed"
    # What comes down does not show, and is not ones; but something is sent.
    alone = "g" not in sent.symbols and not np.all(rule.g.value == 1)
    alone = alone and bool(np.any(sent.value))
    masked = "the mask of {op} is left out" in rule.others
    summed = function in (np.sum, np.mean)
    of_parameter = rule.name == "chain" and not rule.to.inputs
    local = "local_derivative"
    table: tuple[tuple[bool, str, str], ...] = (
        (left_out and function is np.swapaxes, "layout", _INSTEAD),
        (
            kind == "of its output",
            local,
            "the derivative of {op} is taken at its output",
        ),
        (op == "cumsum", "accumulation", _INSTEAD),
        (
            masked and (passed or left_out) and not alone,
            "mask",
            "the mask of {op} is left out",
        ),
        (
            alone and is_mask(rule.g.value),
            "mask",
            _INSTEAD + ": the zeros in what comes down, g, are ignored",
        ),
        (alone, "upstream", _INSTEAD),
        (kind.startswith("over"), "reduction", _INSTEAD),
        (kind == "exchanged" and summed, "reduction", _INSTEAD),
        (_is_crossed(rule, kind, part), "cross_term", _INSTEAD),
        (_is_of_choice(op, kind, part), "mask", _INSTEAD),
        (
            passed and of_parameter,
            "reparametrized",
            "the derivative of {op} with respect to {to} is left out",
        ),
        (passed and op in _CHOICES, "mask", "{op} passes what it is to stop"),
        (passed and _is_scaled(rule), "scale", "the derivative of {op} is left out"),
        (passed, local, "the derivative of {op} is left out"),
        (True, local, _INSTEAD),
    )
    code, words = next((code, words) for holds, code, words in table if holds)
    which = f"the {rule.name} at {{op}}" if rule.name else "{op}"
    said = {"which": which, "sent": sent, "due": rule.sent, "to": rule.to.label}
    return Named(code, _Text(words, said), sent, kind.startswith("of ") and not alone)


def _is_crossed(rule: Rule, kind: str, part: Expression | None) -> bool:
    """Whether it is about the terms by which entries are coupled, or a statistic."""
    coupled = kind in ("passed", "softmax")
    if kind == "left out":
        terms = part is not None and part.function in _OF_TERMS
        whole = rule.name == "softmax" and part is rule.sent
        coupled = terms or whole or rule.name == "log-softmax"
    statistic = rule.i is not None and is_statistic(rule.node, rule.i)
    return statistic or (coupled and rule.name in COUPLED)


def _is_scaled(rule: Rule) -> bool:
    """Whether an operation multiplies by a number, or divides by one."""
    node = rule.node
    others = [x for x in node.inputs if x is not rule.to]
    scales = node.op == "multiply" or (node.op == "divide" and rule.i == 0)
    return scales and all(x.size == 1 and not x.active for x in others)


def _is_of_choice(op: str, kind: str, part: Expression | None) -> bool:
    """Whether it is about where an operation passes something."""
    if op not in _CHOICES or kind == "left out" or part is None:
        return False
    return any(t.function in _COMPARISONS for _, t in part.parts())


# ---- edits ---------------------------------------------------------------------------


def expression_edits(reverse: Reverse, site: Site) -> Iterator[Edit]:
    """The rule with a part left out, exchanged, repeated, or another function's."""
    found = site.rules or {}
    if len(found) == 1:  # one by one, so that few arrays are kept
        ((node, rule),) = found.items()
        for key, edit in _edits(rule):
            yield from _unless_due(rule, edit, found, {node: {key: edit}}, key)
        return
    each = {n: dict(_edits(rule)) for n, rule in found.items()}
    for key in dict.fromkeys(key for table in each.values() for key in table):
        n = next(n for n, table in each.items() if key in table)
        yield from _unless_due(found[n], each[n][key], found, each, key)


def _unless_due(rule: Rule, edit: Named, *where: Any) -> Iterator[Edit]:
    """The edit, unless it gives what is due, or that by a number where any may be."""
    made, due = edit.sent.value.ravel(), rule.sent.value.ravel()
    scaled = edit.scaled
    if made.size == due.size:
        if np.array_equal(made, due):
            return
        alike = (made @ due) ** 2 >= (1 - 1e-12) * (made @ made) * (due @ due)
        scaled = scaled and not alike
    new = partial(_computed, *where)
    yield Edit(edit.code, edit.text, new, "factor" if scaled else "")


def _computed(
    found: Mapping[Node, Rule], each: Mapping[Node, Any], key: Any, n: Node, g: Any
) -> Any:
    sent = each[n][key].sent if key in each[n] else found[n].sent
    return sent.value if g is found[n].g.value else sent.compute({"g": g})


def _edits(rule: Rule) -> Iterator[tuple[Any, Named]]:
    """Yield the edits of a rule, with a key that is the same in all turns."""
    for words, (name, code, other) in rule.others.items():
        sent = rule.sent.replace(name, symbol("", other))
        yield words, Named(code, words, sent)
    for k, (kind, new) in enumerate(_of_whole(rule)):
        whole = _put(lambda sent: sent, new, rule)
        if whole is not None:
            yield (kind, k), _named(rule, kind, whole)
    parts = list(rule.sent.parts())
    count = Counter(id(part) for _, part in parts)
    once = {id(part): part for _, part in parts if count[id(part)] > 1}
    places: list[Any] = [
        (part, path, partial(rule.sent.put, path)) for path, part in parts
    ]
    for k, part in enumerate(once.values()):
        if part.name != "g":
            places.append(
                (part, k, partial(rule.sent.swap, partial(operator.is_, part)))
            )
    for part, place, put in places:
        for kind_of in _OF_PARTS:
            for k, (kind, new) in enumerate(kind_of(part, rule)):
                sent = _put(put, new, rule)
                if sent is not None:
                    key = kind_of, place, kind, k
                    yield key, _named(rule, kind, sent, part)


def _put(put: Callable[[Any], Any], new: Any, rule: Rule) -> Expression | None:
    """What is sent with another part; None if the shapes do not fit."""
    try:
        sent = put(new)
        if isinstance(sent, Expression):
            return sent
        return symbol("", np.broadcast_to(sent, rule.sent.shape))
    except (ValueError, TypeError):
        return None
