"""Calls with their traced arrays taken out: templates, to be filled with other values.

What is found in lists, tuples and dicts, among the variables of functions, in the
attributes of objects and behind bound methods is replaced by what can be filled.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
from collections.abc import Collection, Sequence
from types import CellType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program import graph, sources
from fastgrad.program.graph import Node
from fastgrad.program.trace.complexes import Complex, is_live
from fastgrad.program.trace.foreign import Foreign
from fastgrad.program.trace.traced import Traced

#: Objects that are looked at for traced arrays among what they hold.
_MOST = 10_000
#: Kinds of values that hold nothing.
_SIMPLE = frozenset([float, int, bool, str, bytes, complex, type(None), np.ndarray])
#: What an iterator still has to give, a call would use up; but for those without end.
ITERATORS = (
    *(map, filter, zip, enumerate, reversed, GeneratorType),
    *(itertools.chain, itertools.islice, itertools.accumulate, itertools.starmap),
    *(itertools.takewhile, itertools.dropwhile, itertools.filterfalse),
    *(itertools.compress, itertools.pairwise, itertools.zip_longest),
    *(itertools.product, itertools.combinations, itertools.permutations),
)

#: What a library's function is given as a list: NumPy reads sequences as it does those.
LISTED = (*ITERATORS, collections.deque, collections.UserList)


class Slot:
    """Where a traced array was."""

    def __init__(self, number: int, dtype: Any) -> None:
        self.number = number
        self.dtype = dtype

    def filled(self, values: Sequence[Array], held: bool) -> Any:
        """A copy of the value, a number where it has no axes."""
        value = values[self.number].astype(self.dtype)
        return value if value.ndim else value[()]


class Pair:
    """Where a complex array was that has a traced part."""

    def __init__(self, real: Any, imag: Any) -> None:
        self.parts = real, imag

    def filled(self, values: Sequence[Array], held: bool) -> Any:
        """A complex array of its parts."""
        real, imag = (filled(part, values, held=held) for part in self.parts)
        return real + 1j * imag


class Made:
    """Where an object made of traced arrays was, and its first input."""

    def __init__(self, made: Foreign, first: int) -> None:
        self.made = made
        self.first = first

    def filled(self, values: Sequence[Array], held: bool) -> Any:
        """The object that the loss has, or it made again."""
        given = values[self.first : self.first + len(self.made.inputs)]
        return self.made.held if held else called(filled(self.made.template, given))


class Closure:
    """Where a function was that has traced arrays among its variables."""

    def __init__(self, function: FunctionType, cells: Any, defaults: Any) -> None:
        self.function = function
        self.cells = cells
        self.defaults = defaults

    def filled(self, values: Sequence[Array], held: bool) -> Any:
        """The function with other variables."""
        f = self.function
        cells = tuple(CellType(filled(c, values, held=held)) for c in self.cells)
        defaults = filled(self.defaults, values, held=held)
        new = FunctionType(
            f.__code__, f.__globals__, f.__name__, defaults, cells or None
        )
        new.__kwdefaults__ = f.__kwdefaults__
        return new


class Bound:
    """Where a method was of an object with traced arrays among its attributes."""

    def __init__(self, method: MethodType, of: Any) -> None:
        self.function = method.__func__
        self.of = of

    def filled(self, values: Sequence[Array], held: bool) -> Any:
        """The method of an object with other attributes; an array has its own."""
        of = filled(self.of, values, held=held)
        if isinstance(self.of, Slot):
            return getattr(of, self.function.__name__)
        return MethodType(self.function, of)


class Holder:
    """Where an object was with traced arrays among its attributes."""

    def __init__(self, of: Any, attributes: dict[str, Any]) -> None:
        self.of = of
        self.attributes = attributes

    def filled(self, values: Sequence[Array], held: bool) -> Any:
        """A copy of the object with other attributes."""
        new = object.__new__(type(self.of))
        for name, value in self.attributes.items():
            object.__setattr__(new, name, filled(value, values, held=held))
        return new


_Hole = Slot | Pair | Made | Closure | Bound | Holder


# ---- looking for traced arrays -------------------------------------------------------


def holds(x: Any) -> bool:
    """Whether something of the trace going on is to be found in a value."""
    stack, seen = [x], {id(x): x}
    while stack and len(seen) < _MOST:
        y = stack.pop()
        if is_live(y):
            return True
        for z in _within(y):
            if type(z) not in _SIMPLE and id(z) not in seen:
                seen[id(z)] = z
                stack.append(z)
    return False


def _within(x: Any) -> Sequence[Any]:
    """What a value holds: elements, variables, attributes."""
    if getattr(type(x), "is_traced", False):
        return ()
    if isinstance(x, (list, tuple)):
        return x
    if isinstance(x, dict):
        return list(x.values())
    if isinstance(x, FunctionType):
        return variables(x)
    if isinstance(x, MethodType):
        return [x.__self__]
    return list(attributes(x).values())


def variables(function: FunctionType) -> list[Any]:
    """What a function holds: its defaults and the variables around it."""
    found = [*(function.__defaults__ or ())]
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # nothing is in it yet
            found.append(cell.cell_contents)
    return found


def attributes(x: Any) -> dict[str, Any]:
    """The attributes of an object that is made of nothing else."""
    kind: Any = type(x)
    if isinstance(x, (type, ModuleType)) or kind.__module__ == "builtins":
        return {}
    if kind.__new__ is not object.__new__:
        return {}
    found = dict(getattr(x, "__dict__", {}))
    for cls in kind.__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            with contextlib.suppress(AttributeError):
                found[name] = getattr(x, name)
    return found


# ---- taking them out, and filling in -------------------------------------------------


def emptied(x: Any, inputs: list[Node], blank: Collection[int] = frozenset()) -> Any:
    """A value as a template; `inputs` gets what is taken out.

    Numbers are inputs as well, but for arrays that are not read, whose ids are in
    `blank`.
    """

    def empty(x: Any) -> Any:
        if isinstance(x, Traced):
            inputs.append(x.node)
            return Slot(len(inputs) - 1, x.dtype)
        if isinstance(x, Foreign):
            inputs.extend(x.inputs)
            return Made(x, len(inputs) - len(x.inputs))
        if isinstance(x, Complex):
            return Pair(empty(x.real), empty(x.imag))
        if isinstance(x, ITERATORS):
            return [empty(y) for y in x]
        if type(x) in (list, tuple):
            return type(x)(empty(y) for y in x)
        if isinstance(x, tuple) and hasattr(x, "_make"):
            return x._make(empty(y) for y in x)
        if type(x) is dict:
            return {key: empty(value) for key, value in x.items()}
        number = isinstance(x, (float, int, np.generic, np.ndarray)) and _is_real(x)
        if number and id(x) not in blank:
            inputs.append(graph.constant(x))  # a second trace is compared with it
        if isinstance(x, np.ndarray):
            return x.copy(order="K")  # as it is now
        if number or not holds(x):
            return x
        if isinstance(x, FunctionType):
            cells = [empty(c.cell_contents) for c in x.__closure__ or ()]
            return Closure(x, cells, empty(x.__defaults__))
        if isinstance(x, MethodType):
            return Bound(x, empty(x.__self__))
        return Holder(x, {name: empty(y) for name, y in attributes(x).items()})

    return empty(x)


def _is_real(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "fiub"


def filled(x: Any, values: Sequence[Array], *, held: bool = False) -> Any:
    """A template with copies of these values, and of its arrays.

    Objects made of traced arrays are made again, or are those that are `held`.
    """
    if isinstance(x, _Hole):
        return x.filled(values, held)
    if isinstance(x, np.ndarray):
        return x.copy(order="K")
    if type(x) in (list, tuple):
        return type(x)(filled(y, values, held=held) for y in x)
    if isinstance(x, tuple) and hasattr(x, "_make"):
        return x._make(filled(y, values, held=held) for y in x)
    if type(x) is dict:
        return {key: filled(value, values, held=held) for key, value in x.items()}
    return x


def called(given: Any) -> Any:
    """What a call, function, arguments and keywords, returns out of the trace."""
    function, args, kwargs = given
    with sources.outside():
        return function(*args, **kwargs)


def made_of_others(x: Any) -> bool:
    """Whether objects made of traced arrays are in a template."""
    if isinstance(x, (list, tuple)):
        return any(map(made_of_others, x))
    if isinstance(x, dict):
        return any(map(made_of_others, x.values()))
    if isinstance(x, Closure):
        return made_of_others([x.cells, x.defaults])
    if isinstance(x, (Bound, Holder)):
        return made_of_others(x.of if isinstance(x, Bound) else x.attributes)
    return isinstance(x, Made)


def arrays(x: Any) -> list[Any]:
    """The arrays of numbers among arguments, in order."""
    if isinstance(x, (list, tuple)):
        return [found for y in x for found in arrays(y)]
    if isinstance(x, dict):
        return arrays(list(x.values()))
    numeric = type(x) in (Traced, Complex, np.ndarray) and x.dtype.kind in "fiubc"
    return [x] if numeric and x.ndim else []
