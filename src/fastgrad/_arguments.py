"""What an argument must be: each kind is checked in one way and refused in one form.

A refusal reads `` `name` must be <this>, got <that>. `` Something of the wrong type is
a TypeError, a wrong value of the right type a ValueError. What passes is returned as
the code behind it wants it: an ``int``, a ``float``, a ``bool``, a dtype.
"""

import inspect
import math
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np

_Exception = TypeVar("_Exception", bound=Exception)

_LENGTH = 60  # of what is quoted
_SEQUENCES = (str, bytes, tuple, list)
_WRITTEN = (*_SEQUENCES, bool, numbers.Number, dict, set)


def refusal(
    kind: type[_Exception], name: str, must: str, value: Any, hint: str = ""
) -> _Exception:
    """Return the exception that says what argument `name` must be, and what was got."""
    got = described(value)
    if issubclass(kind, TypeError) and not got[0].isalpha():
        got = f"{type(value).__name__} {got}"
    return kind(f"`{name}` must {must}, got {got}{hint}.")


def described(value: Any) -> str:
    """Return a short value as it is written, and of others the type."""
    if isinstance(value, np.dtype):
        return str(value)
    if isinstance(value, np.ndarray):
        what = "an array" if type(value) is np.ndarray else f"a {type(value).__name__}"
        return f"{what} of shape {value.shape} and dtype {value.dtype}"
    if value is not None and not isinstance(value, _WRITTEN):
        return type(value).__name__
    try:
        value = value[:_LENGTH] if isinstance(value, _SEQUENCES) else value
        return shortened(repr(value), _LENGTH)
    except Exception:  # too deep, too many digits, or that of a member
        return type(value).__name__


def shortened(text: str, length: int) -> str:
    """Return a text, without its end if it is longer."""
    return text if len(text) <= length else f"{text[: length - 4]} ..."


def integer(
    name: str, value: Any, *, least: int | None = None, most: int | None = 2**53
) -> int:
    """Return an integer, at least `least`; booleans and whole floats are none.

    At most `most`: what is counted is counted in floats as well.
    """
    kind = {None: "an integer", 0: "a non-negative integer"}
    try:
        if isinstance(value, bool | np.ndarray):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        must = f"be {kind.get(least, 'a positive integer')}"
        raise refusal(TypeError, name, must, value) from None
    if least is not None and found < least:
        sign = {0: "not be negative", 1: "be positive"}
        must = sign.get(least, f"be at least {least}")
        raise refusal(ValueError, name, must, found)
    if most is not None and found > most:
        raise refusal(ValueError, name, f"be at most {most}", found)
    return found


def number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float = math.inf,
) -> float:
    """Return a finite number, at least `least` or above `above`, at most `most`."""
    if isinstance(value, np.ndarray):
        value = value[()]  # of a 0-d one, its number
    if isinstance(value, bool | np.timedelta64) or not isinstance(value, numbers.Real):
        raise refusal(TypeError, name, "be a number", value)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    low = -math.inf if least is None else least
    inside = found > above if above is not None else found >= low
    if not (inside and found <= most and math.isfinite(found)):
        raise refusal(ValueError, name, f"be {_range(least, above, most)}", value)
    return found


def _range(least: float | None, above: float | None, most: float) -> str:
    if most < math.inf:
        return f"from {least} to {most}" if above is None else f"in ({above}, {most}]"
    if above is not None:
        return "positive and finite" if above == 0 else f"finite and above {above}"
    if least is None:
        return "finite"
    return f"finite and {'not negative' if least == 0 else f'at least {least}'}"


def flag(name: str, value: Any) -> bool:
    """Return True or False, which it must be: other things have a truth value too."""
    if not isinstance(value, bool | np.bool_):
        raise refusal(TypeError, name, "be True or False", value)
    return bool(value)


def choice(name: str, value: Any, options: Iterable[str | None]) -> Any:
    """Return one of some strings (or None)."""
    known = list(options)
    kind = ValueError if value is None or isinstance(value, str) else TypeError
    if kind is ValueError and value in known:
        return value
    raise refusal(kind, name, f"be {alternatives(known)}", value)


def alternatives(options: Sequence[str | None]) -> str:
    """Return ``None, "a" or "b"``; of many, ``one of ...``."""
    words = ["None"] * (None in options) + [f'"{o}"' for o in options if o is not None]
    if len(words) > 3:
        return f"one of {', '.join(words)}"
    return " or ".join([", ".join(words[:-1])] * (len(words) > 1) + words[-1:])


def text(name: str, value: Any) -> str:
    """Return a string."""
    if not isinstance(value, str):
        raise refusal(TypeError, name, "be a string", value)
    return value


def function(name: str, value: Any, what: str = "be callable") -> Any:
    """Return something that can be called."""
    if not callable(value):
        raise refusal(TypeError, name, what, value)
    return value


def executor(name: str, value: Any) -> Any:
    """Return `value`, an executor or None."""
    if value is not None and not callable(getattr(value, "submit", None)):
        must = "be a concurrent.futures.Executor, as ProcessPoolExecutor(4)"
        raise refusal(TypeError, name, must, value)
    return value


def no_attribute(
    module: str, name: str, elsewhere: Mapping[str, str]
) -> AttributeError:
    """Return the exception for a name a module lacks: what is it called here."""
    hint = f": use {elsewhere[name]}" if name in elsewhere else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")


def further_arguments(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a function takes besides its first argument, by place and by name."""
    if not isinstance(args, tuple | list):
        raise refusal(TypeError, "args", "be a tuple", args)
    if kwargs is None:
        kwargs = {}
    if not isinstance(kwargs, dict) or not all(isinstance(k, str) for k in kwargs):
        raise refusal(TypeError, "kwargs", "be a dict with names as keys", kwargs)
    return tuple(args), kwargs


class _WithArguments:
    """A function and what else it takes: it can be pickled if its parts can."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.__wrapped__, self.args, self.kwargs = function, args, kwargs

    def __call__(self, first: Any) -> Any:
        """Return what the function returns."""
        return self.__wrapped__(first, *self.args, **self.kwargs)


def with_arguments(
    function: Callable[..., Any], args: Any, kwargs: Any
) -> Callable[[Any], Any]:
    """Return ``function(first, *args, **kwargs)`` as a function of `first` alone.

    Examples
    --------
    >>> with_arguments(lambda p, x, *, y: p * x + y, (3,), {"y": 1})(2)
    7
    """
    args, kwargs = further_arguments(args, kwargs)
    given = (args or kwargs) and callable(function)
    return _WithArguments(function, args, kwargs) if given else function


def refuse_other_arguments(name: str, function: Any, first: Any) -> None:
    """Raise TypeError if a function cannot be called with `first`, and what it has.

    To be asked when it raised a TypeError: this one says what it must take.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(function, _WithArguments):
        args, kwargs = function.args, function.kwargs
        function = function.__wrapped__
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of what is not Python's
        return
    try:
        signature.bind(first, *args, **kwargs)
    except TypeError as error:
        further = ", and `args` and `kwargs`" if args or kwargs else ""
        inner = inspect.unwrap(function)
        got = f"{getattr(inner, '__name__', type(inner).__name__)}{signature}"
        raise TypeError(
            f"`{name}` must take the parameters{further}, got {got}: {error}."
        ) from None


def axis(name: str, value: Any, ndim: int, of: str) -> int:
    """Return an axis of an array called `of`, from 0 on."""
    must = f"be an axis of `{of}`, {ndim}-d"
    try:
        found = integer(name, value)
    except TypeError:
        raise refusal(TypeError, name, must, value) from None
    if not -ndim <= found < ndim:
        raise refusal(ValueError, name, must, found)
    return found % ndim


def dtype(name: str, value: Any, known: Sequence[str]) -> np.dtype[Any]:
    """Return a dtype of native byte order, one of those called `known`."""
    must = f"be {', '.join(known[:-1])} or {known[-1]}, in native byte order"
    try:
        if isinstance(value, str) and value == "bfloat16":
            import ml_dtypes

            value = ml_dtypes.bfloat16
        found: np.dtype[Any] = np.dtype(value)
    except Exception:  # NumPy's words may need those of the value
        raise refusal(TypeError, name, must, value) from None
    if found.name not in known or not found.isnative:
        raise refusal(ValueError, name, must, found)
    return found


Seed: TypeAlias = int | np.random.SeedSequence | np.random.Generator


def seed(name: str, value: Any) -> Seed:
    """Return a seed of random numbers: an integer, or NumPy's own kinds."""
    if isinstance(value, np.random.Generator | np.random.SeedSequence):
        return value
    must = "be a non-negative integer, a SeedSequence or a Generator of NumPy"
    try:
        return integer(name, value, least=0, most=None)
    except (TypeError, ValueError) as error:
        raise refusal(type(error), name, must, value) from None


def generator(name: str, value: Any) -> np.random.Generator:
    """Return the random generator of a seed."""
    return np.random.default_rng(seed(name, value))
