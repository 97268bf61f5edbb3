"""The primitive that only Python can evaluate: a call of a function nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.program.primitives.primitive import Primitive


class OpaqueCall(int):
    """The call behind an opaque operation, among whose integers it is.

    An integer that is zero, whatever is called: two traces of a loss agree in it.

    Attributes
    ----------
    function : callable
        From the arguments that are numbers to all that it returns, in a row; None where
        that has other shapes.
    traced : list of bool
        Which of these depend on parameters.
    size : int
        How many numbers it returns.
    decides : bool
        Whether it returns something else as well, which the loss may act on: then the
        loss itself is asked wherever an argument changes.
    seconds : float
        That it took once.
    """

    function: Callable[[Sequence[Array]], Array | None]
    traced: list[bool]
    size: int
    decides: bool
    seconds: float

    def __new__(  # noqa: D102
        cls,
        function: Callable[[Sequence[Array]], Array | None],
        traced: list[bool],
        size: int,
        *,
        decides: bool,
        seconds: float = 0.0,
    ) -> OpaqueCall:
        made = super().__new__(cls, 0)
        made.function = function
        made.traced = traced
        made.size = size
        made.decides = decides
        made.seconds = seconds
        return made

    def __reduce__(self) -> Any:
        """Without the function, which another process need not have."""
        return _elsewhere, (self.traced, self.size)

    def evaluate(self, inputs: Sequence[Array]) -> Array:
        """All the floating point numbers it returns, in a row; nan where it fails.

        A mistake that is tried may take it out of its domain. Results of other shapes
        are those of another program.
        """
        try:
            found = self.function(inputs)
        except Exception:
            found = None
        return np.full(self.size, np.nan) if found is None else found

    def differences(
        self, inputs: Sequence[Array], value: Array, changes: Sequence[Array]
    ) -> Array:
        """How its result changes in each lane; nan where it fails.

        Parameters
        ----------
        inputs, value : arrays
            At theta.
        changes : sequence of arrays of shape (..., lanes)
            Those of the inputs.
        """
        found = np.zeros((self.size, changes[0].shape[-1]))
        for lane, difference in enumerate(found.T):
            moved = [change[..., lane] for change in changes]
            if any(map(np.any, moved)):
                there = [x + d for x, d in zip(inputs, moved, strict=True)]
                with np.errstate(invalid="ignore"):  # both may be infinite
                    difference[:] = self._at(there) - value
        return found

    def _at(self, inputs: Sequence[Array]) -> Array:
        if not all(np.isfinite(x).all() for x in inputs):
            return np.full(self.size, np.nan)
        with np.errstate(all="ignore"):
            return self.evaluate(inputs)

    def derivative(self, g: Array, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The vector-Jacobian product, by central differences."""
        found = [np.zeros(x.shape) for x in inputs]
        moved = [x.copy() for x in inputs]
        used = g != 0  # a result that nothing uses may be infinite
        for total, x, active in zip(found, moved, self.traced, strict=True):
            for i in range(x.size if active else 0):
                before = x.flat[i]
                h = np.cbrt(np.finfo(float).eps) * max(abs(before), 1.0)
                sides = []
                for x.flat[i] in (before + h, before - h):
                    sides.append(self.evaluate(moved)[used])
                x.flat[i] = before
                total.flat[i] = g[used] @ (sides[0] - sides[1]) / (2 * h)
        return tuple(found)


def _elsewhere(traced: list[bool], size: int) -> OpaqueCall:
    return OpaqueCall(lambda _: np.full(size, np.nan), traced, size, decides=True)


def call_of(node: Any) -> OpaqueCall:
    """The call behind an opaque operation."""
    call: OpaqueCall = node.ints[0]
    return call


def leave_calls(nodes: Iterable[Any]) -> None:
    """Have the lanes that reach one of these left to the loss."""
    for node in nodes:
        call_of(node).decides = True


def is_left(node: Any) -> bool:
    """Whether lanes that reach a node are left to the loss."""
    return node.op == "opaque" and call_of(node).decides


#: ints are (the call,).
OPAQUE = {
    "opaque": Primitive(
        lambda inputs, ints: ints[0].evaluate(inputs),  # type: ignore[attr-defined]
        lambda g, out, inputs, ints: ints[0].derivative(g, inputs),  # type: ignore[attr-defined]
        inexact=True,
    )
}
