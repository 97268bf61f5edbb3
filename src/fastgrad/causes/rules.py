"""The backward pass as data: what each operation sends to its inputs, as expressions.

The primitives' own rules are traced with symbols: ``g`` for what comes down, ``y`` for
the value, ``x`` or ``a`` and ``b`` for the inputs. Beside them stand closed forms of
what is several operations here and one for the user: sigmoid, softmax, log-softmax,
log-sum-exp, normalisation, a chain of functions of one value.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.expressions import Expression, call, symbol
from fastgrad.causes.patterns import miscounted, origins
from fastgrad.causes.reverse import Reverse, elementwise, is_mask
from fastgrad.causes.ties import reduced_axes, seen, winners, with_one_winner
from fastgrad.program import Node, ops

Array = NDArray[np.float64]
#: By words: a symbol, the cause code, and what is mistaken for it.
Others = Mapping[str, tuple[str, str, Any]]


class Rule(NamedTuple):
    """What a value sends to another one it comes from."""

    name: str  # "" for one of the primitive's own rules; else which closed form
    node: Node
    to: Node
    i: int | None  # which input `to` is; None for a closed form, instead of all is sent
    g: Expression  # what comes down
    sent: Expression  # before it is summed over axes along which `to` is repeated
    others: Others = MappingProxyType({})
    rest: Node | None = None  # what receives what is left of ``g``

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for the same rule in another turn of a loop."""
        return self.name, self.i, self.to.shape if self.name == "chain" else None


def rules(reverse: Reverse, node: Node) -> Iterator[Rule]:
    """Yield the operation's own rules, and the closed forms that end with it."""
    g = symbol("g", reverse.gradient[node])
    for form in (_own, _maximum, _branches, _closed):
        yield from form(reverse, node, g)


# ---- primitives ----------------------------------------------------------------------


def _own(reverse: Reverse, node: Node, g: Expression) -> Iterator[Rule]:
    primitive = ops.PRIMITIVES[node.op]
    names = "x" if len(node.inputs) == 1 else "abcdefgh"
    if node.op in _PLAIN or primitive.steps or len(node.inputs) > len(names):
        return
    values = [x.value for x in node.inputs]
    if elementwise(node):
        values = seen(node, reverse.side)
    inputs = [symbol(name, x) for name, x in zip(names, values, strict=False)]
    rule: Any = _RULES.get(node.op, primitive.derivative)
    try:
        parts = rule(g, symbol("y", node.value), inputs, node.ints)
    except (TypeError, AttributeError, ValueError):
        return  # works on its arrays in place
    for i, (x, part) in enumerate(zip(node.inputs, parts, strict=True)):
        if x.active and isinstance(part, Expression):
            yield Rule("", node, x, i, g, part, _of_product(node, i))


#: Nothing but factors and places; or with a rule of its own below.
_PLAIN = ("contract", "add", "subtract", "negative", "max")


def later(x: Array, axis: int) -> Array:
    """The sum of an entry and all behind it."""
    return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis)


def _cumsum(g: Any, y: Any, inputs: Any, ints: Any) -> tuple[Any]:
    return (call(later, g, axis=ints[0]),)


def _det(g: Any, y: Any, inputs: Any, ints: Any) -> tuple[Any]:
    inverse = np.linalg.inv(inputs[0])
    return ((g * y)[..., None, None] * np.swapaxes(inverse, -1, -2),)


_RULES = {"cumsum": _cumsum, "det": _det}


def _of_product(node: Node, i: int) -> Others:
    """What is mistaken for the other factor, if that is a constant."""
    if node.op != "multiply" or node.inputs[1 - i].active:
        return {}
    factor = np.broadcast_to(node.inputs[1 - i].value, node.shape)
    return _other_masks("ab"[1 - i], factor)


def _other_masks(name: str, mask: Array) -> Others:
    """What is mistaken for an array of zeros and one value."""
    if not is_mask(mask):
        return {}
    top = mask.max()
    return {
        "the mask of {op} is left out": (name, "mask", 1.0),
        "the mask of {op} is left out, its factor is not": (name, "mask", top),
        "the mask of {op} is inverted": (name, "mask", top - mask),
    }


def _maximum(reverse: Reverse, node: Node, g: Expression) -> Iterator[Rule]:
    """A maximum, whose gradient goes to its winners."""
    if node.op != "max":
        return
    axes, won = reduced_axes(node), winners(node)
    x, top = node.inputs[0].value, np.expand_dims(node.value, axes)
    first = np.zeros_like(x)
    first[tuple(0 if d in axes else slice(None) for d in range(x.ndim))] = 1
    others = {
        "all entries": np.ones_like(x),
        "all entries, as of an average": np.full(x.shape, top.size / x.size),
        "the first entry": first,
    }
    own = winners(with_one_winner(node, reverse.side)) if reverse.side else won
    share = symbol("share", own / own.sum(axis=axes, keepdims=True))
    whole: Any = g  # an expression, which NumPy's functions take
    made: Any = np.broadcast_to(np.expand_dims(whole, axes), x.shape) * share
    words = "{op} sends its gradient to %s, not to the largest"
    table = {words % how: ("share", "mask", v) for how, v in others.items()}
    yield Rule("maximum", node, node.inputs[0], 0, g, made, table)


def _branches(reverse: Reverse, node: Node, g: Expression) -> Iterator[Rule]:
    """Which branch of a choice receives the gradient, both branches together."""
    if node.op not in ("where", "maximum", "minimum"):
        return
    one, two = node.inputs[-2:]
    inputs = seen(node, reverse.side)
    a, b = inputs[-2:]
    on = inputs[0] != 0
    if node.op != "where":
        on = a > b if node.op == "maximum" else a < b
    table: Others = {
        "the branches of {op} are exchanged": ("c", "mask", ~on * 1.0),
    }
    yield Rule("branches", node, one, None, g, g * symbol("c", on * 1.0), table, two)


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


# ---- closed forms --------------------------------------------------------------------


def _closed(reverse: Reverse, node: Node, g: Expression) -> Iterator[Rule]:
    """What is several operations here: each form with the farthest value it is of."""
    found: dict[str, Rule] = {}
    for x, way in origins(reverse, node):
        if not x.size or not (x.value < np.inf).all():  # -inf is what is masked
            continue
        sums = [n for n in way if n.op == "sum" and n.inputs[0].shape == x.shape]
        if sums:
            axes = reduced_axes(sums[0])
            of = (*_of_weights(node, x, axes, g), *_normal(node, x, axes, g))
        elif len(way) > 1 and x.shape == node.shape and all(map(elementwise, way)):
            of = tuple(_of_chain(reverse, node, x, way, g))
        else:
            of = ()
        found |= {rule.name: rule for rule in of}
    yield from found.values()


def _is(node: Node, value: Any) -> bool:
    """Whether a node has a value, but for rounding."""
    return node.value.size == np.size(value) and bool(
        np.allclose(node.value, np.reshape(value, node.shape), 1e-9, 1e-12)
    )


def _of_chain(
    reverse: Reverse, node: Node, x: Node, way: list[Node], g: Expression
) -> Iterator[Rule]:
    """Functions in a row, say log(1 + exp(x)), whose slopes are one factor."""
    slopes: dict[Node, Any] = {x: np.ones(x.shape)}
    for n in reversed(way):
        inputs = [(i, y) for i, y in enumerate(n.inputs) if y in slopes]
        slopes[n] = sum(reverse.slope(n, i) * slopes[y] for i, y in inputs)
    y, slope = symbol("y", node.value), slopes[node]
    for z, down in ((x.value, g), (-x.value, -g)):  # as of exp(-x @ w)
        if _is(node, 1 / (1 + np.exp(-z))):
            yield Rule("sigmoid", node, x, None, g, down * (y * (1 - y)))
    if not np.isfinite(slope).all() or all(map(_is_linear, way)):
        return
    sent = g * symbol("slope", slope)
    if is_mask(slope):
        masks = _other_masks("slope", slope)
        yield Rule("mask", node, x, None, g, sent, masks)
    else:
        text = "the value of {op} is used for its derivative by what it is made of"
        others = {text: ("slope", "local_derivative", node.value)}
        yield Rule("chain", node, x, None, g, sent, others)


def _is_linear(node: Node) -> bool:
    """Whether it is a value times a number, or a sum: factors are looked for anyway."""
    if node.op in ("multiply", "divide"):
        *_, other = sorted(node.inputs, key=lambda x: not x.active)
        return not other.active and not other.ndim
    return node.op in ("add", "subtract", "negative")


def _of_weights(
    node: Node, x: Node, axes: tuple[int, ...], g: Expression
) -> Iterator[Rule]:
    """exp(x) / sum(exp(x)), its logarithm, and the logarithm of the sum."""
    v, p = x.value, _weights(x.value, axes)
    if x.shape == node.shape and _is(node, p):
        y = symbol("p", node.value)
        sent = y * (g - np.sum(g * y, axis=axes, keepdims=True))
        yield Rule("softmax", node, x, None, g, sent, _other_weights(x, axes))
    elif x.shape == node.shape and _is(node, np.log(p)):
        sent = g - symbol("p", p) * np.sum(g, axis=axes, keepdims=True)
        yield Rule("log-softmax", node, x, None, g, sent, _other_weights(x, axes))
    elif _is(node, np.log(np.exp(v).sum(axis=axes))):
        kept = tuple(1 if i in axes else n for i, n in enumerate(v.shape))
        weighed: Any = np.broadcast_to(np.reshape(g, kept), v.shape) * symbol("p", p)
        yield Rule("log-sum-exp", node, x, None, g, weighed, _other_weights(x, axes))


def _weights(x: Array, axes: tuple[int, ...]) -> Array:
    e = np.exp(x - x.max(axis=axes, keepdims=True))
    return np.asarray(e / e.sum(axis=axes, keepdims=True))


def _other_weights(x: Node, axes: tuple[int, ...]) -> Others:
    """What is mistaken for the weights ``exp(x) / sum(exp(x))``."""
    v, right = x.value, _weights(x.value, axes)
    others: dict[str, Any] = {
        "one for the largest": (v == v.max(axes, keepdims=True)) * 1.0,
        "not normalised": np.exp(v),
        "the scores themselves": v,
        "the logarithms of the weights": np.log(right),
        "all the same": np.full(v.shape, right.mean()),
        "sigmoids of the scores": 1 / (1 + np.exp(-v)),
        "of scores with the wrong sign": _weights(-v, axes),
    }
    words = "the weights exp(x) / sum(exp(x)) of {op} are "
    table = {words + how: ("p", "local_derivative", w) for how, w in others.items()}
    for how, code, value in miscounted(x):
        table[f"{words}of scores {how}"] = ("p", code, _weights(value, axes))
    for some in _subsets(v.ndim):
        if some != axes:
            along = f"axes {some}" if len(some) > 1 else f"axis {some[0]}"
            text = f"{words}normalised along {along}"
            table[text] = ("p", "reduction", _weights(v, some))
    if v.ndim > 1 and v.shape[-1] == v.shape[-2]:
        off = right * (1 - np.eye(v.shape[-1]))
        table[f"{words}zero on the diagonal"] = ("p", "mask", off)
        off = off / off.sum(axis=axes, keepdims=True)
        table[f"{words}zero on the diagonal, and normalised"] = ("p", "mask", off)
    return table


def _subsets(ndim: int) -> Iterator[tuple[int, ...]]:
    for n in range(1, ndim + 1):
        yield from combinations(range(ndim), n)


def _normal(
    node: Node, x: Node, axes: tuple[int, ...], g: Expression
) -> Iterator[Rule]:
    """(x - mean) / deviation and its kin: y is the deviation along the axes, scaled."""
    y = node.value
    for centred in (True, False) if x.shape == node.shape and np.any(y) else ():
        c = x.value - centred * x.value.mean(axis=axes, keepdims=True)
        squares = np.sum(y * y, axis=axes, keepdims=True)
        s = np.broadcast_to(np.sum(c * y, axis=axes, keepdims=True) / squares, y.shape)
        if np.ptp(s) and _is(node, c / s):
            n, reduce = (
                symbol("n", y),
                (np.mean if (squares > 1 + 1e-9).any() else np.sum),
            )
            inner = g - np.mean(g, axis=axes, keepdims=True) if centred else g
            inner = inner - n * reduce(g * n, axis=axes, keepdims=True)
            sent = inner / symbol("s", s)
            yield Rule("normalisation", node, x, None, g, sent)
            return
