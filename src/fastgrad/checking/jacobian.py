"""Jacobians and Hessians: the same measurements for functions with many outputs.

Each entry of a Jacobian is the derivative of one output by one input, so everything
that checks a gradient checks a Jacobian once a `Losses` answers for its entries. One
evaluation of the function serves a whole column; with a sparsity pattern it serves all
columns that share no row (Curtis, Powell and Reid 1974). Outputs are measured in units
of their own noise, so that one row may be much larger than another.
"""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._arguments import flag, function, generator, refusal
from fastgrad.checking.differences import EPS, Array, Index
from fastgrad.checking.noise import calibrate, ecnoise
from fastgrad.checking.numerical import FEW, check_method, slopes_of
from fastgrad.checking.summary import summarize
from fastgrad.checking.verdict import Gradient, check_rtol, judge
from fastgrad.losses.interface import Flags, Losses
from fastgrad.losses.progress import Progress
from fastgrad.params.nest import Nest, Vector
from fastgrad.reports import Blocks, GradientReport

Bounds = tuple[ArrayLike, ArrayLike]

_BATCH = 2**22  # numbers in the points that are held at once


def numerical_jacobian(
    fun: Callable[[NDArray[Any]], Any],
    x: ArrayLike,
    *,
    method: str = "central",
    step: float | None = None,
    sparsity: Any = None,
    bounds: Bounds | None = None,
    return_error: bool = False,
    workers: Executor | None = None,
    seed: int = 0,
) -> Any:
    """Return the Jacobian of `fun` at `x` from differences.

    Parameters
    ----------
    fun : callable
        Takes an array like `x`, returns an array of outputs.
    x : array_like of floats, shape (n,)
        Where.
    method : {"central", "forward", "ridders"}
        As for `numerical_gradient`.
    step : float, optional
        The absolute step; chosen by measured noise and curvature by default.
    sparsity : array_like or sparse matrix, shape (m, n), optional
        Non-zero where an output depends on an input. Columns without a common row are
        then measured together.
    bounds : (lower, upper), optional
        `fun` is never evaluated outside: at a bound the stencil is one-sided, of the
        same order.
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
        sparse matrix.
    error : of the same kind
        If `return_error` is set.

    Notes
    -----
    Two evaluations per column, or per group of columns; four with error bars or up to
    64 inputs, twenty by Ridders; and up to 150 to find the step.

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
    method = check_method(method, step)
    if method == "complex":
        raise ValueError('`method` must not be "complex" for a Jacobian.')
    outputs = _Outputs(fun, x, sparsity, bounds, workers)
    index = np.arange(outputs.nest.size)
    rng = generator("seed", seed)
    few = method == "central" and step is None and outputs.x.size <= FEW
    slopes = slopes_of(outputs, index, method, step, return_error or few, rng)
    jacobian = outputs.matrix(slopes.value)
    return (jacobian, outputs.matrix(slopes.error)) if return_error else jacobian


def check_jacobian(
    fun: Callable[[NDArray[Any]], Any],
    x: ArrayLike,
    jac: Any = None,
    *,
    vjp: Callable[[NDArray[Any], NDArray[Any]], Any] | None = None,
    jvp: Callable[[NDArray[Any], NDArray[Any]], Any] | None = None,
    rtol: float | None = None,
    method: str = "auto",
    step: float | None = None,
    sparsity: Any = None,
    bounds: Bounds | None = None,
    workers: Executor | None = None,
    seed: int = 0,
) -> GradientReport:
    """Check a Jacobian, as `check_gradient` checks a gradient.

    Parameters
    ----------
    fun, x
        The function and the point, as for `numerical_jacobian`.
    jac : array_like, sparse matrix or callable, optional
        The Jacobian, shape (m, n), or a function of `x` that returns it.
    vjp, jvp : callable, optional
        Instead of `jac`: ``vjp(x, v)`` returns v times the Jacobian, ``jvp(x, u)`` the
        Jacobian times u. They are called for every unit vector.
    rtol, method, step, seed
        As for `check_gradient`.
    sparsity, bounds, workers
        As for `numerical_jacobian`.

    Returns
    -------
    GradientReport
        Its only block is ``jacobian``; entries have the index (output, input).

    Raises
    ------
    TypeError, ValueError
        If not exactly one of `jac`, `vjp` and `jvp` is given, its shape is wrong, it is
        not zero outside `sparsity`, or `fun` does not return finite numbers at `x`.

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
    method = check_method(method, step)
    check_rtol(rtol)
    if method == "complex":
        raise ValueError('`method` must not be "complex" for a Jacobian.')
    outputs = _Outputs(fun, x, sparsity, bounds, workers)
    analytic = outputs.entries_of(_jacobian(outputs, jac, vjp, jvp))
    gradient = Gradient.of([analytic], rtol)
    scaled = dataclasses.replace(gradient, value=gradient.value / outputs.units)
    rng = generator("seed", seed)
    calibration = calibrate(outputs, rng, method=method, step=step)
    index = np.arange(outputs.nest.size)
    entries = judge(outputs, calibration, scaled, index, rng)
    for field in ("analytic", "numerical", "error", "tolerance"):
        setattr(entries, field, getattr(entries, field) * outputs.units)
    report = outputs.relabel(summarize(outputs, entries, calibration, rng))
    return dataclasses.replace(report, seconds=time.perf_counter() - started)


def check_hessian(
    grad: Callable[[NDArray[Any]], Any], x: ArrayLike, hess: Any, **options: Any
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


class _Outputs(Losses):
    """The entries of a Jacobian as parameters of losses: entry (i, j) moves x[j].

    Its loss is output i, in units of that output's noise.

    Attributes
    ----------
    row, column : ndarray of int64
        Of each entry.
    units : ndarray of float64
        Of each entry: the noise of its output.
    """

    engine = "python"

    def __init__(
        self,
        fun: Callable[[NDArray[Any]], Any],
        x: ArrayLike,
        sparsity: Any,
        bounds: Bounds | None,
        workers: Executor | None,
    ) -> None:
        self.fun, self.x, self.workers = function("fun", fun), _point(x), workers
        if workers is not None and not callable(getattr(workers, "map", None)):
            must = "be a concurrent.futures.Executor"
            raise refusal(TypeError, "workers", must, workers)
        self.lower, self.upper = _limits(bounds, self.x)
        self.evaluations = 1
        outputs = np.asarray(fun(self.x.copy()))
        self.output_shape, self.at_x = outputs.shape, _numbers(outputs)
        if not np.isfinite(self.at_x).all():
            raise ValueError("`fun` must be finite at `x`.")
        m, n = len(self.at_x), self.x.size
        self.sparsity, self.shape = sparsity, (m, n)
        self.row, self.column = _pattern(sparsity, m, n)
        entries = self.x.ravel()[self.column]
        whole = entries.reshape(m, n) if sparsity is None else entries
        super().__init__(fun, Nest({"jacobian": whole}), Progress(show=False))
        self.evaluations = 1
        self.engine = "python" if workers is None else "workers"
        self.groups = _groups(self.row, self.column, n, sparsity is not None)
        # A one-sided stencil adds up to four times the noise of a central one.
        noise = self._noise() * (1.0 if bounds is None else 4.0)
        self.units = noise[self.row]
        self.base = float(np.max(np.abs(self.at_x) / noise, initial=0.0))

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`; one evaluation per group of columns and value."""
        index = np.asarray(index, dtype=np.int64)
        value = np.asarray(value, dtype=np.float64)
        column = self.column[index]
        x = self.x.ravel()[column].astype(np.float64)
        beyond = (value < self.lower[column]) | (value > self.upper[column])
        if not beyond.any():
            return self._inside(index, value), None
        # What lies outside is extrapolated from two points inside.
        out = np.empty(len(index))
        out[~beyond] = self._inside(index[~beyond], value[~beyond])
        one = self._inside(index[beyond], (2 * x - value)[beyond])
        two = self._inside(index[beyond], (3 * x - 2 * value)[beyond])
        out[beyond] = two - 3 * one
        return out, None

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """Return nan: entries of different outputs cannot be moved together."""
        return np.full(np.size(t), np.nan)

    def representable(self, index: ArrayLike, value: ArrayLike) -> Vector:
        """See `Losses.representable`."""
        return np.asarray(value).astype(self.x.dtype).astype(np.float64)

    def entries_of(self, jacobian: Any) -> NDArray[Any]:
        """Return the entries of a Jacobian, which must be zero everywhere else."""
        sparse = hasattr(jacobian, "tocoo")
        matrix = jacobian.toarray() if sparse else np.asarray(jacobian)
        if matrix.dtype.kind not in "fiub":
            raise TypeError(f"`jac` must be real numbers, got {matrix.dtype}.")
        if matrix.size != self.shape[0] * self.shape[1] or (
            matrix.ndim == 2 and matrix.shape != self.shape
        ):
            raise ValueError(f"`jac` must have shape {self.shape}, got {matrix.shape}.")
        matrix = matrix.reshape(self.shape)
        entries: NDArray[Any] = matrix[self.row, self.column]
        if np.count_nonzero(matrix) != np.count_nonzero(entries):
            raise ValueError("`jac` must be zero where `sparsity` is.")
        return entries

    def matrix(self, entries: Array) -> Any:
        """Return values in units of noise as a Jacobian."""
        return self._arranged(entries * self.units)

    def relabel(self, report: GradientReport) -> GradientReport:
        """Return the report with Jacobians in it, and entries (output, input)."""
        wrong = report.wrong
        if self.sparsity is not None:
            places = zip(self.row.tolist(), self.column.tolist(), strict=True)
            place = dict(enumerate(places))
            wrong = tuple(
                dataclasses.replace(entry, index=place[entry.index[0]])
                for entry in wrong
            )
        fields = {
            name: self._arranged(np.ravel(getattr(report, name)["jacobian"]))
            for name in ("numerical", "analytic", "error")
        }
        blocks = tuple(dataclasses.replace(b, shape=self.shape) for b in report.blocks)
        return dataclasses.replace(report, wrong=wrong, blocks=Blocks(blocks), **fields)

    def _arranged(self, entries: Array) -> Any:
        if hasattr(self.sparsity, "tocoo"):
            from scipy.sparse import csr_array

            return csr_array((entries, (self.row, self.column)), shape=self.shape)
        matrix = np.zeros(self.shape)
        matrix[self.row, self.column] = entries
        return matrix if self.output_shape else matrix[0]

    def _call(self, points: list[NDArray[Any]]) -> list[Array]:
        """Return the outputs at each of these points."""
        self.evaluations += len(points)
        run = map if self.workers is None else self.workers.map
        called = list(run(partial(_outputs, self.fun), points))
        for outputs in called:
            if outputs.shape != self.at_x.shape:
                raise ValueError(
                    f"`fun` must return as many outputs as at `x`, {self.at_x.size}, "
                    f"got {outputs.size}."
                )
        return called

    def _inside(self, index: Index, value: Vector) -> Vector:
        """Return differences at points within the bounds (nan if they are not)."""
        column, out = self.column[index], np.full(len(index), np.nan)
        inside = (value >= self.lower[column]) & (value <= self.upper[column])
        order = np.flatnonzero(inside)
        order = order[np.argsort(self.groups[column[order]], kind="stable")]
        edges = np.flatnonzero(np.diff(self.groups[column[order]])) + 1
        groups = [own for own in np.split(order, edges) if own.size]
        several = max(1, _BATCH // self.x.size)
        for start in range(0, len(groups), several):
            batch = groups[start : start + several]
            plans = [self._plan(index[own], value[own]) for own in batch]
            called = iter(self._call([x for points, _ in plans for x in points]))
            for own, (points, turn) in zip(batch, plans, strict=True):
                outputs = np.stack([next(called) for _ in points])[
                    turn, self.row[index[own]]
                ]
                change = outputs - self.at_x[self.row[index[own]]]
                out[own] = change / self.units[index[own]]
        return out

    def _plan(self, index: Index, value: Vector) -> tuple[list[NDArray[Any]], Index]:
        """Return where to call for one group of columns, which are moved together.

        And which of these points serves each entry.
        """
        asked = np.stack([self.column[index], value], axis=1)
        points, which = np.unique(asked, axis=0, return_inverse=True)
        columns = points[:, 0].astype(np.int64)
        # The how-many-th value of its column: one call serves one value of each.
        turn = np.arange(len(columns)) - np.searchsorted(columns, columns)
        places = []
        for k in range(turn.max() + 1):
            moved = self.x.copy()
            moved.reshape(-1)[columns[turn == k]] = points[turn == k, 1]
            places.append(moved)
        return places, turn[which.ravel()]

    def _noise(self) -> Array:
        """Return the noise of each output along a random direction."""
        rng = np.random.default_rng(0)
        x = self.x.ravel().astype(np.float64)
        scale = np.maximum(np.abs(x), np.median(np.abs(x[x != 0])) if x.any() else 1.0)
        noise = np.full(len(self.at_x), np.inf)
        for spacing in (1e-9, 1e-6, 1e-4):
            direction = rng.standard_normal(x.size) * scale * spacing
            inward = np.where(self.upper - x < 7 * np.abs(direction), -1.0, 1.0)
            direction = np.abs(direction) * inward
            along = [
                np.clip(x + k * direction, self.lower, self.upper) for k in range(7)
            ]
            shape, dtype = self.x.shape, self.x.dtype
            values = self._call([point.reshape(shape).astype(dtype) for point in along])
            with np.errstate(all="ignore"):
                bound, found = ecnoise(np.stack(values, axis=1))
            noise = np.fmin(noise, bound)
            if found.all():
                break
        usual = EPS * np.maximum(np.abs(self.at_x), 1e-8 * np.abs(self.at_x).max())
        floor = np.where(usual > 0, usual, EPS)
        return np.where(np.isfinite(noise), np.maximum(noise, 0.1 * floor), floor)


def _outputs(fun: Callable[[NDArray[Any]], Any], point: NDArray[Any]) -> Array:
    """Return the outputs at a point as numbers, where and when they are computed."""
    return _numbers(np.asarray(fun(point)))


def _numbers(outputs: NDArray[Any]) -> Array:
    if outputs.dtype.kind not in "fiub":
        raise TypeError(f"`fun` must return real numbers, got {outputs.dtype}.")
    return outputs.astype(np.float64).ravel()


def _point(x: ArrayLike) -> NDArray[Any]:
    try:
        point = np.array(x)
    except ValueError:  # rows of different lengths
        raise refusal(ValueError, "x", "be an array of floats", x) from None
    if point.dtype.kind in "iub":
        point = point.astype(np.float64)
    if point.dtype.kind != "f":
        raise refusal(TypeError, "x", "be an array of floats", x)
    if not np.isfinite(point).all():
        odd = point[~np.isfinite(point)][0]
        raise ValueError(f"`x` must be finite, got {odd}.")
    return point


def _limits(bounds: Bounds | None, x: NDArray[Any]) -> tuple[Array, Array]:
    """Return lower and upper bounds of every input."""
    try:
        low, high = (-np.inf, np.inf) if bounds is None else bounds
        lower = np.broadcast_to(np.asarray(low, dtype=np.float64), x.shape).ravel()
        upper = np.broadcast_to(np.asarray(high, dtype=np.float64), x.shape).ravel()
    except (TypeError, ValueError) as error:
        must = f"be (lower, upper), numbers or arrays of shape {x.shape}"
        raise refusal(type(error), "bounds", must, bounds) from None
    outside = ~((lower <= x.ravel()) & (x.ravel() <= upper))
    if outside.any():
        i = int(np.argmax(outside))
        raise ValueError(
            f"`x` must be within `bounds`, got {x.ravel()[i]} at {i}, where they are "
            f"{lower[i]} and {upper[i]}."
        )
    return lower, upper


def _pattern(sparsity: Any, m: int, n: int) -> tuple[Index, Index]:
    """Return rows and columns of the entries that may differ from zero."""
    if sparsity is None:
        row, column = np.divmod(np.arange(m * n), n)
        return row, column
    if np.shape(sparsity) != (m, n):
        raise ValueError(
            f"`sparsity` must have shape {(m, n)}, got {np.shape(sparsity)}."
        )
    if hasattr(sparsity, "tocoo"):
        coo = sparsity.tocoo()
        used = coo.data != 0
        pairs = np.unique(np.stack([coo.row[used], coo.col[used]]), axis=1)
        row, column = pairs.astype(np.int64)
        return row, column
    row, column = np.nonzero(sparsity)
    return row, column


def _groups(row: Index, column: Index, n: int, sparse: bool) -> Index:
    """Return the group of each column; columns of a group have no row in common."""
    if not sparse:
        return np.arange(n)
    group = np.full(n, -1)
    order = np.argsort(column, kind="stable")
    rows = np.split(row[order], np.searchsorted(column[order], np.arange(1, n)))
    taken: list[set[int]] = []
    for j in sorted(range(n), key=lambda j: -len(rows[j])):
        own = set(rows[j].tolist())
        if own:
            fits = (k for k, used in enumerate(taken) if not used & own)
            k = next(fits, len(taken))
            if k == len(taken):
                taken.append(set())
            taken[k] |= own
            group[j] = k
    return group


def _jacobian(outputs: _Outputs, jac: Any, vjp: Any, jvp: Any) -> Any:
    """Return the Jacobian under test as a matrix."""
    if sum(given is not None for given in (jac, vjp, jvp)) != 1:
        given = sum(given is not None for given in (jac, vjp, jvp))
        raise TypeError(
            f"exactly one of `jac`, `vjp` and `jvp` must be given, got {given}."
        )
    for name, product in (("vjp", vjp), ("jvp", jvp)):
        if product is not None:
            function(name, product)
    x = outputs.x
    if jac is not None:
        return jac(x.copy()) if callable(jac) else jac
    if jvp is not None:
        units = np.eye(x.size, dtype=x.dtype).reshape(-1, *x.shape)
        return np.stack([np.ravel(jvp(x.copy(), u)) for u in units], axis=1)
    units = np.eye(len(outputs.at_x), dtype=x.dtype)
    shaped = units.reshape(-1, *outputs.output_shape)
    return np.stack([np.ravel(vjp(x.copy(), v)) for v in shaped])
