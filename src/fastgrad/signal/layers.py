"""What a layer is: products of weights with signals, and what is applied to them."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastgrad._arrays import Array
from fastgrad.initializers.activations import NAMED, Activation, as_activation
from fastgrad.program import Node, ops

#: A unit whose slope is below this part of the largest one is saturated.
FLAT = 0.05
_SHAPE = frozenset(ops.SHAPE)
_CONSTANT, _WEIGHT, _LINEAR, _SIGNAL = range(4)


@dataclass(eq=False, repr=False)
class Product:
    """One product of a weight with a signal."""

    node: Node
    weight: Node
    signal: Node
    block: str  # the parameter the weight is made from

    @cached_property
    def fan_in(self) -> int:
        """Number of terms of each sum."""
        sizes, _, _, out = self._labels
        return int(np.prod([sizes[label] for label in sizes if label not in out]))

    @cached_property
    def axes(self) -> str:
        """For each axis of the result, u if it tells units apart, s if samples."""
        _, weight, signal, out = self._labels
        return "".join(
            "u" if label in weight or label not in signal else "s" for label in out
        )

    @cached_property
    def _labels(self) -> tuple[dict[int, int], list[int], list[int], list[int]]:
        """Return the length of each label, those of weight, of signal, of result."""
        *both, out = ops.contraction_labels(self.node.ints)
        sizes = {
            label: n
            for x, labels in zip(self.node.inputs, both, strict=True)
            for label, n in zip(labels, x.shape, strict=True)
        }
        weight, signal = both if self.node.inputs[0] is self.weight else both[::-1]
        return sizes, weight, signal, out

    @property
    def weight_is_rows(self) -> bool:
        """Whether the first axis of the weight is an axis of the result."""
        _, weight, _, out = self._labels
        return weight[0] in out


@dataclass(eq=False, repr=False)
class Elementwise:
    """A function of each entry of an array, as part of a program."""

    root: Node
    steps: tuple[Node, ...] = ()

    def __call__(self, x: Array) -> Array:
        """Return the function's values."""
        found = {self.root: x}
        for node in self.steps:
            inputs = [found.get(y, y.value.reshape(-1)[:1]) for y in node.inputs]
            found[node] = ops.PRIMITIVES[node.op].evaluate(inputs, node.ints)
        return np.broadcast_to(found[self.steps[-1]] if self.steps else x, x.shape)

    @property
    def signature(self) -> tuple[object, ...]:
        """Equal for equal functions."""
        number = {node: i for i, node in enumerate((self.root, *self.steps))}
        return tuple(
            (node.op, *(number.get(x, float(x.value.flat[0])) for x in node.inputs))
            for node in self.steps
        )

    @cached_property
    def name(self) -> str:
        """Its usual name, or what the user calls."""
        if not self.steps:
            return "linear"
        x = np.linspace(-6, 6, 49)
        with np.errstate(all="ignore"):
            away = {
                name: float(np.abs(self(x) - function(x)).max())
                for name, function in NAMED.items()
            }
        nearest = min(away, key=lambda name: (math.isnan(away[name]), away[name]))
        if away[nearest] < 1e-6:
            return nearest
        if self.homogeneous and float(self(np.ones(1))[0]) == 1:
            return f"leaky_relu({-float(self(-np.ones(1))[0]):g})"
        if away[nearest] < 1e-3:  # as the usual approximation of GELU is
            return nearest
        return " ".join(dict.fromkeys(node.label for node in self.steps))

    @cached_property
    def flat(self) -> tuple[float, float] | None:
        """Below and above which it hardly has a slope; None if not on both sides."""
        x = np.linspace(-16, 16, 1601)
        with np.errstate(all="ignore"):
            slope = np.abs(np.diff(self(x)))
        steep = np.flatnonzero(slope > FLAT * slope.max())
        if len(steep) < 10 or steep[0] == 0 or steep[-1] == len(slope) - 1:
            return None
        return float(x[steep[0]]), float(x[steep[-1] + 1])

    @cached_property
    def examined(self) -> Activation | None:
        """As mean-field theory takes it; None if it cannot."""
        try:
            return as_activation(self.name if self.name in NAMED else self)
        except ValueError:
            return None

    @cached_property
    def homogeneous(self) -> bool:
        """Whether phi(s x) = s phi(x) for s > 0, as of ReLU."""
        x = np.array([-3.0, -0.7, 0.0, 0.9, 2.0])
        with np.errstate(all="ignore"):
            return bool(np.array_equal(self(x * 2.0**20), self(x) * 2.0**20))


@dataclass(eq=False, repr=False)
class Layer:
    """A weight layer of a program."""

    index: int
    name: str  # its weight's block
    products: list[Product]
    pre: Node  # the pre-activation
    depth: int = 0  # weight layers on the longest way to here, this one included
    axes: str | None = None  # of `pre`: "u" units, "s" samples
    source: Node | None = None  # the signal it multiplies, before views of it
    root: Node | None = None  # what that is an elementwise function of
    incoming: Elementwise | None = None  # that function
    steps: tuple[Node, ...] = ()  # its operations, from root to source
    pooled: bool = False  # whether what it multiplies is means or maxima of that
    previous: "Layer | None" = None  # the last layer that signal went through
    outgoing: Elementwise | None = None  # of the next layer
    post: Node | None = None  # what comes out of it
    activated: Node | None = None  # what that activation is applied to
    residual: bool = False  # added to a signal that went around it
    normalized: bool = False  # its statistics are taken before the activation

    @cached_property
    def chained(self) -> bool:
        """Whether nothing but an activation is between the layer before and this."""
        sources = {stripped(product.signal)[0] for product in self.products}
        return (
            self.previous is not None
            and self.root is self.previous.pre
            and len(sources) == 1
        )


def stripped(x: Node) -> tuple[Node, bool]:
    """Return the array before views, padding, dropout masks, pooling; and if pooled."""
    pooled = False
    while x.active and x.inputs:
        if x.op in ("sum", "max"):
            pooled = True
        elif x.op not in _SHAPE and not _is_masked(x) and not _is_mean(x):
            break
        x = next(y for y in x.inputs if y.active)
    return x, pooled


def _is_masked(x: Node) -> bool:
    """Whether `x` is an array times a constant one of the same shape."""
    if x.op not in ("multiply", "divide"):
        return False
    array, mask = sorted(x.inputs, key=lambda y: not y.active)
    return not mask.active and mask.value.size > 1 and array.shape == x.shape


def _is_mean(x: Node) -> bool:
    """Whether `x` is a sum divided by a number, perhaps reshaped between."""
    if x.op != "divide" or x.inputs[1].active or x.inputs[1].value.size > 1:
        return False
    (x, _) = x.inputs
    while x.op in _SHAPE and len(x.inputs) == 1:
        (x,) = x.inputs
    return x.op == "sum"
