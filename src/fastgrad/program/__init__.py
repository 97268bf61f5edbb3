"""Traced programs: an ordinary NumPy loss as a list of array operations.

- `primitives`: the operations, each once, and functions in their terms.
- `sources`: lines of the user's code.
- `graph`: recording operations, each with its line.
- `trace`: what turns the user's code into them.
- `plan`: memory and bundles for the kernels in ``_kernels/_replay``; `windows` of
  values that are not kept.
- `trace.agreement`: what two traces of one loss must have in common.
- `merging`: loops over single numbers as operations on arrays.
- `guards`: where a program does not apply; `read_set`: what it reads at all.
- `gradient`: reverse mode, for names of causes; `terms`: what it adds up; `rounding`:
  what that moves it by; `part`: the same for some entries of many.
- `program`: `Program`, which replays and differentiates what is `asked` of it;
  `listing` prints it.
"""

from fastgrad.program.gradient import (
    backpropagate,
    derivative,
    gradients,
    handed_on,
    leaves,
    stops,
)
from fastgrad.program.graph import Node, elsewhere, topological, value_of
from fastgrad.program.merging import merged
from fastgrad.program.part import MANY, Part, part_of
from fastgrad.program.primitives import ops
from fastgrad.program.primitives.calls import call_of, leave_calls
from fastgrad.program.primitives.meanings import meaning_of
from fastgrad.program.primitives.primitive import Primitive
from fastgrad.program.program import Program
from fastgrad.program.read_set import seen_by
from fastgrad.program.rounding import spread_of_gradient
from fastgrad.program.sources import (
    Source,
    TakesTooLong,
    TraceError,
    around,
    calling_line,
    current_trace,
    defining_line,
    is_internal,
    spoken,
)
from fastgrad.program.terms import terms_of_gradient
from fastgrad.program.trace.agreement import (
    Line,
    at_parameters,
    first_call_of_more,
    first_constant_that_moved,
    first_other_operation,
    outline,
    shows_its_numbers,
)
from fastgrad.program.trace.complexes import Complex
from fastgrad.program.trace.opaque import call_opaque
from fastgrad.program.trace.packages import Packages
from fastgrad.program.trace.traced import Traced
from fastgrad.program.trace.tracing import Graph, trace_blocks, trace_graph

__all__ = [
    "MANY",
    "Complex",
    "Graph",
    "Line",
    "Node",
    "Packages",
    "Part",
    "Primitive",
    "Program",
    "Source",
    "TakesTooLong",
    "TraceError",
    "Traced",
    "around",
    "at_parameters",
    "backpropagate",
    "call_of",
    "call_opaque",
    "calling_line",
    "current_trace",
    "defining_line",
    "derivative",
    "elsewhere",
    "first_call_of_more",
    "first_constant_that_moved",
    "first_other_operation",
    "gradients",
    "handed_on",
    "is_internal",
    "leave_calls",
    "leaves",
    "meaning_of",
    "merged",
    "ops",
    "outline",
    "part_of",
    "seen_by",
    "shows_its_numbers",
    "spoken",
    "spread_of_gradient",
    "stops",
    "terms_of_gradient",
    "topological",
    "trace_blocks",
    "trace_graph",
    "value_of",
]
