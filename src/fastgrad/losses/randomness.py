"""NumPy's global generator, which a loss may draw from.

A check calls the loss many times; what is drawn after it should be what would have been
drawn without it. But what other threads have drawn meanwhile must not come again, and
nobody can tell their draws from those of the loss.
"""

import threading
from typing import Any

import numpy as np


class GlobalGenerator:
    """NumPy's global generator as it is now, to be put back after the check."""

    def __init__(self) -> None:
        self._state: Any = np.random.get_state()  # noqa: NPY002

    def put_back(self) -> None:
        """Put it back, unless there are other threads, which may have drawn from it."""
        if threading.active_count() == 1:
            np.random.set_state(self._state)  # noqa: NPY002
