"""Reads what a loss returns, and takes the difference of two such values.

A loss returns a number, an array of per-sample losses together with ``reduction=``, or
``(loss, grads)``, its loss being either. Per-sample losses are subtracted before they
are summed: their common part, which carries most of the rounding, never enters the sum.
"""

import copy
from typing import Any

import numpy as np

from fastgrad._arguments import choice
from fastgrad._arrays import AnyArray
from fastgrad.params import Vector

Value = float | Vector
FLOATS = frozenset({float, np.float64, np.float32})


class Reduction:
    """How the value of a loss is read from what it returns.

    Parameters
    ----------
    reduction : {None, "mean", "sum"}
        How per-sample losses make one loss; None where the loss is a number.

    Examples
    --------
    >>> mean = Reduction("mean")
    >>> at_theta = mean.value(np.array([1e9, 2.0]))
    >>> mean.difference(np.array([1e9, 2.5]), at_theta)
    0.25
    """

    def __init__(self, reduction: str | None) -> None:
        self.kind = choice("reduction", reduction, ("mean", "sum", None))

    def value(self, result: Any) -> Value:
        """Return the loss in `result`: a number, or the vector of samples."""
        array = _numbers(_loss_of(result))
        if array.dtype.kind == "c":
            raise TypeError(f"`loss` must return real numbers, got {array.dtype}.")
        if array.size == 1:
            return float(array.item())
        self._require_samples(array)
        return array.astype(np.float64, copy=False).ravel()

    def at_theta(self, result: Any) -> Value:
        """Return `value`, which must be finite, as a copy."""
        value = copy.copy(self.value(result))
        if not np.isfinite(value).all():
            total = self.combine(value)
            raise ValueError(f"`loss` must be finite at `params`, got {total}.")
        return value

    def combine(self, value: Value) -> float:
        """Return the loss as one number."""
        if isinstance(value, float):
            return value
        total = float(np.add.reduce(value))
        return total / value.size if self.kind == "mean" else total

    def difference(self, result: Any, base: Value) -> float:
        """Return the loss in `result` minus that of `base`, per sample if there are."""
        value = self.value(result)
        if isinstance(base, float):
            if isinstance(value, float):
                return value - base
        elif not isinstance(value, float) and value.size == base.size:
            return self.combine(value - base)
        raise ValueError(
            f"`loss` must return as many losses as at `params`, {np.size(base)}, "
            f"got {np.size(value)}."
        )

    def imaginary(self, result: Any) -> float:
        """Return the imaginary part of a loss computed in complex arithmetic."""
        array = _numbers(_loss_of(result))
        if array.dtype.kind != "c":
            raise TypeError(
                '`method="complex"` needs a loss that computes with the complex arrays '
                f"it is given and returns a complex number, got {array.dtype}."
            )
        if array.size > 1:
            self._require_samples(array)
        return self.combine(array.imag.astype(np.float64).ravel())

    def rows(self, result: Any, count: int) -> list[Value]:
        """Return the values in the result of a vectorised loss of `count` points."""
        array = _numbers(_loss_of(result))
        if array.ndim == 0 or len(array) != count:
            raise ValueError(
                f"`loss` with `vectorized=True` must return one loss for each of the "
                f"{count} stacked parameter sets, got shape {array.shape}."
            )
        return [self.value(row) for row in array]

    def _require_samples(self, array: AnyArray) -> None:
        if array.size == 0:
            raise ValueError(f"`loss` returned an empty array of shape {array.shape}.")
        if self.kind is None:
            raise ValueError(
                f"`loss` returned an array of shape {array.shape}: pass "
                '`reduction="mean"` or `"sum"` if these are per-sample losses, or '
                "return one number."
            )


def grads_of(result: Any) -> Any:
    """Return the gradients of a ``(loss, grads)`` result, None for other results."""
    return result[1] if isinstance(result, tuple) and len(result) == 2 else None


def _loss_of(result: Any) -> Any:
    if not isinstance(result, tuple):
        return result
    if len(result) != 2:
        raise TypeError(
            "`loss` must return a number, an array of losses, or (loss, grads), got a "
            f"tuple of {len(result)}."
        )
    return result[0]


def _numbers(result: Any) -> AnyArray:
    """Return the loss as an array of numbers, real or complex."""
    if result is None:
        raise TypeError("`loss` returned None: is its `return` missing?")
    try:
        array = np.asarray(result)
        if array.dtype.kind == "O":
            array = np.asarray(float(result))
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "fiuc":
        raise TypeError(f"`loss` must return a number, got {type(result).__name__}.")
    return array
