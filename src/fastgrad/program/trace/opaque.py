"""Functions that nobody knows, as operations of the program.

Such an operation has a value at theta. Where nothing that it was given is perturbed,
that is its value; a lane in which it is goes to the user's loss. Its derivative, which
naming a bug needs, is measured by differences of that function alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CellType, FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.program import graph
from fastgrad.program.graph import Node, TraceError
from fastgrad.program.primitives import shapes
from fastgrad.program.trace.complexes import Complex
from fastgrad.program.trace.traced import Traced

Array = NDArray[np.float64]


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


class _Closure:
    """A function among the arguments that has traced arrays among its variables."""

    def __init__(self, function: FunctionType, cells: Any, defaults: Any) -> None:
        self.function = function
        self.cells = cells
        self.defaults = defaults


def call_opaque(recording: Any, function: Any, args: Any, kwargs: Any) -> Any:
    """Record a call as an operation of its own.

    Raises
    ------
    TraceError
        If it changes what it is given, or returns something else than numbers.
    """
    word = "__name__" if isinstance(function, np.ufunc) else "__qualname__"
    name = getattr(function, word, None) or type(function).__name__
    inputs: list[Node] = []
    template = _emptied((args, kwargs), inputs)

    def run(values: Sequence[Array]) -> Any:
        given_args, given_kwargs = _filled(template, values)
        with graph.outside():
            return function(*given_args, **given_kwargs)

    given = _filled(template, [x.value for x in inputs])
    before = _numbers(given)
    with graph.outside():
        result = function(*given[0], **given[1])
    if any(
        not np.array_equal(a, b, equal_nan=True)
        for a, b in zip(before, _arrays(given), strict=True)
    ):
        raise TraceError(f"{name}() changes its arguments")
    if result is None:
        raise TraceError(f"{name}() is not known to the trace and returns nothing")
    parts: list[Array] = []
    shape = _taken_apart(result, parts, name)
    row = _in_a_row(parts)
    call = OpaqueCall(
        lambda values: _in_a_row(_parts(run(values), name)),
        [x.active for x in inputs],
        row.size,
    )
    node = graph.apply("opaque", inputs, (call,), label=f"{name}()", value=row)
    recording.opaque.append(node)
    return _put_together(shape, node, parts)


def _parts(result: Any, name: str) -> list[Array]:
    parts: list[Array] = []
    _taken_apart(result, parts, name)
    return parts


def _in_a_row(parts: list[Array]) -> Array:
    return np.concatenate([p.ravel() for p in parts]) if parts else np.empty(0)


# ---- arguments -----------------------------------------------------------------------


def _emptied(x: Any, inputs: list[Node]) -> Any:
    """The arguments with slots for their traced arrays."""
    if isinstance(x, Traced):
        inputs.append(x.node)
        return _Slot(len(inputs) - 1, x.dtype)
    if isinstance(x, Complex):
        raise TraceError("complex numbers as arguments of an unknown function")
    if type(x) in (list, tuple):
        return type(x)(_emptied(y, inputs) for y in x)
    if type(x) is dict:
        return {key: _emptied(value, inputs) for key, value in x.items()}
    if isinstance(x, FunctionType):
        cells = [_emptied(c.cell_contents, inputs) for c in x.__closure__ or ()]
        return _Closure(x, cells, _emptied(x.__defaults__, inputs))
    if isinstance(x, (float, int, np.generic, np.ndarray)) and _is_real(x):
        inputs.append(graph.constant(x))  # so that a second trace is compared with it
    return x


def _is_real(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "fiub"


def _filled(x: Any, values: Sequence[Array]) -> Any:
    """The arguments with copies of these values in the slots."""
    if isinstance(x, _Slot):
        value = values[x.number].astype(x.dtype)
        return value if value.ndim else value[()]
    if type(x) in (list, tuple):
        return type(x)(_filled(y, values) for y in x)
    if type(x) is dict:
        return {key: _filled(value, values) for key, value in x.items()}
    if isinstance(x, _Closure):
        f = x.function
        copy = FunctionType(
            f.__code__,
            f.__globals__,
            f.__name__,
            _filled(x.defaults, values),
            tuple(CellType(_filled(c, values)) for c in x.cells) or None,
        )
        copy.__kwdefaults__ = f.__kwdefaults__
        return copy
    return x


def _arrays(x: Any) -> list[Any]:
    if isinstance(x, (list, tuple)):
        return [found for y in x for found in _arrays(y)]
    if isinstance(x, dict):
        return _arrays(list(x.values()))
    return [x] if isinstance(x, np.ndarray) and x.dtype.kind in "fiub" else []


def _numbers(x: Any) -> list[Any]:
    return [array.copy() for array in _arrays(x)]


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
