"""The layers of a traced program, found by what its operations do.

A layer is a product (matmul, einsum, a convolution over sliding windows) of a weight,
an array made from the parameters alone, with a signal, anything else: the data or what
became of it. Its *pre-activation* is that product after reshaping, scaling, adding
biases and other such products (the two of a recurrent cell, the taps of a convolution).

The activation is found from the next layer: going back from the signal it multiplies,
through elementwise functions of one array, one arrives at the *root*. For plain layers
that is the pre-activation before; after batch normalisation, or a residual sum, it is
the array that the activation was applied to.
"""

import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastgrad.initializers.activations import NAMED, Activation, as_activation
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]

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
        sources = {_stripped(product.signal)[0] for product in self.products}
        return (
            self.previous is not None
            and self.root is self.previous.pre
            and len(sources) == 1
        )


def find_layers(nodes: Sequence[Node]) -> list[Layer]:
    """Return the weight layers of a program, inputs before outputs."""
    number = {node: i for i, node in enumerate(nodes)}
    users: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for x in dict.fromkeys(node.inputs):
            users[x].append(node)
    kinds, products = _classify(nodes)
    layers = _join(products, kinds, users, number)
    _connect(layers, nodes, number)
    for layer in layers:
        layer.axes = _axes(layer)
        layer.residual = any(
            user.op == "add" and any(_goes_around(x, kinds[x]) for x in user.inputs)
            for user in users[layer.pre]
        )
        layer.normalized = layer.post is not None and any(
            user.op == "sum" for user in users[layer.pre]
        )
    return layers


def _goes_around(x: Node, kind: int) -> bool:
    """Whether what is added to a layer is a signal, the data included."""
    return kind == _SIGNAL or (kind == _CONSTANT and x.value.size > 1)


# ---- which nodes are weights, and which are products of them ------------------------


def _classify(nodes: Sequence[Node]) -> tuple[dict[Node, int], list[Product]]:
    kinds: dict[Node, int] = {}
    blocks: dict[Node, str] = {}
    products: list[Product] = []
    for node in nodes:
        kinds[node] = _kind(node, [kinds[x] for x in node.inputs])
        if node.op == "parameter":
            blocks[node] = node.label
        for x in node.inputs:
            if x in blocks and kinds[node] == _WEIGHT:
                blocks.setdefault(node, blocks[x])
        if node.op == "contract" and kinds[node] == _LINEAR:
            x, y = node.inputs
            weight, signal = (x, y) if kinds[x] == _WEIGHT else (y, x)
            products.append(Product(node, weight, signal, blocks[weight]))
    return kinds, products


def _kind(node: Node, kinds: Sequence[int]) -> int:
    if node.op == "parameter":
        return _WEIGHT
    if not node.active:
        return _CONSTANT
    if node.op == "contract":
        # Of two weights the first is taken for the weight, the second for the signal.
        return _LINEAR if _WEIGHT in kinds else _SIGNAL
    highest = max(kinds)
    if highest == _WEIGHT and node.op == "take" and not _is_permutation(node):
        return _SIGNAL  # rows looked up in a table
    if highest != _LINEAR or _keeps_linear(node, kinds):
        return highest
    return _SIGNAL


def _is_permutation(node: Node) -> bool:
    return sorted(node.ints[1:]) == list(range(node.inputs[0].shape[0]))


def _keeps_linear(node: Node, kinds: Sequence[int]) -> bool:
    """Whether an operation on linear arrays leaves a pre-activation one."""
    if node.op in _SHAPE:
        return True
    if node.op in ("multiply", "divide"):
        return kinds.count(_LINEAR) == 1
    if node.op not in ("add", "subtract"):
        return False
    # A bias is a weight; a constant array is a target, or zeros to add to.
    return all(
        kind != _CONSTANT or x.value.size == 1 or not x.value.any()
        for x, kind in zip(node.inputs, kinds, strict=True)
    )


def _join(
    products: Sequence[Product],
    kinds: Mapping[Node, int],
    users: Mapping[Node, Sequence[Node]],
    number: Mapping[Node, int],
) -> list[Layer]:
    """Follow each product to its pre-activation, where some meet."""
    by_pre: dict[Node, list[Product]] = {}
    for product in products:
        pre = product.node
        while len(users[pre]) == 1:
            (user,) = users[pre]
            if kinds[user] != _LINEAR or user.op == "contract":
                break
            pre = user
        by_pre.setdefault(pre, []).append(product)
    ordered = sorted(by_pre, key=number.__getitem__)
    return [
        Layer(i, by_pre[pre][0].block, by_pre[pre], pre)
        for i, pre in enumerate(ordered)
    ]


# ---- how layers follow each other ---------------------------------------------------


def _connect(
    layers: Sequence[Layer], nodes: Sequence[Node], number: Mapping[Node, int]
) -> None:
    by_pre = {layer.pre: layer for layer in layers}
    owner: dict[Node, Layer] = {}  # the deepest layer an array comes from
    for node in nodes:
        before = [owner[x] for x in node.inputs if x in owner]
        deepest = max(before, key=lambda layer: layer.depth, default=None)
        layer = by_pre.get(node)
        if layer is not None:
            layer.depth = deepest.depth + 1 if deepest else 1
            # The product with the deepest signal names the layer.
            layer.products.sort(
                key=lambda p: owner[p.signal].depth if p.signal in owner else 0,
                reverse=True,
            )
            layer.name = layer.products[0].block
            deepest = layer
        if deepest is not None:
            owner[node] = deepest
    shared: dict[tuple[object, ...], Elementwise] = {}
    for layer in layers:
        source, layer.pooled = _stripped(layer.products[0].signal)
        function = _activation(source, by_pre, number)
        layer.source, layer.root, layer.steps = source, function.root, function.steps
        layer.incoming = shared.setdefault(function.signature, function)
        previous = owner.get(source)
        if previous is None:
            continue
        layer.previous = previous
        if previous.post is None or layer.chained:
            previous.outgoing, previous.post = layer.incoming, source
            previous.activated = layer.root


def _stripped(x: Node) -> tuple[Node, bool]:
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


def _activation(
    end: Node, stops: Mapping[Node, Layer], number: Mapping[Node, int]
) -> Elementwise:
    """Return the elementwise function of one array that `end` is.

    Going back from `end`, latest node first: whenever one node alone is left, `end` is
    a function of it.
    """
    root, waiting, seen = end, [(-number[end], end)], {end}
    steps: list[Node] = []
    reached = 0
    while waiting:
        _, node = heapq.heappop(waiting)
        if not waiting:
            root, reached = node, len(steps)
        arrays = [x for x in node.inputs if x.value.size > 1 or x.shape == end.shape]
        usable = (
            node.op in ops.ELEMENTWISE
            and node not in stops
            and all(x.active and x.shape == end.shape for x in arrays)
        )
        if not usable or not arrays:
            break
        steps.append(node)
        for x in arrays:
            if x not in seen:
                seen.add(x)
                heapq.heappush(waiting, (-number[x], x))
    return Elementwise(root, tuple(steps[:reached][::-1]))


# ---- which axes are units -----------------------------------------------------------


def _axes(layer: Layer) -> str | None:
    """Return the meaning of the pre-activation's axes; None if they are mixed."""
    path, node = [], layer.pre
    product = layer.products[0].node
    while node is not product:
        path.append(node)
        node = next(x for x in node.inputs if holds(x, {product}))
    axes: str | None = layer.products[0].axes
    for node in reversed(path):
        if axes is not None:
            axes = _axes_after(node, axes)
    return axes


def holds(node: Node, products: Collection[Node]) -> bool:
    """Whether a pre-activation's part contains one of these products."""
    stack, seen = [node], {node}
    while stack:
        x = stack.pop()
        if x in products:
            return True
        if x.op != "contract":
            new = [y for y in x.inputs if y not in seen]
            seen.update(new)
            stack += new
    return False


def _axes_after(node: Node, axes: str) -> str | None:
    if node.op == "view":
        n = node.inputs[0].value.ndim
        moves = node.ints[n::2]
        return "".join("s" if axis < 0 else axes[axis] for axis in moves)
    if node.op == "reshape":
        return _axes_reshaped(node, axes)
    if node.op == "place":
        return axes
    return "s" * (node.value.ndim - len(axes)) + axes


def _axes_reshaped(node: Node, axes: str) -> str | None:
    old, new = 0, ""
    for n_old, n_new in zip(node.ints[1::2], node.ints[2::2], strict=True):
        lengths = node.inputs[0].shape[old : old + n_old]
        group = {a for a, n in zip(axes[old:], lengths, strict=False) if n > 1}
        if len(group) > 1:
            return None
        new += (group.pop() if group else "s") * n_new
        old += n_old
    return new
