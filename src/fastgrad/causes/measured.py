"""What is given to those who name causes: a gradient under test, and what it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad.params import Nest

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """A gradient under test beside what was measured; one element for each entry.

    Attributes
    ----------
    given : ndarray of float64
        The gradient under test.
    numerical, error : ndarray of float64
        The derivatives measured, and their bars; nan and inf where they were not.
    wrong, smooth : ndarray of bool
        Whether an entry is wrong; whether it is not at a kink of the loss.
    eps : ndarray of float64
        Rounding unit of `given`, one element for each block.
    """

    given: Array
    numerical: Array
    error: Array
    wrong: Flags
    smooth: Flags
    eps: Array


#: All of the parameters and of the gradient, where a part is looked at.
Whole = tuple[Nest, Array, Measured]
