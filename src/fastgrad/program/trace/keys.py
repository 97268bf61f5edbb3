"""Traced numbers as keys of dictionaries: caches by the parameters they were made at.

All keys of one trace have one hash, so that a dictionary compares them: which of them
are equal is an outcome like any other, and guarded. Keys of past calls are of other
parameters. What is computed of a key, a hash or a digest, is as good a key.
"""

from __future__ import annotations

import builtins
import hashlib
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.program.sources import TraceError
from fastgrad.program.trace import python_functions
from fastgrad.program.trace.traced import KEY, Traced

_ELSE = "`tobytes()` needs a number where the parameters enter, unless it is a key"
#: What is asked of digests.
_DIGESTS = frozenset(["digest", "hexdigest", "hex"])


class Key:
    """Good for nothing but to be a key."""

    __slots__ = ()

    def __hash__(self) -> int:
        return KEY

    def __getattr__(self, name: str) -> Any:
        raise TraceError(_ELSE)

    def __str__(self) -> str:
        raise TraceError(_ELSE)

    def plain(self) -> Any:
        """What an ordinary call would have left there."""
        raise NotImplementedError


class Bytes(Key):
    """``array.tobytes()``."""

    __slots__ = ("_array",)

    def __init__(self, array: Traced) -> None:
        self._array = array

    __hash__ = Key.__hash__

    def __eq__(self, other: object) -> bool:
        if type(other) is not Bytes or other._array.shape != self._array.shape:
            return False
        return other._array.node is self._array.node or bool(
            np.all(self._array == other._array)
        )

    def plain(self) -> bytes:
        """See `Key.plain`."""
        return np.asarray(self._array).tobytes()


class Computed(Key):
    """``function(key)``, which is another where the key is another."""

    __slots__ = ("_function", "_name", "_of")

    def __init__(self, name: Any, function: Callable[[Any], Any], of: Any) -> None:
        self._name, self._function, self._of = name, function, of

    __hash__ = Key.__hash__

    def __eq__(self, other: object) -> bool:
        if type(other) is not Computed or other._name != self._name:
            return False
        return bool(self._of == other._of)

    def __getattr__(self, name: str) -> Any:
        if name not in _DIGESTS:
            raise TraceError(_ELSE)
        return lambda: Computed(name, operator.methodcaller(name), self)

    def __getitem__(self, key: slice) -> Computed:
        return Computed(repr(key), operator.itemgetter(key), self)

    def plain(self) -> Any:
        """See `Key.plain`."""
        return self._function(_plain(self._of))


def tobytes(array: Traced, *order: Any) -> Any:
    """As `numpy.ndarray.tobytes`."""
    return Bytes(array) if array.live else np.asarray(array).tobytes(*order)


def refuse_keys(args: Any) -> None:
    """Refuse what no function can read."""
    if any(isinstance(x, Key) for x in args):
        raise TraceError(_ELSE)


def _plain(x: Any) -> Any:
    if isinstance(x, Key):
        return x.plain()
    if isinstance(x, Traced):
        return x.node.value[()]
    return tuple(map(_plain, x)) if isinstance(x, tuple) else x


def _is_key(x: Any) -> bool:
    if isinstance(x, tuple):
        return any(map(_is_key, x))
    return isinstance(x, Key) or (isinstance(x, Traced) and x.live and not x.ndim)


def _computed(function: Callable[[Any], Any]) -> Callable[..., Any]:
    def of_key(recording: Any, site: Any, of: Any = b"", **kwargs: Any) -> Any:
        if function is not hash and isinstance(of, Traced) and of.live:
            of = Bytes(of)
        if kwargs or not _is_key(of):
            return NotImplemented
        return Computed(function.__name__, function, of)

    return of_key


_HASHES = (
    *(builtins.hash, hashlib.md5, hashlib.sha1, hashlib.sha224, hashlib.sha256),
    *(hashlib.sha384, hashlib.sha512, hashlib.blake2b, hashlib.blake2s),
)
python_functions.OF_OBJECTS.update({f: _computed(f) for f in _HASHES})
