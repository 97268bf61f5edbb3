"""The demonstration: ``examples/digits.py``, installed beside its data."""

import lzma
from importlib import import_module, resources

import numpy as np
from numpy.typing import NDArray


def load_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return 600 of the UCI handwritten digits.

    Returns
    -------
    pixels : ndarray of float64, shape (64, 600)
        One image a column, values 0 to 16.
    labels : ndarray of int64, shape (600,)
        The digits.

    Examples
    --------
    >>> pixels, labels = load_digits()
    >>> pixels.shape, labels[:4]
    ((64, 600), array([0, 1, 2, 3]))
    """
    source = resources.files("fastgrad") / "data" / "digits.xz"
    rows = np.frombuffer(lzma.decompress(source.read_bytes()), np.uint8)
    rows = rows.reshape(65, 600)
    return rows[:64].astype(np.float64, order="F"), rows[64].astype(np.int64)


def run(bug: bool = False) -> bool:
    """Run the demonstration; return whether every gradient in it was correct."""
    correct: bool = import_module("fastgrad.demo.digits").main(bug)
    return correct
