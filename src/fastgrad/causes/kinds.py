"""Kinds of mistakes in an expression: a part left out, repeated, inverted, exchanged.

Each takes a part of what an operation sends and yields what may stand there instead;
an edit is that, in the same place of every turn of a loop.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, combinations
from typing import Any, NamedTuple

import numpy as np

from fastgrad.causes.expressions import Expression, call, symbol
from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.reverse import Reverse, elementwise
from fastgrad.causes.rules import FUNCTIONS, Rule, later, rules, slope_of
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

_PARTS = 12  # sizes of parts of an axis that are averaged over


class Variant(NamedTuple):
    """What may stand in place of a part of an expression."""

    kind: str
    new: Any


Kind = Callable[[Expression, Rule], Iterator[Variant]]

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
}
_COMPARISONS = (np.greater, np.less, np.equal, np.not_equal)


def _left_out(t: Expression, rule: Rule) -> Iterator[Variant]:
    """A factor, a term, a function, a reduction."""
    if t.function in _COMPARISONS:
        yield Variant("left out", np.ones(t.shape))
        return
    for k, a in enumerate(t.args):
        shown = isinstance(a, Expression) and _fits(a.shape, t.shape)
        if shown and (t.function is not np.divide or k == 0):
            yield Variant("left out", a)
        if shown and t.function is np.subtract and k == 1:
            yield Variant("left out", -a)


def _fits(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether an array can be repeated into a shape, or is repeated from it."""
    pairs = zip(shape[::-1], other[::-1], strict=False)
    return len(shape) <= len(other) and all(m == n or 1 in (m, n) for m, n in pairs)


def _exchanged(t: Expression, rule: Rule) -> Iterator[Variant]:
    """Multiplied for divided, added for subtracted, the mean for the sum."""
    other = _EXCHANGED.get(t.function)
    if other is not None:
        yield Variant("exchanged", call(other, *t.args, **t.kwargs))
    if t.function is np.negative:
        yield Variant("sign", t.args[0])


def _repeated(t: Expression, rule: Rule) -> Iterator[Variant]:
    """A factor or a function applied twice."""
    if t.function in (np.multiply, np.divide):
        yield Variant("repeated", call(t.function, t, t.args[1]))
        if t.function is np.multiply:
            yield Variant("repeated", t * t.args[0])
    elif len(t.inputs) == len(t.args) == 1 and t.inputs[0].shape == t.shape:
        yield Variant("repeated", call(t.function, t, **t.kwargs))


def _magnitude(t: Expression, rule: Rule) -> Iterator[Variant]:
    if t.function is not None and "g" not in t.symbols:
        yield Variant("magnitude", abs(t))


def _another_symbol(t: Expression, rule: Rule) -> Iterator[Variant]:
    """Its value for its input, what comes down for either."""
    if t.function is None:
        for name, other in _symbols(rule).items():
            if name != t.name and other.shape == t.shape:
                yield Variant(f"{name} for {t.name}", other)


def _symbols(rule: Rule) -> dict[str, Expression]:
    known = {
        "g": symbol("g", rule.sent_g),
        "y": symbol("y", rule.node.value),
    }
    if rule.i is None or len(rule.node.inputs) == 1:
        known["x"] = symbol("x", rule.to.value)
    elif elementwise(rule.node):
        for name, x in zip("abc", rule.node.inputs, strict=False):
            known[name] = symbol(name, np.broadcast_to(x.value, rule.node.shape))
    return known


def _over_others(t: Expression, rule: Rule) -> Iterator[Variant]:
    """Summed or averaged over other axes, or over parts of one."""
    if t.function not in (np.sum, np.mean) or not t.kwargs.get("keepdims"):
        return
    (a,), axes = t.args, t.kwargs["axis"]
    for n in range(1, a.ndim + 1):
        for other in combinations(range(a.ndim), n):
            if other != axes:
                new = call(t.function, a, axis=other, keepdims=True)
                yield Variant(f"over axes {other}", new)
    if len(axes) == 1:
        n = a.shape[axes[0]]
        for size in [s for s in range(2, n) if n % s == 0][:_PARTS]:
            new = call(_by_parts, a, reduce=t.function, axis=axes[0], size=size)
            yield Variant(f"over {size} of {n} entries", new)
        if a.ndim == 2 and a.shape[0] == a.shape[1]:
            yield Variant("along the wrong axis", call(np.swapaxes, t, 0, 1))


def _turned(t: Expression, rule: Rule) -> Iterator[Variant]:
    """An array that varies along another axis."""
    if t.function is None and t.name != "g":
        for a, b in combinations(range(t.ndim), 2):
            if t.shape[a] == t.shape[b] > 1:
                yield Variant("turned", call(np.swapaxes, t, a, b))


def _running(t: Expression, rule: Rule) -> Iterator[Variant]:
    """Sums of all behind an entry, taken of others."""
    if t.function is later:
        (a,), axis = t.args, t.kwargs["axis"]
        before = call(np.cumsum, a, axis=axis)
        whole = call(np.sum, a, axis=axis, keepdims=True)
        for new in (before, before - a, t - a, whole + 0 * a):
            yield Variant("of others", new)


def _by_parts(x: Any, reduce: Any, axis: int, size: int) -> Any:
    parts = x.reshape(*x.shape[:axis], -1, size, *x.shape[axis + 1 :])
    kept = reduce(parts, axis=axis + 1, keepdims=True)
    return np.broadcast_to(kept, parts.shape).reshape(x.shape)


def _constants(t: Expression, rule: Rule) -> Iterator[Variant]:
    """A number left out: 1 for 2 in a product, and so on."""
    if t.function not in (*_EXCHANGED, np.power):
        return
    for k, a in enumerate(t.args):
        if isinstance(a, float | int) and not isinstance(a, bool) and a not in (0, 1):
            args = [1.0 if j == k else b for j, b in enumerate(t.args)]
            yield Variant("constant left out", call(t.function, *args, **t.kwargs))


_PLAIN: tuple[Kind, ...] = (_left_out,)
_OTHERS: tuple[Kind, ...] = (
    _exchanged,
    _repeated,
    _another_symbol,
    _over_others,
    _turned,
    _running,
    _constants,
    _magnitude,
)


# ---- edits of a whole rule -----------------------------------------------------------


def _passed(rule: Rule) -> Iterator[Variant]:
    """What comes down, as it is."""
    if rule.sent_g.shape == rule.sent.shape:
        yield Variant("passed", symbol("g", rule.sent_g))


def _whole(rule: Rule) -> Iterator[Variant]:
    """Edits that have no one place in the expression."""
    g, sent = symbol("g", rule.sent_g), rule.sent
    if g.shape == sent.shape:
        yield Variant("twice", sent.replace("g", sent))
    for other in _symbols(rule).values():
        if other.shape == sent.shape:
            yield Variant("times a symbol", sent * other)
    yield from _all_over_others(rule)
    if rule.name.startswith("log-softmax"):
        yield from _of_probabilities(rule, g, sent)
    if _is_function(rule):
        yield from _of_functions(rule, g)
        yield from _as_matrix(rule, g)


def _of_probabilities(rule: Rule, g: Expression, sent: Expression) -> Iterator[Variant]:
    """A log-softmax with a softmax in front of it, behind it, or in its place."""
    y = symbol("y", rule.node.value)
    p = np.exp(y) if rule.name == "log-softmax" else y
    axis = next(t.kwargs["axis"] for _, t in sent.parts() if "axis" in t.kwargs)
    for some in (sent, g):
        jacobian = p * (some - np.sum(some * p, axis=axis, keepdims=True))
        yield Variant("softmax" if some is sent else "taken for a softmax", jacobian)
    yield Variant("times p", sent * p)
    yield Variant("times p (1 - p)", sent * (p * (1 - p)))


def _is_function(rule: Rule) -> bool:
    """Whether it is a function of one value, entry by entry."""
    own = rule.name in ("", "sigmoid") and rule.sent.function is np.multiply
    return (
        own
        and sum(x.active for x in rule.node.inputs) == 1
        and (rule.to.shape == rule.node.shape)
    )


def _as_matrix(rule: Rule, g: Expression) -> Iterator[Variant]:
    """The slope multiplied as a matrix."""
    slope = next((a for a in rule.sent.inputs if a.name != "g"), None)
    if slope is None or g.ndim != 2:
        return
    for one, two in ((g, slope), (slope, g)):
        fits = one.shape[1] == two.shape[0]
        if fits and (one.shape[0], two.shape[1]) == g.shape:
            yield Variant("as a matrix", np.matmul(one, two))


def _all_over_others(rule: Rule) -> Iterator[Variant]:
    """All sums and means of an expression over other axes."""
    found = [
        (path, t) for path, t in rule.sent.parts() if t.function in (np.sum, np.mean)
    ]
    for kinds in zip(*(_over_others(t, rule) for _, t in found), strict=False):
        if len(found) > 1:
            sent = rule.sent
            for (path, _), variant in zip(found, kinds, strict=True):
                sent = sent.put(path, variant.new)
            yield Variant(kinds[0].kind, sent)


def _of_functions(rule: Rule, g: Expression) -> Iterator[Variant]:
    """The derivative of another function, or of this one at another value."""
    x, y = symbol("x", rule.to.value), symbol("y", rule.node.value)
    for name in FUNCTIONS:
        for out, at in ((y, x), (x, x), (y, y)):
            try:
                yield Variant(f"of {name}", g * slope_of(name, out, at))
            except (TypeError, ValueError):
                continue  # works on its arrays in place
    tanh, sigmoid = np.tanh(x), 0.5 + 0.5 * np.tanh(x / 2)
    yield Variant("of tanh", g * slope_of("tanh", tanh, x))
    yield Variant("of sigmoid", g * slope_of("sigmoid", sigmoid, x))
    for at in (x, g):
        yield Variant("by a mask", g * call(np.greater, at, 0.0))


# ---- edits ---------------------------------------------------------------------------


def expression_edits(
    reverse: Reverse, group: list[Node], *, plain: bool
) -> Iterator[Mistake]:
    """Yield the edits of what the operations of a group send, the same in all turns.

    The plain ones, where something is left out, or all others.
    """
    each = [
        dict(chain(_edits(reverse, node, plain), _shared(reverse, node, plain)))
        for node in group
    ]
    # The first turn of a loop may start from a constant.
    known = {key: edit for edits in reversed(each) for key, edit in edits.items()}
    alike = Counter(key[:2] for key in known)
    for key, (code, text, constant, _) in known.items():
        broken = {n: e[key][3] for n, e in zip(group, each, strict=True) if key in e}
        cost = 3.0 + np.log2(1 + alike[key[:2]]) / 8
        yield Mistake(code, text, broken, cost, constant)
    if not plain:
        yield from _of_functions_of_value(reverse, group)


#: What a value may be a function of, and the slopes by which the gradients differ.
_OF_VALUE: dict[str, Callable[[Any], Any]] = {
    "exp": lambda v: np.exp(-v),
    "log": lambda v: v,
    "square": lambda v: 1 / (2 * v),
}


def _of_functions_of_value(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """The gradient with respect to a function of the value, not to the value."""
    for name, slope in _OF_VALUE.items():

        def sends(n: Node, g: Any, slope: Any = slope) -> Any:
            with np.errstate(all="ignore"):
                return reverse.rightly(n, g * slope(n.value))

        text = f"the gradient is that of the {name} of {{op}}, not of its value"
        yield Mistake("reparametrized", text, everywhere(group, sends), 4.1)


def _edits(
    reverse: Reverse, node: Node, plain: bool
) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    for rule in rules(reverse, node):
        own = (rule.name, rule.i, rule.to.shape if rule.name == "chain" else None)
        for words, (name, code, other) in rule.others.items() if not plain else ():
            sends = rule.sends(rule.sent, {name: other})
            yield (own, "others", words), (code, words, False, sends)
        whole = _passed(rule) if plain else _whole(rule)
        for k, (kind, sent) in enumerate(whole):
            if isinstance(sent, Expression):
                code, text = _said(rule, kind, sent)
                constant = _may_be_scaled(rule, kind, sent)
                yield (own, "whole", kind, k), (code, text, constant, rule.sends(sent))
        for path, part in rule.sent.parts():
            for kind_of in _PLAIN if plain else _OTHERS:
                for k, (kind, new) in enumerate(kind_of(part, rule)):
                    sent = _put(rule, path, new)
                    if sent is not None:
                        code, text = _said(rule, kind, sent, part)
                        key = (own, kind_of.__name__, path, kind, k)
                        constant = _may_be_scaled(rule, kind, sent)
                        yield key, (code, text, constant, rule.sends(sent))


def _may_be_scaled(rule: Rule, kind: str, sent: Expression) -> bool:
    """Whether a number may be wrong besides, as a factor that is left out, too."""
    if "g" not in sent.symbols:
        return False
    if kind.startswith("of "):
        return True
    return kind in ("left out", "passed") and rule.name in ("", "chain", "sigmoid")


def _shared(
    reverse: Reverse, node: Node, plain: bool
) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Edits of what stands in several places, there all at once."""
    own = list(rules(reverse, node))
    primitive = [rule for rule in own if not rule.name]
    if len(primitive) > 1 and not plain:
        for words, (name, code, other) in primitive[0].others.items():
            if all(words in rule.others for rule in primitive):
                sent = [rule.sent for rule in primitive]
                both = _all(primitive, sent, {name: other})
                yield ("", "others", words, "both"), (code, words, False, both)
    closed = [[rule] for rule in own if rule.name]
    for some in (*closed, primitive):
        places = [(part, rule) for rule in some for _, part in rule.sent.parts()]
        count = Counter(id(part) for part, _ in places)
        seen: set[int] = set()
        for number, (part, rule) in enumerate(places):
            if count[id(part)] < 2 or id(part) in seen or part.name == "g":
                continue
            seen.add(id(part))
            for kind_of in _PLAIN if plain else _OTHERS:
                for k, (kind, new) in enumerate(kind_of(part, rule)):
                    sent = [_swapped(r, part, new) for r in some]
                    if all(x is not None for x in sent):
                        code, text = _said(rule, kind, sent[some.index(rule)], part)
                        key = (rule.name, kind_of.__name__, number, kind, k)
                        constant = _may_be_scaled(rule, kind, part)
                        yield key, (code, text, constant, _all(some, sent))


def _swapped(rule: Rule, part: Expression, new: Any) -> Expression | None:
    try:
        sent = rule.sent.swap(part, new)
    except (ValueError, TypeError):
        return None
    return sent if isinstance(sent, Expression) else None


def _all(
    some: list[Rule], sent: list[Any], given: Mapping[str, Any] | None = None
) -> Any:
    """Sends each of these."""
    if len(some) == 1:
        return some[0].sends(sent[0])
    put = given or {}

    def sends(node: Node, g: Any) -> list[tuple[Node, Any]]:
        return [
            (rule.to, ops.unbroadcast(x.compute({**put, "g": g}), rule.to.shape))
            for rule, x in zip(some, sent, strict=True)
        ]

    return sends


def _put(rule: Rule, path: tuple[int, ...], new: Any) -> Expression | None:
    """What is sent with another part; None if the shapes do not fit."""
    try:
        sent = rule.sent.put(path, new)
        if isinstance(sent, Expression):
            return sent
        return symbol("", np.broadcast_to(sent, rule.sent.shape))
    except (ValueError, TypeError):
        return None


_MASKS = ("maximum", "minimum", "where")


def _said(
    rule: Rule, kind: str, sent: Expression, part: Expression | None = None
) -> tuple[str, str]:
    """The cause code, and words."""
    instead = f"{{op}} sends {sent}, where {rule.sent} is due".replace("{", "(")
    instead = instead.replace("}", ")").replace("(op)", "{op}")
    if kind == "turned":
        return "layout", instead
    if rule.name == "" and rule.node.op in ("cumsum", "cumprod"):
        return "accumulation", instead
    if kind in ("passed", "left out") and "g" in sent.symbols:
        for text, (_, code, _) in rule.others.items():
            if code == "mask" and "left out" in text:
                return code, text
    if "g" not in sent.symbols:
        values = np.unique(rule.sent_g)
        if values.size == 2 and 0 in values:
            return "mask", f"{instead}: the zeros in what comes down, g, are ignored"
        return "upstream", instead
    if (
        "over" in kind
        or "along" in kind
        or (
            part is not None
            and kind == "exchanged"
            and part.function in (np.sum, np.mean)
        )
    ):
        return "reduction", instead
    if rule.name in ("softmax", "log-softmax", "log-softmax of p", "normalisation"):
        term = part is not None and part.function in (
            np.add,
            np.subtract,
            np.sum,
            np.mean,
        )
        outer = (
            part is not None
            and part.function in (np.divide, np.multiply)
            and part is rule.sent
        )
        if kind in ("passed", "softmax") or (
            kind == "left out" and (term or (outer and rule.name == "softmax"))
        ):
            return "cross_term", instead
        if kind == "left out" and rule.name.startswith("log-softmax"):
            return "cross_term", instead
        return "local_derivative", instead
    compared = part is not None and any(
        t.function in _COMPARISONS for _, t in part.parts()
    )
    if rule.node.op in _MASKS and compared and kind != "left out":
        return "mask", instead
    of_mask = (
        kind.endswith("for g") is False
        and part is not None
        and part.function is None
        and rule.node.op in _MASKS
    )
    if of_mask or kind == "by a mask":
        return "mask", instead
    if kind == "passed":
        if rule.name == "chain" and rule.to.op == "parameter":
            text = (
                f"the derivative of {{op}} with respect to {rule.to.label} is left out"
            )
            return "reparametrized", text
        return "local_derivative", "the derivative of {op} is left out"
    return "local_derivative", instead
