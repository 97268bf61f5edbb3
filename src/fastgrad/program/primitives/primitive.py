"""What every primitive operation of a program has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastgrad._arrays import Array

#: derivative(g, out, inputs, ints): the gradient with respect to each input.
Derivative = Callable[[Array, Array, Sequence[Array], Sequence[int]], tuple[Any, ...]]


@dataclass(frozen=True)
class Primitive:
    """One primitive: `evaluate(inputs, ints)` and its `derivative`."""

    evaluate: Callable[[Sequence[Array], Sequence[int]], Array]
    derivative: Derivative
    #: The ufuncs that it is, by name.
    ufuncs: tuple[str, ...] = ()
    #: Whether its value is rounded by about an ulp of itself, whatever its inputs.
    inexact: bool = False
    #: Constant between jumps: its derivative is zero everywhere.
    steps: bool = False
    #: Whether its result is a truth value.
    truth: bool = False
    #: What the lane kernel wants to know about theta, from the inputs there.
    prepare: Callable[[Sequence[Array]], Array] | None = None


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum `g` over the axes along which an input of this shape was broadcast."""
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(d for d, n in enumerate(shape) if n == 1 and g.shape[d] != 1)
    return g.sum(axis=stretched, keepdims=True) if stretched else g
