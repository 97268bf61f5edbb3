"""Programs evaluated beyond the range of float64: 0.5^5000 and its gradient.

A value is a float64 array, its mantissa, times a power of two. Where the traced value
is well inside the range of float64 it is used as it is, so that an ordinary network
costs one look at each array. From the first value on that is not, operations are done
again on mantissas:

- Homogeneous operations (products, sums, maximum, sqrt, ...) are exact: exponents are
  added, or aligned, and the mantissa is brought back near 1.
- log of m 2^e is log m + e log 2. Comparisons see aligned mantissas.
- tanh, sin, expm1, ... of values below 2^-200 are their slope at 0 times the value,
  and logaddexp of values above 2^200 is the maximum: both exact to rounding.
- All others are evaluated at true scale, where what is not representable is 0 or
  infinity: the limit of a sigmoid is right, that of exp is an infinity.

Reverse mode is linear in the gradient, which carries an exponent of its own.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program import Node, Primitive, ops

_SAFE = 2.0**400  # sums of squares from 1 / this to this need no scaling
_FAR = 200  # log2 of sizes at which functions are their asymptotes


class Scaled(NamedTuple):
    """The array ``mantissa * 2**exponent``."""

    mantissa: Array
    exponent: int = 0

    @property
    def log2_max(self) -> float:
        """Log2 of the largest absolute value, -inf for zeros."""
        return self.exponent + _log2(_largest(self.mantissa))

    @property
    def log2_rms(self) -> float:
        """Log2 of the root of the mean square."""
        flat = _distinct(self.mantissa).ravel()
        if not flat.size:
            return -math.inf
        return self.exponent + _log2(float(flat @ flat) / flat.size) / 2

    @property
    def true(self) -> Array:
        """The array itself; what is not representable is 0 or infinite."""
        if not self.exponent:
            return self.mantissa
        with np.errstate(all="ignore"):
            return np.asarray(np.ldexp(self.mantissa, self.exponent))


def evaluate(nodes: Iterable[Node]) -> dict[Node, Scaled]:
    """Return the value of every node, inputs being listed before outputs."""
    values: dict[Node, Scaled] = {}
    with np.errstate(all="ignore"):
        for node in nodes:
            inputs = [values[x] for x in node.inputs]
            traced = all(
                v.mantissa is x.value and not v.exponent
                for v, x in zip(inputs, node.inputs, strict=True)
            )
            if traced and _is_safe(node.value):
                values[node] = Scaled(node.value)
            elif not node.inputs:
                values[node] = _normal(node.value, 0)
            else:
                again = _again(node, [_normal(*x, always=True) for x in inputs])
                same = not again.exponent and np.array_equal(again[0], node.value)
                values[node] = Scaled(node.value) if same else again
    return values


def backpropagate(
    nodes: Sequence[Node],
    result: Node,
    values: Mapping[Node, Scaled],
    keep: Collection[Node],
) -> dict[Node, Scaled]:
    """Return the gradient of the sum of `result` at the nodes of `keep` it reaches."""
    gradients = {result: Scaled(np.ones(result.shape))}
    kept: dict[Node, Scaled] = {}
    with np.errstate(all="ignore"):
        for node in reversed(nodes):
            g = gradients.pop(node, None)
            if g is None:
                continue
            if node in keep:
                kept[node] = g
            for x, part in _derivatives(node, g, values) if node.inputs else ():
                part = Scaled(np.broadcast_to(part.mantissa, x.shape), part.exponent)
                gradients[x] = _sum(gradients[x], part) if x in gradients else part
    return kept


def _derivatives(
    node: Node, g: Scaled, values: Mapping[Node, Scaled]
) -> list[tuple[Node, Scaled]]:
    """Return what `node` sends to each of its active inputs."""
    inputs = [values[x] for x in node.inputs]
    if any(x.exponent for x in (*inputs, values[node])):
        inputs = [_normal(*x, always=True) for x in inputs]
        frame = _frame(node, inputs)
        m = _mantissas(frame, inputs)
        out = np.ldexp(values[node].mantissa, values[node].exponent - frame.out)
        parts: Sequence[Any] = frame.primitive.derivative(g.mantissa, out, m, node.ints)
        shifts = [g.exponent + frame.out - e for e in frame.exponents]
    else:
        m = [x.mantissa for x in inputs]
        parts = _plain_derivative(node, g.mantissa, values[node].mantissa, m)
        shifts = [g.exponent] * len(inputs)
    return [
        (x, _normal(np.asarray(part), shift))
        for x, part, shift in zip(node.inputs, parts, shifts, strict=True)
        if x.active and part is not None
    ]


def _plain_derivative(
    node: Node, g: Array, out: Array, m: Sequence[Array]
) -> Sequence[Any]:
    """Return the rule's gradients, for a product of active inputs only."""
    if node.op != "contract" or all(x.active for x in node.inputs):
        return ops.PRIMITIVES[node.op].derivative(g, out, m, node.ints)
    *labels, result = ops.contraction_labels(node.ints)
    einsum: Any = np.einsum
    return [
        einsum(g, result, m[1 - i], labels[1 - i], labels[i], optimize=True)
        if x.active
        else None
        for i, x in enumerate(node.inputs)
    ]


# ---- one operation on mantissas -----------------------------------------------------


@dataclass
class _Frame:
    """How to apply an operation to mantissas.

    ``primitive(mantissas of inputs with these exponents) + offset``, with the exponent
    `out`, is the value; the primitive's derivative is the derivative.
    """

    primitive: Primitive
    exponents: list[int]
    out: int
    offset: float = 0.0


def _line(slope: float) -> Primitive:
    return Primitive(
        lambda inputs, ints: slope * inputs[0],
        lambda g, out, inputs, ints: (slope * g,),
    )


_LINE = _line(1.0)
_NEAR_ZERO = {
    **dict.fromkeys(
        ["tanh", "sin", "tan", "arcsin", "arctan", "sinh", "arcsinh", "arctanh"], _LINE
    ),
    "expm1": _LINE,
    "log1p": _LINE,
    "erf": _line(2 / math.sqrt(math.pi)),
}
_DEGREES: dict[str, tuple[float, ...]] = {
    "multiply": (1, 1),
    "contract": (1, 1),
    "divide": (1, -1),
    "reciprocal": (-1,),
    "square": (2,),
    "sqrt": (0.5,),
    "cbrt": (1 / 3,),
    "sign": (0,),
    "not": (0,),
    "and": (0, 0),
    "or": (0, 0),
}
_ALIGNED = frozenset(
    ["add", "subtract", "maximum", "minimum", "abs", "negative", "hypot", "sum", "max"]
    + ["cumsum", "view", "reshape", "take", "place"]
)
_COMPARED = frozenset(["greater", "greater_equal", "equal", "not_equal", "arctan2"])
_LOGARITHMS = {"log": math.log(2), "log2": 1.0, "log10": math.log10(2)}


def _frame(node: Node, inputs: Sequence[Scaled]) -> _Frame:
    op, exponents = node.op, [x.exponent for x in inputs]
    top = max(x.log2_max for x in inputs)
    if op in _NEAR_ZERO and top < -_FAR:
        return _Frame(_NEAR_ZERO[op], exponents, exponents[0])
    if op == "logaddexp" and top > _FAR:
        op = "maximum"
    primitive = ops.PRIMITIVES[op]
    if op in _LOGARITHMS:
        return _Frame(primitive, exponents, 0, exponents[0] * _LOGARITHMS[op])
    if op in _ALIGNED or op in _COMPARED:
        common = _common_exponent(inputs)
        out = 0 if op in _COMPARED else common
        return _Frame(primitive, [common] * len(inputs), out)
    if op == "where":
        common = _common_exponent(inputs[1:])
        return _Frame(primitive, [exponents[0], common, common], common)
    degrees = _degrees(node)
    if degrees is None:
        return _Frame(primitive, [0] * len(inputs), 0)
    if op in ("sqrt", "cbrt", "power"):  # an exponent that its root divides
        exponents[0] -= exponents[0] % (3 if op == "cbrt" else 2)
    out = sum(round(d * e) for d, e in zip(degrees, exponents, strict=True))
    if op == "power":
        exponents[1] = 0
    return _Frame(primitive, exponents, out)


def _degrees(node: Node) -> tuple[float, ...] | None:
    """Return by which powers of its inputs a homogeneous operation grows."""
    if node.op == "prod":
        (x,) = node.inputs
        return (x.value.size // max(node.value.size, 1),)
    if node.op == "power":
        power = node.inputs[1]
        p = float(power.value.flat[0]) if power.value.size == 1 else math.nan
        return (p, 0) if not power.active and (2 * p).is_integer() else None
    return _DEGREES.get(node.op)


def _mantissas(frame: _Frame, inputs: Sequence[Scaled]) -> list[Array]:
    return [
        np.ldexp(x.mantissa, x.exponent - e) if x.exponent != e else x.mantissa
        for x, e in zip(inputs, frame.exponents, strict=True)
    ]


def _again(node: Node, inputs: Sequence[Scaled]) -> Scaled:
    """Return the value of `node` from those of its inputs."""
    frame = _frame(node, inputs)
    m = _mantissas(frame, inputs)
    rule = _SHAPED.get(node.op)
    value = rule(node, m, frame.out) if rule else frame.primitive.evaluate(m, node.ints)
    if frame.offset:
        value = value + frame.offset
    return _normal(np.ascontiguousarray(value).reshape(node.shape), frame.out)


def _placed(node: Node, m: Sequence[Array], exponent: int) -> Array:
    # What lies between the inputs is in the traced value.
    return ops.place(m, node.ints, np.ldexp(node.value, -exponent))


_SHAPED: dict[str, Callable[[Node, Sequence[Array], int], Array]] = {
    "view": lambda node, m, exponent: ops.view_of(m[0], node.ints, node.shape),
    "reshape": lambda node, m, exponent: m[0].reshape(node.shape),
    "place": _placed,
}


# ---- mantissas and exponents --------------------------------------------------------


def _normal(mantissa: Array, exponent: int, *, always: bool = False) -> Scaled:
    """Return the same value with a mantissa near 1, if it is far or `always`."""
    if not always and _is_safe(mantissa):
        return Scaled(mantissa, exponent)
    largest = _largest(mantissa)
    if not 0 < largest < math.inf:
        return Scaled(mantissa, exponent if largest else 0)
    shift = math.frexp(largest)[1]
    return Scaled(np.ldexp(mantissa, -shift), exponent + shift)


def _sum(x: Scaled, y: Scaled) -> Scaled:
    if x.exponent == y.exponent:
        return Scaled(x.mantissa + y.mantissa, x.exponent)
    e = _common_exponent((x, y))
    return Scaled(
        np.ldexp(x.mantissa, x.exponent - e) + np.ldexp(y.mantissa, y.exponent - e), e
    )


def _common_exponent(inputs: Sequence[Scaled]) -> int:
    """Return the largest exponent of those that are not zero throughout."""
    return max((x.exponent for x in inputs if x.mantissa.any()), default=0)


def _distinct(x: Array) -> Array:
    """Return `x` without the repetitions of a broadcast array."""
    if 0 not in x.strides:
        return x
    return x[tuple(slice(None) if s else slice(0, 1) for s in x.strides)]


def _is_safe(x: Array) -> bool:
    """Whether squares and products of the array are well inside the range."""
    flat = _distinct(x).ravel()
    square = float(flat @ flat)
    return 1 / _SAFE < square < _SAFE


def _largest(x: Array) -> float:
    x = _distinct(x)
    return max(float(x.max()), -float(x.min())) if x.size else 0.0


def _log2(x: float) -> float:
    return math.log2(x) if x > 0 else -math.inf if x == 0 else x
