"""Losses at perturbed points, whichever way they are computed.

Everything fastgrad measures is a difference ``J(theta moved) - J(theta)``, with one
entry moved or all of them along a direction. `Losses` (in `interface`) is what gives
those. Difference formulas, noise estimates, searches and diagnoses are written against
it and never see how the loss is computed. There are five ways, one class each:

=============== ================================================================
`program`       the loss traced, replayed by compiled kernels
`callback`      a compiled function, called in OpenMP threads
`vectorized`    a function that takes many points at once
`python`        the user's function, called once per point
`workers`       the same in the workers of an executor
=============== ================================================================

None of them knows another; `engines` chooses, a program where it is `worth` making one.
Where one wraps another it gets it as a `Losses`: a program has to give `proof` that it
is the function it was traced from, `bounded` losses stay between bounds, `batched` ones
come from another framework. `crew` hands tasks to workers.

`reduction` reads what a loss returns, `progress` says how long it takes, `endless` ends
what would take for ever, `randomness` gives NumPy's generator back as it was, and
`blas` keeps the threads of matrix products out of the way. `remedies` are what to write
instead of what cannot be traced.

The user's arrays are moved in place where they are moved at all, for a loss may read
them wherever they are kept. They are bit for bit what they were after every exit. While
losses are open, other threads that ask for losses of the same arrays wait.
"""

from fastgrad.losses.blas import blas_threads
from fastgrad.losses.crew import Crew
from fastgrad.losses.endless import Endless, Watch
from fastgrad.losses.engines import Options, as_program, make_losses, trace
from fastgrad.losses.interface import OF_LOSS, OUTSIDE, Losses, add_note, keep_signs
from fastgrad.losses.program import CompiledLosses
from fastgrad.losses.progress import Progress
from fastgrad.losses.randomness import global_generator_kept
from fastgrad.losses.reduction import Reduction, grads_of

__all__ = [
    "OF_LOSS",
    "OUTSIDE",
    "CompiledLosses",
    "Crew",
    "Endless",
    "Losses",
    "Options",
    "Progress",
    "Reduction",
    "Watch",
    "add_note",
    "as_program",
    "blas_threads",
    "global_generator_kept",
    "grads_of",
    "keep_signs",
    "make_losses",
    "trace",
]
