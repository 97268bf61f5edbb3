"""NumPy's matrix products on one thread, while fastgrad's kernels have the others.

The threads of OpenBLAS wait for the next product by spinning, for about a tenth of a
second after each: as long as a check takes, on the cores that its kernels run on. A
loss of a few milliseconds gains nothing by them.
"""

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

_PREFIXES = ("scipy_openblas_", "openblas_")
_SUFFIXES = ("64_", "")

_lock = threading.Lock()
_holders: set[object] = set()
_before = 1  # threads, when the first of them came


@contextmanager
def one_blas_thread() -> Iterator[Callable[[], None]]:
    """Keep NumPy's OpenBLAS to one thread; yields what gives the others back sooner.

    All of several that overlap have to end before it gets them back. Where NumPy has
    another BLAS, nothing happens.
    """
    holder = object()
    _hold(holder)
    try:
        yield lambda: _let_go(holder)
    finally:
        _let_go(holder)


def _hold(holder: object) -> None:
    global _before
    openblas = _openblas()
    if openblas is None:
        return
    get, put = openblas
    with _lock:
        if not _holders:
            _before = get()
            put(1)
        _holders.add(holder)


def _let_go(holder: object) -> None:
    openblas = _openblas()
    if openblas is None:
        return
    _, put = openblas
    with _lock:
        if holder in _holders:
            _holders.remove(holder)
            if not _holders:
                put(_before)


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
