"""Mistakes in the backward pass of a normalisation, (x - mean) / deviation and its kin.

The closed form ``dx = (dn - mean(dn) - n * mean(dn * n)) / deviation`` is what people
write by hand, so its terms are what they get wrong.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.mistakes import Mistake, everywhere
from fastgrad.causes.reverse import Instead, Reverse, Sends, elementwise, stretched
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ops

Array = NDArray[np.float64]
_LOCAL = ("sum", "view", "reshape")
_PARTS = 12  # sizes of parts of an axis that are averaged over


def _local(node: Node, limit: int = 60) -> set[Node]:
    """The node and what it comes from by elementwise operations and sums."""
    found, stack = {node}, [node]
    while stack and len(found) < limit:
        here = stack.pop()
        if not (elementwise(here) or here.op in _LOCAL):
            continue
        for x in here.inputs:
            if x.active and x not in found:
                found.add(x)
                stack.append(x)
    return found


def is_statistic(node: Node, i: int) -> bool:
    """Whether input `i` is a sum over the very values it is combined with."""
    if len(node.inputs) != 2 or not elementwise(node) or not stretched(node, i):
        return False
    other = node.inputs[1 - i]
    if not other.active:
        return False
    sums = [n for n in _local(node.inputs[i]) if n.op == "sum"]
    beside = _local(other)
    return any(_local(n) & beside for n in sums)


@dataclass
class Normalization:
    """``n = c / s`` (or ``c * inverse``), ``c`` being x or x minus its mean.

    Attributes
    ----------
    node : Node
        The n.
    x : Node
    axes : tuple of int
        Over which the statistics are taken.
    centred, mean : bool
        Whether a mean is subtracted; whether the deviation is of a mean of squares, not
        of their sum.
    inverse : ndarray
        1 / deviation.
    """

    node: Node
    x: Node
    axes: tuple[int, ...]
    centred: bool
    mean: bool
    inverse: Array


def normalization(node: Node) -> Normalization | None:
    """Recognise the last step of a normalisation."""
    if node.op not in ("divide", "multiply") or len(node.inputs) != 2:
        return None
    i = next((i for i in (1, 0) if is_statistic(node, i)), None)
    if i is None or (node.op == "divide" and i == 0):
        return None
    c, s = node.inputs[1 - i], node.inputs[i]
    if c.shape != node.shape:
        return None
    centred = c.op == "subtract" and is_statistic(c, 1)
    axes = stretched(node, i)
    with np.errstate(all="ignore"):
        inverse = s.value if node.op == "multiply" else 1 / s.value
    mean = bool((np.sum(node.value**2, axis=axes) > 1 + 1e-9).any())
    return Normalization(
        node, c.inputs[0] if centred else c, axes, centred, mean, inverse
    )


_Form = Callable[[Normalization, Array], Any]


def _form(
    one: Normalization,
    g: Array,
    *,
    inverse: Any = None,
    mean: bool = True,
    slope: bool = True,
    axes: tuple[int, ...] | None = None,
    reduce: Callable[..., Any] | None = None,
    crosswise: bool = False,
    summed: Array | None = None,
) -> Array:
    """The closed form, and its variants."""
    n = one.node.value
    inner = g if summed is None else summed
    axes = one.axes if axes is None else axes
    inverse = one.inverse if inverse is None else inverse
    reduce = reduce or (np.mean if one.mean else np.sum)
    centre = np.mean(inner, axis=axes, keepdims=True)
    along = reduce(inner * n, axis=axes, keepdims=True)
    if crosswise:
        centre, along = centre.swapaxes(-1, -2), along.swapaxes(-1, -2)
    dx = np.asarray(g)
    if one.centred and mean:
        dx = dx - centre
    if slope:
        dx = dx - n * along
    return np.asarray(dx * inverse)


def _form_of_parts(one: Normalization, g: Array, size: int) -> Array:
    """The closed form with averages over parts of the axis, in the order they lie."""
    (axis,) = one.axes
    shape = (*g.shape[:axis], -1, size, *g.shape[axis + 1 :])
    n, inverse = one.node.value, np.broadcast_to(one.inverse, g.shape)
    node = Node("constant", (), (), n.reshape(shape), one.node.label, one.node.source)
    part = replace(one, node=node, axes=(axis + 1,), inverse=inverse.reshape(shape))
    return _form(part, g.reshape(shape)).reshape(g.shape)


def forms(one: Normalization) -> Iterator[tuple[str, str, _Form]]:
    """Yield (code, text, gradient of x) of wrong closed forms."""
    yield (
        "local_derivative",
        "the division by the deviation of {op} is left out",
        lambda o, g: _form(o, g, inverse=1.0),
    )
    yield (
        "local_derivative",
        "the division by the deviation of {op} is done twice",
        lambda o, g: _form(o, g, inverse=o.inverse**2),
    )
    yield (
        "local_derivative",
        "{op} multiplies by the deviation where it is to divide",
        lambda o, g: _form(o, g, inverse=1 / o.inverse),
    )
    yield (
        "cross_term",
        "the term of the mean is left out behind {op}",
        lambda o, g: _form(o, g, mean=False),
    )
    yield (
        "cross_term",
        "the term of the variance is left out behind {op}",
        lambda o, g: _form(o, g, slope=False),
    )
    yield (
        "cross_term",
        "both statistics of {op} are treated as constants",
        lambda o, g: _form(o, g, mean=False, slope=False),
    )
    yield (
        "cross_term",
        "both statistics and the deviation of {op} are left out",
        lambda o, g: _form(o, g, mean=False, slope=False, inverse=1.0),
    )
    yield (
        "reduction",
        "sum and mean are mixed up behind {op}",
        lambda o, g: _form(o, g, reduce=np.sum if o.mean else np.mean),
    )
    shape = one.node.shape
    for n in range(1, len(shape) + 1):
        for axes in combinations(range(len(shape)), n):
            if axes != one.axes:
                text = f"the terms behind {{op}} are averaged over axes {axes}, not "
                yield "reduction", text + f"{one.axes}", partial(_form, axes=axes)
    if len(one.axes) == 1:
        n = shape[one.axes[0]]
        for size in [s for s in range(2, n) if n % s == 0][:_PARTS]:
            text = f"the terms behind {{op}} are averaged over {size} of {n} entries"
            yield "reduction", text, partial(_form_of_parts, size=size)
    if len(shape) == 2 and shape[0] == shape[1]:
        yield (
            "reduction",
            "the terms behind {op} are subtracted along the wrong axis",
            lambda o, g: _form(o, g, crosswise=True),
        )


def deviations(reverse: Reverse, node: Node) -> Iterator[tuple[str, Array]]:
    """Other values that are mistaken for that of a function, as for a deviation."""
    if len(node.inputs) != 1 or not elementwise(node) or not node.inputs[0].active:
        return
    x = node.inputs[0]

    def value(at: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(ops.PRIMITIVES[node.op].evaluate([at], ()))

    constants = [y for y in x.inputs if not y.active]
    if x.op == "add" and constants:
        u = next(y for y in x.inputs if y.active).value
        yield "leaves out the constant that is added inside", value(u)
    yield "applies it twice", value(node.value)
    yield "uses its input", x.value
    with np.errstate(all="ignore"):
        yield "applies it to its inverse", value(1 / node.value)


def normalizations(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """The closed form of a normalisation's gradient, with a term wrong."""
    one = normalization(group[0])
    if one is not None:
        for code, text, form in forms(one):

            def sends(n: Node, g: Array, form: Any = form) -> list[tuple[Node, Any]]:
                found = normalization(n)
                assert found is not None
                return [(found.x, form(found, g))]

            yield Mistake(code, text, everywhere(group, sends), 3.1)
        yield from _sums_of_upstream(reverse, group)
    for k, (how, _) in enumerate(deviations(reverse, group[0])):
        broken: dict[Node, Sends] = {}
        for node in group:
            found = list(deviations(reverse, node))
            if k < len(found):
                broken |= _another_value(reverse, node, found[k][1])
        text = f"the backward pass of {{op}} {how}"
        yield Mistake("local_derivative", text, broken, 3.5)


def _sums_of_upstream(reverse: Reverse, group: list[Node]) -> Iterator[Mistake]:
    """The sums of the closed form are of what comes down before the scale."""

    def sends(n: Node, g: Array) -> list[tuple[Node, Any]]:
        one = normalization(n)
        (user, _), *others = reverse.users[n]
        if one is None or others or user.op != "multiply" or user.shape != n.shape:
            raise ValueError
        return [(one.x, _form(one, g, summed=reverse.gradient[user]))]

    text = "the sums behind {op} are of the gradient before its scale"
    yield Mistake("cross_term", text, everywhere(group, sends), 3.4)


def _another_value(reverse: Reverse, node: Node, value: Array) -> dict[Node, Sends]:
    """Derivatives of a value and of what uses it, computed with another value."""

    def own(n: Node, g: Array) -> Any:
        x = [y.value for y in n.inputs]
        with np.errstate(all="ignore"):
            return ops.PRIMITIVES[n.op].derivative(g, value, x, n.ints)[0]

    broken: dict[Node, Sends] = {node: Instead(0, own)}
    for user, _ in reverse.users[node]:
        if not elementwise(user):
            continue

        def used(n: Node, g: Array) -> list[tuple[Node, Any]]:
            x = [value if y is node else y.value for y in n.inputs]
            with np.errstate(all="ignore"):
                out = ops.PRIMITIVES[n.op].evaluate(x, n.ints)
                parts = ops.PRIMITIVES[n.op].derivative(g, out, x, n.ints)
            return list(zip(n.inputs, parts, strict=True))

        broken[user] = used
    return broken
