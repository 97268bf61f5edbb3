"""Traced programs: an ordinary NumPy loss as a list of array operations.

- `ops`, `matrices`: the primitives, each once: value and derivative.
- `graph`: recording them, with the user's source line.
- `ufuncs`, `reductions`, `products`, `shapes`, `sorting`, `linear`: NumPy's functions
  in their terms; `functions` is the table of them.
- `traced`: the array that records; `complexes`: pairs of them as complex numbers.
- `plan`: memory and bundles for the kernels in ``_kernels/_replay``.
- `trace.agreement`: what two traces of one loss must have in common.
- `program`: `trace_nest` and `Program`.
"""

from fastgrad.program.graph import TraceError
from fastgrad.program.program import Program

__all__ = ["Program", "TraceError"]
