"""A loss of another framework at many points at once, as that framework batches it."""

import numpy as np

from fastgrad.losses.interface import Losses
from fastgrad.losses.vectorized import VectorizedLosses

_MOVES = (1e-3, -1e-2)  # where the batched loss is compared with the loss


def batched_losses(python: Losses, reduction: str | None) -> Losses | None:
    """Return the losses of many points at once by the loss's own `batched`.

    None where it has none, where that fails, or where it is another function.
    """
    batched = getattr(python.loss, "batched", None)
    if batched is None:
        return None
    try:
        losses = VectorizedLosses(batched, python.nest, python.progress, reduction)
        direction = np.random.default_rng(0).standard_normal(python.nest.size)
        got = losses.along(direction, _MOVES)
    except Exception:
        return None
    expected = python.along(direction, _MOVES)
    losses.fallback, losses.grads = python.fallback, python.grads
    losses.evaluations += python.evaluations
    close = np.abs(got - expected) <= 1e-6 * np.abs(expected) + 1e-9 * abs(python.base)
    return losses if np.all(close | ~np.isfinite(expected)) else None
