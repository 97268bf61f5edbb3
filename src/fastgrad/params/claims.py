"""Which thread moves which arrays.

Parameters are moved in place while a loss is evaluated, so two threads must not do so
with the same memory. The second waits.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.params.structure import walk

Spans = NDArray[np.int64]  # first and last byte of each array, shape (n, 2)


class _Claims:
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.held: dict[object, tuple[int, Spans]] = {}
        self.wanted: dict[int, Spans] = {}

    def claim(self, spans: Spans) -> object:
        """Wait until no other thread holds any of these bytes, and hold them."""
        me, key = threading.get_ident(), object()
        with self.changed:
            while self._holders(spans, me):
                self.wanted[me] = spans
                try:
                    self._refuse_circle(me)
                    self.changed.wait()
                finally:
                    del self.wanted[me]
            self.held[key] = me, spans
        return key

    def drop(self, key: object) -> None:
        """Hold a claim no longer."""
        with self.changed:
            del self.held[key]
            self.changed.notify_all()

    def _holders(self, spans: Spans, thread: int) -> set[int]:
        """Return the other threads that hold some of these bytes."""
        return {
            other
            for other, theirs in self.held.values()
            if other != thread and _overlap(spans, theirs)
        }

    def _refuse_circle(self, me: int) -> None:
        """Raise RuntimeError if those this thread waits for wait for it."""
        seen, ahead = set[int](), {me}
        while ahead:
            thread = ahead.pop()
            seen.add(thread)
            if thread in self.wanted:
                holders = self._holders(self.wanted[thread], thread)
                if me in holders:
                    raise RuntimeError(
                        "two checks in different threads wait for each other: each is "
                        "within a loss whose parameters the other checks."
                    )
                ahead |= holders - seen


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
    claims = _claims
    key = claims.claim(_spans(params))
    try:
        yield
    finally:
        claims.drop(key)


def _spans(params: Any) -> Spans:
    bounds = sorted(
        np.lib.array_utils.byte_bounds(value)
        for *_, value in walk(params)
        if isinstance(value, np.ndarray)
    )
    return np.array(bounds, dtype=np.int64).reshape(-1, 2)


def _overlap(one: Spans, other: Spans) -> bool:
    return any(
        ((start < other[:, 1]) & (other[:, 0] < stop)).any() for start, stop in one
    )
