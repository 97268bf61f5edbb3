import numpy as np
from numpy.typing import NDArray

def positions(
    index: NDArray[np.int64],
    offsets: NDArray[np.int64],
    ndim: NDArray[np.int32],
    shape: NDArray[np.int64],
    step: NDArray[np.int64],
) -> tuple[NDArray[np.int64], bool]: ...
def cut(
    position: NDArray[np.int64],
    offsets: NDArray[np.int64],
    line: NDArray[np.int64],
    apart: int,
    most: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
