"""The gradients that were compared, of all entries or of those that were checked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.params import rebuild, walk


@dataclass(frozen=True, eq=False)
class Some:
    """Values of some entries: a nest of arrays is made of them when it is asked for.

    Attributes
    ----------
    like : nest of arrays
        Of the structure and the shapes of the parameters; None where there is no block.
    index : ndarray of int64, shape (n,)
        The entries, counted through all arrays.
    values : ndarray of float64, shape (n,)
        Of these; of the others nan.
    """

    like: Any
    index: NDArray[np.int64]
    values: NDArray[np.float64]

    def spread(self) -> Any:
        """Return the nest."""
        leaves = [leaf for *_, leaf in walk(self.like)]
        sizes = [np.size(leaf) if leaf is not None else 0 for leaf in leaves]
        vector = np.full(sum(sizes), np.nan)
        vector[self.index] = self.values
        parts = np.split(vector, np.cumsum(sizes)[:-1])
        return rebuild(
            self.like,
            (
                None if leaf is None else part.reshape(np.shape(leaf))[()]
                for leaf, part in zip(leaves, parts, strict=True)
            ),
        )


def whole(gradient: Any) -> Any:
    """Return a gradient as a nest of arrays."""
    return gradient.spread() if isinstance(gradient, Some) else gradient
