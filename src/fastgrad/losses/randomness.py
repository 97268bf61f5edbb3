"""NumPy's global generator, which a loss may draw from.

A check calls the loss many times; what is drawn after it should be what would have been
drawn without it. But what other threads have drawn meanwhile must not come again.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

_CALLS = 3  # one of them at least is not disturbed by another thread
_PAUSE = 2e-3  # seconds in which a thread that draws all the time does so


class GlobalGenerator:
    """NumPy's global generator as it is now, to be put back if the loss draws from it.

    Examples
    --------
    >>> generator = GlobalGenerator()
    >>> first = np.random.random()
    >>> generator.put_back(np.random.random)
    >>> np.random.random() == first
    True
    """

    def __init__(self) -> None:
        self._state = _state()

    def put_back(self, evaluate: Callable[[], Any] | None = None) -> None:
        """Put it back, unless it is other threads that draw from it.

        Where the loss can be evaluated it is, and has to be seen drawing if there are
        other threads.
        """
        others = threading.active_count() > 1
        draws = evaluate is None or _draws(evaluate, _CALLS if others else 1)
        if not others or (draws and not _others_draw()):
            np.random.set_state(self._state)  # noqa: NPY002


def _draws(evaluate: Callable[[], Any], calls: int) -> bool:
    """Whether every call moves the generator; other threads may move it in some."""
    for _ in range(calls):
        before = _state()
        evaluate()
        if _same(before, _state()):
            return False
    return True


def _others_draw() -> bool:
    before = _state()
    time.sleep(_PAUSE)
    return not _same(before, _state())


def _state() -> Any:
    return np.random.get_state()  # noqa: NPY002


def _same(one: Any, other: Any) -> bool:
    return all(map(np.array_equal, one, other))
