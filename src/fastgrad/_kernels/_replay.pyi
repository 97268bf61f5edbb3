from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

CODES: dict[str, int]
BUNDLE: int
MAX_AXES: int

def map_elementwise(
    name: str,
    x: Sequence[NDArray[np.float64]],
    d: Sequence[NDArray[np.float64]],
    f0: NDArray[np.float64],
) -> NDArray[np.float64]: ...

class Replayer:
    num_threads: int
    def __init__(
        self,
        values: Sequence[tuple[tuple[int, ...], NDArray[np.float64] | None, int]],
        ops: Sequence[
            tuple[int, Sequence[int], int, Sequence[int], NDArray[np.float64], bool]
        ],
        out: int,
        scratch: Sequence[int],
        work_size: int,
        calls: dict[int, Callable[[list[NDArray[np.float64]]], NDArray[np.float64]]],
        num_threads: int,
    ) -> None: ...
    def show(
        self, values: Sequence[tuple[int, NDArray[np.float64] | None]], first: int
    ) -> None: ...
    def run(
        self,
        start: NDArray[np.int64],
        value: NDArray[np.int32],
        first_entry: NDArray[np.int64],
        index: NDArray[np.int64],
        delta: NDArray[np.float64],
        out: NDArray[np.float64],
        crossed: NDArray[np.uint8],
        first: int,
        last: int,
        *,
        num_threads: int,
    ) -> None: ...
    def run_along(
        self,
        directions: Sequence[tuple[int, NDArray[np.float64]]],
        t: NDArray[np.float64],
    ) -> NDArray[np.float64]: ...
    def full_cost(self, parameters: Sequence[int]) -> float: ...
    def spread(
        self, value: int, index: NDArray[np.int64]
    ) -> tuple[list[tuple[tuple[int, ...], tuple[int, ...]] | None], float]: ...
