"""What rewritten code calls, decided by what is called.

The user's functions are rewritten in turn; a function with a meaning in traced NumPy
has that; containers and iterators of Python take what they are given; whatever else
receives traced arrays is an opaque operation, and what receives none runs as it is.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable
from contextlib import contextmanager
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings.registry import StandIn
from fastgrad.program.sources import TraceError
from fastgrad.program.trace import python_functions
from fastgrad.program.trace.complexes import Complex
from fastgrad.program.trace.definitions import is_users
from fastgrad.program.trace.foreign import Foreign
from fastgrad.program.trace.keys import refuse_keys
from fastgrad.program.trace.libraries import COMPILED, Known
from fastgrad.program.trace.neutral import concerned
from fastgrad.program.trace.numpy_calls import is_plain, plain_call
from fastgrad.program.trace.opaque import call_opaque
from fastgrad.program.trace.packages import enters
from fastgrad.program.trace.recording import Recording
from fastgrad.program.trace.stand_ins import itself, made
from fastgrad.program.trace.templates import LISTED, holds
from fastgrad.program.trace.traced import Traced
from fastgrad.program.trace.vectorized import vectorized

__all__ = ["call", "is_users", "run"]

_CONTAINERS = (list, dict, set)


def run(recording: Recording, function: Any, *args: Any) -> Any:
    """Call a loss, rewritten as far as its source is known."""
    return call(recording, None, function, args, {})


def call(
    recording: Recording, site: Any, function: Any, args: Any, kwargs: dict[str, Any]
) -> Any:
    """``function(*args, **kwargs)``."""
    kind = type(function)
    if kind in COMPILED:
        return _librarys(recording, site, function, args, kwargs)
    if kind is MethodType:
        inner = function.__func__
        if type(inner) is FunctionType and is_users(inner):
            return _users(recording, site, inner, (function.__self__, *args), kwargs)
        if type(inner) is functools._lru_cache_wrapper:
            return call(recording, site, inner, (function.__self__, *args), kwargs)
    elif kind is FunctionType:
        if is_users(function):
            return _users(recording, site, function, args, kwargs)
        if hasattr(function, "__wrapped__"):
            return _wrapped(recording, site, function, args, kwargs)
    elif kind is functools.partial:
        return call(
            recording,
            site,
            function.func,
            (*function.args, *args),
            {**function.keywords, **kwargs},
        )
    elif kind is Foreign:
        recording.locate(site)
        return call_opaque(recording, function, *recording.lifted((args, kwargs)))
    elif kind is np.vectorize:
        args, kwargs = recording.lifted((args, kwargs))
        of_element = functools.partial(_called, recording, site)
        return vectorized(of_element, function, *args, **kwargs)
    elif isinstance(function, type):
        return _make(recording, site, function, args, kwargs)
    elif kind is functools._lru_cache_wrapper:
        return call(recording, site, function.__wrapped__, args, kwargs)
    else:
        jitted = getattr(function, "py_func", None)
        if type(jitted) is FunctionType:
            return call(recording, site, jitted, args, kwargs)
        called = inspect.getattr_static(kind, "__call__", None)
        if type(called) is FunctionType and is_users(called):
            return _users(recording, site, called, (function, *args), kwargs)
    return _librarys(recording, site, function, args, kwargs)


def call_opaque_at(recording: Recording, site: Any, function: Any, *args: Any) -> Any:
    """An expression at this place, as an operation of its own."""
    recording.locate(site)
    return call_opaque(recording, function, recording.lifted(args), {}, site.text)


# ---- the user's own ------------------------------------------------------------------


def _users(
    recording: Recording,
    site: Any,
    function: FunctionType,
    args: Any,
    kwargs: dict[str, Any],
) -> Any:
    """A function of the user or of a package: rewritten, further along the path."""
    if enters(site, function.__code__.co_filename):
        follow = functools.partial(_followed, recording, site, function, args, kwargs)
        return _entered(recording, site, follow, function, args, kwargs)
    return _followed(recording, site, function, args, kwargs)


def _entered(
    recording: Recording,
    site: Any,
    follow: Callable[[], Any],
    function: Any,
    args: Any,
    kwargs: dict[str, Any],
) -> Any:
    """A call into a package: traced, or opaque where the trace cannot follow."""
    reason: Exception | None = None
    packages = recording.packages
    if packages.traced(function):
        packages.followed = True
        try:
            with recording.attempt():
                return follow()
        except Exception as error:
            packages.lost[id(function)] = function
            reason = error
    recording.locate(site)
    given = recording.lifted((args, kwargs))
    if not holds(given):
        return function(*args, **kwargs)
    try:
        return call_opaque(recording, function, *given)
    except TraceError:
        if reason is None:
            raise
        raise reason from None


def _followed(
    recording: Recording,
    site: Any,
    function: FunctionType,
    args: Any,
    kwargs: dict[str, Any],
) -> Any:
    before = recording.path
    if site is not None:
        recording.path = hash((before, site.file, site.line, site.number))
    try:
        known = recording.functions.get(id(function))
        if known is None:
            known = recording.functions[id(function)] = (
                function,
                recording.rewritten(function),
            )
        new = known[1]
        if new is not None:
            return new(*args, **kwargs)
        if site is None:
            recording.source = None
        return function(*args, **kwargs)
    finally:
        recording.path = before


def _wrapped(
    recording: Recording,
    site: Any,
    function: Any,
    args: Any,
    kwargs: dict[str, Any],
) -> Any:
    """A function of the user in a library's decorator, which is followed as well."""
    inner = function.__wrapped__
    if not isinstance(inner, FunctionType) or not is_users(inner):
        return _librarys(recording, site, function, args, kwargs)
    if hasattr(function, "dispatch") and hasattr(function, "registry"):
        chosen = function.dispatch(_kind_of(args[0]))  # functools.singledispatch
        return call(recording, site, chosen, args, kwargs)
    if function.__code__ is _makes_managers():
        return contextmanager(recording.rewritten(inner) or inner)(*args, **kwargs)
    around = recording.rewritten(function)
    if around is not None:
        return around(*args, **kwargs)
    return call(recording, site, inner, args, kwargs)


@functools.cache
def _makes_managers() -> Any:
    """The code of what `contextlib.contextmanager` returns."""
    wrapped: Any = contextmanager(iter)
    return wrapped.__code__


def _kind_of(x: Any) -> type:
    return python_functions.kind(x) if getattr(x, "is_traced", False) else type(x)


def _make(
    recording: Recording, site: Any, cls: type, args: Any, kwargs: dict[str, Any]
) -> Any:
    """An object of the user's class, its constructor rewritten."""
    if cls is np.vectorize:
        return cls(*args, **kwargs)
    new: Any = cls.__new__
    if type(cls).__call__ is not type.__call__ or new is not object.__new__:
        return _librarys(recording, site, cls, args, kwargs)
    init = inspect.getattr_static(cls, "__init__", None)
    if type(init) is FunctionType and is_users(init):

        def make() -> Any:
            made: Any = object.__new__(cls)
            _followed(recording, site, init, (made, *args), kwargs)
            return made

        if enters(site, init.__code__.co_filename):
            return _entered(recording, site, make, cls, args, kwargs)
        return make()
    if dataclasses.is_dataclass(cls) and hasattr(cls, "__post_init__"):
        return _make_dataclass(recording, site, cls, args, kwargs)
    return _librarys(recording, site, cls, args, kwargs)


def _make_dataclass(
    recording: Recording, site: Any, cls: Any, args: Any, kwargs: dict[str, Any]
) -> Any:
    """Its fields are set as the generated constructor does, which has no source."""
    made = cls.__new__(cls)
    bound = inspect.signature(cls.__init__).bind(made, *args, **kwargs)
    bound.apply_defaults()
    given = dict(bound.arguments)
    for spec in dataclasses.fields(cls):
        if repr(given.get(spec.name)) == "<factory>":
            given[spec.name] = spec.default_factory()  # type: ignore[operator]
        if spec.init:
            object.__setattr__(made, spec.name, given.pop(spec.name))
        elif spec.default_factory is not dataclasses.MISSING:
            object.__setattr__(made, spec.name, spec.default_factory())
    init_only = tuple(given.values())[1:]
    _users(recording, site, cls.__post_init__, (made, *init_only), {})
    return made


# ---- libraries' ----------------------------------------------------------------------


def _librarys(
    recording: Recording, site: Any, function: Any, args: Any, kwargs: dict[str, Any]
) -> Any:
    """A function that is not the user's."""
    if site is not None:
        recording.locate(site)
    if type(function) is np.ufunc and not kwargs and is_plain(function, args):
        return plain_call(function, args)
    of = getattr(function, "__self__", None)
    if isinstance(of, _CONTAINERS):
        recording.kept.container(of)
        return _run(recording, function, args, kwargs)
    if type(of) is np.ndarray:
        lifted = recording.lift(of)
        given = recording.lifted((args, kwargs))
        if lifted is not of or concerned(given):
            return _of_array(recording, site, lifted, function, *given)
        return function(*args, **kwargs)
    known = recording.known(function)
    if isinstance(of, (Traced, Complex, StandIn)):
        return _with_traced(recording, site, known, *recording.lifted((args, kwargs)))
    if function is copy.deepcopy:
        return copy.deepcopy(args[0], recording.copies())
    if known.of_object is not None:
        result = known.of_object(recording, site, *args, **kwargs)
        if result is not NotImplemented:
            return result
    if known.about is not None:
        return known.about(*args, **kwargs)
    if known.lazy:
        args = tuple(recording.turns(x) for x in args)
    if not known.neutral:
        args = tuple([list(x) if isinstance(x, LISTED) else x for x in args])
    given_args = recording.lifted(args)
    given_kwargs = recording.lifted(kwargs) if kwargs else kwargs
    if not concerned(given_args) and not concerned(given_kwargs):
        if known.neutral:
            return _run(recording, function, args, kwargs)
        if not holds([*args, *kwargs.values()]):
            refuse_keys(args)
            return function(*args, **kwargs)
    return _with_traced(recording, site, known, given_args, given_kwargs)


def _with_traced(
    recording: Recording, site: Any, known: Known, args: Any, kwargs: dict[str, Any]
) -> Any:
    """By its meaning; where it has none, or not for these arguments, opaque."""
    function, refused = known.function, len(recording.refused)
    if known.meaning is not None or known.numpys is not None:
        args = tuple([_as_array(recording, site, x) for x in args])
    try:
        return _meant(recording, site, known, args, kwargs)
    except (TraceError, TypeError) as error:
        stands = any([isinstance(x, StandIn) for x in args])  # for what does more
        if isinstance(error, TypeError) and not known.neutral and not stands:
            raise
        del recording.refused[refused:]
        reason = error
    if site is not None:
        recording.locate(site)
    try:
        args = tuple([itself(recording, x) for x in args])
        return call_opaque(recording, itself(recording, function), args, kwargs)
    except TraceError as error:
        if isinstance(reason, TraceError):
            del recording.refused[refused:]
            raise TraceError(reason.reason, reason.source) from error
        raise


def _as_array(recording: Recording, site: Any, x: Any) -> Any:
    """What NumPy makes of an object of the user that is an array in its own way."""
    kind = type(x)
    method = getattr(kind, "__array__", None)
    if type(method) is not FunctionType or hasattr(kind, "__array_ufunc__"):
        return x
    return call(recording, site, method, (x,), {}) if is_users(method) else x


def _meant(
    recording: Recording, site: Any, known: Known, args: Any, kwargs: dict[str, Any]
) -> Any:
    function = known.function
    of = getattr(function, "__self__", None)
    if isinstance(of, (Traced, Complex)):
        return function(*args, **kwargs)
    if isinstance(of, StandIn):
        return made(function(*args, **kwargs), function, args, kwargs)
    if known.own is not None:
        return known.own(functools.partial(_called, recording, site), *args, **kwargs)
    if known.writes and type(args[0]) is np.ndarray:
        args = (recording.promote(args[0]), *args[1:])
    if known.meaning is not None:
        result = _run(recording, known.meaning, args, kwargs)
        if result is not NotImplemented:
            return made(result, function, args, kwargs)
    if known.numpys is not None:
        return known.numpys(*args, **kwargs)
    dense = recording.dense(of)
    if dense is not of and hasattr(Traced, function.__name__):
        return _of_array(recording, site, dense, function, args, kwargs)
    if known.neutral:
        return _run(recording, function, args, kwargs)
    name = getattr(function, "__name__", repr(function))
    raise TraceError(f"{name}() is not known to the trace")


def _called(
    recording: Recording, site: Any, function: Any, *args: Any, **kwargs: Any
) -> Any:
    return call(recording, site, function, args, kwargs)


def _of_array(
    recording: Recording,
    site: Any,
    array: Any,
    method: Any,
    args: Any,
    kwargs: dict[str, Any],
) -> Any:
    """A method of a plain array: of a traced one if it is, else the function."""
    name = method.__name__
    if isinstance(array, Traced):
        return getattr(array, name)(*args, **kwargs)
    if name in ("fill", "put", "itemset", "sort", "__setitem__"):
        return getattr(recording.promote(array), name)(*args, **kwargs)
    known = recording.known(getattr(np, name))
    return _with_traced(recording, site, known, (array, *args), kwargs)


def _run(recording: Recording, function: Any, args: Any, kwargs: Any) -> Any:
    """Call something with the user's functions among the arguments rewritten."""

    def seen(x: Any) -> Any:
        if isinstance(x, FunctionType) and is_users(x):
            return recording.rewritten(x) or x
        if isinstance(x, MethodType):
            return MethodType(seen(x.__func__), x.__self__)
        return x

    return function(*map(seen, args), **{name: seen(v) for name, v in kwargs.items()})
