"""A JAX gradient as fastgrad sees it: a function of named arrays.

Recorded, the user's own is a program with its lines. Those of custom derivatives are
not kept by JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from fastgrad.interop.jax.loss import Arrays, JaxLoss
from fastgrad.program import TraceError, defining_line


class JaxGradient:
    """The gradient of a JAX loss: by its derivative, or the user's function.

    Parameters
    ----------
    of : JaxLoss
    grads : callable, optional
        Of its parameters.
    """

    def __init__(self, of: JaxLoss, grads: Callable[[Any], Any] | None = None) -> None:
        self._of, self._grads = of, grads
        self.__wrapped__ = grads or of.loss

    def __call__(self, arrays: Arrays) -> Arrays:
        """Return the gradient as arrays."""
        if self._grads is None:
            return self._of.gradient(arrays)
        with jax.enable_x64(self._of.wide):
            return self._of.named(self._grads(self._of.rebuilt(list(arrays.values()))))

    def in_numpy(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """Return what it means in NumPy, of arrays that record."""
        grads = self._grads
        if grads is None:
            line = defining_line(self._of.loss)
            raise TraceError("has a gradient of JAX's own, which is not traced", line)

        def matched(*arrays: Any) -> list[Any]:
            return self._of.matched(grads(self._of.rebuilt(arrays)))

        found = self._of.meaning(matched, grads, recorded)
        return dict(zip(recorded, found, strict=True))
