"""Patterns in a program: functions of one value, statistics, sums of terms."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.reverse import Reverse, elementwise, hides, is_mask, stretched
from fastgrad.program import Node, topological

Array = NDArray[np.float64]
_LOCAL = ("sum", "view", "reshape")
#: Operations of a sum.
ADDING = ("add", "subtract", "negative")
_OF_NORMS = {*ADDING, "multiply", "square", "power", "sqrt", "abs", "sign", "sum"}
_OF_NORMS |= {"view", "take"}  # of rows


def led_from(
    node: Node, inputs: Callable[[Node], Iterable[Node]], limit: float = np.inf
) -> list[Node]:
    """The node and all that it comes from by way of such inputs."""
    found, stack = {node: None}, [node]
    while stack and len(found) < limit:
        new = [x for x in inputs(stack.pop()) if x not in found]
        found |= dict.fromkeys(new)
        stack += new
    return list(found)


def plain(node: Node) -> Node:
    """The value before it was reshaped or repeated."""
    while node.op in ("reshape", "view"):
        node = node.inputs[0]
    return node


def miscounted(node: Node) -> Iterator[tuple[str, str, Array]]:
    """Values that lack a mask, or of a sum a term, or its right sign; and a code."""
    terms = _terms(node)
    parts = [sign * np.broadcast_to(term.value, node.shape) for term, sign in terms]
    for k, (term, _) in enumerate(terms):
        name = term.label if term.inputs or term.op == "parameter" else "the data"
        code = "local_derivative" if term.active or not hides(term.value) else "mask"
        others = np.asarray(sum(parts[:k] + parts[k + 1 :]))
        yield f"without {name}", code, others
        yield f"with the wrong sign for {name}", code, others - parts[k]
    for k, x in enumerate(node.inputs if node.op == "multiply" else ()):
        if not x.active and is_mask(x.value):
            other = np.broadcast_to(node.inputs[1 - k].value, node.shape)
            yield "without its mask", "mask", other


def _terms(node: Node, depth: int = 3) -> list[tuple[Node, int]]:
    """What a value is the sum of, with signs; nothing if it is no sum."""
    if node.op not in ("add", "subtract") or not depth:
        return []
    found = []
    signs = (1, -1 if node.op == "subtract" else 1)
    for x, sign in zip(node.inputs, signs, strict=True):
        inner = _terms(x, depth - 1)
        found += [(term, sign * s) for term, s in inner] or [(x, sign)]
    return found


def origins(
    reverse: Reverse, node: Node, limit: int = 30
) -> Iterator[tuple[Node, list[Node]]]:
    """Yield the values through which alone a node depends on parameters, nearest first.

    Each with the operations that lead from there, the last one first: elementwise ones
    and sums, and maxima that are only subtracted.
    """
    way: list[Node] = []
    open_ = {node}
    while len(way) < limit:
        last = max(open_, key=reverse.number.__getitem__)
        passed = elementwise(last) or last.op in _LOCAL or last in reverse.neutral
        if not last.inputs or not passed:
            return
        open_.remove(last)
        way.append(last)
        open_ |= {x for x in last.inputs if x in reverse.number}
        if len(open_) == 1:
            yield next(iter(open_)), way


def _local(node: Node) -> list[Node]:
    """The node and what it comes from by elementwise operations and sums."""

    def inputs(here: Node) -> list[Node]:
        local = elementwise(here) or here.op in _LOCAL
        return [x for x in here.inputs if x.active and local]

    return led_from(node, inputs, 60)


def is_statistic(node: Node, i: int) -> bool:
    """Whether input `i` is a sum over the very values it is combined with."""
    if len(node.inputs) != 2 or not elementwise(node) or not stretched(node, i):
        return False
    other = node.inputs[1 - i]
    if not other.active:
        return False
    sums = [n for n in _local(node.inputs[i]) if n.op == "sum"]
    sums = [n for n in sums if n.inputs[0].size == node.size]
    beside = set(_local(other))
    return any(not beside.isdisjoint(_local(n)) for n in sums)


def penalties(results: Sequence[Node]) -> set[Node]:
    """What leads only to terms that are norms of one parameter, beside others."""
    found, spread = set[Node](), set[Node]()
    for result in results:
        terms = _scaled_terms(result)
        alone = [x for x in terms if _is_of_norm(topological(x))]
        if len(alone) == len(terms):
            alone = []
        found.update(topological(*alone))
        spread.update(topological(*terms.difference(alone)))
    found -= spread
    for node in topological(*results):  # sums of penalties
        if node.op in ADDING and found.issuperset(x for x in node.inputs if x.active):
            found.add(node)
    return found


def _scaled_terms(result: Node) -> set[Node]:
    """What a value is the sum of, up to factors."""
    found, stack = set[Node](), [result]
    while stack:
        here = stack.pop()
        factors = [x for x in here.inputs if x.active or x.size > 1]
        scaled = here.op in ("multiply", "divide", "negative") and len(factors) == 1
        if here.op in ADDING:
            stack += here.inputs
        elif scaled and factors[0].op != "parameter":
            stack += factors
        elif here.active:
            found.add(here)
    return found


def _is_of_norm(nodes: Sequence[Node]) -> bool:
    """Whether one parameter goes in, entry by entry, and numbers alone besides."""
    given = [n for n in nodes if not n.inputs and (n.active or n.size > 1)]
    arrays = [n for n in given if n.size > 1]
    of, *others = arrays or given
    return (
        of.op == "parameter"
        and not others
        and not any(map(_mixes, nodes))
        and all(
            n.op in _OF_NORMS or _is_product(n) or (arrays and _is_of_numbers(n))
            for n in nodes
            if n.inputs
        )
    )


def _mixes(node: Node) -> bool:
    """Whether entries go in with others, as those of neighbours do."""
    together = node.op in ADDING and sum(x.active for x in node.inputs) > 1
    return together and (node.op == "subtract" or node.size > 1)


def _is_product(node: Node) -> bool:
    """Whether it is an inner product."""
    return node.op == "contract" and node.size == 1


def _is_of_numbers(node: Node) -> bool:
    return all(x.size == 1 for x in node.inputs)
