"""Traced programs: an ordinary NumPy loss as a list of array operations.

- `primitives`: the operations, each once, and functions in their terms.
- `graph`: recording them, with the user's source line.
- `trace`: what turns the user's code into them.
- `plan`: memory and bundles for the kernels in ``_kernels/_replay``.
- `trace.agreement`: what two traces of one loss must have in common.
- `merging`: loops over single numbers as operations on arrays.
- `guards`: where a program does not apply.
- `program`: `trace_nest` and `Program`.
"""

from fastgrad.program.graph import TraceError
from fastgrad.program.program import Program

__all__ = ["Program", "TraceError"]
