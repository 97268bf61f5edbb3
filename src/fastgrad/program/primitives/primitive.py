"""What every primitive operation of a program has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: derivative(g, out, inputs, ints): the gradient with respect to each input.
Derivative = Callable[[Array, Array, Sequence[Array], Sequence[int]], tuple[Any, ...]]


@dataclass(frozen=True)
class Primitive:
    """One primitive: `evaluate(inputs, ints)` and its `derivative`."""

    evaluate: Callable[[Sequence[Array], Sequence[int]], Array]
    derivative: Derivative
    #: At theta the lane kernels evaluate it too: its last bits may differ from NumPy.
    inexact: bool = False
    #: Constant between jumps: its derivative is zero everywhere.
    steps: bool = False
    #: What the lane kernel wants to know about theta, from the inputs there.
    prepare: Callable[[Sequence[Array]], Array] = lambda inputs: np.empty(0)
