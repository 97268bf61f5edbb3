"""Values of a traced program: what was computed, from what, on which source line."""

import functools
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.program.primitives import ops
from fastgrad.program.sources import (
    Source,
    TraceError,
    calling_line,
    current_trace,
    outermost,
)

#: Most axes an array of a program can have (the kernels' MAX_NDIM).
MAX_NDIM = 8
#: Elements of an array that is not kept where its value can be computed again.
LARGE = 1 << 14


class Node:
    """One array of a program.

    Attributes
    ----------
    op : str
        A primitive of `ops.PRIMITIVES`, "parameter" or "constant".
    inputs : tuple of Node
    ints, shape : tuple of int
    label : str
        As the user wrote it, e.g. "np.tanh"; the block's name for a parameter.
    source : Source
    active : bool
        Whether it depends on a parameter.
    local : bool
        Whether it is large, and an entry of a parameter moves one element of it, in the
        same place.
    """

    __slots__ = (
        *("op", "inputs", "ints", "shape", "label", "source", "active", "local"),
        *("_value", "__weakref__"),
    )

    def __init__(
        self,
        op: str,
        inputs: tuple["Node", ...],
        ints: tuple[int, ...],
        value: NDArray[np.float64],
        label: str,
        source: Source,
        active: bool = True,
    ) -> None:
        self.op, self.inputs, self.ints = op, inputs, ints
        self.shape = value.shape
        self._value: NDArray[np.float64] | None = value
        self.label, self.source, self.active = label, source, active
        self.local = (
            value.size >= LARGE
            and active
            and op in ops.ELEMENTWISE
            and all([_stays(x, value.size) for x in inputs if x.active])
        )

    @property
    def value(self) -> NDArray[np.float64]:
        """Its value at theta, contiguous; computed again where it was let go."""
        return _computed(self) if self._value is None else self._value

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def let_go(self) -> None:
        """Free the value, if it is local."""
        if self.local:
            self._value = None

    def remember(self) -> None:
        """Keep the value from now on."""
        self._value = self.value

    def becomes(self, value: NDArray[np.float64]) -> None:
        """Have another value, if it is kept."""
        if self._value is not None:
            self._value = value

    def replaced(
        self, inputs: tuple["Node", ...], value: NDArray[np.float64]
    ) -> "Node":
        """The same operation of other inputs, with another value."""
        return Node(self.op, inputs, self.ints, value, self.label, self.source)


def _stays(x: Node, size: int) -> bool:
    """Whether an elementwise operation with so many elements leaves those of `x`."""
    return (x.local or x.op == "parameter") and x.size == size


def _computed(node: Node) -> NDArray[np.float64]:
    """The value of a node that has none, by those of the nodes before it."""
    order = topological(node, through=lambda x: x._value is None)
    last = {x: k for k, one in enumerate(order) for x in one.inputs}
    found: dict[Node, NDArray[np.float64]] = {}
    for k, one in enumerate(order):
        found[one] = value_of(one, [known(x, found) for x in one.inputs])
        for x in one.inputs:
            if last[x] == k:
                found.pop(x, None)
    return found[node]


def known(x: Node, found: Mapping[Node, NDArray[np.float64]]) -> NDArray[np.float64]:
    """The value that was found for a node, or its own."""
    value = found.get(x)
    return x.value if value is None else value


def _value_of(
    node: Node,
    inputs: Sequence[NDArray[np.float64]],
    ints: tuple[int, ...] | None = None,
    shape: tuple[int, ...] | None = None,
) -> NDArray[np.float64]:
    """What an operation makes of other inputs, contiguous.

    Of the same shapes, unless it is elementwise; or with the integers and the shape
    that are those of others.
    """
    ints = node.ints if ints is None else ints
    shape = node.shape if shape is None else shape
    if not inputs:
        value = node.value
    elif node.op == "view" and not shape:
        value = inputs[0][tuple(ints[: inputs[0].ndim])]
    elif node.op == "view":
        value = ops.view_of(inputs[0], ints, shape)
    elif node.op == "reshape":
        value = inputs[0].reshape(shape)
    elif node.op == "place":  # what lies between the inputs is in the value
        value = ops.place(inputs, node.ints, node.value)
    else:
        value = ops.PRIMITIVES[node.op].evaluate(inputs, ints)
    return np.asarray(value, dtype=np.float64, order="C")


#: The same without warnings where numbers overflow.
value_of = np.errstate(all="ignore")(_value_of)


def elsewhere(
    nodes: Sequence[Node],
    result: Node,
    parameters: Mapping[Node, NDArray[np.float64]],
) -> NDArray[np.float64]:
    """The value of a node where the parameters have others; inputs before outputs."""
    return values_at(nodes, parameters)[result]


def values_at(
    nodes: Sequence[Node], parameters: Mapping[Node, NDArray[np.float64]]
) -> dict[Node, NDArray[np.float64]]:
    """The values of all that depends on the parameters, where these have others."""
    found = dict(parameters)
    with np.errstate(all="ignore"):
        for node in nodes:
            if node.active and node.inputs:
                found[node] = _value_of(node, [known(x, found) for x in node.inputs])
    return found


def constant(value: Any, *, own: bool = False) -> Node:
    """A node for an array that does not depend on the parameters.

    Copied, unless it is one of those that the trace shares with the user.

    Parameters
    ----------
    value : array_like of real numbers
    own : bool
        Copied in any case.
    """
    if type(value) is not float and type(value) is not int:
        value = np.asarray(value)
        if value.dtype.kind not in "fiub":
            raise TraceError(f"uses a constant of dtype {value.dtype}")
    trace = current_trace.get()
    shared = not own and trace is not None and trace.shares(value)
    data = value if shared else np.array(value, dtype=np.float64, order="C")
    return Node("constant", (), (), data, "constant", calling_line(), active=False)


def digest(value: NDArray[np.float64]) -> int:
    """Of the bits of a contiguous array: a change shows, but for one in 2**32."""
    return zlib.crc32(value.reshape(-1).data)


def apply(
    op: str,
    inputs: Sequence[Node],
    ints: Sequence[int] = (),
    *,
    label: str,
    value: NDArray[np.float64] | None = None,
) -> Node:
    """Record one primitive; `value` where it does not follow from the ints."""
    told, trace = outermost.get(), current_trace.get()
    if value is None:
        evaluate = ops.PRIMITIVES[op].evaluate
        values = [x.value for x in inputs]
        if trace is None:  # which is quiet throughout
            with np.errstate(all="ignore"):
                value = evaluate(values, ints)
        else:
            value = evaluate(values, ints)
    value = np.asarray(value, dtype=np.float64)
    if value.ndim:
        if not value.flags.c_contiguous:
            value = np.ascontiguousarray(value)
        if value.ndim > MAX_NDIM:
            raise TraceError(f"makes an array of {value.ndim} axes; at most {MAX_NDIM}")
    active = any([x.active for x in inputs])
    source = None if told or trace is None else trace.source
    label = told[0] if told else label
    return Node(
        op, tuple(inputs), tuple(ints), value, label, source or calling_line(), active
    )


def topological(
    *results: Node, through: Callable[[Node], bool] = lambda node: True
) -> list[Node]:
    """Every node that these depend on, inputs before outputs.

    Only nodes that may be gone `through`, where that is asked for.
    """
    order: list[Node] = []
    seen: set[Node] = set()
    for result in results:
        if result in seen:
            continue
        seen.add(result)
        stack = [(result, iter(result.inputs))]
        while stack:
            node, inputs = stack[-1]
            for x in inputs:
                if x not in seen and through(x):
                    seen.add(x)
                    stack.append((x, iter(x.inputs)))
                    break
            else:
                order.append(node)
                stack.pop()
    return order


def in_order(parameters: Sequence[Node], result: Node) -> list[Node]:
    """The parameters, used or not, then all that `result` comes from, inputs first."""
    rest = [n for n in topological(result) if n.op != "parameter"]
    return [*parameters, *rest]


# ---- shape operations in terms of the primitives view, reshape, take, place ----------


def view(
    x: Node,
    offset: Sequence[int],
    moves: Sequence[int],
    shape: tuple[int, ...],
    label: str,
    value: Any = None,
) -> Node:
    """Strided view of `x`, see `ops.view_of`, with its value if that is at hand."""
    ints = (*offset, *moves)
    if value is None:
        value = ops.view_of(x.value, ints, shape)
    return apply("view", [x], ints, label=label, value=value)


def transpose(x: Node, axes: Sequence[int], label: str) -> Node:
    """`x` with its axes in another order."""
    if list(axes) == list(range(x.ndim)):
        return x
    moves = [k for axis in axes for k in (axis, 1)]
    shape = tuple(x.shape[axis] for axis in axes)
    return view(x, [0] * x.ndim, moves, shape, label)


def expand(x: Node, axes: Sequence[int], label: str) -> Node:
    """`x` with axes of length 1 inserted at positions `axes` of the result."""
    ndim = x.ndim + len(axes)
    shape = [1] * ndim
    kept = [d for d in range(ndim) if d not in axes]
    for axis, d in enumerate(kept):
        shape[d] = x.shape[axis]
    return reshape(x, tuple(shape), label)


def broadcast_to(x: Node, shape: tuple[int, ...], label: str) -> Node:
    """`x` repeated along axes of length 1 and new leading axes."""
    if x.shape == shape:
        return x
    np.broadcast_shapes(x.shape, shape)
    lead = len(shape) - x.ndim
    moves: list[int] = []
    for d in range(len(shape)):
        stretched = d < lead or x.shape[d - lead] != shape[d]
        moves += [-1, 0] if stretched else [d - lead, 1]
    return view(x, [0] * x.ndim, moves, shape, label)


def reshape(x: Node, shape: tuple[int, ...], label: str) -> Node:
    """`x` with the same elements in C order and another shape."""
    if shape == x.shape:
        return x
    ints = reshape_groups(x.shape, shape)
    return apply("reshape", [x], ints, label=label, value=x.value.reshape(shape))


@functools.lru_cache(maxsize=1024)
def reshape_groups(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """The finest groups of axes of equal products: n, then (n_old, n_new) of each."""
    if 0 in old:
        return 1, len(old), len(new)
    groups: list[list[int]] = []
    a = d = 0
    while a < len(old) and d < len(new):
        a0, d0, p, q = a, d, old[a], new[d]
        a, d = a + 1, d + 1
        while p != q:
            if p < q:
                p, a = p * old[a], a + 1
            else:
                q, d = q * new[d], d + 1
        groups.append([a - a0, d - d0])
    if not groups:
        groups = [[0, 0]]
    # What is left has length 1.
    groups[-1][0] += len(old) - a
    groups[-1][1] += len(new) - d
    return len(groups), *(n for group in groups for n in group)


def take(x: Node, index: NDArray[np.intp], label: str) -> Node:
    """`x[index]` along the first axis, for a vector of indices within bounds."""
    return apply("take", [x], (index.size, *index.tolist()), label=label)


def place(
    inputs: Sequence[Node],
    offsets: Sequence[Sequence[int]],
    fill: NDArray[np.float64],
    label: str,
    value: Any = None,
) -> Node:
    """The inputs laid into a copy of `fill`, with its value if that is at hand."""
    ints = [k for offset in offsets for k in offset]
    if value is None:
        value = ops.place([x.value for x in inputs], ints, fill)
    return apply("place", inputs, ints, label=label, value=value)
