"""What Python asks of numbers: whether, how many, which; answered and guarded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.program import sources
from fastgrad.program.graph import Node
from fastgrad.program.primitives import ufuncs
from fastgrad.program.trace.axes import Axes

_FLOAT = np.dtype(float)
_BOOL = np.dtype(bool)


class AsNumbers(Axes):
    """An array that records, asked for its elements as truth values and integers."""

    # Of the array itself.
    node: Any
    dtype: np.dtype[Any]
    live: Any
    _data: Any
    __slots__ = ()

    def _of(self, node: Node, dtype: Any) -> Any:
        """An array like this one."""
        return type(self)(node, dtype)  # type: ignore[call-arg]

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """A copy in another dtype; whole numbers are an outcome that is guarded."""
        dtype = np.dtype(dtype)
        if not self.live:
            return self._data("astype()").astype(dtype, *args, **kwargs)
        if dtype.kind == "c":
            return self + 0j  # type: ignore[operator]
        if dtype.kind == "b":
            return self.is_true()
        if dtype.kind in "iu" and self.dtype.kind == "b":
            return self._of(self.node, _FLOAT)
        if dtype.kind in "iu" and self.dtype.kind != "i":
            return trunc(self.node).astype(dtype)
        sources.current_trace.get().rounds_to(dtype)
        return self._of(self.node, dtype)

    def is_true(self) -> Any:
        """Where it is not zero."""
        if self.dtype.kind == "b":
            return self
        zero = ufuncs.number(0.0)
        node = ufuncs.elementwise("not_equal", self.node, zero, label="bool()")
        return self._of(node, _BOOL)

    def __bool__(self) -> bool:
        if not self.live or self.size != 1:
            return bool(self._data("bool()") if not self.live else np.empty(self.shape))
        return bool(decided(self.is_true().node))

    def __int__(self) -> int:
        if not self.live:
            return int(self._data("int()"))
        return int(trunc(self.node) if self.dtype.kind == "f" else self.whole())

    def __index__(self) -> int:
        if not self.live:
            return int(self._data("an index").__index__())
        if self.dtype.kind not in "iu" or self.ndim:
            raise TypeError("only integer scalar arrays can be converted to an index")
        return int(self.whole())

    def __round__(self, ndigits: int | None = None) -> Any:
        rounded = np.round(self, ndigits or 0)
        return int(rounded) if ndigits is None else rounded

    def __trunc__(self) -> int:
        return int(self)

    def __floor__(self) -> int:
        return int(np.floor(self))

    def __ceil__(self) -> int:
        return int(np.ceil(self))

    def whole(self) -> NDArray[np.intp]:
        """Its whole numbers, which the loss acts on."""
        return decided(self.node).astype(np.intp)

    def __float__(self) -> float:
        return float(self._data("float()"))

    def __complex__(self) -> complex:
        return complex(self._data("complex()"))

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        return np.array(self._data("a plain array"), *args, **kwargs)


def decided(node: Node) -> NDArray[np.float64]:
    """The value at theta, which the loss acts on."""
    recording = sources.current_trace.get()
    recording.guards.append(node)
    return node.value


def trunc(node: Node) -> NDArray[np.intp]:
    """Whole numbers, which the loss acts on."""
    value = node.value
    if not np.isfinite(value).all():
        raise ValueError("cannot convert float NaN or infinity to integer")
    return decided(ufuncs.elementwise("trunc", node, label="int()")).astype(np.intp)
