"""Why a Jacobian is wrong: causes of a weighted sum of its rows.

The sum of all outputs, each with a weight of its own, is a loss, and the sum of the
rows with these weights its gradient: what is wrong with the rows is wrong with that.
"""

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.checking.check import check_gradient
from fastgrad.program import around
from fastgrad.reports import Cause, GradientReport

_MOST = 10_000  # inputs: the sum may have to be called for each of them
#: An entry of the sum of all rows is a column of the matrix.
_COLUMNS = {
    r"one entry is wrong, at (\[[\d, ]+\])": r"the column of x\1 is wrong",
    r"wrong only at (\[[\d, ]+\])": r"wrong only in the column of x\1",
    r"wrong only at index": "wrong only in the columns of x at index",
}


def with_causes(
    report: GradientReport,
    fun: Callable[..., Any],
    x: Any,
    matrix: Any,
    further: tuple[tuple[Any, ...], dict[str, Any] | None],
    word: str,
    progress: bool | None,
) -> GradientReport:
    """Return the report on a Jacobian, with causes if it is wrong.

    Parameters
    ----------
    report : GradientReport
        Of one block.
    fun : callable
        ``fun(x, *args, **kwargs)`` returns an array.
    x : array_like of floats
        Where; there are no causes for nests.
    matrix : array or sparse array, shape (m, n)
        The Jacobian that was given.
    further : (tuple, dict or None)
        `args`, `kwargs`.
    word : str
        What the user calls the matrix.
    progress : bool, optional
        As for `check_gradient`.
    """
    if report.verdict != "wrong" or len(report.blocks) != 1 or report.causes:
        return report
    if np.size(x) > _MOST:
        return report
    transposed = _transposed(report, matrix, word)
    if transposed is not None:
        return dataclasses.replace(report, causes=(transposed,))
    weights = np.random.default_rng(matrix.shape[0]).uniform(0.5, 1.5, matrix.shape[0])
    args, kwargs = further
    loss = functools.partial(_weighted, fun, weights, args, kwargs or {})
    at = np.asarray(x, dtype=float)
    try:
        sums = np.reshape(weights @ matrix, at.shape)
        found = check_gradient(loss, at, sums, progress=progress)
    except (TypeError, ValueError, ArithmeticError):
        return report
    if found.verdict != "wrong":
        return report
    block = report.blocks[0].name
    causes = tuple(_renamed(cause, block, word) for cause in found.causes)
    return dataclasses.replace(report, causes=causes)


def _transposed(report: GradientReport, matrix: Any, word: str) -> Cause | None:
    """The cause that the columns of a Jacobian are given as its rows, if that fits.

    The sum of rows knows nothing of it.
    """
    measured = report.numerical
    if matrix.shape != matrix.shape[::-1] or matrix.shape != np.shape(measured):
        return None
    size, apart = abs(matrix).max(), abs(matrix.T - measured)
    rounding = 8 * np.finfo(np.float32).eps * size  # it may have been computed so
    if not (apart - report.error).max() <= rounding:
        return None
    block, residual = report.blocks[0].name, float(apart.max() / size)
    message = f"`{word}.T` matches in {block} (matches to {residual:.0e}): transpose it"
    return Cause("layout", (block,), message, None, residual)


def _weighted(
    fun: Callable[..., Any],
    weights: NDArray[np.float64],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    x: NDArray[np.float64],
) -> Any:
    result = fun(x, *args, **kwargs)
    with around(fun):
        return np.dot(weights, np.ravel(result))


def _renamed(cause: Cause, block: str, word: str) -> Cause:
    """A cause of the gradient of the sum as one of the matrix."""
    message = cause.message.replace(" in params", f" in {block}")
    message = message.replace(" of params", f" of {block}")
    message = message.replace("`grads", f"`{word}").replace("`-grads", f"`-{word}")
    for entries, columns in _COLUMNS.items():
        message = re.sub(entries, columns, message)
    return dataclasses.replace(cause, blocks=(block,), message=message)
