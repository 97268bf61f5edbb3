"""Functions that nobody knows, as operations of the program.

Such an operation has a value at theta. Where nothing that it was given is perturbed,
that is its value; a lane in which it is calls it anew, or, where it returns more than
floating point numbers, is left to the loss itself. Its derivative, which naming a bug
needs, is measured by differences of that function alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program import graph
from fastgrad.program.graph import Node
from fastgrad.program.primitives import shapes
from fastgrad.program.primitives.calls import OpaqueCall
from fastgrad.program.sources import TraceError
from fastgrad.program.trace.complexes import Complex
from fastgrad.program.trace.foreign import Foreign
from fastgrad.program.trace.templates import (
    ITERATORS,
    Slot,
    arrays,
    called,
    emptied,
    filled,
    made_of_others,
)
from fastgrad.program.trace.traced import Traced

_FLOAT = np.dtype(float)


def call_opaque(
    recording: Any, function: Any, args: Any, kwargs: Any, label: str | None = None
) -> Any:
    """Record a call as an operation of its own.

    Arrays that it changes are among its results: they are written to afterwards.

    Raises
    ------
    TraceError
        If it returns something else than numbers, or nothing and changes nothing.
    """
    known = function.held if type(function) is Foreign else function
    name = label or f"{_name_of(known)}()"
    given = (function, args, kwargs)
    found = arrays((args, kwargs))
    inputs: list[Node] = []
    template = emptied(given, inputs)
    values = [x.value for x in inputs]
    before = [np.asarray(_value_of(x)) for x in found]
    began = time.perf_counter()
    result, after = _run(template, values, {})
    seconds = time.perf_counter() - began
    changed = [i for i, x in enumerate(before) if not _same(x, after[i])]
    if changed or result is None or _shares(result, after):
        changed = sorted({*changed, *_filled_anew(template, values, before, changed)})
        unread = [i for i in changed if type(found[i]) is np.ndarray]
        if unread and _alike(template, values, unread):  # else what was in them counts
            inputs = []
            template = emptied(given, inputs, {id(found[i]) for i in unread})
    if result is None and not changed:
        _run(template, values, {})  # what it did to objects is as it was
        raise TraceError(f"{name} is not known to the trace and returns nothing")
    if made_of_others(template):
        result = _as_held(template, inputs, result)
    parts: list[Array] = []
    refused = len(recording.refused)
    written = [after[i] for i in changed]
    try:
        shape = _taken_apart((result, written), parts, name)
    except TraceError:
        itself = getattr(known, "__self__", None)
        if changed or result is itself or type(result) is np.ndarray:
            raise
        del recording.refused[refused:]
        return Foreign(result, template, inputs)
    decides = _is_discrete((result, written))
    call = _again(template, inputs, changed, parts, name, decides, seconds)
    row = _in_a_row(parts)
    node = graph.apply("opaque", inputs, (call,), label=name, value=row)
    recording.opaque.append(node)
    returned, written = _put_together(shape, node, parts)
    for i, new in zip(changed, written, strict=True):
        target = found[i]
        if type(target) is np.ndarray:
            target = recording.promote(target)
        target[...] = new
    return returned


def _again(
    template: Any,
    inputs: Sequence[Node],
    changed: Sequence[int],
    parts: Sequence[Array],
    name: str,
    decides: bool,
    seconds: float,
) -> OpaqueCall:
    """The call as an operation: made again, of other arrays, it gives such parts."""
    shapes_here = [x.shape for x in parts]

    def evaluated(values: Sequence[Array]) -> Array | None:
        result, after = _run(template, values, {})
        there = _parts((result, [after[i] for i in changed]), name)
        return _in_a_row(there) if [x.shape for x in there] == shapes_here else None

    size, traced = sum(x.size for x in parts), [x.active for x in inputs]
    return OpaqueCall(evaluated, traced, size, decides=decides, seconds=seconds)


def _name_of(function: Any) -> str:
    word = "__name__" if isinstance(function, np.ufunc) else "__qualname__"
    return getattr(function, word, None) or type(function).__name__


def _is_discrete(x: Any) -> bool:
    """Whether whole numbers are among the results, which the loss may act on."""
    if isinstance(x, dict):
        return _is_discrete(list(x.values()))
    if isinstance(x, (list, tuple)):
        return any(map(_is_discrete, x))
    return isinstance(x, (int, str)) or getattr(x, "dtype", _FLOAT).kind in "iub"


def _value_of(x: Any) -> Any:
    if isinstance(x, Complex):
        return _value_of(x.real) + 1j * _value_of(x.imag)
    return x.node.value if isinstance(x, Traced) else x


# ---- calling it ----------------------------------------------------------------------


def _run(
    template: Any, values: Sequence[Array], fill: dict[int, float]
) -> tuple[Any, list[Any]]:
    """What a call returns, and what its arrays are after it.

    Those with the numbers in `fill` are filled with something before.
    """
    given = filled(template, values)
    its = arrays(given[1:])
    for number, value in fill.items():
        its[number].fill(value)
    return called(given), its


def _filled_anew(
    template: Any, values: Sequence[Array], before: list[Any], changed: list[int]
) -> list[int]:
    """Of the arrays that a call seems not to change, those that it does.

    A buffer may hold what is about to be written to it: memory is used again.
    """
    found = []
    for i in sorted({*range(len(before))}.difference(changed)):
        other = np.full(before[i].shape, 0.5).astype(before[i].dtype)
        try:
            after = _run(template, values, {i: 0.5})[1]
        except Exception:
            continue  # it is read, then
        if not _same(other, after[i]):
            found.append(i)
    return found


def _shares(result: Any, its: list[Any]) -> bool:
    """Whether a call returns memory of its arguments, as what it has written to."""
    return any(np.may_share_memory(x, y) for x in arrays(result) for y in its)


def _alike(template: Any, values: Sequence[Array], overwritten: list[int]) -> bool:
    """Whether a call makes the same of these arrays, whatever is in them before."""
    one, other = (
        arrays(_run(template, values, dict.fromkeys(overwritten, value)))
        for value in (0.0, 1.0)
    )
    return all(_same(x, y) for x, y in zip(one, other, strict=True))


def _as_held(template: Any, inputs: list[Node], made_again: Any) -> Any:
    """What a call gives with the objects themselves, which may have changed since."""
    result = called(filled(template, [x.value for x in inputs], held=True))
    again, now = arrays(_numeric(made_again)), arrays(_numeric(result))
    if len(again) != len(now) or not all(map(_same, again, now)):
        raise TraceError("an object that changed since it was made of parameters")
    return result


def _numeric(x: Any) -> Any:
    return np.atleast_1d(x) if isinstance(x, (float, int, np.generic)) else x


def _same(x: Any, y: Any) -> bool:
    return bool(np.array_equal(x, y, equal_nan=True))


def _parts(result: Any, name: str) -> list[Array]:
    parts: list[Array] = []
    _taken_apart(result, parts, name)
    return parts


def _in_a_row(parts: list[Array]) -> Array:
    return np.concatenate([p.ravel() for p in parts]) if parts else np.empty(0)


# ---- results -------------------------------------------------------------------------


def _taken_apart(x: Any, parts: list[Array], name: str) -> Any:
    """The structure of a result; its floating point arrays go to `parts`."""
    if isinstance(x, (float, np.floating)) or type(x) is np.ndarray:
        array = np.asarray(x)
        if array.dtype.kind == "O" and all(isinstance(y, float) for y in array.flat):
            array = array.astype(float)  # as those of `np.frompyfunc`
        if array.dtype.kind == "f":
            parts.append(array.astype(float))
            return Slot(len(parts) - 1, array.dtype)
        if array.dtype.kind == "c":
            parts += [array.real.astype(float), array.imag.astype(float)]
            return complex, Slot(len(parts) - 2, float), Slot(len(parts) - 1, float)
        if array.dtype.kind in "iub":
            return array
    if isinstance(x, (complex, np.complexfloating)):
        return _taken_apart(np.asarray(x), parts, name)
    if isinstance(x, (bool, int, np.integer, np.bool_, str)) or x is None:
        return x
    if isinstance(x, ITERATORS):
        return iter, [_taken_apart(y, parts, name) for y in x]
    if not getattr(x, "__dict__", None):  # nothing but its elements
        if isinstance(x, dict):
            return type(x), {k: _taken_apart(v, parts, name) for k, v in x.items()}
        if isinstance(x, (list, tuple)):
            return type(x), [_taken_apart(y, parts, name) for y in x]
    raise TraceError(f"{name} is not known to the trace and returns {type(x).__name__}")


def _put_together(shape: Any, node: Node, parts: list[Array]) -> Any:
    """The result again, its arrays parts of the operation."""
    offsets = np.cumsum([0, *(p.size for p in parts)])

    def part(slot: Slot) -> Traced:
        a, b = offsets[slot.number], offsets[slot.number + 1]
        piece = shapes.index(node, slice(int(a), int(b)), node.label)
        piece = graph.reshape(piece, parts[slot.number].shape, node.label)
        return Traced(piece, np.dtype(slot.dtype))

    def build(x: Any) -> Any:
        if isinstance(x, Slot):
            return part(x)
        if isinstance(x, tuple) and x[0] is complex:
            return Complex(part(x[1]), part(x[2]))
        if isinstance(x, tuple) and isinstance(x[1], dict):
            made = x[0].__new__(x[0])  # its constructor may ask for more
            made.update({k: build(v) for k, v in x[1].items()})
            return made
        if isinstance(x, tuple):
            items = [build(y) for y in x[1]]
            return x[0]._make(items) if hasattr(x[0], "_make") else x[0](items)
        return x

    return build(shape)
