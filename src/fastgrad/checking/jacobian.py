"""Jacobians: the same measurements for functions with many outputs."""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import flag, generator, public
from fastgrad.checking.judgement import Gradient, check_rtol
from fastgrad.checking.noise import calibrate
from fastgrad.checking.numerical import FEW, check_method, slopes_of
from fastgrad.checking.problem import Problem
from fastgrad.checking.products import disagreement
from fastgrad.checking.summary import summarize
from fastgrad.checking.verdict import judge
from fastgrad.reports import GradientReport


@public
def numerical_jacobian(
    fun: Callable[..., Any],
    x: Any,
    *,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    method: str = "central",
    step: float | None = None,
    sparsity: Any = None,
    bounds: Any = None,
    return_error: bool = False,
    workers: Executor | None = None,
    seed: int = 0,
) -> Any:
    """Return the Jacobian of `fun` at `x` from differences.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args, **kwargs)`` returns an array of outputs, or a nest of arrays.
    x : array_like of floats, shape (n,), or nest of arrays
        Where.
    args, kwargs : tuple, dict
        What else `fun` takes.
    method : {"central", "forward", "ridders"}
        As for `numerical_gradient`.
    step : float, optional
        The absolute step; chosen by measured noise and curvature by default.
    sparsity : array_like or sparse matrix, shape (m, n), optional
        Non-zero where an output depends on an input. Columns without a common row are
        then measured together. Whether an output depends on anything else is tried
        along a random direction.
    bounds : (lower, upper), optional
        Numbers, or built like `x`. `fun` is never evaluated outside: at a bound the
        stencil is one-sided, of the same order.
    return_error : bool
        Also return error bars.
    workers : concurrent.futures.Executor, optional
        Calls `fun` in its workers.
    seed : int
        Picks where noise and curvature are measured.

    Returns
    -------
    jacobian : ndarray of float64, shape (m, n)
        ``(n,)`` for a scalar function; a ``scipy.sparse.csr_array`` if `sparsity` is a
        sparse matrix. If `x` or the outputs are a nest: a nest like the outputs of
        nests like `x`, of arrays of the output's shape followed by the input's.
    error : of the same kind
        If `return_error` is set.

    Raises
    ------
    TypeError, ValueError
        If the call makes no sense; if an output depends on an input outside `sparsity`:
        both are named.

    Notes
    -----
    Two evaluations per column, or per group of columns, and three more; four more with
    `sparsity`. With error bars, up to 64 inputs, or outputs noisier than rounding makes
    them: four per column, twenty by Ridders, and up to 150 to find the step.

    Examples
    --------
    >>> import numpy as np
    >>> def fun(x):
    ...     return np.array([x[0] * x[1], np.sin(x[1])])
    >>> numerical_jacobian(fun, [2.0, 0.0]).round(6) + 0.0
    array([[0., 2.],
           [0., 1.]])
    """
    flag("return_error", return_error)
    method = _real_method(method, step)
    rng = generator("seed", seed)
    problem = Problem(fun, x, args, kwargs, sparsity, bounds, workers)
    accurate = return_error or method == "ridders"
    few = method == "central" and step is None and problem.outputs.x.size <= FEW
    value = None
    if not accurate and not (few and sparsity is None):
        value = problem.quick(method, step)
    if value is not None:
        problem.refuse_strays(value, seed)
        return problem.arranged(value)
    entries = problem.entries()
    index = np.arange(entries.nest.size)
    slopes = slopes_of(entries, index, method, step, accurate or few, rng)
    value = slopes.value * entries.units
    problem.refuse_strays(value, seed)
    if not return_error:
        return problem.arranged(value)
    return problem.arranged(value), problem.arranged(slopes.error * entries.units)


@public
def check_jacobian(
    fun: Callable[..., Any],
    x: Any,
    jac: Any = None,
    *,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    rtol: float | None = None,
    method: str = "auto",
    step: float | None = None,
    sparsity: Any = None,
    bounds: Any = None,
    workers: Executor | None = None,
    seed: int = 0,
) -> GradientReport:
    """Check a Jacobian, as `check_gradient` checks a gradient.

    Parameters
    ----------
    fun, x, args, kwargs
        The function and the point, as for `numerical_jacobian`.
    jac : array_like, sparse matrix, LinearOperator, nest or callable, optional
        The Jacobian, shape (m, n) or nested as `numerical_jacobian` returns it, or a
        function of `x` (and `args` and `kwargs`) that returns it.
    vjp, jvp : callable, optional
        Instead of `jac`: ``vjp(x, v)`` returns v times the Jacobian, ``jvp(x, u)`` the
        Jacobian times u. They are called for every unit vector, `jvp` once for a group
        of columns. If both are given `vjp` is checked entry by entry, and `jvp` against
        it: ``v @ jvp(u) == vjp(v) @ u`` for random u and v.
    rtol, method, step, seed
        As for `check_gradient`.
    sparsity, bounds, workers
        As for `numerical_jacobian`. A dependency outside `sparsity` is an entry of the
        Jacobian that is not zero, and checked as such.

    Returns
    -------
    GradientReport
        Its only block is ``jacobian``; entries have the index (output, input). If `x`
        or the outputs are a nest there is a block ``y/x`` for each pair of arrays.

    Raises
    ------
    TypeError, ValueError
        If neither `jac` nor a product is given, its shape is wrong, it is not zero
        outside `sparsity`, or `fun` does not return finite numbers at `x`.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.linspace(0, 1, 5)
    >>> def residuals(p):
    ...     return p[0] * np.exp(-p[1] * t) - 1
    >>> def jac(p):
    ...     return np.stack([np.exp(-p[1] * t), -p[0] * np.exp(-p[1] * t)], axis=1)
    >>> report = check_jacobian(residuals, [2.0, 0.5], jac)
    >>> report.verdict, report.wrong[0].name  # the inner derivative t is missing
    ('wrong', 'jacobian[0, 1]')
    """
    started = time.perf_counter()
    problem = Problem(fun, x, args, kwargs, sparsity, bounds, workers)
    analytic = problem.analytic(jac, vjp, jvp)
    report = checked(problem, analytic, rtol, method, step, seed)
    if vjp is not None and jvp is not None:
        rng = generator("seed", seed)
        apart = disagreement(problem.flat, problem.outputs, vjp, jvp, rng)
        if apart is not None:
            notes = (*report.notes, apart)
            report = dataclasses.replace(report, verdict="wrong", notes=notes)
    return dataclasses.replace(report, seconds=time.perf_counter() - started)


def checked(
    problem: Problem,
    analytic: NDArray[Any],
    rtol: float | None,
    method: str,
    step: float | None,
    seed: int,
) -> GradientReport:
    """Return the report on the entries of a Jacobian; those outside a pattern, too."""
    method = _real_method(method, step)
    check_rtol(rtol)
    rng = generator("seed", seed)
    notes = problem.add_strays(method, step, seed)
    analytic = np.append(analytic, np.zeros(len(problem.row) - len(analytic)))
    order = problem.sort()
    gradient = Gradient.of([analytic[order]], rtol)
    entries = problem.entries()
    blocks = len(entries.nest.names)
    gradient = Gradient(
        gradient.value / entries.units,
        np.repeat(gradient.eps, blocks),
        np.repeat(gradient.rtol, blocks),
    )
    calibration = calibrate(entries, rng, method=method, step=step)
    found = judge(entries, calibration, gradient, np.arange(entries.nest.size), rng)
    for field in ("analytic", "numerical", "error", "tolerance"):
        setattr(found, field, getattr(found, field) * entries.units)
    report = problem.relabel(summarize(entries, found, calibration))
    return dataclasses.replace(
        report,
        subject="Jacobian",
        notes=(*report.notes, *notes),
        evaluations=problem.outputs.evaluations,
    )


def _real_method(method: str, step: float | None) -> str:
    method = check_method(method, step)
    if method == "complex":
        raise ValueError('`method` must not be "complex" for a Jacobian.')
    return method
