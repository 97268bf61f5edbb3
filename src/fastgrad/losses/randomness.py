"""The global generators, NumPy's and Python's, which a loss may draw from.

A check calls the loss many times; what is drawn after it should be what would have been
drawn without it. But what other threads have drawn meanwhile must not come again, and
nobody can tell their draws from those of the loss.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def global_generator_kept() -> Iterator[None]:
    """Put both back afterwards, unless other threads may have drawn from them, too."""
    state: Any = np.random.get_state()  # noqa: NPY002
    of_python = random.getstate()
    try:
        yield
    finally:
        if threading.active_count() == 1:
            np.random.set_state(state)  # noqa: NPY002
            random.setstate(of_python)
