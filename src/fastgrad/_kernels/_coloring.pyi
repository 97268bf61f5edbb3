import numpy as np
from numpy.typing import NDArray

def group_columns(
    row: NDArray[np.int64],
    edge: NDArray[np.int64],
    left: NDArray[np.int64],
    taken: NDArray[np.int64],
    group: NDArray[np.int64],
) -> None: ...
