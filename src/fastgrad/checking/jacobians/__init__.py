"""Functions with many outputs: each entry of a Jacobian as a parameter of a loss.

- `problem`: a function and its point, whose nests `flattening` makes vectors.
- `outputs`: the function called near the point; `entries` of its Jacobian as losses
  with parameters, for all that checks gradients.
- `quick`: two evaluations a column; `analytic`: the complex step, where real
  differences bear it out.
- `sparsity`: columns measured together, and what `strays` from the pattern.
- `products`: Jacobians that are given by products with vectors.
- `forecast`: how long it takes.
"""

from fastgrad.checking.jacobians.flattening import FlatFunction, is_nest
from fastgrad.checking.jacobians.forecast import announce, evaluations
from fastgrad.checking.jacobians.outputs import Outputs
from fastgrad.checking.jacobians.problem import Options, Problem
from fastgrad.checking.jacobians.products import disagreement
from fastgrad.checking.jacobians.sparsity import is_sparse, pattern

__all__ = [
    "FlatFunction",
    "Options",
    "Outputs",
    "Problem",
    "announce",
    "disagreement",
    "evaluations",
    "is_nest",
    "is_sparse",
    "pattern",
]
