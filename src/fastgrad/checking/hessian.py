"""Hessians."""

import dataclasses
from collections.abc import Callable
from typing import Any

from fastgrad._arguments import names_of_others
from fastgrad.checking.jacobian import check_jacobian
from fastgrad.reports import Blocks, GradientReport


@names_of_others
def check_hessian(
    grad: Callable[..., Any], x: Any, hess: Any, **options: Any
) -> GradientReport:
    """Check a Hessian against differences of the gradient.

    Parameters
    ----------
    grad : callable
        ``grad(x)`` returns the gradient, shape (n,).
    x : array_like of floats, shape (n,)
    hess : array_like or callable
        The Hessian, shape (n, n), or a function of `x` that returns it.
    **options
        As for `check_jacobian`.

    Returns
    -------
    GradientReport
        Its only block is ``hessian``; a note says if the Hessian is not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> check_hessian(lambda x: 4 * x**3, np.ones(2), lambda x: np.diag(12 * x**2)).ok
    True
    """
    report = check_jacobian(grad, x, hess, **options)
    blocks = tuple(dataclasses.replace(b, name="hessian") for b in report.blocks)
    wrong = tuple(dataclasses.replace(e, block="hessian") for e in report.wrong)
    notes = report.notes
    matrix = report.analytic
    size = float(abs(matrix).max()) if matrix.size else 0.0
    skew = float(abs(matrix - matrix.T).max()) if matrix.size else 0.0
    if skew > 1e-8 * size:
        notes = (*notes, f"`hess` is not symmetric: it differs from hess.T by {skew:g}")
    return dataclasses.replace(report, blocks=Blocks(blocks), wrong=wrong, notes=notes)
