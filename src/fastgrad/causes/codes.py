"""What a repair of the user's gradient code is called: a code follows from its kind."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.known import Known, same
from fastgrad.causes.names import is_part
from fastgrad.causes.patterns import ADDING, is_statistic, led_from, plain
from fastgrad.causes.readings import Point, Reading, made
from fastgrad.causes.reverse import Reverse, hides, is_mask
from fastgrad.program import Node, topological

Array = NDArray[np.float64]

#: Codes that say less than where it is.
OF_VALUES = ("scale", "local_derivative", "accumulation")
_LEAST = 1e-9  # of a ratio that varies
_CUTTING = ("minimum", "maximum", "np.clip", "builtins.min", "builtins.max")
_COMPARED = ("greater", "greater_equal", "not_equal")
_COMPLEX = (
    *("np.matmul", "np.multiply", "np.divide", "np.dot", "np.einsum"),
    *("np.tensordot", "np.conjugate", "np.fft"),
)


# ---- of one operation ----------------------------------------------------------------


def of_factor(node: Node, factor: float) -> str:
    """The code of a number that a value is to be multiplied by."""
    if is_penalty(node):
        return "regularization"
    if node.label.endswith("mean") or (node.op == "sum" and _counts(node, 1 / factor)):
        return "reduction"
    return "scale"


def of_excess(node: Node, x: Node, others: Sequence[Node]) -> str:
    """The code where an input of an operation is due in place of what it gives."""
    if any(_cuts(n) for n in (node, *others)):
        return "clipped"
    if node.op in ("add", "subtract"):
        return _of_term(x, others)
    if node.op == "where":
        return "partial" if x in topological(node.inputs[0]) else "mask"
    if node.op in _COMPARED and (x.value == np.round(x.value)).all():
        return "accumulation"  # what is counted counts once
    if node.op in ("view", "reshape", "take"):
        return "layout"
    if node.op in ("multiply", "divide") and others:
        return _of_excess_factor(node, x, others[0])
    return "local_derivative"


def _of_term(x: Node, others: Sequence[Node]) -> str:
    if any(is_mask(y.value) for other in others for y in (other, *other.inputs)):
        return "mask"
    if x.op == "parameter":
        return "stale"
    if x.size > 1 and any(y.op == "constant" and y.size == 1 for y in others):
        return "local_derivative"  # as in the formula of one
    return "regularization" if any(map(is_penalty, others)) else "accumulation"


def _of_excess_factor(node: Node, x: Node, other: Node) -> str:
    if is_mask(other.value):
        one = np.count_nonzero(other.value) in (1, other.size - 1)
        return "partial" if one and other.size > 2 else "mask"
    if other.active:
        of_norm = other.size == 1 < x.size and x in topological(other)
        return "clipped" if of_norm else "local_derivative"
    if other.size == 1:
        if not other.value.any():
            return "zero"
        if is_penalty(x):
            return "regularization"
        counted = node.op == "divide" and x.op == "sum"
        number = float(other.value.flat[0])
        return "reduction" if counted and _counts(x, number) else "scale"
    return "partial" if (other.value == 1).any() else "local_derivative"


def is_penalty(node: Node) -> bool:
    """Whether it is a parameter times a number."""
    kinds = {x.op for x in node.inputs if x.op != "constant" or x.size == 1}
    return node.op == "multiply" and kinds == {"parameter", "constant"}


def is_entry(node: Node) -> bool:
    """Whether it is one entry of an array, or computed from one."""
    parts = [x for x in node.inputs if x.op == "view" and x.size == 1]
    return node.size == 1 and any(x.inputs[0].size > 1 for x in parts)


def is_complex(node: Node) -> bool:
    """Whether it is a step of an operation of complex numbers."""
    return node.op in ADDING and node.label.startswith(_COMPLEX)


def total_of(x: Node) -> Node | None:
    """The sum that a call gives, or divides by a count."""
    while x.op in ("reshape", "view", "divide") and is_part(x.inputs[0], x):
        x = x.inputs[0]
    return x if x.op == "sum" else None


def _counts(total: Node, number: float) -> bool:
    """Whether a sum goes over so many elements, along some of its axes."""
    axes = zip(total.inputs[0].shape, total.ints, strict=False)
    lengths = [n for n, summed in axes if summed and n > 1]
    return any(
        abs(np.prod(some) - number) < _LEAST * abs(number)
        for count in range(1, len(lengths) + 1)
        for some in combinations(lengths, count)
    )


def _cuts(node: Node) -> bool:
    """Whether it is a bound, or something divided by one."""
    some = (node, *node.inputs) if node.op == "divide" else (node,)
    return any(n.op in _CUTTING or n.label in _CUTTING for n in some)


# ---- of one array in place of another one --------------------------------------------


def of_other(
    turns: Sequence[Node], reading: Reading, point: Point, known: Known
) -> str:
    """The code where arrays, one in each turn, are read for another one."""
    x, due = turns[0], reading.of(point, 0)
    whole = reading.nodes[0] if reading.nodes else None
    if not x.active and is_mask(x.value) and is_mask(due):
        return "geometry" if _is_rolled(x.value, due) else "mask"
    if code := _of_part(x.value, due):
        return code
    total = total_of(whole or reading.node)
    if total is not None and _is_same(total.inputs[0], x):
        return "reduction"
    if known.lacks(x) and (reading.role != "slope" or not _is_step(x.value)):
        return _moved(turns, reading, point) or "stale"
    if whole is not None and plain(whole) is plain(x):
        return "layout" if _same_elements(x.value, due) else "geometry"
    due_gradient = whole is not None and known.is_gradient(whole)
    if due_gradient and any(_is_term(x, n) for n in reading.nodes):
        return "accumulation"
    if _of_one_operand(x, reading.node, point.reverse):
        return "stale"
    if whole is None and _is_masked(reading.node, x):
        return "mask"
    if whole is not None and due_gradient and known.is_gradient(x):
        return _of_gradients(x, whole)
    if x.size == 1 and (_is_norm(whole) or _is_norm(x)):
        return "clipped"
    again = whole is None or whole.source.site == x.source.site
    if reading.made in (made(x), made(plain(x))) and reading.made and again:
        return "stale"
    return _moved(turns, reading, point) or "local_derivative"


def _is_masked(due: Node, x: Node) -> bool:
    """Whether what is due is a value of which some entries are moved out of the way."""
    masks = [y for y in due.inputs if not y.active and hides(y.value)]
    others = [y.value for y in due.inputs if y not in masks]
    return due.op == "add" and bool(masks) and any(same(x.value, y) for y in others)


def _of_one_operand(x: Node, due: Node, reverse: Reverse) -> bool:
    """Whether an operation in a loop takes both, for one input, and computed ones."""
    if not (x.active or due.active):
        return False
    one, other = (
        {
            place
            for v in (value, value.T)
            for place in reverse.operands.get((v.shape, v.tobytes()), ())
        }
        for value in (plain(x).value, plain(due).value)
    )
    return not one.isdisjoint(other)


def _of_part(a: Array, due: Array) -> str | None:
    """The code where an array is another one, but for what is zero."""
    there = a != 0
    if a.shape != due.shape or there.all() or not (a[there] == due[there]).all():
        return None
    return "partial"


def _of_gradients(x: Node, due: Node) -> str:
    """The code where a gradient is read for another one."""
    if _is_term(due, x):
        return "accumulation"
    # Computed from the other one, step by step.
    step = led_from(due, lambda n: [y for y in n.inputs if y.size == x.size])
    computed = any(_is_same(x, y) for y in step[1:])
    return "local_derivative" if computed else "layout"


def _is_same(one: Node, other: Node) -> bool:
    return one.shape == other.shape and same(one.value, other.value)


def _is_term(x: Node, node: Node) -> bool:
    """Whether a value is one of those that another one is the sum of, and no number."""
    return any(_is_same(x, y) for y in led_from(node, _terms)[1:])


def _terms(node: Node) -> Sequence[Node]:
    added = node.op in ADDING and all(x.active for x in node.inputs)
    return node.inputs if added else ()


def _is_step(value: Array) -> bool:
    """Whether it has two values only, as the slope of a step."""
    return np.unique(value).size <= 2


def _is_norm(node: Node | None) -> bool:
    return node is not None and node.op == "sqrt" and node.size == 1


def _moved(turns: Sequence[Node], reading: Reading, point: Point) -> str | None:
    """The code where most elements are the same, elsewhere."""
    pairs = [(x.value, reading.of(point, k)) for k, x in enumerate(turns)]
    if all(a.size == 1 for a, _ in pairs):
        return None
    late = [any(np.array_equal(x.value, b) for x in turns) for _, b in pairs]
    made_there = any(
        plain(x).op not in ("constant", "parameter", "take") for x in turns
    )
    if len(turns) > 1 and made_there and 2 * sum(late) >= len(turns):
        return "local_derivative"
    if all(_same_elements(a, b) for a, b in pairs):
        return "layout"
    a, b = (
        np.concatenate([x.ravel() for x in some]) for some in zip(*pairs, strict=True)
    )
    if len(turns) == 1 and a.shape == b.shape and 2 * np.sum(a == b) >= a.size:
        return None
    one, two = (np.unique(np.round(x[x != 0], 12)) for x in (a, b))
    common = np.intersect1d(one, two).size
    most = common > 2 and 2 * common >= max(one.size, two.size)
    return "geometry" if most else None


def _same_elements(a: Array, b: Array) -> bool:
    return a.size == b.size and same(np.sort(a, axis=None), np.sort(b, axis=None))


def _is_rolled(a: Array, b: Array) -> bool:
    """Whether an array is another one, a step later or sooner."""
    return a.shape == b.shape and any(
        np.array_equal(np.roll(a, step, axis), b)
        for axis in range(a.ndim)
        for step in (1, -1)
    )


# ---- of where it is ------------------------------------------------------------------


def at_statistic(value: Array, point: Point) -> bool:
    """Whether a value is what a statistic of a normalisation is sent."""
    reverse = point.reverse
    for node in reverse.nodes:
        for i, x in enumerate(node.inputs):
            if x.active and x.size == value.size and is_statistic(node, i):
                sent = reverse.gradient[x], reverse.part(node, i)
                if any(g.shape == value.shape and same(value, g) for g in sent):
                    return True
    return False
