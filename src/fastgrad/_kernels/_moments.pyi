from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHUNK_ROWS: int  # rows of a chunk
LANE_COLUMNS: int  # columns of a state are padded to a multiple of this
STATE_SIZE: int  # rows of a state: simd/moments.h says what they are
WORKSPACE_SIZE: int  # doubles a thread needs

def accumulate(
    x: NDArray[np.floating[Any]],  # (outer, inner, columns), any strides
    weights: Floats,  # (outer * inner,), or (0,) for none
    workspace: Floats,  # (num_threads, WORKSPACE_SIZE)
    wave: Floats,  # (chunks held at once, STATE_SIZE, padded columns)
    state: Floats,  # (STATE_SIZE, padded columns), updated
    infinite: NDArray[np.uint8],  # (columns,), set to 1 where there is an infinity
    *,
    num_threads: int,
) -> None: ...
def merge(state: Floats, other: Floats) -> None: ...
