"""Array expressions that can be taken apart: what a derivative rule computes, as data.

A rule is called with symbols in place of its arrays; every NumPy function it calls is
written down. So the rule of an operation becomes a tree, whose parts can be left out,
exchanged and repeated, and which is computed again from other arrays.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_Function = Callable[..., Any]


class Expression(np.lib.mixins.NDArrayOperatorsMixin):
    """An array, and how it is computed: by a function of `args`, or as a symbol."""

    def __init__(
        self,
        value: Any,
        name: str = "",
        function: _Function | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.value = np.asarray(value)
        self.name, self.function = name, function
        self.args, self.kwargs = args, dict(kwargs or {})

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        if method != "__call__" or kwargs.pop("out", (self,))[0] is not self:
            return NotImplemented
        return call(ufunc, *inputs, **kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        return call(function, *args, **kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("an expression is not an array")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.value.size

    def sum(self, axis: Any = None, keepdims: bool = False) -> "Expression":
        """The sum over axes."""
        return self if axis == () else call(np.sum, self, axis=axis, keepdims=keepdims)

    def astype(self, dtype: Any) -> Any:
        """The array as numbers of another kind."""
        return call(_astype, self, dtype=dtype)

    def reshape(self, *shape: Any) -> Any:
        """The elements in another shape."""
        return call(np.reshape, self, shape[0] if len(shape) == 1 else shape)

    def __getitem__(self, key: Any) -> Any:
        return call(_item, self, key=key)

    # ---- taking apart

    @property
    def inputs(self) -> list["Expression"]:
        """The expressions among the arguments."""
        return [a for a in self.args if isinstance(a, Expression)]

    def parts(self) -> Iterator[tuple[tuple[int, ...], "Expression"]]:
        """Yield every part of the expression with the way to it, itself first."""
        yield (), self
        for k, arg in enumerate(self.args):
            if isinstance(arg, Expression):
                for path, part in arg.parts():
                    yield (k, *path), part

    def replace(self, name: str, new: Any) -> Any:
        """The expression with something else for a symbol."""
        return self.swap(lambda x: x.function is None and x.name == name, new)

    def put(self, path: tuple[int, ...], new: Any) -> Any:
        """The expression with another part at the end of this way."""
        if not path:
            return new
        args = list(self.args)
        args[path[0]] = args[path[0]].put(path[1:], new)
        return call(self.function, *args, **self.kwargs)

    def swap(self, is_old: Callable[["Expression"], bool], new: Any) -> Any:
        """The expression with something else wherever such a part stands."""
        if is_old(self):
            return new
        args = [
            a.swap(is_old, new) if isinstance(a, Expression) else a for a in self.args
        ]
        if all(a is b for a, b in zip(args, self.args, strict=True)):
            return self
        return call(self.function, *args, **self.kwargs)

    def compute(self, given: Mapping[str, Any]) -> Array:
        """The value with these arrays for the symbols of these names."""
        if self.function is None:
            return np.asarray(given.get(self.name, self.value))
        if not given.keys() & self.symbols:
            return self.value
        args = [a.compute(given) if isinstance(a, Expression) else a for a in self.args]
        return np.asarray(self.function(*args, **self.kwargs))

    @property
    def symbols(self) -> set[str]:
        """Names of the symbols."""
        if self.function is None:
            return {self.name}
        return {name for x in self.inputs for name in x.symbols}

    def __str__(self) -> str:
        return _written(self)[0]


def symbol(name: str, value: Any) -> Expression:
    """An array of this name."""
    return Expression(value, name)


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """The function of expressions, as an expression; plainer where that is the same."""
    if any(isinstance(a, list | tuple) and _holds(a) for a in args):
        raise TypeError("expressions inside of a list")
    same = _plainer(function, args)
    if same is not None:
        return same
    plain = [a.value if isinstance(a, Expression) else a for a in args]
    return Expression(function(*plain, **kwargs), "", function, args, kwargs)


def _plainer(function: Any, args: Sequence[Any]) -> Any:
    """An argument that is the result already, at least here."""
    if function is np.isnan:
        return np.isnan(_value(args[0]))
    if function is np.where:
        sides = {bool(c) for c in np.unique(_value(args[0]) != 0)}
        return args[2 - sides.pop()] if len(sides) == 1 else None
    if function in (np.multiply, np.add):
        neutral = 1.0 if function is np.multiply else 0.0
        for one, other in (args, args[::-1]):
            constant = not isinstance(one, Expression) or one.function is np.equal
            if constant and np.all(_value(one) == neutral):
                return other
        ties = [isinstance(a, Expression) and a.function is np.equal for a in args]
        if (
            function is np.multiply
            and any(ties)
            and not np.all([np.any(_value(a)) for a in args])
        ):
            return 0.0  # no ties
    return None


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Expression) else x


def _holds(values: Any) -> bool:
    return any(isinstance(a, Expression) for a in values)


def _astype(x: Array, dtype: Any) -> Array:
    return x.astype(dtype)


def _item(x: Array, key: Any) -> Array:
    return np.asarray(x[key])


# ---- in words ------------------------------------------------------------------------

_INFIX: dict[Any, tuple[str, int]] = {
    np.add: (" + ", 1),
    np.subtract: (" - ", 1),
    np.multiply: (" * ", 2),
    np.divide: (" / ", 2),
    np.matmul: (" @ ", 2),
    np.power: ("**", 4),
    np.greater: (" > ", 0),
    np.less: (" < ", 0),
    np.greater_equal: (" >= ", 0),
    np.less_equal: (" <= ", 0),
    np.equal: (" == ", 0),
    np.not_equal: (" != ", 0),
}
#: Levels at which two in a row mean something else.
_UNCHAINED = (0, 4)


def _written(x: Any) -> tuple[str, int]:
    """As a formula, and how strongly it holds together."""
    if not isinstance(x, Expression):
        return (f"{x:.6g}" if np.ndim(x) == 0 else "..."), 5
    if x.function is None:
        one = x.size and (x.value == x.value.flat[0]).all()
        return x.name or (f"{x.value.flat[0]:.6g}" if one else "..."), 5
    if x.function in _INFIX:
        sign, level = _INFIX[x.function]
        left, right = _written(x.args[0]), _written(x.args[1])
        loose = x.function is np.add
        if x.function is np.multiply:  # b @ c does not associate with it
            loose = getattr(x.args[1], "function", None) in (np.multiply, np.divide)
        return (
            _held(left, level + (level in _UNCHAINED))
            + sign
            + _held(right, level + (not loose))
        ), level
    if x.function is np.negative:
        inner = _written(x.args[0])
        return "-" + _held(inner, 2), min(inner[1], 3)
    if x.function in (_astype, np.broadcast_to, np.expand_dims, np.asarray):
        return _written(x.args[0])
    name = getattr(x.function, "__name__", "f").lstrip("_")
    shown = ", ".join(_written(a)[0] for a in x.args if isinstance(a, Expression | int))
    axis = x.kwargs.get("axis")
    return f"{name}({shown}" + (f", axis={axis})" if axis is not None else ")"), 5


def _held(written: tuple[str, int], level: int) -> str:
    text, own = written
    return text if own >= level else f"({text})"
