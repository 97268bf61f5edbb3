"""A loss of another framework at many points at once, as that framework batches it."""

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._arrays import Flags
from fastgrad.losses.interface import Losses, Substitute
from fastgrad.losses.vectorized import VectorizedLosses
from fastgrad.params import Vector

_MOVES = (1e-3, -1e-2)  # where the batched loss is compared with the loss


class BatchedLosses(Substitute):
    """Perturbed points by the loss's own `batched`, theta by the loss itself."""

    engine = "vectorized"

    def __init__(self, here: Losses, many: VectorizedLosses) -> None:
        super().__init__(here)
        self._many = many
        self.fallback = here.fallback

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        self.evaluations += np.size(index)
        return self._many.at_entries(index, value)

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`."""
        self.evaluations += np.size(t)
        return self._many.along(direction, t)


def batched_losses(python: Losses) -> Losses:
    """Return the losses of many points at once by the loss's own `batched`.

    As they are where it has none, where that fails, or where it is another function.
    """
    batched = getattr(python.loss, "batched", None)
    if batched is None:
        return python
    direction = np.random.default_rng(0).standard_normal(python.nest.size)
    try:
        given = python.nest, python.progress, python.reduction.kind
        many = VectorizedLosses(batched, *given)
        got = many.along(direction, _MOVES)
    except Exception:  # whatever stops the framework from batching
        return python
    expected = python.along(direction, _MOVES)
    close = np.abs(got - expected) <= 1e-6 * np.abs(expected) + 1e-9 * abs(python.base)
    same = bool(np.all(close | ~np.isfinite(expected)))
    return BatchedLosses(python, many) if same else python
