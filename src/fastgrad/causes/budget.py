"""How long a search may take, and what becomes of what it raises.

The verdict does not depend on the cause: a search that takes too long stops with what
it has found, and one that fails is a defect that the report tells.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

_Found = TypeVar("_Found")

#: Whether what a search raises is let through, as in the tests.
STRICT = False


class SpentError(Exception):
    """The time for the search is over."""


class Budget:
    """Time on this thread's clock, and what went wrong meanwhile."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_spent = self.is_starved = False
        self.failures: list[str] = []
        self._end = time.thread_time() + seconds
        self._next = time.perf_counter() + seconds

    def check(self) -> None:
        """Stop the search by raising if it has taken its time."""
        now = time.perf_counter()
        if now < self._next:  # no thread's clock is faster, and this one is cheap
            return
        left = self._end - time.thread_time()
        self._next = now + left
        if left < 0:
            self.is_spent = True
            raise SpentError

    def share(self, of_rest: float) -> "Budget":
        """Return a part of the time that is left."""
        return Budget(of_rest * max(0.0, self._end - time.thread_time()))

    def join(self, part: "Budget") -> None:
        """Answer for what happened in a part."""
        self.is_spent |= part.is_spent
        self.is_starved |= part.is_starved
        self.failures += part.failures

    def collect(self, guesses: Iterable[Any], found: list[Any]) -> None:
        """Add guesses to those found, as many as come."""
        if not self.is_spent:
            self.attempt(lambda: found.extend(guesses))

    def attempt(self, search: Callable[[], _Found]) -> _Found | None:
        """Return what a search gives; None if the time is over before, or it fails."""
        try:
            return search()
        except SpentError:
            pass
        except MemoryError:
            self.is_starved = True
        except Exception as error:
            if STRICT:
                raise
            self.failures.append(f"{type(error).__name__}: {error}")
        return None
