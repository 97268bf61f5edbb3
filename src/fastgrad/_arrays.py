"""What arrays of numbers are called in signatures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

AnyArray = NDArray[Any]
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Index = NDArray[np.int64]
