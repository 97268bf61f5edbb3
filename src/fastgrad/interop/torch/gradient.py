"""A torch gradient as fastgrad sees it: a function of named float64 arrays.

Recorded, it is a program with the lines of the user's own backward code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastgrad.interop.torch.loss import Arrays, TorchLoss
from fastgrad.program import TraceError


class TorchGradient:
    """The gradient of a torch loss: by torch's own backward, or the user's function.

    Parameters
    ----------
    of : TorchLoss
        Active.
    grads : callable, optional
        Of its parameters.
    """

    def __init__(
        self, of: TorchLoss, grads: Callable[[Any], Any] | None = None
    ) -> None:
        self._of, self._grads = of, grads
        self.__wrapped__ = grads or of.loss

    def __call__(self, arrays: Arrays) -> Arrays:
        """Return the gradient as arrays."""
        if self._grads is None:
            return self._of.gradient()
        return self._of.named(self._grads(self._of.params))

    def in_numpy(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """Return what it means in NumPy, of arrays that record."""
        if any(tensor.is_complex() for tensor in self._of.tensors.values()):
            raise TraceError("has complex parameters")
        with self._of.recorder(recorded) as recorder:
            found = (
                self._of.slopes()
                if self._grads is None
                else self._of.matched(self._grads(self._of.params))
            )
        return {
            name: np.zeros(self._of.arrays[name].shape)
            if grad is None
            else recorder.value(grad)
            for name, grad in found.items()
        }
