"""Traced programs: an ordinary NumPy loss as a list of array operations.

- `ops`: the primitives, each once: value and derivative.
- `graph`: recording them, with the user's source line.
- `ufuncs`, `reductions`, `products`, `shapes`: NumPy's functions in their terms;
  `functions` is the table of them.
- `traced`: the array that records.
- `plan`: memory and bundles for the kernels in ``_kernels/_replay``.
- `program`: `trace` and `Program`.
"""

from fastgrad.program.graph import TraceError
from fastgrad.program.program import Program, trace

__all__ = ["Program", "TraceError", "trace"]
