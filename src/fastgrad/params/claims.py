"""Which thread moves which arrays.

Parameters are moved in place while a loss is evaluated, so two threads must not do so
with the same memory. The second waits.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.params.structure import walk

Spans = NDArray[np.int64]  # first and last byte of each array, shape (n, 2)


class _Claims:
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.held: dict[object, tuple[int, Spans]] = {}

    def free(self, spans: Spans) -> bool:
        """Whether no other thread holds any of these bytes."""
        return not any(
            thread != threading.get_ident() and _overlap(spans, others)
            for thread, others in self.held.values()
        )


_claims = _Claims()


def _forget() -> None:
    """Drop, in a forked process, what threads hold that it does not have."""
    global _claims
    _claims = _Claims()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def claimed(params: Any) -> Iterator[None]:
    """Keep the arrays in a nest to this thread; wait for those who have them.

    A thread may claim what it has claimed already: a loss may itself be a check.

    Examples
    --------
    >>> with claimed({"W": np.ones(3)}):
    ...     pass
    """
    claims, key, spans = _claims, object(), _spans(params)
    with claims.changed:
        claims.changed.wait_for(lambda: claims.free(spans))
        claims.held[key] = threading.get_ident(), spans
    try:
        yield
    finally:
        with claims.changed:
            del claims.held[key]
            claims.changed.notify_all()


def _spans(params: Any) -> Spans:
    bounds: list[tuple[int, int]] = []
    with suppress(RecursionError):  # what contains itself is refused elsewhere
        bounds += (
            np.lib.array_utils.byte_bounds(value)
            for *_, value in walk(params)
            if isinstance(value, np.ndarray)
        )
    return np.array(sorted(bounds), dtype=np.int64).reshape(-1, 2)


def _overlap(one: Spans, other: Spans) -> bool:
    return any(
        ((start < other[:, 1]) & (other[:, 0] < stop)).any() for start, stop in one
    )
