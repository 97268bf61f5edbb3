"""What NumPy's functions mean in terms of the primitives.

Two tables: `UFUNCS` by name of the ufunc, and `FUNCTIONS` by NumPy function. Every entry
takes nodes (and constants already made nodes) and returns nodes.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fastgrad.program import graph
from fastgrad.program.graph import Node, TraceError

Axis = int | Sequence[int] | None


def elementwise(op: str, *inputs: Node, label: str) -> Node:
    """One elementwise primitive."""
    return graph.apply(op, inputs, label=label)


# ---- ufuncs -------------------------------------------------------------------------

_SAME = {
    "exp", "expm1", "log", "log1p", "tanh", "sqrt", "square", "sign", "reciprocal",
    "negative", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh",
    "arcsinh", "arccosh", "arctanh", "exp2", "log2", "log10", "cbrt", "erf", "erfc",
    "floor", "ceil", "rint", "trunc", "add", "subtract", "multiply", "divide", "maximum",
    "minimum", "logaddexp", "arctan2", "hypot", "greater", "greater_equal", "equal",
    "not_equal",
}  # fmt: skip
_RENAMED = {
    "absolute": "abs", "fabs": "abs", "true_divide": "divide", "fmax": "maximum",
    "fmin": "minimum", "gammaln": "lgamma", "logical_not": "not", "logical_and": "and",
    "logical_or": "or", "bitwise_and": "and", "bitwise_or": "or", "logical_xor": "not_equal",
    "bitwise_xor": "not_equal", "invert": "not",
}  # fmt: skip
#: ufuncs whose result is a truth value.
BOOLEAN = {
    "greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "logical_not",
    "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
    "invert",
}  # fmt: skip


def _number(x: float) -> Node:
    return graph.constant(x)


def _power(x: Node, y: Node, label: str) -> Node:
    exponent = float(y.value) if not y.active and y.value.ndim == 0 else math.nan
    if exponent == 1:
        return x
    if exponent in (2, 3, 4):
        squared = elementwise("square", x, label=label)
        if exponent == 2:
            return squared
        if exponent == 4:
            return elementwise("square", squared, label=label)
        return elementwise("multiply", squared, x, label=label)
    if exponent == 0.5:
        return elementwise("sqrt", x, label=label)
    if exponent == -1:
        return elementwise("reciprocal", x, label=label)
    return elementwise("power", x, y, label=label)


def _sigmoid(x: Node, label: str) -> Node:
    e = elementwise("exp", elementwise("negative", x, label=label), label=label)
    one = _number(1.0)
    return elementwise(
        "reciprocal", elementwise("add", one, e, label=label), label=label
    )


def _xlogy(x: Node, y: Node, label: str) -> Node:
    nothing = elementwise("equal", x, _number(0.0), label=label)
    product = elementwise(
        "multiply", x, elementwise("log", y, label=label), label=label
    )
    return elementwise("where", nothing, _number(0.0), product, label=label)


def _remainder(x: Node, y: Node, label: str) -> Node:
    whole = elementwise("floor", elementwise("divide", x, y, label=label), label=label)
    product = elementwise("multiply", whole, y, label=label)
    return elementwise("subtract", x, product, label=label)


_COMPOSED: dict[str, Callable[..., Node]] = {
    "power": _power,
    "float_power": _power,
    "less": lambda x, y, label: elementwise("greater", y, x, label=label),
    "less_equal": lambda x, y, label: elementwise("greater_equal", y, x, label=label),
    "positive": lambda x, label: x,
    "conjugate": lambda x, label: x,
    "matmul": lambda x, y, label: matmul(x, y, label=label),
    "expit": _sigmoid,
    "log_expit": lambda x, label: elementwise(
        "negative",
        elementwise(
            "logaddexp",
            _number(0.0),
            elementwise("negative", x, label=label),
            label=label,
        ),
        label=label,
    ),
    "xlogy": _xlogy,
    "remainder": _remainder,
    "floor_divide": lambda x, y, label: elementwise(
        "floor", elementwise("divide", x, y, label=label), label=label
    ),
    "heaviside": lambda x, y, label: elementwise(
        "where",
        elementwise("equal", x, _number(0.0), label=label),
        y,
        elementwise("greater", x, _number(0.0), label=label),
        label=label,
    ),
    "deg2rad": lambda x, label: scale(x, math.pi / 180, label=label),
    "radians": lambda x, label: scale(x, math.pi / 180, label=label),
    "vecdot": lambda x, y, label: sum_(
        elementwise("multiply", x, y, label=label), -1, label=label
    ),
}


def ufunc(name: str, inputs: Sequence[Node], label: str) -> Node | None:
    """The result of a ufunc; None where it has no meaning in primitives."""
    if name in _COMPOSED:
        return _COMPOSED[name](*inputs, label=label)
    primitive = name if name in _SAME else _RENAMED.get(name)
    return None if primitive is None else elementwise(primitive, *inputs, label=label)


def scale(x: Node, factor: float, label: str) -> Node:
    """`x` times a number."""
    return elementwise("multiply", x, _number(factor), label=label)


# ---- reductions ---------------------------------------------------------------------


def _normalize_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    return tuple(np.lib.array_utils.normalize_axis_index(int(a), ndim) for a in axes)


def _reduce(op: str, x: Node, axis: Axis, keepdims: bool, label: str) -> Node:
    axes = _normalize_axes(axis, x.value.ndim)
    if not axes:
        return x
    ints = [int(d in axes) for d in range(x.value.ndim)]
    out = graph.apply(op, [x], ints, label=label)
    return graph.expand(out, axes, label) if keepdims else out


def sum_(x: Node, axis: Axis = None, *, keepdims: bool = False, label: str) -> Node:
    """Sum over axes."""
    return _reduce("sum", x, axis, keepdims, label)


def mean(x: Node, axis: Axis = None, *, keepdims: bool = False, label: str) -> Node:
    """Mean over axes."""
    count = math.prod(x.shape[a] for a in _normalize_axes(axis, x.value.ndim))
    total = sum_(x, axis, keepdims=keepdims, label=label)
    return elementwise("divide", total, _number(count), label=label)


def _max(x: Node, axis: Axis = None, *, keepdims: bool = False, label: str) -> Node:
    return _reduce("max", x, axis, keepdims, label)


def _min(x: Node, axis: Axis = None, *, keepdims: bool = False, label: str) -> Node:
    flipped = elementwise("negative", x, label=label)
    largest = _max(flipped, axis, keepdims=keepdims, label=label)
    return elementwise("negative", largest, label=label)


def _prod(x: Node, axis: Axis = None, *, keepdims: bool = False, label: str) -> Node:
    return _reduce("prod", x, axis, keepdims, label)


def _var(
    x: Node, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False, label: str
) -> Node:
    axes = _normalize_axes(axis, x.value.ndim)
    centred = elementwise(
        "subtract", x, mean(x, axes, keepdims=True, label=label), label=label
    )
    squares = sum_(
        elementwise("square", centred, label=label),
        axes,
        keepdims=keepdims,
        label=label,
    )
    count = math.prod(x.shape[a] for a in axes) - ddof
    return elementwise("divide", squares, _number(count), label=label)


def _std(
    x: Node, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False, label: str
) -> Node:
    variance = _var(x, axis, ddof=ddof, keepdims=keepdims, label=label)
    return elementwise("sqrt", variance, label=label)


def _cumsum(x: Node, axis: int | None = None, *, label: str) -> Node:
    if axis is None:
        x, axis = _ravel(x, label=label), 0
    (axis,) = _normalize_axes(axis, x.value.ndim)
    return graph.apply("cumsum", [x], [axis], label=label)


def _average(
    x: Node, axis: Axis = None, weights: Node | None = None, *, label: str
) -> Node:
    if weights is None:
        return mean(x, axis, label=label)
    if weights.shape != x.shape:
        raise TraceError("np.average with weights of another shape")
    weighted = elementwise("multiply", x, weights, label=label)
    return elementwise(
        "divide", sum_(weighted, axis, label=label), sum_(weights, axis, label=label),
        label=label,
    )  # fmt: skip


def _norm(
    x: Node,
    ord: Any = None,
    axis: Axis = None,
    keepdims: bool = False,
    *,
    label: str,
) -> Node:
    axes = _normalize_axes(axis, x.value.ndim)
    size = elementwise("abs", x, label=label)
    vector = len(axes) == 1
    if ord is None or ord == "fro" or (ord == 2 and vector):
        squares = elementwise("square", x, label=label)
        total = sum_(squares, axes, keepdims=keepdims, label=label)
        return elementwise("sqrt", total, label=label)
    if vector and ord == 1:
        return sum_(size, axes, keepdims=keepdims, label=label)
    if vector and ord == np.inf:
        return _max(size, axes, keepdims=keepdims, label=label)
    raise TraceError(f"uses np.linalg.norm with ord={ord!r}")


# ---- products -----------------------------------------------------------------------


def contract(x: Node, y: Node, lx: str, ly: str, lo: str, *, label: str) -> Node:
    """Einstein summation of two operands; one letter for each axis."""
    x, lx = _own_labels_summed(x, lx, ly + lo, label)
    y, ly = _own_labels_summed(y, ly, lx + lo, label)
    letters = sorted(set(lx + ly))
    # An axis of length 1 against a longer one is broadcast: drop it.
    for letter in letters:
        sizes = [n.shape[s.index(letter)] for n, s in ((x, lx), (y, ly)) if letter in s]
        if len(sizes) == 2 and sizes[0] != sizes[1]:
            if 1 not in sizes:
                raise ValueError(f"operands do not match: {x.shape} and {y.shape}")
            if sizes[0] == 1:
                x, lx = _drop_axis(x, lx, letter, label)
            else:
                y, ly = _drop_axis(y, ly, letter, label)
    ints = [len(letters)]
    for letter in letters:
        ints += [lx.find(letter), ly.find(letter), lo.find(letter)]
    return graph.apply("contract", [x, y], ints, label=label)


def _own_labels_summed(x: Node, lx: str, others: str, label: str) -> tuple[Node, str]:
    axes = [d for d, letter in enumerate(lx) if letter not in others]
    if axes:
        x = sum_(x, axes, label=label)
    return x, "".join(letter for letter in lx if letter in others)


def _drop_axis(x: Node, lx: str, letter: str, label: str) -> tuple[Node, str]:
    axis = lx.index(letter)
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return graph.reshape(x, shape, label), lx.replace(letter, "")


_LETTERS = string.ascii_letters


def matmul(x: Node, y: Node, *, label: str) -> Node:
    """`x @ y`, with stacks of matrices broadcast."""
    if not x.value.ndim or not y.value.ndim:
        raise ValueError("matmul of a scalar")
    batch = _LETTERS[3 : 3 + max(x.value.ndim, y.value.ndim, 2) - 2]
    lx = "c" if x.value.ndim == 1 else batch[len(batch) - x.value.ndim + 2 :] + "ac"
    ly = "c" if y.value.ndim == 1 else batch[len(batch) - y.value.ndim + 2 :] + "cb"
    lo = batch + ("a" if "a" in lx else "") + ("b" if "b" in ly else "")
    lo = "".join(letter for letter in lo if letter in lx + ly)
    return contract(x, y, lx, ly, lo, label=label)


def _dot(x: Node, y: Node, *, label: str) -> Node:
    if not x.value.ndim or not y.value.ndim:
        return elementwise("multiply", x, y, label=label)
    lx = _LETTERS[: x.value.ndim]
    ly = _LETTERS[x.value.ndim : x.value.ndim + y.value.ndim]
    summed = ly[-2] if len(ly) > 1 else ly[-1]
    return contract(
        x,
        y,
        lx,
        ly.replace(summed, lx[-1]),
        lx[:-1] + ly.replace(summed, ""),
        label=label,
    )


def _inner(x: Node, y: Node, *, label: str) -> Node:
    return _tensordot(x, y, ([x.value.ndim - 1], [y.value.ndim - 1]), label=label)


def _tensordot(x: Node, y: Node, axes: Any = 2, *, label: str) -> Node:
    if isinstance(axes, (int, np.integer)):
        axes = (
            list(range(x.value.ndim - int(axes), x.value.ndim)),
            list(range(int(axes))),
        )
    ax = _normalize_axes(axes[0], x.value.ndim)
    ay = _normalize_axes(axes[1], y.value.ndim)
    lx = _LETTERS[: x.value.ndim]
    ly = list(_LETTERS[x.value.ndim : x.value.ndim + y.value.ndim])
    for i, j in zip(ax, ay, strict=True):
        ly[j] = lx[i]
    lo = [letter for d, letter in enumerate(lx) if d not in ax]
    lo += [letter for d, letter in enumerate(ly) if d not in ay]
    return contract(x, y, lx, "".join(ly), "".join(lo), label=label)


def _outer(x: Node, y: Node, *, label: str) -> Node:
    return contract(
        _ravel(x, label=label), _ravel(y, label=label), "a", "b", "ab", label=label
    )


def _vdot(x: Node, y: Node, *, label: str) -> Node:
    return _dot(_ravel(x, label=label), _ravel(y, label=label), label=label)


def _einsum(subscripts: str, *operands: Node, label: str) -> Node:
    subscripts = subscripts.replace(" ", "")
    left, _, right = subscripts.partition("->")
    parts = left.split(",")
    if "->" not in subscripts:
        letters = left.replace(",", "").replace(".", "")
        right = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
        right = ("..." if "." in left else "") + right
    spare = [c for c in _LETTERS if c not in subscripts]
    parts = [
        _spell_ellipsis(part, x.value.ndim, spare)
        for part, x in zip(parts, operands, strict=True)
    ]
    widest = max(
        (x.value.ndim - len(p.replace("...", "")) for p, x in
         zip(left.split(","), operands, strict=True) if "." in p), default=0
    )  # fmt: skip
    right = right.replace("...", "".join(spare[:widest][::-1]))
    x, labels = _diagonals(operands[0], parts[0], label)
    for i in range(1, len(operands)):
        y, ly = _diagonals(operands[i], parts[i], label)
        later = right + "".join(parts[i + 1 :])
        lo = "".join(c for c in dict.fromkeys(labels + ly) if c in later)
        if i == len(operands) - 1:
            lo = right
        x, labels = contract(x, y, labels, ly, lo, label=label), lo
    x, labels = _own_labels_summed(x, labels, right, label)
    return graph.transpose(x, [labels.index(c) for c in right], label)


def _spell_ellipsis(part: str, ndim: int, spare: list[str]) -> str:
    n = ndim - len(part.replace("...", ""))
    return part.replace("...", "".join(spare[:n][::-1]))


def _diagonals(x: Node, labels: str, label: str) -> tuple[Node, str]:
    """One axis for a letter that an operand repeats."""
    distinct = "".join(dict.fromkeys(labels))
    if distinct == labels:
        return x, labels
    letters = list(distinct)
    # Every input axis moves with its letter's output axis: not a view of one step per
    # output axis, so gather instead.
    shape = tuple(x.shape[labels.index(c)] for c in letters)
    grid = np.indices(shape)
    index = tuple(grid[letters.index(c)] for c in labels)
    return _gather(x, np.ravel_multi_index(index, x.shape), label), distinct


# ---- shape --------------------------------------------------------------------------


def _gather(x: Node, positions: Any, label: str) -> Node:
    """`x.ravel()[positions]`."""
    positions = np.asarray(positions)
    flat = graph.reshape(x, (x.value.size,), label)
    taken = graph.take(flat, positions.ravel(), label)
    return graph.reshape(taken, positions.shape, label)


def _rearranged(x: Node, function: Callable[[Any], Any], label: str) -> Node:
    """Whatever `function` does to the positions of `x`."""
    return _gather(x, function(np.arange(x.value.size).reshape(x.shape)), label)


def index(x: Node, key: Any, label: str) -> Node:
    """`x[key]` for slices, integers, None, Ellipsis and constant index arrays."""
    key = key if isinstance(key, tuple) else (key,)
    # np.True_ and integer scalars index as Python's own.
    if not all(
        k is None or k is Ellipsis or isinstance(k, (slice, int, np.integer))
        for k in key
        if not isinstance(k, (bool, np.bool_))
    ) or any(isinstance(k, (bool, np.bool_)) for k in key):
        return _index_arrays(x, key, label)
    n_given = sum(k is not None and k is not Ellipsis for k in key)
    if Ellipsis not in key:
        key = (*key, Ellipsis)
    rest = [slice(None)] * (x.value.ndim - n_given)
    at = key.index(Ellipsis)
    offset: list[int] = []
    moves: list[int] = []
    shape: list[int] = []
    for k in (*key[:at], *rest, *key[at + 1 :]):
        axis = len(offset)
        if k is None:
            shape.append(1)
            moves += [-1, 0]
        elif isinstance(k, slice):
            span = range(*k.indices(x.shape[axis]))
            offset.append(span.start if len(span) else 0)
            moves += [axis, span.step]
            shape.append(len(span))
        else:
            n = x.shape[axis]
            if not -n <= k < n:
                raise IndexError(f"index {k} is out of bounds for axis of size {n}")
            offset.append(int(k) % n)
    return graph.view(x, offset, moves, tuple(shape), label)


def _index_arrays(x: Node, key: tuple[Any, ...], label: str) -> Node:
    """An index that holds arrays: one of integers takes along an axis, others gather."""
    arrays = [d for d, k in enumerate(key) if not isinstance(k, slice)]
    if len(arrays) == 1 and all(k == slice(None) for k in key if isinstance(k, slice)):
        chosen = np.asarray(key[arrays[0]])
        if chosen.dtype.kind in "iu" and chosen.ndim:
            return _take_axis(x, chosen, arrays[0], label)
    return _rearranged(x, lambda positions: positions[key], label)


def _take_axis(x: Node, chosen: Any, axis: int, label: str) -> Node:
    n = x.shape[axis]
    chosen = np.asarray(chosen)
    if chosen.size and not (-n <= chosen.min() and chosen.max() < n):
        raise IndexError(f"index out of bounds for axis of size {n}")
    order = [axis, *(d for d in range(x.value.ndim) if d != axis)]
    front = graph.transpose(x, order, label)
    taken = graph.take(front, (chosen % n).ravel(), label)
    full = graph.reshape(taken, chosen.shape + front.shape[1:], label)
    lead = chosen.ndim
    back = list(range(lead, lead + axis)) + list(range(lead))
    back += list(range(lead + axis, full.value.ndim))
    return graph.transpose(full, back, label)


def _take(x: Node, indices: Any, axis: int | None = None, *, label: str) -> Node:
    if axis is None:
        return _gather(x, np.arange(x.value.size)[np.asarray(indices)], label)
    (axis,) = _normalize_axes(axis, x.value.ndim)
    return _take_axis(x, indices, axis, label)


def assign(x: Node, key: Any, new: Node, label: str) -> Node:
    """`x` after ``x[key] = new``, for a constant key."""
    positions = np.arange(x.value.size).reshape(x.shape)[key]
    new = graph.broadcast_to(new, positions.shape, label)
    source = np.zeros(x.value.size, dtype=np.intp)
    chosen = np.zeros(x.value.size, dtype=bool)
    source[positions.ravel()] = np.arange(positions.size)
    chosen[positions.ravel()] = True
    if not positions.size:
        return x
    mask = graph.constant(chosen.reshape(x.shape))
    spread = _gather(new, source.reshape(x.shape), label)
    return elementwise("where", mask, spread, x, label=label)


def _reshape(x: Node, shape: Any, order: str = "C", *, label: str) -> Node:
    if order not in ("C", "A", None):
        return _rearranged(x, lambda p: np.reshape(p, shape, order=order), label)  # type: ignore[call-overload]
    return graph.reshape(x, x.value.reshape(shape).shape, label)


def _ravel(x: Node, order: str = "C", *, label: str) -> Node:
    return _reshape(x, (-1,), order, label=label)


def _transpose(x: Node, axes: Any = None, *, label: str) -> Node:
    ndim = x.value.ndim
    order = range(ndim)[::-1] if axes is None else _normalize_axes(axes, ndim)
    return graph.transpose(x, list(order), label)


def _permuted(function: Callable[..., Any]) -> Callable[..., Node]:
    """A function that only permutes axes."""

    def permute(x: Node, *args: Any, label: str, **kwargs: Any) -> Node:
        # Distinct lengths would do; strides of an index tell the axes apart for sure.
        probe = np.lib.stride_tricks.as_strided(
            np.zeros(1), x.shape, [8 << d for d in range(x.value.ndim)]
        )
        moved = function(probe, *args, **kwargs)
        axes = [int(s).bit_length() - 4 for s in moved.strides]
        return graph.transpose(x, axes, label)

    return permute


def _squeeze(x: Node, axis: Axis = None, *, label: str) -> Node:
    return graph.reshape(x, np.squeeze(x.value, axis).shape, label)  # type: ignore[arg-type]


def _expand_dims(x: Node, axis: Any, *, label: str) -> Node:
    return graph.reshape(x, np.expand_dims(x.value, axis).shape, label)


def _concatenate(xs: Sequence[Node], axis: int | None = 0, *, label: str) -> Node:
    if axis is None:
        xs, axis = [_ravel(x, label=label) for x in xs], 0
    out = np.concatenate([x.value for x in xs], axis=axis)
    (axis,) = _normalize_axes(axis, out.ndim)
    offsets, start = [], 0
    for x in xs:
        offsets.append([start if d == axis else 0 for d in range(out.ndim)])
        start += x.shape[axis]
    return graph.place(xs, offsets, np.zeros(out.shape), label)


def _stack(xs: Sequence[Node], axis: int = 0, *, label: str) -> Node:
    return _concatenate(
        [_expand_dims(x, axis, label=label) for x in xs], axis, label=label
    )


def _joined(function: Callable[..., Any], axis: int) -> Callable[..., Node]:
    """vstack, hstack, column_stack: concatenate after giving each input more axes."""

    def join(xs: Sequence[Node], *, label: str) -> Node:
        along = 0 if function is np.hstack and xs[0].value.ndim < 2 else axis
        rows = []
        for x in xs:
            alone = function([x.value])
            rows.append(graph.reshape(x, alone.shape, label))
        return _concatenate(rows, along, label=label)

    return join


def _split(function: Callable[..., Any]) -> Callable[..., list[Node]]:
    def split(x: Node, *args: Any, label: str, **kwargs: Any) -> list[Node]:
        parts = function(np.arange(x.value.size).reshape(x.shape), *args, **kwargs)
        return [_part(x, part, label) for part in parts]

    return split


def _part(x: Node, part: Any, label: str) -> Node:
    """The contiguous block of `x` that holds these positions."""
    if not part.size:
        return _gather(x, part, label)
    first = np.unravel_index(part.flat[0], x.shape)
    key = tuple(
        slice(int(lo), int(lo) + n) for lo, n in zip(first, part.shape, strict=True)
    )
    return index(x, key, label)


def _pad(
    x: Node, pad_width: Any, mode: str = "constant", *, label: str, **kwargs: Any
) -> Node:
    if mode != "constant":
        return _rearranged(x, lambda p: np.pad(p, pad_width, mode, **kwargs), label)  # type: ignore[call-overload]
    out = np.pad(x.value, pad_width, **kwargs)
    before = np.broadcast_to(np.asarray(pad_width), (x.value.ndim, 2))[:, 0]
    return graph.place([x], [before.tolist()], out, label)


def _sliding_windows(
    x: Node, window_shape: Any, axis: Any = None, *, label: str, **kwargs: Any
) -> Node:
    windows = (
        (window_shape,) if isinstance(window_shape, (int, np.integer)) else window_shape
    )
    axes = _normalize_axes(axis, x.value.ndim)
    shape = sliding_window_view(x.value, windows, axes).shape
    moves = [k for d in range(x.value.ndim) for k in (d, 1)]
    moves += [k for a in axes for k in (a, 1)]
    return graph.view(x, [0] * x.value.ndim, moves, shape, label)


def _diagonal(
    x: Node, offset: int = 0, axis1: int = 0, axis2: int = 1, *, label: str
) -> Node:
    return _rearranged(x, lambda p: np.diagonal(p, offset, axis1, axis2), label)


def _diag(x: Node, k: int = 0, *, label: str) -> Node:
    if x.value.ndim != 1:
        return _rearranged(x, lambda p: np.diag(p, k), label)
    n = x.shape[0] + abs(k)
    positions = np.flatnonzero(np.diag(np.ones(x.shape[0]), k))
    return assign(
        graph.constant(np.zeros((n, n))), np.unravel_index(positions, (n, n)), x, label
    )


def _masked(function: Callable[..., Any]) -> Callable[..., Node]:
    """tril, triu: multiply by a constant mask."""

    def mask(x: Node, k: int = 0, *, label: str) -> Node:
        kept = graph.constant(function(np.ones(x.shape), k))
        return elementwise("where", kept, x, _number(0.0), label=label)

    return mask


def _clip(
    x: Node,
    a_min: Node | None = None,
    a_max: Node | None = None,
    *,
    min: Node | None = None,
    max: Node | None = None,
    label: str,
) -> Node:
    a_min = min if a_min is None else a_min
    a_max = max if a_max is None else a_max
    if a_min is not None:
        x = elementwise("maximum", x, a_min, label=label)
    if a_max is not None:
        x = elementwise("minimum", x, a_max, label=label)
    return x


def _round(x: Node, decimals: int = 0, *, label: str) -> Node:
    if decimals == 0:
        return elementwise("rint", x, label=label)
    whole = elementwise("rint", scale(x, 10.0**decimals, label=label), label=label)
    return scale(whole, 10.0**-decimals, label=label)


def _where(condition: Node, x: Node, y: Node, *, label: str) -> Node:
    return elementwise("where", condition, x, y, label=label)


def _diff(x: Node, n: int = 1, axis: int = -1, *, label: str) -> Node:
    (axis,) = _normalize_axes(axis, x.value.ndim)
    lead = (slice(None),) * axis
    for _ in range(n):
        later = index(x, (*lead, slice(1, None)), label)
        earlier = index(x, (*lead, slice(None, -1)), label)
        x = elementwise("subtract", later, earlier, label=label)
    return x


def _trace(x: Node, *args: Any, label: str) -> Node:
    return sum_(_diagonal(x, *args, label=label), -1, label=label)


def _rearranging(function: Callable[..., Any]) -> Callable[..., Node]:
    """A function that moves or repeats elements, whatever its arguments."""

    def rearrange(x: Node, *args: Any, label: str, **kwargs: Any) -> Node:
        return _rearranged(x, lambda p: function(p, *args, **kwargs), label)

    return rearrange


def _flip(x: Node, axis: Axis = None, *, label: str) -> Node:
    axes = _normalize_axes(axis, x.value.ndim)
    key = tuple(
        slice(None, None, -1) if d in axes else slice(None) for d in range(x.value.ndim)
    )
    return index(x, key, label)


def _multi_dot(xs: Sequence[Node], *, label: str) -> Node:
    out = xs[0]
    for x in xs[1:]:
        out = _dot(out, x, label=label)
    return out


def _atleast(ndim: int) -> Callable[..., Node]:
    def atleast(x: Node, *, label: str) -> Node:
        shape = (np.atleast_1d, np.atleast_2d, np.atleast_3d)[ndim - 1](x.value).shape
        return graph.reshape(x, shape, label)

    return atleast


#: NumPy function -> (meaning, positions of arguments that are arrays).
FUNCTIONS: dict[Any, tuple[Callable[..., Any], tuple[int, ...]]] = {
    np.sum: (sum_, (0,)),
    np.mean: (mean, (0,)),
    np.max: (_max, (0,)),
    np.min: (_min, (0,)),
    np.amax: (_max, (0,)),
    np.amin: (_min, (0,)),
    np.prod: (_prod, (0,)),
    np.var: (_var, (0,)),
    np.std: (_std, (0,)),
    np.cumsum: (_cumsum, (0,)),
    np.average: (_average, (0, 2)),
    np.linalg.norm: (_norm, (0,)),
    np.linalg.multi_dot: (_multi_dot, (0,)),
    np.dot: (_dot, (0, 1)),
    np.vdot: (_vdot, (0, 1)),
    np.inner: (_inner, (0, 1)),
    np.outer: (_outer, (0, 1)),
    np.tensordot: (_tensordot, (0, 1)),
    np.einsum: (_einsum, tuple(range(1, 16))),
    np.trace: (_trace, (0,)),
    np.reshape: (_reshape, (0,)),
    np.ravel: (_ravel, (0,)),
    np.transpose: (_transpose, (0,)),
    np.swapaxes: (_permuted(np.swapaxes), (0,)),
    np.moveaxis: (_permuted(np.moveaxis), (0,)),
    np.rollaxis: (_permuted(np.rollaxis), (0,)),
    np.squeeze: (_squeeze, (0,)),
    np.expand_dims: (_expand_dims, (0,)),
    np.broadcast_to: (
        lambda x, shape, *, label: graph.broadcast_to(
            x, np.broadcast_to(x.value, shape).shape, label
        ),
        (0,),
    ),
    np.atleast_1d: (_atleast(1), (0,)),
    np.atleast_2d: (_atleast(2), (0,)),
    np.atleast_3d: (_atleast(3), (0,)),
    np.concatenate: (_concatenate, (0,)),
    np.stack: (_stack, (0,)),
    np.vstack: (_joined(np.vstack, 0), (0,)),
    np.hstack: (_joined(np.hstack, 1), (0,)),
    np.column_stack: (_joined(np.column_stack, 1), (0,)),
    np.split: (_split(np.split), (0,)),
    np.array_split: (_split(np.array_split), (0,)),
    np.vsplit: (_split(np.vsplit), (0,)),
    np.hsplit: (_split(np.hsplit), (0,)),
    np.pad: (_pad, (0,)),
    np.take: (_take, (0,)),
    np.take_along_axis: (_rearranging(np.take_along_axis), (0,)),
    np.repeat: (_rearranging(np.repeat), (0,)),
    np.tile: (_rearranging(np.tile), (0,)),
    np.roll: (_rearranging(np.roll), (0,)),
    np.rot90: (_rearranging(np.rot90), (0,)),
    np.flip: (_flip, (0,)),
    np.fliplr: (lambda x, *, label: _flip(x, 1, label=label), (0,)),
    np.flipud: (lambda x, *, label: _flip(x, 0, label=label), (0,)),
    np.diagonal: (_diagonal, (0,)),
    np.diag: (_diag, (0,)),
    np.tril: (_masked(np.tril), (0,)),
    np.triu: (_masked(np.triu), (0,)),
    np.clip: (_clip, (0, 1, 2)),
    np.where: (_where, (0, 1, 2)),
    np.round: (_round, (0,)),
    np.diff: (_diff, (0,)),
    np.copy: (lambda x, *, label: x, (0,)),
    sliding_window_view: (_sliding_windows, (0,)),
}
#: Of these, the ones whose result shares memory with their first argument.
VIEWS = {
    np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.squeeze,
    np.expand_dims, np.broadcast_to, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.split,
    np.array_split, np.vsplit, np.hsplit, np.flip, np.fliplr, np.flipud, np.rot90,
    np.diagonal, np.diag, sliding_window_view,
}  # fmt: skip
