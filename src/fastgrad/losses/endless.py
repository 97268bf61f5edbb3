"""Calls that do not end: iterations that wait, away from theta, for what never comes.

A thread looks now and then whether another evaluation has ended since it last did, at
no cost for these. One that takes far longer than that at theta did is ended by an
exception that Python raises in it: where it runs in C it cannot be, until it is back.
"""

import _thread
import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from fastgrad.losses.progress import Progress

_Result = TypeVar("_Result")

# Of processor time, that a debugger or a process that is stopped does not take.
_PATIENCE = 10.0  # seconds
_AGAIN = 0.2  # seconds, once there was such a call
_LONGER = 1000.0  # times what a call takes at theta
_LOOKS = 8  # within the patience
_SOON = 0.01  # seconds: many short checks are not to leave many threads behind


class Endless(ArithmeticError):
    """A call of the loss was ended, when so many evaluations were done."""

    def __init__(self, done: int) -> None:
        super().__init__("it does not end, or not soon")
        self.done = done


class _End(BaseException):
    """Raised in the user's function: no exception for it to catch."""


def _begins_a_thread() -> bool:
    """Return whether there is a thread that does not run yet.

    It may have the identity of the one that began it (before Python 3.12), and an
    exception for that one would end it in its place.
    """
    return any(thread.ident is None for thread in threading.enumerate())


_collecting = [False]


def _collects(phase: str, info: dict[str, int]) -> None:
    """Called by the collector when it begins and ends."""
    _collecting[0] = phase == "start"


def _would_be_lost(thread: int) -> bool:
    """Return whether what is raised in a thread would be printed, and go no further.

    It would where objects are freed: in ``__del__``, while the collector runs, after
    which threads wait for the interpreter, and in what else that calls.
    """
    if _collecting[0]:
        return True
    collector = [getattr(function, "__code__", None) for function in gc.callbacks]
    frame = sys._current_frames().get(thread)
    while frame is not None and frame.f_code is not Watch.call.__code__:
        if frame.f_code.co_name == "__del__" or frame.f_code in collector:
            return True
        frame = frame.f_back
    return False


def _raise_in(thread: int, exception: "ctypes.py_object[Any]") -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)


class Watch:
    """Ends what a thread calls if it takes too long.

    Parameters
    ----------
    progress : Progress
        Says how many evaluations are done.
    seconds : float
        That one takes at theta.
    """

    def __init__(self, progress: Progress, seconds: float) -> None:
        self._progress, self._longest = progress, _LONGER * seconds
        self._patience = _PATIENCE
        self._lock = threading.Lock()
        self._caller: int | None = None
        self._calls = 0
        self._looking = False
        self._ended: int | None = None

    def call(
        self, function: Callable[..., _Result], *args: Any, **kwargs: Any
    ) -> _Result:
        """Return what a function returns; raise Endless where that takes too long."""
        try:
            try:
                self._enter()
                return function(*args, **kwargs)
            finally:
                self._leave()
        except _End:
            self._leave()  # the first may not have got so far
            if self._ended is None:  # by the watch of another check around this one
                raise
            raise Endless(self._ended) from None

    def _enter(self) -> None:
        self._calls += 1
        self._ended = None
        self._caller = threading.get_ident()
        with self._lock:
            if not self._looking:
                self._looking = True
                if _collects not in gc.callbacks:  # for good: it may be gone through
                    gc.callbacks.append(_collects)
                _thread.start_new_thread(self._look, ())

    def _leave(self) -> None:
        with self._lock:
            self._caller = None
        for _ in range(2):  # what is due is raised where the interpreter may switch
            pass

    def _look(self) -> None:
        """Look until nothing is called: soon at first, then ever more seldom."""
        seen, since, pause = (0, 0), time.process_time(), _SOON
        while True:
            time.sleep(min(pause, self._patience / _LOOKS))
            pause *= 2
            with self._lock:
                if self._caller is None:
                    self._looking = False
                    return
                now, state = time.process_time(), (self._calls, self._progress.done)
                if state != seen:
                    seen, since = state, now
                elif now - since >= max(self._patience, self._longest) and not (
                    _begins_a_thread() or _would_be_lost(self._caller)
                ):
                    self._ended, self._patience = self._progress.done, _AGAIN
                    since = now
                    _raise_in(self._caller, ctypes.py_object(_End))
                    if _would_be_lost(self._caller):  # by now: it had its turn between
                        _raise_in(self._caller, ctypes.py_object())  # nothing
