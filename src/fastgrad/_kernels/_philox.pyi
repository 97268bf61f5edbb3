import numpy as np
from numpy.typing import NDArray

UNIFORM: int
NORMAL: int
TRUNCATED: int
FLOAT16: int
BFLOAT16: int
FLOAT32: int
FLOAT64: int

def fill(
    out: NDArray[np.generic],
    key: NDArray[np.uint32],
    law: int,
    scale: float,
    inside: float,
    outside: float,
    dtype: int,
    offset: int,
    start: int,
    stop: int,
    num_threads: int,
) -> None: ...
def philox4x32(
    counter: NDArray[np.uint32], key: NDArray[np.uint32], out: NDArray[np.uint32]
) -> None: ...
