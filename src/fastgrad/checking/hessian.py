"""Hessians: from second differences of a loss, or as the Jacobian of a gradient."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import flag, function, number, with_arguments
from fastgrad._arrays import Array
from fastgrad._memory import refuse_too_large
from fastgrad._public import public, public_with
from fastgrad.checking.audit import refuse_random
from fastgrad.checking.differences import RATIO, Curvatures, Scale, binary
from fastgrad.checking.jacobian import checked
from fastgrad.checking.jacobians import (
    FlatFunction,
    Options,
    Problem,
    evaluations,
    is_nest,
    is_sparse,
    pattern,
)
from fastgrad.checking.weighted import with_causes
from fastgrad.losses import (
    OUTSIDE,
    Progress,
    Reduction,
    add_note,
    blas_threads,
    global_generator_kept,
    make_losses,
)
from fastgrad.params import Nest, limits
from fastgrad.reports import GradientReport

_STEP = 2.0**-9  # of the gradient of a loss whose Hessian is checked
_SMALLER = 2  # steps more than to where the loss ends: they are small against that
# Times that: whether it ends so near, and where it does.
_CLOSER = RATIO ** -np.arange(-_SMALLER, 13.0)
# Of that gradient: where the loss is asked, in steps, and what by.
_CENTRAL = np.array([[-2.0, -1.0, 1.0, 2.0], [1 / 12, -2 / 3, 2 / 3, -1 / 12]])
_ONE_SIDED = np.array([[0.0, 1.0, 2.0, 3.0, 4.0], [-25 / 12, 4.0, -3.0, 4 / 3, -0.25]])

_CHEAPER = (
    "Cheaper: the gradient in place of the loss; `coverage=10` checks 10 entries of "
    "each block; `sparsity=`. `progress=False` says nothing."
)


@public
def numerical_hessian(
    loss: Callable[..., Any],
    params: Any,
    *,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    step: float | None = None,
    sparsity: Any = None,
    return_error: bool = False,
    reduction: str | None = None,
    engine: str = "auto",
    progress: bool | None = None,
    num_threads: int | None = None,
) -> Any:
    """Return the Hessian of `loss` at `params` from second differences.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args, **kwargs)`` returns the loss, as for `check_gradient`.
    params : array or nest of arrays, P entries
        Where; left as it was.
    args, kwargs : tuple, dict
        What else `loss` takes.
    step : float, optional
        The absolute step of every entry, without extrapolation. By default steps are
        extrapolated: two that follow from the noise of the loss, or, of up to 64
        entries, five and more, until these have converged.
    sparsity : array_like or sparse matrix, shape (P, P), optional
        Non-zero where the Hessian may be; either triangle will do.
    return_error : bool
        Also return error bars.
    reduction, engine, progress, num_threads
        As for `check_gradient`.

    Returns
    -------
    hessian : ndarray of float64, shape (P, P)
        A ``scipy.sparse.csr_array`` if `sparsity` is a sparse matrix. For a nest, a
        nest like `params` of nests like `params`, of arrays of both shapes in turn; for
        an array, that array. nan where the loss was not finite.
    error : of the same kind
        If `return_error` is set.

    Raises
    ------
    TypeError, ValueError
        As `check_gradient`; if the Hessian is seen to be other than zero outside
        `sparsity`, along a random direction.

    Notes
    -----
    Along u = h_i e_i + h_j e_j the sum of both sides is ``u' H u``, and that of e_i and
    e_j taken off leaves ``2 h_i h_j H_ij`` (polarisation). Four evaluations for each of
    the P (P + 1) / 2 entries, two with `step`; of up to 64 ten, and four more each time
    that these have not converged.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0])
    >>> numerical_hessian(lambda x: x[0] ** 2 * x[1], x).round(6) + 0.0
    array([[4., 2.],
           [2., 0.]])
    """
    flag("return_error", return_error)
    if step is not None:
        number("step", step, above=0)
    with make_losses(
        loss,
        params,
        args=args,
        kwargs=kwargs,
        reduction=reduction,
        engine=engine,
        progress=progress,
        num_threads=num_threads,
    ) as losses:
        size = losses.nest.size
        if sparsity is None:
            what = f"a Hessian of {size:,} x {size:,} entries"
            refuse_too_large(40.0 * size * size, what, "pass `sparsity`")
        row, column = pattern(sparsity, size, size)
        losses.forgive(OUTSIDE)
        refuse_random(losses)
        losses.progress.plan(
            (4 if step is None else 2) * (len(row) + size) // 2,
            "Cheaper: `sparsity=`, of those not zero. `progress=False` says nothing.",
        )
        curvatures = Curvatures(losses, step)
        measured = curvatures.entries(row, column)
        if losses.raised is not None and not np.isfinite(measured[0]).any():
            raise losses.raised  # nothing at all is known
        if sparsity is not None:
            curvatures.refuse_others(row, column, *measured)
        value, error = (
            _arranged(part, row, column, losses.nest, sparsity) for part in measured
        )
    return (value, error) if return_error else value


def _arranged(
    entries: Array, row: NDArray[Any], column: NDArray[Any], nest: Nest, sparsity: Any
) -> Any:
    """Return entries as a matrix: sparse if the pattern is, or else nested."""
    if is_sparse(sparsity):
        from scipy.sparse import csr_array

        return csr_array((entries, (row, column)), shape=(nest.size, nest.size))
    matrix = np.zeros((nest.size, nest.size))
    matrix[row, column] = entries
    places = [slice(*edge) for edge in itertools.pairwise(nest.offsets)]
    leaves = list(zip(places, nest.shapes, strict=True))
    return nest.rebuild(
        [
            nest.rebuild([matrix[i, j].reshape(m + n) for j, n in leaves])
            for i, m in leaves
        ]
    )


@public_with(Problem)
@global_generator_kept()
@blas_threads()
def check_hessian(
    grad: Callable[..., Any],
    x: Any,
    hess: Any = None,
    *,
    hvp: Callable[..., Any] | None = None,
    rtol: float | None = None,
    coverage: str | int = "full",
    **options: Unpack[Options],
) -> GradientReport:
    """Check a Hessian against differences of the gradient, or of the loss alone.

    Parameters
    ----------
    grad : callable
        ``grad(x, *args, **kwargs)`` returns the gradient, built like `x`, or the loss,
        a number: then the gradient is measured too, with four evaluations for each of
        its entries. Where `x` is a number it is the gradient; of a loss give ``[x]``.
    x : array_like of floats, shape (n,), or nest of arrays
        Where.
    hess : array_like, sparse matrix, LinearOperator, nest or callable, optional
        The Hessian, shape (n, n) or nested as `numerical_hessian` returns it, or a
        function of what `grad` takes that returns it.
    args, kwargs : tuple, dict
        What else `grad` takes.
    hvp : callable, optional
        Instead of `hess`: ``hvp(x, u)`` returns the Hessian times u.
    rtol, coverage, method, step, sparsity, bounds, workers, progress, seed
        As for `check_jacobian`.

    Returns
    -------
    GradientReport
        Its only block is ``hessian``; if `x` is a nest there is a block ``y/x`` for
        each pair of arrays. A note says if the Hessian is not symmetric. The causes
        are as for `check_jacobian`: those that its entries show, or named from the
        lines of `grad`, if that is the gradient.

    Raises
    ------
    TypeError, ValueError
        As `check_jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> check_hessian(lambda x: 4 * x**3, np.ones(2), lambda x: np.diag(12 * x**2)).ok
    True
    >>> check_hessian(lambda x: np.sum(x**4), np.ones(2), np.diag([12.0, 12.0])).ok
    True
    """
    started = time.perf_counter()
    if (hess is None) == (hvp is None):
        got = "both" if hess is not None else "neither"
        raise TypeError(f"one of `hess` and `hvp` must be given, got {got}.")
    further = options.get("args", ()), options.get("kwargs")
    flat = FlatFunction(function("grad", grad), x, *further)
    a_number = np.ndim(x) == 0 and not is_nest(x)  # and so is its gradient
    of_loss = flat(flat.point.copy()).ndim == 0 and not a_number
    if flat.is_complex:
        raise TypeError(
            "`grad` and `x` must be real: give them as functions of both parts."
        )
    if of_loss:
        at = x if is_nest(x) else flat.point
        progress = Progress(options.get("progress"))
        grad = _Differenced(grad, at, options.get("bounds"), progress)
        if hvp is None and options.get("sparsity") is None:
            grad.announce(coverage, options.get("method", "auto"))
    problem = Problem(grad, x, ("hess", "hessian"), **options)
    problem.outputs.progress.said |= of_loss and progress.said
    m, n = problem.shape
    if m != n:
        raise ValueError(
            f"`grad` must return {n} numbers, one for each entry, got {m}."
        )
    analytic = problem.analytic(hess, None, hvp)
    matrix = problem.matrix(analytic)
    with problem.outputs.progress, np.errstate(all="ignore"):
        report = checked(problem, analytic, rtol, coverage)
    if coverage == "full":
        of_array = None if of_loss or is_nest(x) else with_arguments(grad, *further)
        report = with_causes(report, "hess", of_array, x, options.get("progress"))
    notes = report.notes
    size = float(abs(matrix).max()) if matrix.size else 0.0
    with np.errstate(all="ignore"):
        skew = float(abs(matrix - matrix.T).max()) if matrix.size else 0.0
    if skew > 1e-8 * size:
        notes = (*notes, f"`hess` is not symmetric: it differs from hess.T by {skew:g}")
    seconds = time.perf_counter() - started
    return dataclasses.replace(report, subject="Hessian", notes=notes, seconds=seconds)


class _Differenced:
    """The gradient of a loss by differences of fourth order, inward at a bound.

    Where the loss ends nearby over smaller steps; where it ends here to one side. What
    suits the point that it is first asked for is kept.
    """

    def __init__(
        self, loss: Callable[..., Any], x: Any, bounds: Any, progress: Progress
    ) -> None:
        self.loss, self.nest, self.progress = loss, Nest(x, "x"), progress
        self.dtype = np.result_type(*self.nest.dtypes)
        self.lower, self.upper = limits(self.nest, bounds, "x")
        theta = self.nest.join(self.nest.leaves)
        self.step = binary(Scale(theta, self.nest.offsets)[:], _STEP)
        self._ways: dict[int, tuple[float, Array]] = {}

    def announce(self, coverage: str | int, method: str) -> None:
        """Have it said while the first gradient is measured how long all will take."""
        columns = self.nest.size
        if isinstance(coverage, int):
            columns = min(columns, coverage * len(self.nest.leaves) ** 2)
        gradients = evaluations(method, columns)
        self.progress.plan(gradients * self.nest.size * _CENTRAL.shape[1], _CHEAPER)

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        point, value_of = self.nest.vector(x, "x"), Reduction(None).value

        def slope(j: int, way: tuple[float, Array]) -> float:
            h, (times, weights) = way
            losses = np.empty(len(times))
            for k, move in enumerate(times * h):
                moved = point.copy()
                moved[j] += move
                argument = self.nest.unvector(moved.astype(self.dtype))
                try:
                    losses[k] = value_of(self.loss(argument, *args, **kwargs))
                except Exception as error:
                    add_note(error, f"with {self.nest.label(j)} = {moved[j]}")
                    raise
            with np.errstate(all="ignore"):
                return float(weights @ losses) / h

        if len(self._ways) < self.nest.size:
            with self.progress:
                for j in range(self.nest.size):
                    self._ways[j] = self._way(float(point[j]), j, slope)
        found = np.array([slope(j, way) for j, way in self._ways.items()])
        return self.nest.unvector(found)

    def _way(self, x: float, j: int, slope: Callable[..., float]) -> Any:
        """Return a step of an entry over which the loss is finite, and its weights."""
        raised, left = None, 0
        for way in self._possible(x, j):
            try:
                ends = not np.isfinite(slope(j, way))
                self.progress.advance(way[1].shape[1])
            except OUTSIDE as error:
                raised, ends = raised or error, True
            if not ends and left <= 0 and way[0] <= self.step[j]:
                return way
            left = _SMALLER if ends else left - 1
        if raised is not None:
            raise raised
        return way

    def _possible(self, x: float, j: int) -> Iterator[tuple[float, Array]]:
        """Yield steps of an entry that keep within the bounds, and what they weigh."""
        above, below = float(self.upper[j] - x), float(x - self.lower[j])
        inward = 1.0 if above >= below else -1.0
        steps = float(self.step[j]) * _CLOSER
        if 2 * self.step[j] <= min(above, below):
            inside = steps[2 * steps <= min(above, below)]
            yield from ((h, _CENTRAL) for h in inside.tolist())
        for side in (inward, -inward):
            for h in steps[4 * steps <= (above if side > 0 else below)].tolist():
                yield h, _ONE_SIDED * side
