"""Numbers in the user's gradient code that are to be others, or are missing.

What is due says which. Where it follows in proportion, from one dot product; else, as
inside of a quotient, from how far what is computed is off, step by step.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastgrad.causes.codes import of_factor
from fastgrad.causes.counts import told
from fastgrad.causes.evidence import Evidence
from fastgrad.causes.known import Known
from fastgrad.causes.names import Names
from fastgrad.causes.probes import NOBODYS
from fastgrad.causes.rewrites import New, Rewrite, own, times
from fastgrad.causes.views import Projection
from fastgrad.program import Node, topological, value_of

Array = NDArray[np.float64]

_LEAST = 1e-9  # of a factor that is not zero
_SURE = -2.0  # bits of a number of the loss that is missing
_WRITTEN = -8.0  # bits of one that is written, and is another one
_NAMED = 12.0  # bits of one that is no number of the loss
_STEP, _STEPS, _CLOSE = 1e-6, 12, 1e-9  # relative, to the number that is due
_PARTS = (1.0, 0.5, 0.25, 0.125)
_LINEAR = ("add", "subtract", "multiply")


def numbers(
    evidence: Evidence,
    known: Known,
    name: Names,
    view: Projection,
    turns: Sequence[Node],
) -> Iterator[Rewrite]:
    """Yield the numbers that an operation is to read, or that are missing there."""
    node, old = turns[0], view.before(turns)
    if not node.inputs:
        return
    for i, x in enumerate(node.inputs):
        if x.op == "constant" and x.size == 1 and node.active:
            yield from _another(evidence, view, turns, i)
    factor = 1 + view.due / old if old else 0.0
    if abs(factor) > _LEAST:
        yield _factor(evidence, name, node, factor)
    ones = sum(float(np.sum(view.weight[n])) for n in turns)
    term = view.due / ones if ones else 0.0
    called = evidence.counts.name(term) if node.active else None
    if called:
        text = f"{name(node)} is to be increased by {told(term, called)}"
        of_formula = node.size > 1 and evidence.counts.is_usual(term)
        of_formula &= not any(map(known.is_gradient, topological(node)))
        code = "local_derivative" if of_formula else "accumulation"
        yield Rewrite(code, text, _SURE, _more(term), inserted=True)


def _factor(evidence: Evidence, name: Names, node: Node, factor: float) -> Rewrite:
    known = evidence.counts.name(factor)
    text = f"{name(node)} is to be multiplied by {told(factor, known)}"
    bits, code = 4.0 if known else _NAMED, of_factor(node, factor)
    if code == "reduction":
        bits -= 0.5
    if code == "scale" and bits == _NAMED:  # a constant of some formula
        code = "local_derivative"
    if code == "regularization":
        code, bits = (code, 0.0) if bits < _NAMED else ("scale", bits)
    return Rewrite(code, text, bits, times(factor), inserted=bits > 3)


def _more(term: float) -> New:
    return lambda node, inputs, point, k: own(node, inputs) + term


# ---- another constant ----------------------------------------------------------------


def _another(
    evidence: Evidence, view: Projection, turns: Sequence[Node], i: int
) -> Iterator[Rewrite]:
    """Yield what is due in place of a number that an operation reads."""
    node, x = turns[0], turns[0].inputs[i]
    c = float(x.value.flat[0])
    with suppress(*NOBODYS):
        due = evidence.counts.written(_due(view, turns, i, c))
        if due is None or due in (0.0, c):
            return
        code, bits = "local_derivative", _WRITTEN
        if node.op in ("multiply", "divide"):
            code, bits = of_factor(node, due / (c or 1.0)), 3.0
        elif node.op in ("add", "subtract"):
            if not c:
                code = "accumulation"  # a term is left out
            elif due in evidence.counts and not evidence.counts.is_usual(due):
                code = "scale"
        if due == -c:
            code = "sign"
        text = f"{c:.6g} stands where {due:.6g} is due"
        if f"{c:.6g}" == f"{due:.6g}":
            text = f"{c:.12g} stands where {due:.12g} is due"
        yield Rewrite(code, text, bits, _with(i, due))


def _due(view: Projection, turns: Sequence[Node], i: int, c: float) -> float:
    """The number that gives what is due, if any does."""
    op = turns[0].op
    if view.is_bent(turns) or not (op in _LINEAR or (op == "divide" and not i)):
        return _solved(partial(_left, view, turns, i), c)
    old = view.before(turns)
    slope = view.after(turns, _with(i, c + 1)) - old
    return c + view.due / slope if slope else c


def _left(view: Projection, turns: Sequence[Node], i: int, c: float) -> Array:
    """How far what is computed with a number is off."""
    made = view.made(turns, _with(i, c))
    off = [made[n] - due for n, (_, due) in view.targets.items()]
    return np.concatenate([part.ravel() for part in off])


def _solved(left: Callable[[float], Array], c: float) -> float:
    """The number of which nothing is left, by steps of least squares; nan if stuck."""
    off = left(c)
    for _ in range(_STEPS):
        h = _STEP * max(abs(c), 1.0)
        slope = (left(c + h) - off) / h
        size, whole = float(np.linalg.norm(off)), float(slope @ slope)
        step = float(slope @ off) / whole if whole else 0.0
        if abs(step) <= _CLOSE * abs(c):
            break
        for part in _PARTS:  # of a step that goes too far
            off = left(c - part * step)
            if np.linalg.norm(off) < size:
                c -= part * step
                break
        else:
            return np.nan
    return c


def _with(i: int, c: float) -> New:
    """The operation with another number for an input."""
    return lambda node, inputs, point, k: value_of(
        node, [*inputs[:i], np.full(node.inputs[i].shape, c), *inputs[i + 1 :]]
    )
