"""How far the rounding inside a program moves its gradient: stochastic arithmetic.

Differences are formed from the values that NumPy rounded at theta. Where terms of the
loss cancel, as in 1 - sigmoid(30), such a value is off by much of itself, and so is the
slope, however exactly differences are formed. Here all values are rounded up or down by
an ulp, in a forward pass, and reverse mode runs on what comes of that. How far several
gradients spread is what rounding may have done to one (CESTAC, Vignes 1993).

A value is rounded by its bits: what is equal stays equal, and ties remain. Sums and
products of whole numbers are exact, and stay. Numbers so small that they keep few
digits, as exp(-740), may have slopes that overflow: nothing is known of these.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program.gradient import Rule, computes, derivative, gradients
from fastgrad.program.graph import Node, value_of
from fastgrad.program.part import Part
from fastgrad.program.primitives import ops
from fastgrad.program.program import Program
from fastgrad.program.sources import Source

_SAMPLES = 4
_LARGEST = 1 << 22  # numbers that a program computes: a second copy has to fit
_AMPLIFIED = 1e3  # ulp: by so much a value is off only where terms cancel
_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_ARITHMETIC = frozenset(
    ["add", "subtract", "multiply", "divide", "square", "sum", "cumsum", "cumprod"]
    + ["contract", "solve", "det", "logabsdet", "cholesky"]
)


def spread_of_gradient(program: Program | Part) -> tuple[Array, Array, Source | None]:
    """Return the gradient, by how much rounding may move it, and where terms cancel.

    Cost: five forward and reverse passes. Zeros for programs that are too large for
    that or make calls, whose derivatives take many calls.
    """
    nothing = np.broadcast_to(0.0, sum(p.size for p in program.parameters))
    if program.opaque or sum(node.size for node in program.nodes) > _LARGEST:
        return nothing, nothing, None
    rng = np.random.default_rng(0)
    worst, line = _AMPLIFIED, None
    with np.errstate(all="ignore"):
        plain = _joined(program.nodes, program.result, program.parameters)
        spread = nothing
        for odd in rng.integers(1 << 62, size=_SAMPLES, dtype=np.uint64) | np.uint64(1):
            other, rules = _rounded(program.nodes, odd)
            parameters = [other[p] for p in program.parameters]
            nodes, result = list(other.values()), other[program.result]
            moved = _joined(nodes, result, parameters, rules)
            spread = np.fmax(spread, np.abs(moved - plain))
            for node in filter(computes, program.nodes):
                ulps = np.abs(other[node].value - node.value) / np.abs(node.value)
                most = np.max(ulps, initial=0.0, where=np.isfinite(ulps)) / _EPS
                if most > worst and node.op in _ARITHMETIC:
                    worst, line = most, node.source
    small = next(filter(_underflows, program.nodes), None)
    lost = ~np.isfinite(plain)
    if small is not None and lost.any():
        plain[lost], spread[lost], line = 0.0, np.inf, small.source
    return plain, spread, line


def _joined(*program: Any) -> Array:
    """The gradient as one vector."""
    return np.concatenate([*map(np.ravel, gradients(*program))])


def _rounded(
    nodes: Sequence[Node], odd: np.uint64
) -> tuple[dict[Node, Node], dict[Node, Rule]]:
    """The program with every value rounded by what its bits are to an odd number.

    And the derivatives of its functions, which kernels take from their arguments: 1 -
    t**2 of a tanh has all its digits, whatever rounding leaves of 1 - t.
    """
    copies: dict[Node, Node] = {}
    rules: dict[Node, Rule] = {}
    for node in nodes:
        if not computes(node):
            copies[node] = node
            continue
        inputs = tuple(copies[x] for x in node.inputs)
        value = exact = value_of(node, [x.value for x in inputs])
        if _is_inexact(node):
            up = (value.view(np.uint64) * odd) >> np.uint64(63)
            ulp = np.where(np.isfinite(value) & (value != 0), np.spacing(value), 0.0)
            value = np.asarray(value + ulp * (2.0 * up - 1))
        copies[node] = node.replaced(inputs, value)
        if ops.PRIMITIVES[node.op].inexact:
            rules[copies[node]] = partial(derivative, out=exact)
    return copies, rules


def _underflows(node: Node) -> bool:
    size = np.abs(node.value)
    return computes(node) and bool(((size > 0) & (size < _TINY)).any())


def _is_inexact(node: Node) -> bool:
    if node.op in _ARITHMETIC:
        return not all(_is_whole(x.value) for x in node.inputs)
    return ops.PRIMITIVES[node.op].inexact


def _is_whole(x: Array) -> bool:
    return bool((x == np.rint(x)).all())
