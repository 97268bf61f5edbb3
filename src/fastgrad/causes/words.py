"""What an edit is called: codes and words for factors and parts of what is sent."""

from collections.abc import Iterable

import numpy as np

from fastgrad.causes.counts import told
from fastgrad.causes.evidence import Evidence
from fastgrad.causes.patterns import is_statistic, origins
from fastgrad.causes.reverse import Reverse, elementwise, stretched
from fastgrad.causes.sites import Site
from fastgrad.program import Node, Source

#: Operations whose derivatives have a sign that is easily forgotten.
_SIGNED = ("subtract", "negative", "cos", "arccos", "reciprocal", "divide")
_NOTHING = 1e-12  # of a gradient: the derivative of a variance by its mean
_BRANCHES = ("np.where", "np.maximum", "np.minimum")
_CHOICES = ("where", "maximum", "minimum")
_LISTED = 4  # lines

WHAT = {
    "upstream": "what comes down to {op}",
    "edge": "what comes down to {op}, for one of its inputs,",
    "operand": "the other operand of {op}",
    "sent": "what {op} sends down",
    "rule": "what {op} sends down, before it is summed over repetitions,",
}


def part_words(site: Site, axis: int, start: int, stop: int) -> tuple[str, str]:
    """What it is called that an array counts in a part of an axis only."""
    one = stop == start + 1
    where = str(start) if one else f"{start}:{stop}"
    rows = axis == 0 and site.node.value.ndim > 1
    code = "partial" if one or rows else "geometry"
    repeated = site.i is not None and stretched(site.node, site.i)
    if one and repeated and site.role != "sent":
        code = "reduction"
    return code, f"{WHAT[site.role]} is used only at {where} along axis {axis}"


def factor_words(
    evidence: Evidence, reverse: Reverse, site: Site, kept: float
) -> tuple[str, str, float]:
    """What it means that an input receives `kept` times its gradient; odd bits."""
    node, i = max(site.nodes, key=lambda n: n.size), site.i or 0
    x = node.inputs[i]
    several = len(reverse.users[x]) > 1
    what = f"its {_ordinal(i)} operand" if len(node.inputs) > 1 else "its input"
    if is_statistic(node, i):
        return _of_statistic(node, i, kept)
    if _is_term(reverse, node, x):
        text = "a term of the derivative of {op} is "
        if kept == 0:
            return "local_derivative", f"{text}left out", 1.0
        return "local_derivative", f"{text}multiplied by {kept:.6g}", 9.0
    if kept == 0:
        if node.label in _BRANCHES:
            text = f"{{op}} passes no gradient to {what}"
            return "local_derivative", text, 1.0
        text = f"the gradient that {{op}} sends to {what} is not added"
        of_product = sum(y.active for y in node.inputs) > 1
        return "accumulation", text, 1.5 if several or of_product else 6.0
    if abs(kept + 1) < 1e-6:
        text = f"what {{op}} sends to {what} has the wrong sign"
        if node.label == "np.conjugate":
            return "conjugate", text, 3.0
        return "sign", text, 1.0 if node.op in _SIGNED else 6.0
    constant = _constant(node, i)
    if constant and abs(kept * constant - 1) < 1e-7:
        return _of_constant(reverse, node, constant, "left out")
    if constant and abs(kept / constant - 1) < 1e-7:
        return _of_constant(reverse, node, constant, "applied twice")
    if abs(kept - 2) < 1e-6 or abs(kept - 0.5) < 1e-6:
        if node.op == "square":
            how, odd = ("doubled", 0.8) if kept > 1 else ("left out", 2.0)
            return "scale", f"the factor 2 of {{op}} is {how}", odd
        if kept > 1 and several:
            text = f"the gradient that {{op}} sends to {what} is added twice"
            return "accumulation", text, 1.0
    count = int(np.prod([node.shape[d] for d in stretched(node, i)]))
    if count > 1 and abs(kept * count - 1) < 1e-6:
        text = f"the gradient that {{op}} sends to {what} is averaged, not summed"
        return "reduction", text, 0.8
    name = evidence.counts.name(kept)
    text = f"what {{op}} sends to {what} is multiplied by {told(kept, name)}"
    return "scale", text, 4.0 if name else 11.0


def as_well(reverse: Reverse, site: Site, kept: float) -> tuple[str, str, float] | None:
    """Code, words, odd bits of what is as good as a use lost, or counted twice."""
    node, what = site.node, _ordinal(site.i or 0)
    if kept > 1:  # or a half is forgotten on the way
        text = f"what {{op}} sends to its {what} operand is multiplied by {kept:.6g}"
        return "scale", text, 1.0
    if node.op in ("multiply", "divide") and all(x.active for x in node.inputs):
        for x, way in origins(reverse, node):
            if x.shape == node.shape and all(map(elementwise, way)):
                text = "a term of the derivative of {op}, of one value, is left out"
                # A product is two uses of the value, a quotient one function of it.
                return "local_derivative", text, -0.5 if node.op == "divide" else 0.5
    return None


def _constant(node: Node, i: int) -> float | None:
    """The number that input `i` of a product or quotient is multiplied by."""
    others = [y.value for j, y in enumerate(node.inputs) if j != i and not y.active]
    if not others or others[0].ndim or node.op not in ("multiply", "divide"):
        return None
    c = float(others[0])
    return 1 / c if node.op == "divide" and i == 0 and c else c


def _is_term(reverse: Reverse, node: Node, x: Node) -> bool:
    """Whether one call uses a value in several operations, as a power does.

    Turns of a loop are one operation each, of several calls.
    """
    if not node.label.startswith("np."):
        return False
    others = next(group for group in reverse.groups if node in group)
    call = node.source.site, node.label
    users = [(user, i) for user, i in reverse.users[x] if user not in others]
    beside = [u for u in users if (u[0].source.site, u[0].label) == call]
    return any(_sends(reverse, *u) for u in beside)


def _sends(reverse: Reverse, node: Node, i: int) -> bool:
    """Whether what an operation sends is more than rounding."""
    sent, size = reverse.part(node, i), np.abs(reverse.gradient[node.inputs[i]])
    return bool(np.abs(sent).max(initial=0) > _NOTHING * size.max(initial=0))


def _of_constant(
    reverse: Reverse, node: Node, c: float, how: str
) -> tuple[str, str, float]:
    if node.label.endswith("mean"):
        what = "the average" if how == "left out" else "the division by the count"
        return "scale", f"{what} of {{op}} ({1 / c:.6g}) is {how}", 0.8
    users = [user for user, _ in reverse.users.get(node, ())]
    inner = any(
        elementwise(user) and (len(user.inputs) == 1 or user.op in _CHOICES)
        for user in users
    )
    code = "local_derivative" if inner else "scale"
    return code, f"the constant {c:.6g} of {{op}} is {how}", 1.0


def _of_statistic(node: Node, i: int, kept: float) -> tuple[str, str, float]:
    count = int(np.prod([node.shape[d] for d in stretched(node, i)]))
    if kept == 0:
        text = "the statistic that {op} normalises by is treated as a constant"
        return "cross_term", text, 1.0
    text = f"the term of the statistic in {{op}} is multiplied by {kept:.6g}"
    if abs(kept - count) < 1e-6 * count or abs(kept * count - 1) < 1e-6:
        return "reduction", f"{text}: sum and mean over {count} are mixed up", 0.6
    return "cross_term", text, 3.0


def _ordinal(i: int) -> str:
    return ("first", "second", "third")[i] if i < 3 else f"{i + 1}th"


def lines_listed(lines: Iterable[Source]) -> str:
    """Where something is, in words: the numbers of lines, or from which to which."""
    numbers = sorted({line.line for line in lines})
    if len(numbers) > _LISTED:
        return f"lines {numbers[0]} to {numbers[-1]}"
    if len(numbers) > 1:
        return f"lines {', '.join(map(str, numbers[:-1]))} or {numbers[-1]}"
    return f"line {numbers[0]}"
