"""NumPy's functions and methods called with traced arrays.

Either NumPy hands the call over, by its protocols, or rewritten code does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.program import graph, sources
from fastgrad.program.primitives import functions, ufuncs
from fastgrad.program.primitives.meanings import meaning_of
from fastgrad.program.primitives.meanings.arrays import asarray
from fastgrad.program.sources import TraceError
from fastgrad.program.trace import complexes
from fastgrad.program.trace.complexes import label_of
from fastgrad.program.trace.outcomes import OUTCOMES
from fastgrad.program.trace.traced import Traced, any_live, node_of, plain

_FLOAT = np.dtype(float)
_BOOL = np.dtype(bool)
#: ufunc.reduce and the function of the same meaning.
_REDUCE = {
    "add": np.sum,
    "maximum": np.max,
    "minimum": np.min,
    "multiply": np.prod,
    "logical_and": np.all,
    "logical_or": np.any,
}
#: ufunc.accumulate and the function of the same meaning.
_ACCUMULATE = {"add": np.cumsum, "multiply": np.cumprod}
_FILL: dict[Any, float | None] = {
    np.zeros_like: 0.0,
    np.empty_like: 0.0,
    np.ones_like: 1.0,
    np.full_like: None,
}
#: Functions that say what an attribute does.
_ATTRIBUTES = {np.shape: "shape", np.ndim: "ndim"}
#: What they say depends on the shape of their first argument.
_ABOUT = frozenset(
    [np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj]
    + [np.diag_indices_from, np.tril_indices_from, np.triu_indices_from]
)
#: ufuncs of whole numbers that give whole numbers.
_WHOLE = frozenset(
    ["add", "subtract", "multiply", "negative", "maximum", "minimum", "absolute"]
    + ["remainder", "floor_divide"]
)
#: Functions of several arrays in one sequence.
_OF_SEQUENCES = frozenset(
    [np.concatenate, np.stack, np.vstack, np.hstack, np.column_stack]
    + [np.linalg.multi_dot]
)
#: Besides positional ones, the arguments that are arrays.
_NAMED = ("weights", "a_min", "a_max", "min", "max", "x", "b", "where")


# ---- ufuncs --------------------------------------------------------------------------


def call_ufunc(ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Trace a ufunc, or one of its methods."""
    if not any_live(inputs):
        return getattr(ufunc, method)(*plain(inputs), **plain(kwargs))
    if method == "__call__" and not kwargs and is_plain(ufunc, inputs):
        return plain_call(ufunc, inputs)
    inputs = tuple(asarray(x) if isinstance(x, (list, tuple)) else x for x in inputs)
    if method == "__call__" and len(inputs) > ufunc.nin:
        inputs, kwargs["out"] = inputs[: ufunc.nin], inputs[ufunc.nin :]
    if complexes.concerns(ufunc, inputs):
        return complexes.call_ufunc(ufunc, method, *inputs, **kwargs)
    meaning = meaning_of(ufunc if method == "__call__" else getattr(ufunc, method))
    if meaning is not None:
        return _composed(meaning, label_of(ufunc), inputs, kwargs)
    name = ufunc.__name__
    label = f"np.{name}"
    out = _given_out(kwargs)
    if method == "reduce" and name in _REDUCE:
        kwargs.setdefault("axis", 0)
        return call(_REDUCE[name], *inputs, out=out, **kwargs)
    if method == "accumulate" and name in _ACCUMULATE:
        return call(_ACCUMULATE[name], inputs[0], axis=kwargs.get("axis", 0))
    if method == "outer":
        x, y = (node_of(x) for x in inputs)
        x = graph.reshape(x, x.shape + (1,) * y.value.ndim, label)
        inputs, method = (Traced(x, _FLOAT), inputs[1]), "__call__"
    where = kwargs.pop("where", True)
    for option in ("casting", "order", "subok"):
        kwargs.pop(option, None)
    _drop_dtype(kwargs, label)
    if method != "__call__" or kwargs:
        raise TraceError(f"{label}.{method} cannot be traced")
    result = elementwise(name, label, *inputs)
    if where is not True:
        if out is None:
            raise TraceError(f"{label} with `where=` but no `out=`")
        result = call(np.where, where, result, out)
    return stored(result, out, label)


#: Kinds of operands that are recorded as they are.
OPERANDS = frozenset([Traced, float, int, np.float64, np.int64])
#: ufuncs of one result that are no compositions, with their labels.
_PRIMITIVES = {
    ufunc: f"np.{name}"
    for name, ufunc in list(vars(np).items())  # some are made when asked for
    if isinstance(ufunc, np.ufunc) and name in ufuncs.KNOWN
    if meaning_of(ufunc) is None
}


def is_plain(ufunc: Any, inputs: Any) -> bool:
    """Whether nothing has to be looked into: loops do little else."""
    kinds = [type(x) for x in inputs]
    if Traced not in kinds or len(inputs) != ufunc.nin or ufunc not in _PRIMITIVES:
        return False
    return OPERANDS.issuperset(kinds)


def plain_call(ufunc: Any, inputs: Any) -> Traced:
    """One call of a ufunc of such arguments."""
    return elementwise(ufunc.__name__, _PRIMITIVES[ufunc], *inputs)


def elementwise(name: str, label: str, *inputs: Any) -> Traced:
    """One call of a ufunc."""
    node = functions.ufunc(name, [node_of(x) for x in inputs], label)
    if node is None:
        raise TraceError(f"{label} cannot be traced")
    if name in ufuncs.BOOLEAN:
        return Traced(node, _BOOL)
    return Traced(node, _result_dtype(inputs, whole=name in _WHOLE))


def _result_dtype(inputs: Any, *, whole: bool = False) -> np.dtype[Any]:
    if _are_doubles(inputs):
        return _FLOAT
    dtypes = [
        x
        if isinstance(x, (int, float)) and not isinstance(x, bool)
        else x.dtype
        if type(x) is Traced
        else np.asarray(x).dtype
        for x in inputs
    ]
    dtype = np.result_type(*dtypes)
    return dtype if dtype.kind == "f" or (whole and dtype.kind in "iu") else _FLOAT


def _are_doubles(inputs: Any) -> bool:
    """Whether one is of double precision, and the others are, or plain numbers."""
    found = False
    for x in inputs:
        if type(x) is not int:
            if type(x) is not float and getattr(x, "dtype", None) is not _FLOAT:
                return False
            found = True
    return found


def _drop_dtype(kwargs: dict[str, Any], label: str) -> None:
    given = kwargs.pop("dtype", None)
    if given is None:
        return
    dtype = np.dtype(given)
    if dtype.kind != "f":
        raise TraceError(f"{label} with dtype={dtype.name}")
    sources.current_trace.get().rounds_to(dtype)


def _given_out(kwargs: dict[str, Any]) -> Any:
    out = kwargs.pop("out", None)
    return out[0] if isinstance(out, tuple) else out


def stored(result: Any, out: Any, label: str) -> Any:
    """A result, or the array given as `out` with the result written to it."""
    if out is None:
        return result
    target = out
    if isinstance(out, np.ndarray):
        recording = sources.current_trace.get()
        target = recording.lift(out)
        if target is out:
            target = recording.promote(out)
    if not isinstance(target, Traced):
        raise TraceError(f"{label} with `out=` of complex numbers")
    target.overwrite(graph.broadcast_to(node_of(result), target.shape, label))
    return out


# ---- functions -----------------------------------------------------------------------


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Trace one call of a NumPy function."""
    if function in _ATTRIBUTES and not kwargs and type(args[0]) is Traced:
        return getattr(args[0], _ATTRIBUTES[function])
    if not any_live([*args, *kwargs.values()]) and not complexes.is_live(
        [*args, *kwargs.values()]
    ):
        return function(*plain(args), **plain(kwargs))
    if isinstance(function, np.ufunc):
        return call_ufunc(function, "__call__", *args, **kwargs)
    meaning = meaning_of(function)
    if meaning is not None:
        return _composed(meaning, label_of(function), args, kwargs)
    if complexes.concerns(function, args):
        return complexes.call(function, *args, **kwargs)
    if function in _ABOUT:
        args, named = (args, kwargs) if args else _by_position(function, kwargs)
        like = np.broadcast_to(0.0, asarray(args[0]).shape)
        return function(like, *args[1:], **named)
    if function in _FILL:
        return _fresh(function, *args, **kwargs)
    out = _given_out(kwargs)
    kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    if function in OUTCOMES and not (function is np.where and len(args) == 3):
        return stored(OUTCOMES[function](*args, **kwargs), out, label_of(function))
    return _in_primitives(function, args, kwargs, out)


def is_known(function: Any) -> bool:
    """Whether `call` may have a meaning for it, besides those of the declarations."""
    tables = (functions.FUNCTIONS, OUTCOMES, _ABOUT, _FILL, complexes.FUNCTIONS)
    try:
        return any(function in table for table in tables)
    except TypeError:  # a callable object without a hash
        return False


def _in_primitives(function: Any, args: Any, kwargs: dict[str, Any], out: Any) -> Any:
    """A function of the table of primitives."""
    label = label_of(function)
    if function not in functions.FUNCTIONS:
        raise TraceError(f"{label} cannot be traced")
    meaning, positions = functions.FUNCTIONS[function]
    if kwargs:
        _drop_dtype(kwargs, label)
    if not args:
        args, kwargs = _by_position(function, kwargs)
    as_nodes = _nodes if function in _OF_SEQUENCES else _node
    given, flat = list(args), []
    for i in positions:
        if i < len(args):
            given[i] = as_nodes(args[i])
            flat += _of_sequence(args[i])
    if kwargs.get("where") is True:
        del kwargs["where"]
    for name in _NAMED if kwargs else ():
        if name in kwargs:
            kwargs[name] = _node(kwargs[name])
    if Traced in map(type, [*given, *kwargs.values()]):
        raise TraceError(f"{label} with a traced argument where a constant is due")
    try:
        result = meaning(*given, **{**kwargs, "label": label})
    except TypeError as error:
        raise TraceError(f"{label}: {error}") from None
    dtype = _result_dtype([x for x in flat if x is not None])
    if function in functions.POSITIONS:
        dtype = np.dtype(np.intp)
    if function in functions.VIEWS and type(args[0]) is Traced:
        return _views(result, args[0], lambda p: function(p, *args[1:], **kwargs))
    if isinstance(result, tuple):
        return type(result)(*(Traced(node, dtype) for node in result))
    return stored(Traced(result, dtype), out, label)


def _of_sequence(x: Any) -> list[Any]:
    """An array, or those in a sequence."""
    if not isinstance(x, (list, tuple)):
        return [x]
    return [asarray(y) if isinstance(y, (list, tuple)) else y for y in x]


def _by_position(function: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Arguments that were all given by name: those that may go first in their order."""
    rest, args = dict(kwargs), []
    for name in inspect.signature(function).parameters:
        if name not in rest:
            break
        args.append(rest.pop(name))
    return args, rest


def _views(result: Any, whole: Traced, pick: Callable[[Any], Any]) -> Any:
    """Arrays that share their memory with the first argument."""
    if not isinstance(result, list):
        return whole.showing(result, pick)
    return [
        whole.showing(node, lambda positions, i=i: pick(positions)[i])  # type: ignore[misc]
        for i, node in enumerate(result)
    ]


def _node(x: Any) -> Any:
    return None if x is None else node_of(x)


def _nodes(x: Any) -> Any:
    """The nodes of an array argument, or of a sequence of arrays."""
    if isinstance(x, (list, tuple)) and any_live(x):
        return [node_of(asarray(y)) for y in x]
    return node_of(x)


def _composed(meaning: Any, label: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """What a function made of others gives for these arguments."""
    _drop_dtype(kwargs, label)
    out = _given_out(kwargs)
    kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    result = meaning(*args, **kwargs)
    if result is NotImplemented:
        raise TraceError(f"{label} with these arguments cannot be traced")
    return stored(result, out, label)


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
    dtype = np.dtype(kwargs.get("dtype") or like.dtype)
    sources.current_trace.get().rounds_to(dtype)
    return Traced(full, dtype)
