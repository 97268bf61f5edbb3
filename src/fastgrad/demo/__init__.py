"""The demonstration: ``examples/digits.py``, installed beside its data."""

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
    source = resources.files("fastgrad") / "data" / "digits.csv.bz2"
    with resources.as_file(source) as path:
        rows = np.loadtxt(path, delimiter=",", dtype=np.int64)
    return rows[:, :64].T.astype(np.float64), rows[:, 64]


def run(bug: bool = False) -> bool:
    """Run the demonstration; return whether every gradient in it was correct."""
    correct: bool = import_module("fastgrad.demo.digits").main(bug)
    return correct
