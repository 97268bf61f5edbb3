from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

def affine(
    x: NDArray[np.floating[Any]],  # (outer, inner, columns), any strides
    a: Floats,  # (columns,)
    b: Floats,  # (columns,)
    c: Floats,  # (columns,), or (0,) for division by b
    out: NDArray[np.floating[Any]],  # as x, any strides; may be x itself
    *,
    num_threads: int,
) -> None: ...
