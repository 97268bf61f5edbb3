"""The primitive operations a program is made of, each defined once.

For each: its value in NumPy, and its derivative (the vector-Jacobian product), which
only the analytic side uses: naming a bug, and `Program.gradient`. The numerical
gradient never does. How a perturbation spreads and what it does is in
``_kernels/simd``, under the same names.
"""

from fastgrad.program.primitives.calls import OPAQUE
from fastgrad.program.primitives.contractions import (
    CONTRACTION,
    REDUCTIONS,
    contraction_labels,
)
from fastgrad.program.primitives.elementwise import ELEMENTWISE
from fastgrad.program.primitives.matrices import LINEAR
from fastgrad.program.primitives.moves import SHAPE, SORTING, place, view_of
from fastgrad.program.primitives.primitive import Primitive, unbroadcast

PRIMITIVES: dict[str, Primitive] = {
    **OPAQUE,
    **ELEMENTWISE,
    **REDUCTIONS,
    **CONTRACTION,
    **SHAPE,
    **SORTING,
    **LINEAR,
}
#: The operation of each ufunc that is one, by the ufunc's name.
UFUNCS = {ufunc: op for op, made in PRIMITIVES.items() for ufunc in made.ufuncs}

__all__ = [
    "ELEMENTWISE",
    "PRIMITIVES",
    "SHAPE",
    "UFUNCS",
    "contraction_labels",
    "place",
    "unbroadcast",
    "view_of",
]
