"""Products in all the forms in which NumPy takes them."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from fastgrad.program.primitives.meanings.arrays import asarray, is_traced
from fastgrad.program.primitives.meanings.registry import means


def contraction(subscripts: str, *operands: Any) -> Any:
    """``np.einsum`` in its plainest form, which traced arrays are asked for."""
    for x in operands:
        if is_traced(x):
            args = (subscripts, *operands)
            return x.__array_function__(contraction, (), args, {})
    return np.einsum(subscripts, *operands)


@means("numpy.einsum")
def einsum(*operands: Any, optimize: Any = False, **kwargs: Any) -> Any:
    """From left to right, whatever `optimize`."""
    first, *rest = operands
    if isinstance(first, str):
        return contraction(first, *map(asarray, rest))
    count = len(operands) // 2
    words = [_word(labels) for labels in operands[1 : 2 * count : 2]]
    subscripts = ",".join(words)
    if len(operands) % 2:
        subscripts += "->" + _word(operands[-1])
    return contraction(subscripts, *map(asarray, operands[: 2 * count : 2]))


def _word(labels: Any) -> str:
    """Labels that are numbers, as letters."""
    return "".join("..." if n is Ellipsis else string.ascii_letters[n] for n in labels)
