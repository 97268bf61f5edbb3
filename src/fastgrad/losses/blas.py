"""NumPy's matrix products on one thread, while fastgrad's kernels have the others.

The threads of OpenBLAS wait for the next product by spinning, for about a tenth of a
second after each: as long as a check takes, on the cores that its kernels run on. A
loss of a few milliseconds gains nothing by them.

A product may sum in another order with other threads. So their number stays what it is
as long as losses are open that have been evaluated.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

_PREFIXES = ("scipy_openblas_", "openblas_")
_SUFFIXES = ("64_", "")


class _Threads:
    def __init__(self) -> None:
        self.changing = threading.Lock()
        self.users: set[object] = set()
        self.before: int | None = None  # while there is one

    def open(self, user: object, one: bool) -> None:
        """Count a user; the first may ask for one thread."""
        with self.changing:
            self.users.add(user)
            openblas = _openblas()
            if one and openblas is not None and self.users == {user}:
                get, put = openblas
                self.before = get()
                put(1)

    def give_back(self, user: object) -> bool:
        """Let there be as many as before, if this is the only user."""
        with self.changing:
            openblas = _openblas()
            if self.before is None or openblas is None or self.users != {user}:
                return False
            changed = self.before > 1
            openblas[1](self.before)
            self.before = None
            return changed

    def close(self, user: object) -> None:
        """Count a user no longer; the last leaves as many as the first found."""
        self.give_back(user)
        with self.changing:
            self.users.discard(user)


_threads = _Threads()


@contextmanager
def blas_threads(*, one: bool = False) -> Iterator[Callable[[], bool]]:
    """Keep the threads of NumPy's OpenBLAS as many as they are, or let there be `one`.

    Yields what gives the others back sooner, and returns whether it did. Of several
    that overlap, the first says how many there are until the last has ended. Where
    NumPy has another BLAS, nothing happens.
    """
    user = object()
    try:
        _threads.open(user, one)
        yield lambda: _threads.give_back(user)
    finally:
        _threads.close(user)


@cache
def _openblas() -> tuple[Any, Any] | None:
    """How many threads it has, and how to set that; None if there is no OpenBLAS."""
    try:
        # What it is linked with is found through it.
        own = import_module("numpy._core._multiarray_umath").__file__
        library = ctypes.CDLL(str(own))
    except (ImportError, OSError):
        return None
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            get = getattr(library, f"{prefix}get_num_threads{suffix}", None)
            put = getattr(library, f"{prefix}set_num_threads{suffix}", None)
            if get is not None and put is not None:
                return get, put
    return None


def _forget() -> None:
    """Let a forked process, which has one thread of Python, count its own users."""
    global _threads
    before, _threads = _threads.before, _Threads()
    _threads.before = before


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
