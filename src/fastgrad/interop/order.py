"""Gradients of gradients, as frameworks differentiate twice.

The gradient, its entries weighted at random, is one number more to check the gradient
of: what the framework makes of it, by differentiating its own backward pass, against
differences of that. A custom derivative may be right and its own derivative wrong.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import integer, refusal, with_arguments
from fastgrad.checking import ConstantLossError
from fastgrad.reports import GradientReport

_RIGHT = "the gradient itself is correct"


def check_order(order: Any, grads: Any) -> int:
    """Return the order of derivatives to check, 1 or 2."""
    found = integer("order", order, least=1)
    if found > 2:
        raise refusal(ValueError, "order", "be 1 or 2", order)
    if found == 2 and grads is not None:
        must = "be left out with `order=2`, which differentiates the framework's own"
        raise refusal(TypeError, "grads", must, grads)
    return found


def bound(
    loss: Any, grads: Any, options: Mapping[str, Any]
) -> tuple[Any, Any, dict[str, Any]]:
    """Return both as functions of the parameters alone, and the other options."""
    further = options.get("args", ()), options.get("kwargs")
    others = {k: x for k, x in options.items() if k not in ("args", "kwargs")}
    return with_arguments(loss, *further), with_arguments(grads, *further), others


def with_second(
    first: GradientReport, second: Callable[[], GradientReport | None]
) -> GradientReport:
    """Return the report on the second derivative, if the gradient is right.

    `second` returns None where that is zero, and known to be.
    """
    if not first.ok:
        return first
    report = second()
    if report is None:
        note = "the gradient does not depend on the parameters: nothing of second order"
        return dataclasses.replace(first, notes=(*first.notes, note))
    notes = (*report.notes, _RIGHT)
    return dataclasses.replace(report, subject="Second derivative", notes=notes)


def unless_constant(
    check: Callable[[], GradientReport], gradient: Callable[[], Mapping[str, Any]]
) -> GradientReport | None:
    """Return a report; None of what is constant, and has a gradient of zero."""
    try:
        return check()
    except ConstantLossError:
        if any(np.any(grad) for grad in gradient().values()):
            raise
        return None


def weights(shapes: Iterable[tuple[int, ...]]) -> list[NDArray[np.float64]]:
    """Return random weights of arrays of these shapes, the same in every call."""
    rng = np.random.default_rng(0)
    return [rng.uniform(0.5, 1.5, shape) for shape in shapes]
