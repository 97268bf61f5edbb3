import numpy as np
from numpy.typing import NDArray

BLOCK: int

def orthonormal_columns(
    v: NDArray[np.float64],
    u: NDArray[np.float64],
    sign: NDArray[np.float64],
    q: NDArray[np.float64],
    columns: int,
    num_threads: int,
) -> None: ...
