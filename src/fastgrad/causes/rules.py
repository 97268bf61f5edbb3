"""The backward pass as data: what each operation sends to its inputs, as expressions.

The primitives' own rules are traced with symbols: ``g`` for what comes down, ``y`` for
the value, ``x`` or ``a`` and ``b`` for the inputs. Beside them stand closed forms of
what is several operations here and one for the user: sigmoid, softmax, log-softmax,
log-sum-exp, normalisation, a chain of functions of one value.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.expressions import Expression, call, symbol
from fastgrad.causes.patterns import (
    is_exponentiated,
    miscounted,
    normalization,
    plain,
    scores_of,
    sigmoid_input,
    summed_axes,
)
from fastgrad.causes.reverse import Reverse, elementwise
from fastgrad.program import Node, ops

Array = NDArray[np.float64]


class Rule(NamedTuple):
    """What a value sends to another one it comes from.

    Attributes
    ----------
    name : str
        "" for one of the primitive's own rules; else which closed form it is.
    node, to : Node
    i : int or None
        Which input `to` is; None for a closed form, beside which nothing is sent.
    sent : Expression
        In terms of ``g``; before it is summed over axes along which `to` is repeated.
    others : mapping of str to (str, str, ndarray)
        By words: a symbol, the cause code, and what is mistaken for it.
    rest : Node, optional
        What receives what is left of ``g``.
    """

    name: str
    node: Node
    to: Node
    i: int | None
    sent: Expression
    others: Mapping[str, tuple[str, str, Any]] = {}
    rest: Node | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for the same rule in another turn of a loop."""
        return self.name, self.i, self.to.shape if self.name == "chain" else None

    @property
    def sent_g(self) -> Array:
        """What comes down, in the shape of the value."""
        return next(
            (t.value for _, t in self.sent.parts() if t.name == "g"), self.sent.value
        )


def rules(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """Yield the operation's own rules, and the closed forms that end with it."""
    yield from _own(reverse, node)
    for form in (
        _branches,
        _potential,
        _chain,
        _sigmoid,
        _softmax,
        _two_classes,
        _log_softmax,
        _log_sum,
        _normal,
    ):
        yield from form(reverse, node)


# ---- primitives ----------------------------------------------------------------------


def _own(reverse: Reverse, node: Node) -> Iterator[Rule]:
    primitive = ops.PRIMITIVES[node.op]
    if node.op in ("contract", "add", "subtract", "negative") or primitive.steps:
        return  # nothing but factors and places
    g, y = symbol("g", reverse.gradient[node]), symbol("y", node.value)
    full = elementwise(node)
    names = "x" if len(node.inputs) == 1 else "abcdefgh"
    if len(node.inputs) > len(names):
        return  # many values joined
    inputs = [
        symbol(name, np.broadcast_to(x.value, node.shape) if full else x.value)
        for name, x in zip(names, node.inputs, strict=False)
    ]
    if node.op == "max":
        yield _of_maximum(node, g)
        return
    try:
        with np.errstate(all="ignore"):
            parts = _RULES.get(node.op, primitive.derivative)(g, y, inputs, node.ints)
    except (TypeError, AttributeError, ValueError):
        return  # works on its arrays in place
    for i, (x, part) in enumerate(zip(node.inputs, parts, strict=True)):
        if x.active and isinstance(part, Expression):
            yield Rule("", node, x, i, part, _mistaken(node, i))


def later(x: Array, axis: int) -> Array:
    """The sum of an entry and all behind it."""
    return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis)


def _cumsum(g: Any, y: Any, inputs: Any, ints: Any) -> tuple[Any]:
    return (call(later, g, axis=ints[0]),)


def _cumprod(g: Any, y: Any, inputs: Any, ints: Any) -> tuple[Any]:
    axis = ints[0]
    before = np.roll(y.value, 1, axis)
    np.moveaxis(before, axis, 0)[:1] = 1.0
    return (symbol("before", before) * call(carried, g, inputs[0], axis=axis),)


def carried(g: Array, x: Array, axis: int) -> Array:
    """The sum of an entry and all behind it, times the factors between."""
    rest, x = np.moveaxis(g, axis, 0).copy(), np.moveaxis(x, axis, 0)
    for i in reversed(range(len(rest) - 1)):
        rest[i] += x[i + 1] * rest[i + 1]
    return np.moveaxis(rest, 0, axis)


def _det(g: Any, y: Any, inputs: Any, ints: Any) -> tuple[Any]:
    inverse = np.linalg.inv(inputs[0])
    return ((g * y)[..., None, None] * np.swapaxes(inverse, -1, -2),)


_RULES: dict[str, Callable[..., Any]] = {
    "cumsum": _cumsum,
    "cumprod": _cumprod,
    "det": _det,
}
_OF_MATRICES = ("solve", "det", "logabsdet")


def _mistaken(node: Node, i: int) -> dict[str, tuple[str, str, Any]]:
    """What is mistaken for a matrix, or for a constant array of zeros and one value."""
    if node.op in _OF_MATRICES:
        name = "x" if len(node.inputs) == 1 else "a"
        return {
            f"the derivative of {{op}} has its matrix {_plainly(how)}": (
                name,
                "local_derivative",
                value,
            )
            for how, value in miscounted(node.inputs[0])
        }
    if node.op != "multiply" or node.inputs[1 - i].active:
        return {}
    mask, name = np.broadcast_to(node.inputs[1 - i].value, node.shape), "ab"[1 - i]
    top = mask.max(initial=0)
    values = np.unique(mask)
    if values.size != 2 or values[0] != 0:
        return {}
    others: dict[str, tuple[str, str, Any]] = {
        "the mask of {op} is left out": (name, "mask", 1.0),
        "the mask of {op} is left out, its factor is not": (name, "mask", top),
        "the mask of {op} is inverted": (name, "mask", top - mask),
    }
    if top != 1:
        text = f"the factor {top:.6g} beside the mask of {{op}} is left out"
        others[text] = (name, "scale", (mask != 0) * 1.0)
        others["the mask of {op} is inverted, and its factor left out"] = (
            name,
            "mask",
            (mask == 0) * 1.0,
        )
    return others


#: Usual tolerances within which values are taken to be equal.
_TOLERANCES = [m * 10.0**e for e in range(-8, 1) for m in (1, 2, 3, 5)]


def _of_maximum(node: Node, g: Expression) -> Rule:
    """A maximum, whose gradient goes to its winners."""
    x = node.inputs[0].value
    axes = tuple(d for d, reduced in enumerate(node.ints) if reduced)
    top = x.max(axis=axes, keepdims=True)
    won = (x == top) * 1.0
    first, last = np.zeros_like(x), np.zeros_like(x)
    for kept, place in ((first, 0), (last, -1)):
        kept[tuple(place if d in axes else slice(None) for d in range(x.ndim))] = 1
    others = {
        "all entries": np.ones_like(x),
        "all entries, as of an average,": np.full(x.shape, top.size / x.size),
        "the first entry": first,
        "the last entry": last,
        "the smallest entry": (x == x.min(axis=axes, keepdims=True)) * 1.0,
        "the largest of the whole array": (x == x.max()) * 1.0,
        "what is positive": (x > 0) * 1.0,
    }
    if len(axes) == 2 and x.shape[axes[0]] == x.shape[axes[1]]:
        how = f"the winner's place with axes {axes[0]} and {axes[1]} exchanged"
        others[how] = won.swapaxes(*axes)
    near = np.abs(x - top)
    for tolerance in _TOLERANCES:
        others[f"what is within {tolerance:g} of the largest"] = near <= tolerance
    share = symbol("share", won / won.sum(axis=axes, keepdims=True))
    whole: Any = g  # an expression, which NumPy's functions take
    sent = np.broadcast_to(np.expand_dims(whole, axes), x.shape) * share
    words = "{op} sends its gradient to %s, not to the largest"
    table = {words % how: ("share", "mask", v * 1.0) for how, v in others.items()}
    made: Any = sent
    return Rule("maximum", node, node.inputs[0], 0, made, table)


def _branches(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """Which branch of a choice receives the gradient, both branches together."""
    if node.op not in ("where", "maximum", "minimum"):
        return
    one, two = node.inputs[-2:]
    a, b = (np.broadcast_to(x.value, node.shape) for x in (one, two))
    on = np.broadcast_to(node.inputs[0].value != 0, node.shape)
    if node.op != "where":
        on = a > b if node.op == "maximum" else a < b
    y, g = node.value, reverse.gradient[node]
    others = {
        "the branches of {op} are exchanged": ~on,
        "{op} chooses by the sign of its value": y > 0,
        "{op} chooses by the sign of what comes down": g > 0,
        "{op} chooses by the sign of its first branch": a > 0,
        "the first branch of {op} is taken everywhere": np.ones_like(on),
        "the second branch of {op} is taken everywhere": np.zeros_like(on),
    }
    condition = node.inputs[0]
    if condition.op in ("greater", "greater_equal"):
        p, q = (_inner(x) for x in condition.inputs)
        others["{op} compares without the magnitude"] = p > q
        p, q = (x.value for x in condition.inputs)
        others["{op} compares with zero"] = p > 0 if np.size(p) > 1 else q < 0
        others["{op} compares with the other sign"] = p > -q
    code = "mask"
    table = {
        how: ("c", "local_derivative" if "everywhere" in how else code, v * 1.0)
        for how, v in others.items()
        if np.shape(v) == node.shape
    }
    sent = symbol("g", g) * symbol("c", on * 1.0)
    yield Rule("branches", node, one, None, sent, table, two)


def _inner(x: Node) -> Array:
    """The value whose magnitude it is."""
    return (x.inputs[0] if x.op in ("abs", "square") else x).value


def _plainly(words: str) -> str:
    """Without braces, which stand for something else in messages."""
    return words.replace("{", "(").replace("}", ")")


# ---- functions of one value ----------------------------------------------------------


def slope_of(op: str, y: Any, x: Any) -> Any:
    """The derivative of a function of one value."""
    if op == "sigmoid":
        return y * (1 - y)
    return ops.PRIMITIVES[op].derivative(np.ones(y.shape), y, [x], ())[0]


#: Functions of one value whose derivatives are taken for one another's.
FUNCTIONS = (
    *("sigmoid", "tanh", "exp", "log", "sin", "cos", "square", "sqrt", "reciprocal"),
    *("abs", "arctan", "sinh", "cosh", "expm1", "log1p", "erf"),
)


def _chain(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """Functions in a row, say log(1 + exp(x)), whose slopes are one factor."""
    slope: Any = 1.0
    x = node
    for length in range(1, 7):
        active = [i for i, x_ in enumerate(x.inputs) if x_.active]
        if not elementwise(x) or len(active) != 1:
            return
        (i,) = active
        if x.inputs[i].shape != node.shape or ops.PRIMITIVES[x.op].steps:
            return
        slope = slope * reverse.slope(x, i)
        x = x.inputs[i]
        if length > 1 and np.isfinite(slope).all():
            g, y = symbol("g", reverse.gradient[node]), symbol("y", node.value)
            sent = g * symbol("slope", slope)
            text = "the value of {op} is used for its derivative by what it is made of"
            others = {text: ("slope", "local_derivative", y.value)}
            yield Rule("chain", node, x, None, sent, others)


def _sigmoid(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """The closed form of 1 / (1 + exp(-x))."""
    x = sigmoid_input(node)
    if x is not None:
        g, y = symbol("g", reverse.gradient[node]), symbol("y", node.value)
        sent = g * (y * (1 - y))
        yield Rule("sigmoid", node, x, None, sent)


# ---- exponentials that are summed ----------------------------------------------------


def _weights(x: Array, axes: tuple[int, ...]) -> Array:
    e = np.exp(x - x.max(axis=axes, keepdims=True))
    return np.asarray(e / e.sum(axis=axes, keepdims=True))


def _other_weights(x: Node, axes: tuple[int, ...]) -> dict[str, tuple[str, str, Any]]:
    """What is mistaken for the weights ``exp(x) / sum(exp(x))``."""
    v, right = x.value, _weights(x.value, axes)
    others: dict[str, tuple[str, Array]] = {
        "one for the largest": ("local_derivative", v == v.max(axes, keepdims=True)),
        "not normalised": ("local_derivative", np.exp(v)),
        "the scores themselves": ("local_derivative", v),
        "the logarithms of the weights": ("local_derivative", np.log(right)),
        "ones": ("local_derivative", np.ones(v.shape)),
        "all the same": ("local_derivative", np.full(v.shape, right.mean())),
        "p (1 - p) for weights p": ("local_derivative", right * (1 - right)),
        "1 - p for weights p": ("local_derivative", 1 - right),
        "squared": ("local_derivative", right**2),
        "sigmoids of the scores": ("local_derivative", 1 / (1 + np.exp(-v))),
        "of scores with the wrong sign": ("local_derivative", _weights(-v, axes)),
    }
    for some in subsets(tuple(range(v.ndim))):
        if some != axes:
            along = f"axes {some}" if len(some) > 1 else f"axis {some[0]}"
            others[f"normalised along {along}"] = ("reduction", _weights(v, some))
    for how, value in miscounted(x):
        others[f"of scores {how}"] = ("local_derivative", _weights(value, axes))
    for y in x.inputs if x.op in ("multiply", "divide") else ():
        if y.active and y.shape == x.shape:
            how = "of scores before they were scaled"
            others[how] = ("local_derivative", _weights(y.value, axes))
    if v.ndim > 1 and v.shape[-1] == v.shape[-2]:
        off = right * (1 - np.eye(v.shape[-1]))
        others["zero on the diagonal"] = ("mask", off)
        total = off.sum(axis=axes, keepdims=True)
        others["zero on the diagonal, and normalised without it"] = (
            "mask",
            off / total,
        )
    words = "the weights exp(x) / sum(exp(x)) of {op} are %s"
    return {
        _plainly(words % how).replace("(op)", "{op}"): (
            "p",
            code,
            np.asarray(value, float),
        )
        for how, (code, value) in others.items()
    }


def _softmax(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """The closed form of exp(x) / sum(exp(x))."""
    if node.op != "divide" or node.inputs[0].op != "exp":
        return
    total = plain(node.inputs[1])
    if total.op != "sum" or total.inputs[0] is not node.inputs[0]:
        return
    x, axes = scores_of(node.inputs[0].inputs[0]), summed_axes(total)
    if not x.active or x.shape != node.shape:
        return
    g, p = symbol("g", reverse.gradient[node]), symbol("p", node.value)
    sent = p * (g - np.sum(g * p, axis=axes, keepdims=True))
    yield Rule("softmax", node, x, None, sent, _other_weights(x, axes))
    if all(user.op == "log" for user, _ in reverse.users[node]):
        h = g * p
        error = h - p * np.sum(h, axis=axes, keepdims=True)
        yield Rule("log-softmax of p", node, x, None, error)


def _two_classes(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """Cross-entropy of a sigmoid p: what log(p) and log(1 - p) send together."""
    x, logs = sigmoid_input(node), _logs(reverse, node)
    if x is None or logs is None:
        return
    one, two = (symbol(n, reverse.gradient[m]) for n, m in zip("uv", logs, strict=True))
    p = symbol("p", node.value)
    others = {
        "the class that it predicts": (node.value > 0.5) * 1.0,
        "its input": x.value,
        "the exponential of its input": np.exp(x.value),
        "its logarithm": np.log(node.value),
        "the probability of the other class": 1 - node.value,
        "one half": np.full(node.shape, 0.5),
    }
    text = "the error of {op} is taken with %s in place of its value"
    table = {text % how: ("p", "local_derivative", v) for how, v in others.items()}
    yield Rule("two classes", node, x, None, one * (1 - p) - two * p, table)


def _logs(reverse: Reverse, node: Node) -> tuple[Node, Node] | None:
    """The nodes log(p) and log(1 - p), if nothing else uses p."""
    users = [user for user, _ in reverse.users[node]]
    if sorted(user.op for user in users) != ["log", "subtract"]:
        return None
    first, rest = sorted(users, key=lambda user: user.op)
    second = [user for user, _ in reverse.users[rest]]
    whole = rest.inputs[1] is node and [u.op for u in second] == ["log"]
    return (first, second[0]) if whole else None


def _log_softmax(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """The closed form of x - log(sum(exp(x)))."""
    if node.op != "subtract":
        return
    log = plain(node.inputs[1])
    total = plain(log.inputs[0]) if log.op == "log" else log
    if log.op != "log" or total.op != "sum" or total.inputs[0].op != "exp":
        return
    if scores_of(total.inputs[0].inputs[0]) is not scores_of(node.inputs[0]):
        return
    x, axes = scores_of(total.inputs[0].inputs[0]), summed_axes(total)
    if not x.active or x.shape != node.shape:
        return
    g, y = symbol("g", reverse.gradient[node]), symbol("y", node.value)
    sent = g - np.exp(y) * np.sum(g, axis=axes, keepdims=True)
    yield Rule("log-softmax", node, x, None, sent)
    p = symbol("p", np.exp(node.value))
    sent = g - p * np.sum(g, axis=axes, keepdims=True)
    yield Rule("probabilities", node, x, None, sent, _other_weights(x, axes))


def _log_sum(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """The closed form of log(sum(exp(x))), seen from its exponential."""
    users = reverse.users[node]
    if node.op != "exp" or len(users) != 1 or users[0][0].op != "sum":
        return
    above = total = users[0][0]
    while above.op in ("sum", "reshape", "view") and len(reverse.users[above]) == 1:
        above = reverse.users[above][0][0]
    x, axes = scores_of(node.inputs[0]), summed_axes(total)
    if above.op != "log" or not x.active or x.shape != node.shape:
        return
    mass = symbol("s", node.value.sum(axis=axes, keepdims=True))
    g, p = symbol("g", reverse.gradient[node]), symbol("p", _weights(x.value, axes))
    yield Rule(
        "log-sum-exp", node, node.inputs[0], 0, g * mass * p, _other_weights(x, axes)
    )


def _potential(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """A term of a logarithm: what is sent to the other term has its exponential."""
    if node.op != "add" or not is_exponentiated(reverse, node):
        return
    for i, x in enumerate(node.inputs):
        other = plain(node.inputs[1 - i])
        b = np.broadcast_to(node.inputs[1 - i].value, node.shape)
        others: dict[str, tuple[str, str, Any]] = {
            "is left out of": ("w", "local_derivative", np.exp(-b)),
            "counts twice in": ("w", "local_derivative", np.exp(b)),
        }
        for k in range(b.ndim):
            for d in range(k):
                if b.shape[k] == b.shape[d] > 1:
                    how = "is transposed in"
                    others[how] = ("w", "layout", np.exp(b.swapaxes(d, k) - b))
        name = other.label.replace("{", "(").replace("}", ")")
        words = f"{name} %s the weights by which {{op}} sends its gradient back"
        table = {words % how: edit for how, edit in others.items()}
        if x.active:
            sent = symbol("g", reverse.gradient[node]) * symbol(
                "w", np.ones(node.shape)
            )
            yield Rule("potential", node, x, i, sent, table)


# ---- normalisations ------------------------------------------------------------------


def _normal(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """The closed form of (x - mean) / deviation and its kin."""
    one = normalization(node)
    if one is None:
        return
    g, n = symbol("g", reverse.gradient[node]), symbol("n", node.value)
    s = symbol("s", np.broadcast_to(1 / one.inverse, node.shape))
    reduce: Any = np.mean if one.mean else np.sum
    inner = g
    if one.centred:
        inner = inner - np.mean(g, axis=one.axes, keepdims=True)
    inner = inner - n * reduce(g * n, axis=one.axes, keepdims=True)
    yield Rule("normalisation", node, one.x, None, inner / s)
    users = reverse.users[node]
    if len(users) == 1 and users[0][0].op == "multiply":
        user = users[0][0]
        h = symbol("h", g.value)
        inner = g - np.mean(h, axis=one.axes, keepdims=True) if one.centred else g
        inner = inner - n * reduce(h * n, axis=one.axes, keepdims=True)
        text = "the sums behind {op} are of the gradient before its scale"
        others = {text: ("h", "cross_term", reverse.gradient[user])}
        yield Rule("sums of a normalisation", node, one.x, None, inner / s, others)


def subsets(axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """All choices of some of the axes, small ones first."""
    return [s for n in range(1, len(axes) + 1) for s in combinations(axes, n)]
