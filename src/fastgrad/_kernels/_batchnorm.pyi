from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.floating[Any]]  # (outer, inner, channels), strides as x

CHUNK_ROWS: int  # rows of a chunk
WORKSPACE_SIZE: int  # doubles a thread needs

def backward_sums(
    x: Rows,
    dy: Rows,
    mean: Floats,  # (channels,)
    workspace: Floats,  # (num_threads, WORKSPACE_SIZE)
    wave: Floats,  # (chunks held at once, 2, channels)
    sums: Floats,  # (2, 2, channels): sum(dy), sum(dy (x - mean)), each as hi, lo
    *,
    num_threads: int,
) -> None: ...
def backward(
    x: Rows,
    dy: Rows,
    mean: Floats,
    a: Floats,
    b: Floats,
    c: Floats,
    dx: Rows,
    *,
    num_threads: int,
) -> None: ...
