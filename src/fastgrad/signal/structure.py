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
from collections.abc import Collection, Mapping, Sequence

from fastgrad.program import Node, ops
from fastgrad.signal.layers import Elementwise, Layer, Product, stripped

#: A unit whose slope is below this part of the largest one is saturated.
FLAT = 0.05
_SHAPE = frozenset(ops.SHAPE)
_CONSTANT, _WEIGHT, _LINEAR, _SIGNAL = range(4)


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
    if node.op == "divide":
        return kinds[1] != _LINEAR
    if node.op == "multiply":
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
        source, layer.pooled = stripped(layer.products[0].signal)
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
