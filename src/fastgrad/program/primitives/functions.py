"""The door to the functions of nodes: importing them fills the table."""

from __future__ import annotations

from collections.abc import Sequence

from fastgrad.program.graph import Node
from fastgrad.program.primitives import (  # noqa: F401
    linear,
    products,
    reductions,
    shapes,
    sorting,
    ufuncs,
)
from fastgrad.program.primitives.table import FUNCTIONS, POSITIONS, VIEWS

__all__ = ["FUNCTIONS", "POSITIONS", "VIEWS", "ufunc"]


def ufunc(name: str, inputs: Sequence[Node], label: str) -> Node | None:
    """The result of a ufunc; None where it has no meaning in primitives."""
    if name == "matmul":
        return products.matmul(*inputs, label=label)
    return ufuncs.ufunc(name, inputs, label)
