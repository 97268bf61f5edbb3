"""Why a Jacobian is wrong: by its entries, or by weighted sums of its rows.

Its entries, beside those measured, tell of rows, columns and places. For the rest
there is the program: a sum of outputs, each with a weight of its own, is a loss, and
the sum of their rows with these weights its gradient. What is wrong with the rows is
wrong with that. As one sum has but one number for each column there are several, each
at a copy of x.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.checking.check import check_gradient
from fastgrad.checking.jacobians import is_sparse
from fastgrad.losses import as_program, make_losses
from fastgrad.params import Nest, named_leaves
from fastgrad.program import around
from fastgrad.reports import Cause, GradientReport

_SUMS = 4
_MOST = 10_000  # inputs
_CHECKED = 500  # entries of the sums
_DENSE = 1_000_000  # entries that are looked at as a matrix
_SECONDS = 1.0  # for that
_EXPLAINED = 1e-6  # of each entry: a mistake explains so many digits
_SHOWN = 6  # rows in words
#: What is told for want of a better word; and what the program may have a better one
#: for than entries have.
_VAGUE = {"unknown", "partial"}
_OPEN = {*_VAGUE, "scale"}


def with_causes(
    report: GradientReport,
    word: str,
    fun: Callable[[Any], Any] | None = None,
    x: Any = None,
    progress: bool | None = None,
) -> GradientReport:
    """Return the report on a Jacobian, with causes if it is wrong.

    Parameters
    ----------
    report : GradientReport
        All entries are checked.
    word : str
        What the user calls the matrix.
    fun : callable, optional
        If the function is one of a real array that returns one, ``fun(x)``.
    x : array_like of floats, optional
        Where.
    progress : bool, optional
        As for `check_gradient`.
    """
    if report.verdict != "wrong" or not report.wrong or report.causes:
        return report
    with np.errstate(all="ignore"):
        causes = _of_entries(report, word)
        told = bool(causes) and not _are(_OPEN, causes)
        if fun is not None and np.size(x) <= _MOST and not told:
            of_sums = _of_sums(report, word, fun, x, progress)
            causes = causes if causes and _are(_VAGUE, of_sums) else of_sums or causes
    return dataclasses.replace(report, causes=causes)


def _are(codes: set[str], causes: tuple[Cause, ...]) -> bool:
    """Whether one of the causes has such a code."""
    return any(cause.code in codes for cause in causes)


def _of_entries(report: GradientReport, word: str) -> tuple[Cause, ...]:
    """The causes that the entries show, beside those measured."""
    from fastgrad.causes import Measured, name_causes  # only where something is wrong

    shapes = {block.name: block.shape for block in report.blocks}
    if sum(map(math.prod, shapes.values())) > _DENSE:
        return ()
    # They are no function of what they would be the derivatives with respect to.
    rng = np.random.default_rng(0)
    nest = Nest({name: rng.standard_normal(shape) for name, shape in shapes.items()})
    wrong = {name: np.zeros(shape, dtype=bool) for name, shape in shapes.items()}
    for entry in report.wrong:
        wrong[entry.block][entry.index] = True
    leaves = [
        [_dense(leaf) for _, leaf in named_leaves(one)]
        for one in (report.analytic, report.numerical, report.error)
    ]
    given, numerical, error = (nest.join(one) for one in leaves)
    measured = Measured(
        given,
        numerical,
        error + _EXPLAINED * np.abs(numerical),
        nest.join(list(wrong.values())).astype(bool),
        np.ones(nest.size, dtype=bool),
        np.array([np.finfo(leaf.dtype).eps for leaf in leaves[0]]),
    )
    theta = nest.join(nest.leaves)
    causes = name_causes(nest, theta, measured, seconds=_SECONDS)
    return tuple(_renamed(cause, word) for cause in causes)


def _dense(matrix: Any) -> NDArray[Any]:
    return np.asarray(matrix.toarray() if is_sparse(matrix) else matrix)


def _of_sums(
    report: GradientReport,
    word: str,
    fun: Callable[[Any], Any],
    x: Any,
    progress: bool | None,
) -> tuple[Cause, ...]:
    """The causes of sums of the rows that are wrong; none if these are not traced."""
    [(_, leaf)] = named_leaves(report.analytic)
    matrix = leaf if is_sparse(leaf) else np.reshape(leaf, report.blocks[0].shape)
    some = abs(matrix) @ np.ones(matrix.shape[1]) == 0  # rows that say nothing
    some[[entry.index[0] for entry in report.wrong]] = True
    rows = np.flatnonzero(some)
    weights = np.zeros((_SUMS, matrix.shape[0]))
    weights[:, rows] = np.random.default_rng(0).uniform(0.5, 1.5, (_SUMS, rows.size))
    copies = np.stack([np.asarray(x, dtype=float)] * _SUMS)
    loss = functools.partial(_sums, fun, weights)
    sums = np.reshape(weights @ matrix, copies.shape)
    check = functools.partial(check_gradient, engine="compiled", coverage=_CHECKED)
    try:
        with make_losses(loss, copies, engine="python") as losses:
            if as_program(losses) is None:
                return ()
        found = check(loss, copies, sums, progress=progress)
    except Exception:  # whatever it is, the verdict stands
        return ()
    where = "" if rows.size == matrix.shape[0] else f"[{_index(rows)}]"
    title = report.blocks[0].name
    return tuple(_renamed(cause, word, title, where) for cause in found.causes)


def _sums(
    fun: Callable[[Any], Any],
    weights: NDArray[np.float64],
    copies: NDArray[np.float64],
) -> Any:
    with around(fun):
        xs = list(copies)
    results = [fun(x) for x in xs]
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


def _renamed(cause: Cause, word: str, title: str = "", where: str = "") -> Cause:
    """A cause of a gradient as one of a matrix, or of some of its rows."""
    message = re.sub(r"\bgrads\b", word + where, cause.message)
    message = re.sub(r"\btheta\b", "x", message)
    if not title:
        return dataclasses.replace(cause, message=message)
    message = re.sub(r"\b(in|of) params\b", rf"\1 {title}{where}", message)
    return dataclasses.replace(cause, blocks=(title,), message=message)
