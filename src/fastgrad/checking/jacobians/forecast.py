"""How long a Jacobian will take, said before it does."""

import numpy as np

from fastgrad.checking.differences import evaluations_of
from fastgrad.checking.jacobians.problem import Problem

_FEW = 10  # entries of a block that are worth an offer
_CALIBRATION = 100  # evaluations, as measured for functions of 3 to 300 numbers


def evaluations(method: str, columns: int, check: bool = True) -> int:
    """Return about how many so many columns take, or a check of them.

    That asks for as many again of what is not clear, and how noisy the outputs are.
    """
    return (evaluations_of(method) + check) * columns + check * _CALIBRATION


def announce(problem: Problem, coverage: str | int | None = None) -> None:
    """Have it said, before long, how long it will take and what is cheaper.

    `coverage` is that of a check.
    """
    columns, cheaper = problem.shape[1], []
    if problem.group is not None:
        columns = len(np.unique(problem.group))
    if coverage == "full" and columns > 2 * _FEW:
        cheaper.append(f"`coverage={_FEW}` checks {_FEW} entries of each block")
    if problem.sparsity is None:
        cheaper.append("`sparsity=` has columns that share no row moved together")
    if problem.outputs.workers is None and problem.outputs.many is None:
        cheaper.append("`workers=` takes an executor")
    if isinstance(coverage, int):
        columns = min(columns, coverage * len(list(problem.flat.blocks())))
    problem.outputs.progress.plan(
        evaluations(problem.method, columns, check=coverage is not None),
        f"Cheaper: {'; '.join(cheaper)}. `progress=False` says nothing.",
    )
