"""The array that records: NumPy calls on it build the program.

It is not an `ndarray` and gives no access to its data, so that nothing can slip past
NumPy's protocols and become a constant: whatever needs numbers raises `TraceError`.

A loss may keep what it computed (running statistics, a cache for the backward pass),
and so keep traced arrays when the trace is over. From then on they act as the plain
arrays that an ordinary call would have left there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from fastgrad.program import graph
from fastgrad.program.graph import Node, TraceError
from fastgrad.program.primitives import functions, shapes, sorting, ufuncs
from fastgrad.program.primitives.meanings import meaning_of
from fastgrad.program.trace import complexes
from fastgrad.program.trace.complexes import Complex, label_of

#: ufunc.reduce and the function of the same meaning.
_REDUCE = {
    "add": np.sum,
    "maximum": np.max,
    "minimum": np.min,
    "multiply": np.prod,
}
#: ufunc.accumulate and the function of the same meaning.
_ACCUMULATE = {"add": np.cumsum, "multiply": np.cumprod}


class Memory:
    """What arrays that share memory have in common."""

    def __init__(self, *, owned: bool = True) -> None:
        #: False for parameters, which a loss must not change.
        self.owned = owned
        self.has_views = False


class Traced(NDArrayOperatorsMixin):
    """An array of a program being traced."""

    def __init__(
        self, node: Node, dtype: np.dtype[Any], memory: Memory | None = None
    ) -> None:
        self.node = node
        self.dtype = dtype
        self._memory = memory or Memory()
        self._trace = graph.current_trace.get()
        self._array: NDArray[Any] | None = None

    @property
    def live(self) -> bool:
        """Whether the trace that made it is still going on."""
        return self._trace is not None and self._trace is graph.current_trace.get()

    def _data(self, what: str) -> NDArray[Any]:
        """Its value, once the trace is over; `what` needs it."""
        if self.live:
            raise TraceError(f"{what} needs a number where the parameters enter")
        if self._array is None:
            self._array = self.node.value.astype(self.dtype)
        return self._array

    # ---- what may be known without the data

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.node.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.node.value.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.node.value.size

    @property
    def T(self) -> Any:
        """The transpose."""
        return call(np.transpose, self)

    @property
    def mT(self) -> Any:
        """The transpose of the last two axes."""
        return call(np.swapaxes, self, -1, -2)

    @property
    def real(self) -> Traced:
        """Itself: it has no imaginary part."""
        return self

    @property
    def imag(self) -> NDArray[np.float64]:
        """Zeros."""
        return np.zeros(self.shape)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Traced]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<traced array of shape {self.shape}>"

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """Only to floating and complex types: the program computes in float64."""
        dtype = np.dtype(dtype)
        if not self.live:
            return self._data("astype()").astype(dtype, *args, **kwargs)
        if dtype.kind == "f" or (dtype.kind == "b" and self.dtype.kind == "b"):
            return Traced(self.node, dtype)
        if self.dtype.kind == "b" and dtype.kind in "iu":
            return Traced(self.node, np.dtype(float))
        if dtype.kind == "c":
            return Complex(self, 0.0)
        raise TraceError(f"astype({dtype.name}) of a value that depends on parameters")

    # ---- what needs the data

    def __bool__(self) -> bool:
        return bool(self._data("a branch (if, while, and, or, not, assert)"))

    def __float__(self) -> float:
        return float(self._data("float()"))

    def __int__(self) -> int:
        return int(self._data("int()"))

    def __index__(self) -> int:
        return operator.index(self._data("an index"))

    def __complex__(self) -> complex:
        return complex(self._data("complex()"))

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        return np.array(self._data("a plain array"), *args, **kwargs)

    def item(self, *args: Any) -> Any:
        """As `numpy.ndarray.item`; not traceable."""
        return self._data(".item()").item(*args)

    def tolist(self) -> Any:
        """As `numpy.ndarray.tolist`; not traceable."""
        return self._data(".tolist()").tolist()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._data(f"the attribute .{name}"), name)

    # ---- NumPy's protocols

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        if not _any_live(inputs):
            return getattr(ufunc, method)(*_plain(inputs), **_plain(kwargs))
        if complexes.concerns(ufunc, inputs):
            return complexes.call_ufunc(ufunc, method, *inputs, **kwargs)
        meaning = meaning_of(ufunc if method == "__call__" else getattr(ufunc, method))
        if meaning is not None:
            return _composed(meaning, label_of(ufunc), inputs, kwargs)
        name = ufunc.__name__
        label = f"np.{name}"
        out = kwargs.pop("out", None)
        if method == "reduce" and name in _REDUCE:
            kwargs.setdefault("axis", 0)
            return call(_REDUCE[name], *inputs, out=out and out[0], **kwargs)
        if method == "accumulate" and name in _ACCUMULATE:
            return call(_ACCUMULATE[name], inputs[0], axis=kwargs.get("axis", 0))
        if method == "outer":
            x, y = (node_of(x) for x in inputs)
            x = graph.reshape(x, x.shape + (1,) * y.value.ndim, label)
            inputs, method = (Traced(x, np.dtype(float)), inputs[1]), "__call__"
        if kwargs.pop("where", True) is not True:
            raise TraceError(f"{label} with `where=`")
        _drop_dtype(kwargs, label)
        if method != "__call__" or kwargs:
            raise TraceError(f"{label}.{method} cannot be traced")
        node = functions.ufunc(name, [node_of(x) for x in inputs], label)
        if node is None:
            raise TraceError(f"{label} cannot be traced")
        return _store(node, _ufunc_dtype(name, inputs), out and out[0], label)

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        return call(function, *args, **kwargs)

    # ---- indexing

    def __getitem__(self, key: Any) -> Any:
        if not self.live:
            return self._data("reading")[_plain(key)]
        if isinstance(key, Traced) and key.live and key.dtype.kind == "i":
            return Traced(sorting.at(self.node, key.node, "[...]"), self.dtype)
        key = _constant_key(key, self, "reading")
        node = shapes.index(self.node, key, "[...]")
        shares = node.op == "view" or node is self.node
        if shares:
            self._memory.has_views = True
        return Traced(node, self.dtype, self._memory if shares else None)

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self.live:
            self._data("writing")[_plain(key)] = _plain(value)
            return
        new = node_of(value)
        if isinstance(key, Traced) and key.shape == self.shape and not new.value.ndim:
            node = ufuncs.elementwise(
                "where", key.node, new, self.node, label="[...] ="
            )
        else:
            key = _constant_key(key, self, "writing")
            node = shapes.assign(self.node, key, new, "[...] =")
        self._overwrite(node)

    def _overwrite(self, node: Node) -> None:
        if not self._memory.owned:
            raise TraceError("changes a parameter in place")
        if self._memory.has_views:
            raise TraceError("changes in place an array that has views")
        self.node = node


def _any_live(x: Any) -> bool:
    """Whether an array of the trace going on is among these arguments."""
    if isinstance(x, (tuple, list)):
        return any(map(_any_live, x))
    return isinstance(x, Traced) and x.live


def _plain(x: Any) -> Any:
    """`x` with the arrays of past traces as plain ones."""
    if isinstance(x, (tuple, list)):
        return type(x)(_plain(y) for y in x)
    if isinstance(x, dict):
        return {name: _plain(value) for name, value in x.items()}
    return np.asarray(x) if isinstance(x, Traced) else x


def _constant_key(key: Any, array: Traced, what: str) -> Any:
    """`key`, when no part of it depends on parameters."""
    parts = key if isinstance(key, tuple) else (key,)
    if _any_live(parts):
        raise TraceError(f"{what} at positions that depend on parameters")
    return key


def node_of(x: Any) -> Node:
    """The node of a traced array, or a constant."""
    return x.node if _any_live(x) else graph.constant(x)


def _nodes(x: Any) -> Any:
    """The nodes of an array argument, or of a sequence of arrays."""
    if x is None:
        return None
    if isinstance(x, (list, tuple)) and _any_live(x):
        return [node_of(y) for y in x]
    return node_of(x)


def _store(node: Node, dtype: np.dtype[Any], out: Any, label: str) -> Any:
    """A new array, or the array given as `out`."""
    if out is None:
        return Traced(node, dtype)
    if not isinstance(out, Traced):
        raise TraceError(f"{label} writes into a plain array")
    out._overwrite(graph.broadcast_to(node, out.shape, label))
    return out


def _ufunc_dtype(name: str, inputs: Any) -> np.dtype[Any]:
    if name in ufuncs.BOOLEAN:
        return np.dtype(bool)
    return _result_dtype(inputs)


def _result_dtype(inputs: Any) -> np.dtype[Any]:
    dtypes = [
        x
        if isinstance(x, (int, float)) and not isinstance(x, bool)
        else x.dtype
        if isinstance(x, Traced)
        else np.asarray(x).dtype
        for x in inputs
    ]
    dtype = np.result_type(*dtypes)
    return dtype if dtype.kind == "f" else np.dtype(float)


def _drop_dtype(kwargs: dict[str, Any], label: str) -> None:
    dtype = kwargs.pop("dtype", None)
    if dtype is not None and np.dtype(dtype).kind != "f":
        raise TraceError(f"{label} with dtype={np.dtype(dtype).name}")


_FILL: dict[Any, float | None] = {
    np.zeros_like: 0.0,
    np.empty_like: 0.0,
    np.ones_like: 1.0,
    np.full_like: None,
}
_ABOUT: dict[Any, Callable[[Any], Any]] = {
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.iscomplexobj: lambda x: False,
    np.isrealobj: lambda x: True,
}


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Trace one call of a NumPy function."""
    if not _any_live([*args, *kwargs.values()]):
        return function(*_plain(args), **_plain(kwargs))
    meaning = meaning_of(function)
    if meaning is not None:
        return _composed(meaning, label_of(function), args, kwargs)
    if complexes.concerns(function, args):
        return complexes.call(function, *args, **kwargs)
    if function in _ABOUT:
        return _ABOUT[function](*args)
    if function in _FILL:
        return _fresh(function, *args, **kwargs)
    label = label_of(function)
    if function not in functions.FUNCTIONS:
        raise TraceError(f"{label} cannot be traced")
    meaning, positions = functions.FUNCTIONS[function]
    out = kwargs.pop("out", None)
    _drop_dtype(kwargs, label)
    kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    if function is np.where and len(args) != 3:
        raise TraceError("np.where with one argument")
    arrays = [args[i] for i in positions if i < len(args)]
    flat = [x for a in arrays for x in (a if isinstance(a, (list, tuple)) else [a])]
    given = [_nodes(a) if i in positions else a for i, a in enumerate(args)]
    for name in ("weights", "a_min", "a_max", "min", "max", "x", "b"):
        if name in kwargs:
            kwargs[name] = _nodes(kwargs[name])
    if any(isinstance(v, Traced) for v in [*given, *kwargs.values()]):
        raise TraceError(f"{label} with a traced argument where a constant is due")
    try:
        result = meaning(*given, label=label, **kwargs)
    except TypeError as error:
        raise TraceError(f"{label}: {error}") from None
    dtype = _result_dtype([x for x in flat if x is not None])
    if function in functions.POSITIONS:
        dtype = np.dtype(np.intp)
    memory = None
    if function in functions.VIEWS:
        dtype, memory = args[0].dtype, args[0]._memory
        memory.has_views = True
    if isinstance(result, list):
        return [Traced(node, dtype, memory) for node in result]
    if isinstance(result, tuple):
        return type(result)(*(Traced(node, dtype) for node in result))
    if memory is not None:
        return Traced(result, dtype, memory)
    return _store(result, dtype, out, label)


def _composed(meaning: Any, label: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """What a function made of others gives for these arguments."""
    _drop_dtype(kwargs, label)
    out = kwargs.pop("out", None)
    kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    result = meaning(*args, **kwargs)
    if result is NotImplemented:
        raise TraceError(f"{label} with these arguments cannot be traced")
    out = out[0] if isinstance(out, tuple) else out
    return result if out is None else _store(result.node, result.dtype, out, label)


def _fresh(
    function: Any, like: Traced, fill_value: Any = None, **kwargs: Any
) -> Traced:
    """zeros_like and its kin: an array of its own that can be assigned into."""
    fill = _FILL[function] if fill_value is None else fill_value
    shape = kwargs.get("shape")
    node = node_of(fill)
    shape = like.shape if shape is None else shape
    full = graph.broadcast_to(node, np.empty(shape).shape, label_of(function))
    if not node.active:
        full = graph.constant(full.value)
    return Traced(full, np.dtype(kwargs.get("dtype") or like.dtype))


def _method(function: Any) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__doc__ = f"As `numpy.{function.__name__}`."
    return method


def _shape_method(function: Any) -> Callable[..., Any]:
    """Transpose and reshape take their shape as one tuple or as several numbers."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) > 1 or (args and not isinstance(args[0], (tuple, list))):
            args = (args,) if args != (None,) else ()
        return function(self, *args, **kwargs)

    method.__doc__ = f"As `numpy.{function.__name__}`."
    return method


_METHODS: dict[str, Callable[..., Any]] = {
    **{
        name: _method(getattr(np, name))
        for name in (
            *("sum", "mean", "max", "min", "prod", "var", "std", "cumsum", "cumprod"),
            *("argsort", "dot", "ravel", "swapaxes", "squeeze", "take", "repeat"),
            *("diagonal", "trace", "clip", "copy", "round", "conjugate"),
        )
    },
    "conj": _method(np.conjugate),
    "flatten": _method(np.ravel),
    "reshape": _shape_method(np.reshape),
    "transpose": _shape_method(np.transpose),
}
for _name, _function in _METHODS.items():
    for _class in (Traced, Complex):
        setattr(_class, _name, _function)


def _in_place(symbol: str) -> Callable[..., Any]:
    operation = getattr(operator, symbol)

    def method(self: Traced, other: Any) -> Any:
        result = operation(self, other)
        if not self.live:
            return result
        if result.shape != self.shape:
            raise TraceError("an in-place operation that changes the shape")
        self._overwrite(result.node)
        return self

    return method


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul"):
    setattr(Traced, f"__i{_name}__", _in_place(_name if _name != "pow" else "pow"))
