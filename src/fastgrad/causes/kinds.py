"""Kinds of mistakes in an expression: a part left out, repeated, inverted, exchanged.

Each takes a part of what an operation sends and yields what may stand there instead;
an edit is that, in the same place of every turn of a loop.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from fastgrad.causes.arrangements import shifted
from fastgrad.causes.expressions import Expression, call, symbol
from fastgrad.causes.reverse import elementwise
from fastgrad.causes.rules import FUNCTIONS, Rule, carried, later, slope_of
from fastgrad.program import Node, ops

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
    np.linalg.solve: np.matmul,
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


def _unmasked(t: Expression, rule: Rule) -> Iterator[Variant]:
    """What is the same number wherever it is not masked, without the mask."""
    if "g" in t.symbols and t.ndim:
        values = np.unique(t.value)
        if values.size == 2 and 0 in values:
            yield Variant("unmasked", np.full(t.shape, values[values != 0][0]))


def _first_term(t: Expression, rule: Rule) -> Iterator[Variant]:
    """The first of three terms and more, alone."""
    first: Any = t
    while isinstance(first, Expression) and first.function in (np.add, np.subtract):
        first = first.args[0]
    inner = isinstance(first, Expression) and first is not t
    if inner and first.shape == t.shape and first is not t.args[0]:
        yield Variant("left out", first)


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
        step = a - call(shifted, a, 1, axis)
        for new in (before, before - a, t - a, whole + 0 * a, step):
            yield Variant("of others", new)
    elif t.function is carried:
        yield Variant("of others", call(later, t.args[0], **t.kwargs))


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


_OTHERS: tuple[Kind, ...] = (
    _exchanged,
    _repeated,
    _another_symbol,
    _over_others,
    _turned,
    _running,
    _constants,
    _magnitude,
    _unmasked,
    _first_term,
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
    primitive = ops.PRIMITIVES[rule.node.op]
    if rule.name == "" and elementwise(rule.node) and len(rule.node.inputs) == 1:
        again = symbol("", primitive.evaluate([y.value], rule.node.ints))
        yield Variant("of its output", g * slope_of(rule.node.op, again, y))
    elif rule.name == "sigmoid":
        again = symbol("", 1 / (1 + np.exp(-y.value)))
        yield Variant("of its output", g * slope_of("sigmoid", again, y))
    tanh, sigmoid = np.tanh(x), 0.5 + 0.5 * np.tanh(x / 2)
    yield Variant("of tanh", g * slope_of("tanh", tanh, x))
    yield Variant("of sigmoid", g * slope_of("sigmoid", sigmoid, x))
    for at in (x, g):
        yield Variant("by a mask", g * call(np.greater, at, 0.0))


# ---- edits ---------------------------------------------------------------------------

#: Of a rule, by a key that is the same in all turns: code, words, what is sent, whether
#: a number may be wrong besides, and arrays for symbols.
_Table = dict[Any, tuple[str, str, Expression, bool, dict[str, Any]]]


def expression_edits(site: Any) -> Iterator[tuple[str, str, Any, bool]]:
    """Yield the edits of what an operation sends, the same in all turns of a loop."""
    if len(site.rules) == 1:  # one by one, so that few arrays are kept
        ((node, rule),) = site.rules.items()
        for key, edit in _edits(rule):
            yield from _unless_due(rule, edit, site.rules, {node: {key: edit}}, key)
        return
    each = {n: dict(_edits(rule)) for n, rule in site.rules.items()}
    for key in dict.fromkeys(key for table in each.values() for key in table):
        n, table = next((n, t) for n, t in each.items() if key in t)
        yield from _unless_due(site.rules[n], table[key], site.rules, each, key)


def _unless_due(
    rule: Rule, edit: Any, *where: Any
) -> Iterator[tuple[str, str, Any, bool]]:
    """The edit, unless it gives what is due, or that by a number where any may be."""
    code, text, sent, scaled, given = edit
    made, due = sent.value.ravel(), rule.sent.value.ravel()
    if not given and sent is not rule.sent and made.size == due.size:
        if np.array_equal(made, due):
            return
        alike = (made @ due) ** 2 >= (1 - 1e-12) * (made @ made) * (due @ due)
        scaled = scaled and not (alike and due.size > 1)
    yield code, text, partial(_computed, *where), scaled


def _computed(
    rules: Mapping[Node, Rule], each: Mapping[Node, _Table], key: Any, n: Node, g: Any
) -> Any:
    if key not in each[n]:
        return rules[n].sent.compute({"g": g})
    _, _, sent, _, given = each[n][key]
    if not given and g is rules[n].sent_g:
        return sent.value
    return sent.compute({**given, "g": g})


def _edits(rule: Rule) -> Iterator[tuple[Any, Any]]:
    for words, (name, code, other) in rule.others.items():
        yield ("others", words), (code, words, rule.sent, False, {name: other})
    for of_rule in (_passed, _whole):
        for k, (kind, sent) in enumerate(of_rule(rule)):
            if isinstance(sent, Expression):
                yield (of_rule, kind, k), _said_of(rule, kind, sent)
    parts = list(rule.sent.parts())
    for path, part in parts:
        yield from _of_part(rule, part, path, partial(_put, rule, path))
    count = Counter(id(part) for _, part in parts)
    for number, part in enumerate({id(part): part for _, part in parts}.values()):
        if count[id(part)] > 1 and part.name != "g":
            yield from _of_part(rule, part, number, partial(_swapped, rule, part))


def _of_part(
    rule: Rule, part: Expression, place: Any, put: Callable[[Any], Expression | None]
) -> Iterator[tuple[Any, Any]]:
    """The edits of a part, where it stands or wherever it stands."""
    for kind_of in (_left_out, *_OTHERS):
        for k, (kind, new) in enumerate(kind_of(part, rule)):
            sent = put(new)
            if sent is not None:
                yield (kind_of, place, kind, k), _said_of(rule, kind, sent, part)


def _said_of(
    rule: Rule, kind: str, sent: Expression, part: Expression | None = None
) -> Any:
    code, text = _said(rule, kind, sent, part)
    return code, text, sent, _may_be_scaled(rule, kind, sent), {}


def _may_be_scaled(rule: Rule, kind: str, sent: Expression) -> bool:
    """Whether a number may be wrong besides, as a factor that is left out, too."""
    if "g" not in sent.symbols:
        return False
    if kind.startswith("of "):
        return True
    return kind in ("left out", "passed") and rule.name in ("", "chain", "sigmoid")


def _swapped(rule: Rule, part: Expression, new: Any) -> Expression | None:
    try:
        sent = rule.sent.swap(part, new)
    except (ValueError, TypeError):
        return None
    return sent if isinstance(sent, Expression) else None


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
    which = f"the {rule.name} at {{op}}" if rule.name else "{op}"
    instead = f"{which} sends {sent}, where {rule.sent} is due".replace("{", "(")
    instead = instead.replace("}", ")").replace("(op)", "{op}")
    if part is not None and part.function is np.swapaxes and kind == "left out":
        return "layout", instead
    if kind == "turned":
        return "layout", instead
    if kind == "unmasked":
        return "mask", f"{instead}: what is masked counts all the same"
    if kind == "of its output":
        return "local_derivative", "the derivative of {op} is taken at its output"
    if rule.name == "" and rule.node.op in ("cumsum", "cumprod"):
        return "accumulation", instead
    if kind in ("passed", "left out") and "g" in sent.symbols:
        for text, (_, code, _) in rule.others.items():
            if code == "mask" and "left out" in text:
                return code, text
    if "g" not in sent.symbols and not np.all(rule.sent_g == 1):
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
