"""Functions that nobody knows, as operations of the program.

Such an operation has a value at theta. Where nothing that it was given is perturbed,
that is its value; a lane in which it is goes to the user's loss. Its derivative, which
naming a bug needs, is measured by differences of that function alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from types import CellType, FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.program import graph
from fastgrad.program.graph import Node, TraceError
from fastgrad.program.primitives import shapes
from fastgrad.program.trace.complexes import Complex, is_live
from fastgrad.program.trace.foreign import Foreign
from fastgrad.program.trace.traced import Traced

Array = NDArray[np.float64]
_FLOAT = np.dtype(float)


class OpaqueCall(int):
    """The call behind an opaque operation, among whose integers it is.

    An integer that is zero, whatever is called: two traces of a loss agree in it.
    """

    function: Callable[[Sequence[Array]], Array]
    traced: list[bool]
    size: int

    def __new__(  # noqa: D102
        cls, function: Callable[[Sequence[Array]], Array], traced: list[bool], size: int
    ) -> OpaqueCall:
        made = super().__new__(cls, 0)
        made.function = function
        made.traced = traced
        made.size = size
        return made

    def evaluate(self, inputs: Sequence[Array]) -> Array:
        """All the floating point numbers it returns, in a row; nan where it fails.

        A mistake that is tried may take it out of its domain.
        """
        try:
            return self.function(inputs)
        except Exception:
            return np.full(self.size, np.nan)

    def derivative(self, g: Array, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The vector-Jacobian product, by central differences."""
        found = [np.zeros(x.shape) for x in inputs]
        moved = [x.copy() for x in inputs]
        used = g != 0  # a result that nothing uses may be infinite
        for total, x, active in zip(found, moved, self.traced, strict=True):
            for i in range(x.size if active else 0):
                before = x.flat[i]
                h = np.cbrt(np.finfo(float).eps) * max(abs(before), 1.0)
                sides = []
                for x.flat[i] in (before + h, before - h):
                    sides.append(self.evaluate(moved)[used])
                x.flat[i] = before
                total.flat[i] = g[used] @ (sides[0] - sides[1]) / (2 * h)
        return tuple(found)


class _Slot:
    """Where a traced array was among the arguments."""

    def __init__(self, number: int, dtype: Any) -> None:
        self.number = number
        self.dtype = dtype


class _Made:
    """Where an object made of traced arrays was, and its first input."""

    def __init__(self, made: Foreign, first: int) -> None:
        self.made = made
        self.first = first


class _Closure:
    """A function among the arguments that has traced arrays among its variables."""

    def __init__(self, function: FunctionType, cells: Any, defaults: Any) -> None:
        self.function = function
        self.cells = cells
        self.defaults = defaults


def call_opaque(recording: Any, function: Any, args: Any, kwargs: Any) -> Any:
    """Record a call as an operation of its own.

    Arrays that it changes are among its results: they are written to afterwards.

    Raises
    ------
    TraceError
        If it returns something else than numbers, or nothing and changes nothing.
    """
    known = function.held if type(function) is Foreign else function
    word = "__name__" if isinstance(known, np.ufunc) else "__qualname__"
    name = getattr(known, word, None) or type(known).__name__
    given = (function, args, kwargs)
    arrays = _arrays((args, kwargs))
    changed = _changed(given, arrays)
    overwritten = [i for i in changed if type(arrays[i]) is np.ndarray]
    if not _alike(given, overwritten):
        overwritten = []  # what was in them counts
    inputs: list[Node] = []
    template = _emptied(given, inputs, {id(arrays[i]) for i in overwritten})

    def run(values: Sequence[Array]) -> Any:
        result, after = _called(_filled(template, values))
        return result, [after[i] for i in changed]

    result = run([x.value for x in inputs])
    if result[0] is None and not changed:
        raise TraceError(f"{name}() is not known to the trace and returns nothing")
    as_held = _as_held(template, inputs, result[0])
    parts: list[Array] = []
    refused = len(recording.refused)
    try:
        shape = _taken_apart(result, parts, name)
    except TraceError:
        itself = getattr(known, "__self__", None)
        if changed or result[0] is itself or isinstance(result[0], np.ndarray):
            raise
        del recording.refused[refused:]
        return Foreign(as_held, template, inputs)
    row = _in_a_row(parts)
    call = OpaqueCall(
        lambda values: _in_a_row(_parts(run(values), name)),
        [x.active for x in inputs],
        row.size,
    )
    node = graph.apply("opaque", inputs, (call,), label=f"{name}()", value=row)
    recording.opaque.append(node)
    if _is_discrete(result):
        recording.guards.append(node)  # another number may mean another program
    returned, written = _put_together(shape, node, parts)
    for i, new in zip(changed, written, strict=True):
        array = arrays[i]
        target = recording.promote(array) if type(array) is np.ndarray else array
        target[...] = new
    return returned


def _is_discrete(x: Any) -> bool:
    """Whether whole numbers are among the results, which the loss may act on."""
    if isinstance(x, dict):
        return _is_discrete(list(x.values()))
    if isinstance(x, (list, tuple)):
        return any(map(_is_discrete, x))
    return isinstance(x, (int, str)) or getattr(x, "dtype", _FLOAT).kind in "iub"


def _as_held(template: Any, inputs: list[Node], made_again: Any) -> Any:
    """What a call gives with the objects themselves, which may have changed since."""
    result = _called(_filled(template, [x.value for x in inputs], held=True))[0]
    again, now = _arrays(_numeric(made_again)), _arrays(_numeric(result))
    if len(again) != len(now) or not all(map(_same, again, now)):
        raise TraceError("an object that changed since it was made of parameters")
    return result


def _numeric(x: Any) -> Any:
    return np.atleast_1d(x) if isinstance(x, (float, int, np.generic)) else x


def _called(given: Any) -> tuple[Any, list[Any]]:
    """What a call returns, and what its arrays are after it."""
    function, args, kwargs = given
    with graph.outside():
        result = function(*args, **kwargs)
    return result, _arrays((args, kwargs))


def _at_theta(given: Any, fill: dict[int, float]) -> Any:
    """A call with copies of its arrays; those with these numbers filled with them."""
    inputs: list[Node] = []
    template = _emptied(given, inputs)
    function, args, kwargs = _filled(template, [x.value for x in inputs])
    arrays = _arrays((args, kwargs))
    for number, value in fill.items():
        arrays[number].fill(value)
    return function, args, kwargs


def _changed(given: Any, arrays: list[Any]) -> list[int]:
    """The numbers of the arrays that a call changes.

    A buffer may hold what is about to be written to it: memory is used again.
    """
    before = [np.asarray(x.node.value if isinstance(x, Traced) else x) for x in arrays]
    result, after = _called(_at_theta(given, {}))
    found = [i for i, x in enumerate(before) if not _same(x, after[i])]
    if result is None or found:
        for i in sorted({*range(len(before))}.difference(found)):
            filled = np.full(before[i].shape, 0.5).astype(before[i].dtype)
            try:
                after = _called(_at_theta(given, {i: 0.5}))[1]
            except Exception:
                continue  # it is read, then
            if not _same(filled, after[i]):
                found.append(i)
    return sorted(found)


def _same(x: Any, y: Any) -> bool:
    return bool(np.array_equal(x, y, equal_nan=True))


def _alike(given: Any, overwritten: list[int]) -> bool:
    """Whether a call makes the same of these arrays, whatever is in them before."""
    one, other = (
        _called(_at_theta(given, dict.fromkeys(overwritten, value)))
        for value in (0.0, 1.0)
    )
    return all(_same(x, y) for x, y in zip(_arrays(one), _arrays(other), strict=True))


def _parts(result: Any, name: str) -> list[Array]:
    parts: list[Array] = []
    _taken_apart(result, parts, name)
    return parts


def _in_a_row(parts: list[Array]) -> Array:
    return np.concatenate([p.ravel() for p in parts]) if parts else np.empty(0)


# ---- arguments -----------------------------------------------------------------------


def _emptied(x: Any, inputs: list[Node], blank: Collection[int] = frozenset()) -> Any:
    """The call with slots for its traced arrays; `blank` are ids of those unread."""

    def emptied(x: Any) -> Any:
        if isinstance(x, Traced):
            inputs.append(x.node)
            return _Slot(len(inputs) - 1, x.dtype)
        if isinstance(x, Foreign):
            inputs.extend(x.inputs)
            return _Made(x, len(inputs) - len(x.inputs))
        if isinstance(x, Complex):
            raise TraceError("complex numbers as arguments of an unknown function")
        if type(x) in (list, tuple):
            return type(x)(emptied(y) for y in x)
        if type(x) is dict:
            return {key: emptied(value) for key, value in x.items()}
        if isinstance(x, FunctionType) and is_live(variables(x)):
            cells = [emptied(c.cell_contents) for c in x.__closure__ or ()]
            return _Closure(x, cells, emptied(x.__defaults__))
        number = isinstance(x, (float, int, np.generic, np.ndarray)) and _is_real(x)
        if number and id(x) not in blank:
            inputs.append(graph.constant(x))  # a second trace is compared with it
        return x

    return emptied(x)


def variables(function: FunctionType) -> list[Any]:
    """What a function holds: its defaults and the variables around it."""
    found = [*(function.__defaults__ or ())]
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # nothing is in it yet
            found.append(cell.cell_contents)
    return found


def _is_real(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "fiub"


def _filled(x: Any, values: Sequence[Array], *, held: bool = False) -> Any:
    """The call with copies of these values in the slots, and of its arrays."""
    if type(x) is np.ndarray:
        return x.copy(order="K")
    if isinstance(x, _Slot):
        value = values[x.number].astype(x.dtype)
        return value if value.ndim else value[()]
    if isinstance(x, _Made):
        given = values[x.first : x.first + len(x.made.inputs)]
        return x.made.held if held else _called(_filled(x.made.template, given))[0]
    if type(x) in (list, tuple):
        return type(x)(_filled(y, values, held=held) for y in x)
    if type(x) is dict:
        return {key: _filled(value, values, held=held) for key, value in x.items()}
    if isinstance(x, _Closure):
        f = x.function
        copy = FunctionType(
            f.__code__,
            f.__globals__,
            f.__name__,
            _filled(x.defaults, values, held=held),
            tuple(CellType(_filled(c, values, held=held)) for c in x.cells) or None,
        )
        copy.__kwdefaults__ = f.__kwdefaults__
        return copy
    return x


def _arrays(x: Any) -> list[Any]:
    if isinstance(x, (list, tuple)):
        return [found for y in x for found in _arrays(y)]
    if isinstance(x, dict):
        return _arrays(list(x.values()))
    numeric = isinstance(x, (Traced, np.ndarray)) and x.dtype.kind in "fiub"
    return [x] if numeric and x.ndim else []


# ---- results -------------------------------------------------------------------------


def _taken_apart(x: Any, parts: list[Array], name: str) -> Any:
    """The structure of a result; its floating point arrays go to `parts`."""
    if isinstance(x, (float, np.floating, np.ndarray)):
        array = np.asarray(x)
        if array.dtype.kind == "f":
            parts.append(array.astype(float))
            return _Slot(len(parts) - 1, array.dtype)
        if array.dtype.kind == "c":
            parts += [array.real.astype(float), array.imag.astype(float)]
            return complex, _Slot(len(parts) - 2, float), _Slot(len(parts) - 1, float)
        if array.dtype.kind in "iub":
            return array
    if isinstance(x, (complex, np.complexfloating)):
        return _taken_apart(np.asarray(x), parts, name)
    if isinstance(x, (bool, int, np.integer, np.bool_, str)) or x is None:
        return x
    if isinstance(x, dict):
        return type(x), {k: _taken_apart(v, parts, name) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x), [_taken_apart(y, parts, name) for y in x]
    raise TraceError(
        f"{name}() is not known to the trace and returns {type(x).__name__}"
    )


def _put_together(shape: Any, node: Node, parts: list[Array]) -> Any:
    """The result again, its arrays parts of the operation."""
    offsets = np.cumsum([0, *(p.size for p in parts)])

    def part(slot: _Slot) -> Traced:
        a, b = offsets[slot.number], offsets[slot.number + 1]
        piece = shapes.index(node, slice(int(a), int(b)), node.label)
        piece = graph.reshape(piece, parts[slot.number].shape, node.label)
        return Traced(piece, np.dtype(slot.dtype))

    def build(x: Any) -> Any:
        if isinstance(x, _Slot):
            return part(x)
        if isinstance(x, tuple) and x[0] is complex:
            return Complex(part(x[1]), part(x[2]))
        if isinstance(x, tuple) and isinstance(x[1], dict):
            made = x[0]()
            made.update({k: build(v) for k, v in x[1].items()})
            return made
        if isinstance(x, tuple):
            items = [build(y) for y in x[1]]
            return x[0]._make(items) if hasattr(x[0], "_make") else x[0](items)
        return x

    return build(shape)
