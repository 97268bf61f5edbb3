import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

def at_entries(
    capsule: object,
    has_data: bool,
    index: NDArray[np.intp],
    value: Vector,
    thetas: Vector,
    out: Vector,
    *,
    num_threads: int,
) -> None: ...
def along(
    capsule: object,
    has_data: bool,
    theta: Vector,
    direction: Vector,
    t: Vector,
    thetas: Vector,
    out: Vector,
    *,
    num_threads: int,
) -> None: ...
