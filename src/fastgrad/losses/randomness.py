"""NumPy's global generator, which a loss may draw from."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def undrawn() -> Iterator[None]:
    """Leave the generator as it was, so that a check is not seen in what is drawn next.

    Where there are other threads it is left alone: one of them may have drawn from it
    meanwhile, and would get the same numbers again.
    """
    alone = threading.active_count() == 1
    state = np.random.get_state() if alone else None  # noqa: NPY002
    try:
        yield
    finally:
        if state is not None and threading.active_count() == 1:
            np.random.set_state(state)  # noqa: NPY002
