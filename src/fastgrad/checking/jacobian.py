"""Jacobians: the same measurements for functions with many outputs."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import flag, refusal, with_arguments
from fastgrad._arrays import Array
from fastgrad._public import public_with
from fastgrad.checking.audit import random_outputs, unchecked
from fastgrad.checking.conclusions import summarize
from fastgrad.checking.coverage import check_coverage, covered
from fastgrad.checking.differences import FEW, calibrate, slopes_of
from fastgrad.checking.jacobians import (
    Options,
    Problem,
    announce,
    disagreement,
)
from fastgrad.checking.judgement import Gradient, Judgement, Verdicts, check_rtol, judge
from fastgrad.checking.weighted import with_causes
from fastgrad.losses import blas_threads, global_generator_kept
from fastgrad.reports import GradientReport

_SEVERAL = 128  # inputs: of more, two real evaluations each are quicker


@public_with(Problem)
@global_generator_kept()
@blas_threads()
def numerical_jacobian(
    fun: Callable[..., Any],
    x: Any,
    *,
    return_error: bool = False,
    **options: Unpack[Options],
) -> Any:
    """Return the Jacobian of `fun` at `x` from differences.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args, **kwargs)`` returns an array of outputs, or a nest of arrays.
    x : array_like of floats, shape (n,), or nest of arrays
        Where. It may be complex, as may the outputs.
    args, kwargs : tuple, dict
        What else `fun` takes.
    method : {"central", "forward", "backward", "complex", "ridders"}
        As for `numerical_gradient`.
    step : float or nest of floats and arrays, optional
        The absolute step, for every input or built like `x`; chosen by measured noise
        and curvature by default.
    sparsity : array_like or sparse matrix, shape (m, n), optional
        Non-zero where an output depends on an input. Columns without a common row are
        then measured together. Whether an output depends on anything else is tried
        along a random direction.
    bounds : (lower, upper), optional
        Numbers, or built like `x`. `fun` is never evaluated outside: at a bound the
        stencil is one-sided, of the same order.
    return_error : bool
        Also return error bars.
    vectorized : bool
        `fun` takes points stacked along a first axis, shape (K, n), and returns their
        outputs, shape (K, m).
    workers : concurrent.futures.Executor, optional
        Calls `fun` in its workers.
    progress : bool, optional
        As for `check_gradient`.
    seed : int
        Picks where noise and curvature are measured.

    Returns
    -------
    jacobian : ndarray of float64, shape (m, n)
        Complex where inputs or outputs are: of complex outputs by complex inputs the
        derivative of a holomorphic function; of real outputs dy/dRe + i dy/dIm.
        ``(n,)`` for a scalar function; a ``scipy.sparse.csr_array`` if `sparsity` is a
        sparse matrix. If `x` or the outputs are a nest: a nest like the outputs of
        nests like `x`, of arrays of the output's shape followed by the input's.
    error : of the same kind
        If `return_error` is set.

    Raises
    ------
    TypeError, ValueError
        If the call makes no sense; if an output depends on an input outside `sparsity`:
        both are named; if complex outputs are not holomorphic functions of complex
        inputs.

    Notes
    -----
    Of up to 128 inputs, and with error bars, a complex step per column, and 16 to 50
    evaluations along two random directions, whose slopes have to bear it out. Where
    these do not, or there are more inputs: two evaluations per column, or per group of
    columns, and three more; four more with `sparsity`. With error bars, of up to 64
    inputs, or of outputs noisier than rounding makes them: ten per column, eight more
    for each time that the step does not suit the column and becomes an eighth, and some
    30 to find the step. Twenty by Ridders.

    Examples
    --------
    >>> import numpy as np
    >>> def fun(x):
    ...     return np.array([x[0] * x[1], np.sin(x[1])])
    >>> numerical_jacobian(fun, [2.0, 0.0]).round(6) + 0.0
    array([[0., 2.],
           [0., 1.]])

    Of a function of many points at once, by the complex step:

    >>> def rows(x):
    ...     return np.stack([x[:, 0] * x[:, 1], np.sin(x[:, 1])], axis=1)
    >>> numerical_jacobian(rows, [2.0, 0.0], vectorized=True, method="complex")
    array([[0., 2.],
           [0., 1.]])
    """
    flag("return_error", return_error)
    problem = Problem(fun, x, **options)
    announce(problem)
    with problem.outputs.progress:
        value, error = _measured(problem, return_error)
    return (value, error) if return_error else value


def _measured(problem: Problem, with_bars: bool) -> tuple[Any, Any]:
    """Return the Jacobian, and its error bars if these are asked for."""
    accurate = with_bars or problem.method in ("ridders", "complex")
    size = problem.outputs.x.size
    if with_bars or size <= _SEVERAL:
        analytic = problem.by_complex_steps()
        if analytic is not None:
            jacobian, error = map(problem.derivative, analytic)
            return jacobian, error
    few = problem.chooses and (accurate or size <= FEW or problem.outputs.loud)
    value = None
    if not accurate and not (few and problem.sparsity is None):
        value = problem.quick()
    if value is not None:
        problem.refuse_strays(value)
        return problem.derivative(value), None
    random = random_outputs(problem.outputs)
    if random is not None:
        raise ValueError(f"`fun` must be deterministic: {random.cause.message}.")
    entries = problem.entries()
    index = np.arange(entries.nest.size)
    steps = problem.steps_of_entries()
    slopes = slopes_of(
        entries, index, problem.method, steps, accurate or few, problem.rng(), few
    )
    value = slopes.value * entries.units
    problem.refuse_strays(value)
    bars = problem.bars(slopes.error * entries.units) if with_bars else None
    return problem.derivative(value), bars


@public_with(Problem)
@global_generator_kept()
@blas_threads()
def check_jacobian(
    fun: Callable[..., Any],
    x: Any,
    jac: Any = None,
    *,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    rtol: float | None = None,
    coverage: str | int = "full",
    **options: Unpack[Options],
) -> GradientReport:
    """Check a Jacobian, as `check_gradient` checks a gradient.

    Parameters
    ----------
    fun, x, args, kwargs
        The function and the point, as for `numerical_jacobian`.
    jac : array_like, sparse matrix, LinearOperator, nest or callable, optional
        The Jacobian, shape (m, n) or nested as `numerical_jacobian` returns it, or a
        function of `x` (and `args` and `kwargs`) that returns it: complex where inputs
        or outputs are, or real and by parts as in the report.
    vjp, jvp : callable, optional
        Instead of `jac`: ``vjp(x, v)`` returns v times the Jacobian, ``jvp(x, u)`` the
        Jacobian times u. They are called for every unit vector, `jvp` once for a group
        of columns. If both are given `vjp` is checked entry by entry, and `jvp` against
        it: ``v @ jvp(u) == vjp(v) @ u`` for random u and v. Of complex functions,
        holomorphic or not, `vjp` is dL/dRe + i dL/dIm of L = Re(conj(v) y), as torch's
        backward pass.
    rtol, method, step, progress, seed
        As for `check_gradient`.
    coverage : "full" or int
        Every entry, or so many random entries of each block.
    sparsity, bounds, vectorized, workers
        As for `numerical_jacobian`. A dependency outside `sparsity` is an entry of the
        Jacobian that is not zero, and checked as such.

    Returns
    -------
    GradientReport
        Its only block is ``jacobian``; entries have the index (output, input). If `x`
        or the outputs are a nest there is a block ``y/x`` for each pair of arrays. Real
        and imaginary parts of complex numbers alternate, in nests along an axis behind
        those of their array. The causes are those that its entries show, or sums of
        the rows that are wrong, each with a weight of its own: of real outputs of one
        array, where `fun` is traced.

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
    >>> check_jacobian(residuals, [2.0, 0.5], jac, coverage=3).blocks[0].checked
    3
    """
    started = time.perf_counter()
    problem = Problem(fun, x, **options)
    # Where numbers overflow they are not known.
    with problem.outputs.progress, np.errstate(all="ignore"):
        report = checked(problem, problem.analytic(jac, vjp, jvp), rtol, coverage)
    if vjp is not None and jvp is not None:
        apart = disagreement(problem.flat, problem.outputs, vjp, jvp, problem.rng())
        if apart is not None:
            notes = (*report.notes, apart)
            report = dataclasses.replace(report, verdict="wrong", notes=notes)
    elif coverage == "full":
        word = "jac" if jac is not None else "vjp" if vjp is not None else "jvp"
        of = with_arguments(fun, options.get("args", ()), options.get("kwargs"))
        of_array = of if problem.plain else None
        report = with_causes(report, word, of_array, x, options.get("progress"))
    return dataclasses.replace(report, seconds=time.perf_counter() - started)


def checked(
    problem: Problem,
    analytic: NDArray[Any],
    rtol: float | None,
    coverage: str | int = "full",
) -> GradientReport:
    """Return the report on the entries of a Jacobian; those outside a pattern, too."""
    check_rtol(rtol)
    coverage = check_coverage(coverage)
    if coverage == "locate":
        must = 'be "full" or the number of entries of each block'
        raise refusal(ValueError, "coverage", must, coverage)
    rng = problem.rng()
    problem.outputs.lenient = (Exception,)  # the report says so
    random = random_outputs(problem.outputs)
    notes = problem.add_strays() if random is None else []
    inside, number = len(analytic), len(problem.row)
    if number > inside:
        analytic = np.append(analytic, np.zeros(number - inside))
    order = problem.sort()
    analytic = analytic[order]
    gradient = Gradient.of([analytic], rtol)
    entries = problem.entries()
    if random is not None:
        report = problem.relabel(unchecked(entries, [analytic], [random]))
        calls = problem.outputs.evaluations
        return dataclasses.replace(report, subject="Jacobian", evaluations=calls)
    del analytic  # one of several arrays as large as the Jacobian
    blocks = len(entries.nest.names)
    gradient = Gradient(
        gradient.value / entries.units,
        np.repeat(gradient.eps, blocks),
        np.repeat(gradient.rtol, blocks),
    )
    steps = problem.steps_of_entries()
    announce(problem, coverage)
    calibration = calibrate(entries, rng, method=problem.method, step=steps)
    index = covered(entries, coverage, gradient, rng)
    if coverage != "full" and number > inside:  # what strays is not left to chance
        strays = np.flatnonzero(np.arange(number)[order] >= inside)
        index = np.union1d(index, strays)
    found = judge(entries, calibration, gradient, index, rng)
    entries.let_go()
    units = entries.units if coverage == "full" else entries.units_of(index)
    _scale(found, units)
    found.tolerance = found.tolerance.scaled(units, found.numerical)
    _scale(found.open, entries.units_of(found.open.index), "floor", "tolerance")
    report = problem.relabel(summarize(entries, found, calibration))
    return dataclasses.replace(
        report,
        subject="Jacobian",
        notes=(*report.notes, *notes),
        evaluations=problem.outputs.evaluations,
    )


def _scale(found: Verdicts | Judgement, units: Array, *further: str) -> None:
    """Bring what was found in units of the outputs' noise to those of the Jacobian."""
    for field in ("analytic", "numerical", "error", *further):
        values = getattr(found, field)
        np.multiply(values, units, out=values)
