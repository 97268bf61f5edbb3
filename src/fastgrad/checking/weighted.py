"""Why a Jacobian is wrong: by its entries, or by weighted sums of its rows.

Its entries, beside those measured, tell of rows, columns and places. For the rest
there is the program: a sum of outputs, each with a weight of its own, is a loss, and
the sum of their rows with these weights its gradient. What is wrong with the rows is
wrong with that. As one sum has but one number for each column there are several, each
at a copy of x.
"""

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.checking.check import check_gradient
from fastgrad.checking.jacobians import is_sparse
from fastgrad.params import Nest
from fastgrad.program import TraceError, around
from fastgrad.reports import Cause, GradientReport

_SUMS = 4
_MOST = 10_000  # inputs
_CHECKED = 500  # entries of the sums
_DENSE = 1_000_000  # entries that are looked at as a matrix
_SECONDS = 1.0  # for that
_EXPLAINED = 1e-6  # of each entry: a mistake explains so many digits
_SHOWN = 6  # rows in words
#: What is told for want of a better word; of entries a factor, too, that the program
#: may have a name for.
_VAGUE = {"unknown", "partial"}


def with_causes(
    report: GradientReport,
    fun: Callable[..., Any] | None,
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
    fun : callable, optional
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
    rows = np.unique([entry.index[0] for entry in report.wrong])
    causes = _of_entries(report, matrix, word)
    told = bool(causes) and not _are({*_VAGUE, "scale"}, causes)
    if fun is not None and np.size(x) <= _MOST and not told:
        args, kwargs = further
        loss = functools.partial(_sums, fun, args, kwargs or {})
        of_sums = _of_sums(report, loss, x, matrix, rows, word, progress)
        causes = causes if causes and _are(_VAGUE, of_sums) else of_sums or causes
    return dataclasses.replace(report, causes=causes)


def _are(codes: set[str], causes: tuple[Cause, ...]) -> bool:
    """Whether one of the causes has such a code."""
    return any(cause.code in codes for cause in causes)


def _of_entries(report: GradientReport, matrix: Any, word: str) -> tuple[Cause, ...]:
    """The causes that the entries show, beside those measured."""
    from fastgrad.causes import Measured, name_causes  # only where something is wrong

    if np.prod(matrix.shape) > _DENSE:
        return ()
    given, numerical, error = (
        np.asarray(one.toarray() if is_sparse(one) else one, float)
        for one in (matrix, report.numerical, report.error)
    )
    wrong = np.zeros(given.shape, dtype=bool)
    wrong[tuple(np.transpose([entry.index for entry in report.wrong]))] = True
    # It is no function of what its entries would be the derivatives with respect to.
    theta = np.random.default_rng(0).standard_normal(given.shape)
    block = report.blocks[0].name
    measured = Measured(
        given.ravel(),
        np.ravel(numerical),
        np.ravel(error) + _EXPLAINED * np.abs(np.ravel(numerical)),
        wrong.ravel(),
        np.ones(given.size, dtype=bool),
        np.array([np.finfo(matrix.dtype).eps]),
    )
    causes = name_causes(
        Nest({block: theta}), theta.ravel(), measured, seconds=_SECONDS
    )
    return tuple(_renamed(cause, block, "", word) for cause in causes)


def _of_sums(
    report: GradientReport,
    loss: Callable[..., Any],
    x: Any,
    matrix: Any,
    rows: NDArray[np.int64],
    word: str,
    progress: bool | None,
) -> tuple[Cause, ...]:
    """The causes of sums of the rows that are wrong; none if these are not traced."""
    weights = np.zeros((_SUMS, matrix.shape[0]))
    some = np.random.default_rng(0).uniform(0.5, 1.5, (_SUMS, rows.size))
    weights[:, rows] = some
    copies = np.stack([np.asarray(x, dtype=float)] * _SUMS)
    try:
        sums = np.reshape(weights @ matrix, copies.shape)
        found = check_gradient(
            functools.partial(loss, weights),
            copies,
            sums,
            engine="compiled",
            coverage=_CHECKED,
            progress=progress,
        )
    except (TraceError, TypeError, ValueError, ArithmeticError):
        return ()
    where = "" if rows.size == matrix.shape[0] else f"[{_index(rows)}]"
    block = report.blocks[0].name
    return tuple(_renamed(cause, block, where, word) for cause in found.causes)


def _sums(
    fun: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    weights: NDArray[np.float64],
    copies: NDArray[np.float64],
) -> Any:
    with around(fun):
        xs = list(copies)
    results = [fun(x, *args, **kwargs) for x in xs]
    with around(fun):
        sums = [np.dot(w, np.ravel(y)) for w, y in zip(weights, results, strict=True)]
        return sum(sums)


def _index(rows: NDArray[np.int64]) -> str:
    """Rows as an index."""
    first, last = int(rows[0]), int(rows[-1])
    if first == last:
        return f"{first}"
    if last - first == rows.size - 1:
        return f"{first}:{last + 1}"
    listed = ", ".join(map(str, rows[:_SHOWN].tolist()))
    return f"[{listed}{', ...' * (rows.size > _SHOWN)}]"


def _renamed(cause: Cause, title: str, where: str, word: str) -> Cause:
    """A cause of a gradient as one of the matrix, or of some of its rows."""
    message = cause.message
    for block in cause.blocks:
        for preposition in ("in", "of"):
            old, new = (f" {preposition} {name}" for name in (block, title + where))
            message = message.replace(old, new)
    message = re.sub(r"\bgrads\b", word + where, message)
    message = re.sub(r"\btheta\b", "x", message)
    return dataclasses.replace(cause, blocks=(title,), message=message)
