"""What rewritten code calls: one site for each operation in the user's source.

Out of a trace, and for values that a trace does not concern, a site does what the
operation itself does, at the price of one call.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.program.sources import current_trace, written
from fastgrad.program.trace import calls, objects, special_methods
from fastgrad.program.trace.numpy_calls import OPERANDS, elementwise
from fastgrad.program.trace.traced import Traced, is_basic

#: Operators by the name of their node in a syntax tree: method, ufunc.
_OPERATORS = {
    "Add": ("add", "add"),
    "Sub": ("sub", "subtract"),
    "Mult": ("mul", "multiply"),
    "Div": ("truediv", "divide"),
    "FloorDiv": ("floordiv", "floor_divide"),
    "Mod": ("mod", "remainder"),
    "Pow": ("pow", "power"),
    "MatMult": ("matmul", "matmul"),
    "BitAnd": ("and_", "bitwise_and"),
    "BitOr": ("or_", "bitwise_or"),
    "BitXor": ("xor", "bitwise_xor"),
    "LShift": ("lshift", "left_shift"),
    "RShift": ("rshift", "right_shift"),
}
#: Operators that mean several operations.
_COMPOSED = frozenset(["floor_divide", "remainder", "left_shift", "right_shift"])
_COMPARISONS = {
    "Lt": ("lt", "less"),
    "LtE": ("le", "less_equal"),
    "Gt": ("gt", "greater"),
    "GtE": ("ge", "greater_equal"),
    "Eq": ("eq", "equal"),
    "NotEq": ("ne", "not_equal"),
}
_SIGNS = {
    "USub": ("neg", "negative"),
    "UAdd": ("pos", "positive"),
    "Invert": ("invert", "invert"),
}
BINARY = {node: name for node, (name, _) in _OPERATORS.items()}
COMPARE = {node: name for node, (name, _) in _COMPARISONS.items()}
UNARY = {node: name for node, (name, _) in _SIGNS.items()}
AUGMENTED = BINARY
_ARRAYS = frozenset([Traced, np.ndarray])
#: Kinds of values that no trace concerns.
_NUMBERS = frozenset([float, int, bool, str, complex, type(None)])
#: Operands that are recorded as they are, once it is known what arrays hold.
_OPERANDS = OPERANDS | {np.ndarray}


class Site:
    """One operation in the user's source.

    Parameters
    ----------
    file, line : str, int
        Where it stands.
    number : int
        Which of its function's operations it is.
    span : (int, int, int, int)
        Its first and last line, and the columns, in bytes, where it begins and ends.
    """

    __slots__ = ("file", "line", "number", "span")

    def __init__(
        self, file: str, line: int, number: int, span: tuple[int, int, int, int]
    ) -> None:
        self.file = file
        self.line = line
        self.number = number
        self.span = span

    @property
    def text(self) -> str:
        """The operation as the user wrote it, on its first line."""
        return written(self.file, self.span)[0].strip()

    # ---- calls

    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)``."""
        recording = current_trace.get()
        if recording is None:
            return function(*args, **kwargs)
        return calls.call(recording, self, function, args, kwargs)

    def method(self, of: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """``of.name(*args, **kwargs)``."""
        recording = current_trace.get()
        if recording is None:
            return getattr(of, name)(*args, **kwargs)
        function = objects.attribute(recording, self, of, name)
        return calls.call(recording, self, function, args, kwargs)

    def manager(self, of: Any, /) -> Any:
        """``with of``."""
        recording = current_trace.get()
        return of if recording is None else objects.manager(recording, self, of)

    # ---- objects

    def attribute(self, of: Any, name: str, /) -> Any:
        """``of.name``."""
        recording = current_trace.get()
        if recording is None:
            return getattr(of, name)
        return objects.attribute(recording, self, of, name)

    def set_attribute(self, value: Any, of: Any, name: str, /) -> None:
        """``of.name = value``."""
        recording = current_trace.get()
        if recording is None:
            setattr(of, name, value)
        else:
            objects.set_attribute(recording, self, of, name, value)

    def item(self, of: Any, key: Any, /) -> Any:
        """``of[key]``."""
        recording = current_trace.get()
        if recording is None:
            return of[key]
        return objects.item(recording, self, of, key)

    def set_item(self, value: Any, of: Any, key: Any, /) -> None:
        """``of[key] = value``."""
        recording = current_trace.get()
        if recording is None:
            of[key] = value
        else:
            objects.set_item(recording, self, of, key, value)

    def target(self, of: Any, /) -> Any:
        """``of`` in an assignment to several of its attributes and items."""
        recording = current_trace.get()
        return of if recording is None else objects.Target(recording, self, of)

    def slice(self, start: Any, stop: Any, step: Any, /) -> slice:
        """``start:stop:step``."""
        return slice(start, stop, step)

    # ---- values

    def iterate(self, of: Any, /) -> Any:
        """``for ... in of``."""
        recording = current_trace.get()
        if recording is None:
            return of
        return special_methods.iterate(recording, self, of)

    def unpack(self, of: Any, /) -> Any:
        """``a, b = of``."""
        recording = current_trace.get()
        if recording is None:
            return of
        if type(of) is np.ndarray:
            return recording.lift(of)
        return special_methods.iterate(recording, self, of)

    def truth(self, of: Any, /) -> Any:
        """``if of``."""
        recording = current_trace.get()
        if recording is None or type(of) in _NUMBERS:
            return of
        if type(of) is np.ndarray:
            return recording.lift(of)
        return special_methods.truth(recording, self, of)

    def chain(self, left: Any, /, *rest: Any) -> Any:
        """``left < middle <= right``: names of comparisons, then what is compared."""
        count = len(rest) // 2
        result: Any = True
        for name, right in zip(rest[:count], rest[count:], strict=True):
            result = getattr(self, name)(left, right)
            if not result:
                break
            left = right
        return result

    # ---- in place

    def augment(self, symbol: str, x: Any, value: Any, /) -> Any:
        """``x += value``, for any operator: what x is then."""
        recording = current_trace.get()
        if recording is None or type(x) in _NUMBERS:
            if recording is None or type(value) in _NUMBERS:
                return _in_place(symbol)(x, value)
            return getattr(self, symbol)(x, value)
        return objects.augment(recording, self, symbol, x, value)

    def augment_item(self, symbol: str, of: Any, key: Any, value: Any, /) -> None:
        """``of[key] += value``."""
        old = self.item(of, key)
        new = self.augment(symbol, old, value)
        # Through a view it is written already.
        if new is not old or type(of) not in _ARRAYS or not is_basic(key):
            self.set_item(new, of, key)

    def augment_attribute(self, symbol: str, of: Any, name: str, value: Any, /) -> None:
        """``of.name += value``."""
        new = self.augment(symbol, self.attribute(of, name), value)
        self.set_attribute(new, of, name)


def _kind(x: Any) -> Any:
    """Its type, if it is traced or an array of real numbers."""
    if type(x) is Traced:
        return Traced
    return np.ndarray if x.dtype.kind in "fiub" else None


def _in_place(symbol: str) -> Callable[[Any, Any], Any]:
    found: Callable[[Any, Any], Any] = getattr(operator, f"i{symbol.rstrip('_')}")
    return found


def _binary(name: str, ufunc: str) -> Callable[[Site, Any, Any], Any]:
    operation = getattr(operator, name)
    label = f"np.{ufunc}"
    primitive = ufunc not in _COMPOSED

    def binary(self: Site, x: Any, y: Any, /) -> Any:
        of_x, of_y = type(x), type(y)
        if of_x in _NUMBERS and of_y in _NUMBERS:
            return operation(x, y)
        recording = current_trace.get()
        if recording is None:
            return operation(x, y)
        if of_x is np.ndarray:
            x = recording.lift(x)
            of_x = _kind(x)
        if of_y is np.ndarray:
            y = recording.lift(y)
            of_y = _kind(y)
        if of_x is Traced or of_y is Traced:
            recording.locate(self)
            if primitive and of_x in _OPERANDS and of_y in _OPERANDS:
                return elementwise(ufunc, label, x, y)
            return objects.mixed(recording, self, operation, x, y)
        if of_x is np.ndarray and of_y is np.ndarray:
            return operation(x, y)
        return special_methods.special(recording, self, name, operation, x, y)

    binary.__doc__ = f"``operator.{name}``."
    return binary


def _unary(name: str) -> Callable[[Site, Any], Any]:
    operation = getattr(operator, name)

    def unary(self: Site, x: Any, /) -> Any:
        recording = current_trace.get()
        if recording is None or type(x) in _NUMBERS:
            return operation(x)
        x = recording.lift(x) if type(x) is np.ndarray else x
        recording.locate(self)
        return special_methods.special(recording, self, name, operation, x)

    unary.__doc__ = f"``operator.{name}``."
    return unary


for _name, _ufunc in (*_OPERATORS.values(), *_COMPARISONS.values()):
    setattr(Site, _name, _binary(_name, _ufunc))
for _name, _ in _SIGNS.values():
    setattr(Site, _name, _unary(_name))
