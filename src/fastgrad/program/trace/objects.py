"""What rewritten code does with objects: attributes, items, iteration, writing.

Objects of the user's own classes run their special methods, properties and setters
rewritten like any other function of the user.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from numbers import Rational
from types import FunctionType
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings import meaning_of
from fastgrad.program.primitives.meanings.registry import StandIn
from fastgrad.program.primitives.meanings.sparse import is_sparse
from fastgrad.program.sources import TraceError
from fastgrad.program.trace import calls, python_functions
from fastgrad.program.trace.complexes import Complex, is_complex, is_live
from fastgrad.program.trace.foreign import Foreign
from fastgrad.program.trace.neutral import is_foreign
from fastgrad.program.trace.recording import Recording, record
from fastgrad.program.trace.special_methods import (
    defined,
    is_special,
    shown,
    special,
)
from fastgrad.program.trace.stand_ins import itself
from fastgrad.program.trace.traced import (
    Traced,
    any_live,
    is_settled,
    node_of,
    number,
    settled_key,
)

_CONTAINERS = (list, dict, set)
#: Elements of a sparse matrix that may become an array that is not.
_DENSE = 1 << 20
_NUMERIC = (np.generic, Complex, list, tuple)


# ---- attributes ----------------------------------------------------------------------


def attribute(recording: Recording, site: Any, of: Any, name: str) -> Any:
    """``of.name``."""
    if type(of) is Foreign:
        return calls.call_opaque_at(recording, site, getattr, of, name)
    of = recording.dense_again(of)
    found = defined(recording, of, name)
    if isinstance(found, property):
        return calls.call(recording, site, found.fget, (of,), {})
    if isinstance(found, functools.cached_property) and name not in vars(of):
        value = calls.call(recording, site, found.func, (of,), {})
        recording.kept.attribute(of, name)
        vars(of)[name] = value
        return value
    if found is not None and not isinstance(found, FunctionType):
        get = type(found).__get__  # a descriptor
        return calls.call(recording, site, get, (found, of, type(of)), {})
    if name == "flat" and type(of) is np.ndarray:
        of = recording.lift(of)
    recording.locate(site)
    if isinstance(of, StandIn) and not hasattr(of, name):
        return attribute(recording, site, itself(recording, of), name)
    return getattr(of, name)


def set_attribute(
    recording: Recording, site: Any, of: Any, name: str, value: Any
) -> None:
    """``of.name = value``."""
    found = inspect.getattr_static(type(of), name, None)
    if isinstance(found, property) and isinstance(found.fset, FunctionType):
        calls.call(recording, site, found.fset, (of, value), {})
        return
    put = inspect.getattr_static(type(found), "__set__", None)
    if isinstance(put, FunctionType) and calls.is_users(put):
        calls.call(recording, site, put, (found, of, value), {})
        return
    setter = defined(recording, of, "__setattr__")
    if setter is not None:
        calls.call(recording, site, setter, (of, name, value), {})
        return
    lifted = recording.lift(of) if type(of) is np.ndarray else of
    if lifted is not of and name == "shape":
        lifted.shape = value
    setattr(of, name, value)
    recording.kept.attribute(of, name)


# ---- items ---------------------------------------------------------------------------


def item(recording: Recording, site: Any, of: Any, key: Any) -> Any:
    """``of[key]``."""
    kind = type(of)
    if kind is Traced and is_settled(key) and of.live:
        recording.locate(site)
        return number(of.at(key))
    if kind is np.ndarray:
        of = recording.lift(of)
        if type(of) is np.ndarray:
            key = key if is_settled(key) else _settled(recording, site, key)
            found = of[key]
            return record(of, key) if type(found) is np.void else found
        kind = Traced
    of = recording.dense_again(of)
    recording.locate(site)
    if kind is Foreign or isinstance(of, StandIn):
        whole = itself(recording, of)
        return calls.call_opaque_at(recording, site, operator.getitem, whole, key)
    if type(of) is Traced:
        return number(of[key if is_settled(key) else _key(recording, key)])
    found = defined(recording, of, "__getitem__")
    if found is not None:
        return calls.call(recording, site, found, (of, key), {})
    if _concerns(key):
        meaning = meaning_of(getattr(of, "__getitem__", None))
        if meaning is not None:
            return meaning(_key(recording, key))
    return of[_settled(recording, site, key, of)]


def _key(recording: Recording, key: Any) -> Any:
    """A key whose arrays may be the user's own that stand for traced ones."""
    if type(key) is np.ndarray:
        return recording.lift(key)
    if type(key) is tuple and not is_settled(key):
        return tuple(_key(recording, k) for k in key)
    return key


def _settled(recording: Recording, site: Any, key: Any, of: Any = None) -> Any:
    """A key for something plain."""
    if is_settled(key):
        return key
    recording.locate(site)
    key = _key(recording, key)
    if not _concerns(key):
        return key
    return _of_dictionary(key) if isinstance(of, dict) else settled_key(key)


def _of_dictionary(key: Any) -> Any:
    """Whole numbers are outcomes, others are looked up as they are."""
    if type(key) is tuple:
        return tuple(map(_of_dictionary, key))
    return settled_key(key) if type(key) is Traced and key.dtype.kind != "f" else key


def _concerns(key: Any) -> bool:
    if is_settled(key):
        return False
    parts = key if isinstance(key, tuple) else (key,)
    return any(
        any_live((k.start, k.stop, k.step)) if isinstance(k, slice) else any_live(k)
        for k in parts
    )


def set_item(recording: Recording, site: Any, of: Any, key: Any, value: Any) -> None:
    """``of[key] = value``."""
    recording.locate(site)
    if type(of) is np.ndarray:
        _write(recording, of, _key(recording, key), value)
        return
    if type(of) in (Traced, Complex):
        of[_key(recording, key)] = recording.lifted(value)
        return
    found = defined(recording, of, "__setitem__")
    if found is not None:
        calls.call(recording, site, found, (of, key, value), {})
        return
    sparse = is_sparse(of)
    if sparse:
        traced = any_live(value) or recording.dense_again(of) is not of
        if traced and np.prod(of.shape) <= _DENSE:
            set_item(recording, site, recording.dense(of), key, value)
            return
        recording.changes(of)
    of[_settled(recording, site, key, of)] = value
    if isinstance(of, _CONTAINERS) and not sparse:
        recording.kept.container(of)


def _write(recording: Recording, of: Any, key: Any, value: Any) -> None:
    """Into an array of the user, which becomes a traced one if the value is."""
    if type(key) is str:  # a field
        of, key = of[key], Ellipsis
    value = recording.lifted(value)
    target = recording.lift(of)
    if of.dtype.kind == "O" and target is of:
        of[settled_key(key) if _concerns(key) else key] = value
        return
    traced = any_live(value) or type(value) is Complex
    if target is of and not traced and not _concerns(key):
        of[key] = value
        return
    if is_complex(value) and of.dtype.kind != "c":
        raise TraceError("writes complex numbers into an array of real ones")
    if target is of:
        target = recording.promote(of)
    if of.dtype.kind in "iu" and any_live(value):
        value = node_value(value).astype(of.dtype)
    target[key] = value


def node_value(value: Any) -> Any:
    """A traced array of a traced array or a sequence with some in it."""
    return value if type(value) is Traced else Traced(node_of(value), np.dtype(float))


class Target:
    """An object some of whose attributes or items are being assigned to."""

    def __init__(self, recording: Recording, site: Any, of: Any) -> None:
        object.__setattr__(self, "_at", (recording, site, of))

    def __setattr__(self, name: str, value: Any) -> None:
        recording, site, of = self.__dict__["_at"]
        set_attribute(recording, site, of, name, value)

    def __setitem__(self, key: Any, value: Any) -> None:
        recording, site, of = self.__dict__["_at"]
        set_item(recording, site, of, key, value)


# ---- values --------------------------------------------------------------------------


def augment(recording: Recording, site: Any, symbol: str, x: Any, value: Any) -> Any:
    """``x += value``: what x is then, itself if it changes in place."""
    if type(x) is np.ndarray:
        new = getattr(site, symbol)(x, value)
        if type(recording.lift(x)) is np.ndarray and not is_live(new):
            in_place = getattr(operator, f"i{symbol.rstrip('_')}")
            return in_place(x, value)
        recording.locate(site)
        if np.shape(new) != x.shape:
            raise ValueError(
                f"non-broadcastable output operand with shape {x.shape} doesn't match "
                f"the broadcast shape {np.shape(new)}"
            )
        _write(recording, x, Ellipsis, new)
        return x
    if type(x) is Complex:
        new = getattr(site, symbol)(x, value)
        if not x.ndim:
            return new
        x[...] = new
        return x
    if type(x) is Traced:
        if not x.ndim and type(value) in (Traced, float, int):
            return getattr(site, symbol)(x, value)  # NumPy's scalars do not change
        value = recording.lift(value) if type(value) is np.ndarray else value
        recording.locate(site)
        return getattr(operator, f"i{symbol.rstrip('_')}")(x, value)
    special_name = f"__i{symbol.rstrip('_')}__"
    found = defined(recording, x, special_name)
    if found is not None:
        return calls.call(recording, site, found, (x, value), {})
    if hasattr(x, special_name):
        result = getattr(operator, special_name)(x, value)
        if isinstance(x, _CONTAINERS):
            recording.kept.container(x)
        return result
    return getattr(site, symbol)(x, value)


def mixed(
    recording: Recording, site: Any, operation: Callable[..., Any], x: Any, y: Any
) -> Any:
    """An operator of a traced array and something that is no number."""
    x, y = [recording.dense_again(itself(recording, z)) for z in (x, y)]
    if isinstance(x, str):
        return operation(x, shown(y))
    if Foreign in (type(x), type(y)):
        return calls.call_opaque_at(recording, site, operation, x, y)
    if is_special(recording, operation.__name__, x, y):
        return special(recording, site, operation.__name__, operation, x, y)
    for a, b in ((x, y), (y, x)):
        if type(a) is not np.ndarray and not isinstance(a, _NUMERIC):
            if isinstance(a, Rational) and not b.ndim:  # as NumPy's scalars
                return operation(*[float(z) if z is a else z for z in (x, y)])
            dense = recording.dense(a)
            if dense is not a:
                meaning = meaning_of(operation)
                result = NotImplemented if meaning is None else meaning(x, y)
                if result is not NotImplemented:
                    return result
                return operation(dense, b) if a is x else operation(b, dense)
            if is_foreign(type(a)) and type(a) is not Traced:
                return calls.call_opaque_at(recording, site, operation, x, y)
    return operation(x, y)


# ---- with ----------------------------------------------------------------------------


def manager(recording: Recording, site: Any, of: Any) -> Any:
    """A context manager of the user, entered and left in rewritten code."""
    if defined(recording, of, "__enter__") is None:
        return of
    return _Manager(recording, site, of)


class _Manager:
    def __init__(self, recording: Recording, site: Any, of: Any) -> None:
        self._of = of
        self._call = functools.partial(calls.call, recording, site)

    def __enter__(self) -> Any:
        return self._call(type(self._of).__enter__, (self._of,), {})

    def __exit__(self, *error: Any) -> Any:
        return self._call(type(self._of).__exit__, (self._of, *error), {})


# ---- attributes by their names -------------------------------------------------------


def _getattr(recording: Recording, site: Any, of: Any, name: str, *default: Any) -> Any:
    try:
        return attribute(recording, site, of, name)
    except AttributeError:
        if not default:
            raise
        return default[0]


def _setattr(recording: Recording, site: Any, of: Any, name: str, value: Any) -> None:
    set_attribute(recording, site, of, name, value)


def _hasattr(recording: Recording, site: Any, of: Any, name: str) -> bool:
    if isinstance(of, (Traced, Complex)):
        return hasattr(python_functions.kind(of), name)
    try:
        attribute(recording, site, of, name)
    except AttributeError:
        return False
    return True


python_functions.OF_OBJECTS.update({getattr: _getattr, setattr: _setattr})
python_functions.OF_OBJECTS[hasattr] = _hasattr
