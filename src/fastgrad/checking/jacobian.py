"""Jacobians: the same measurements for functions with many outputs."""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import flag, function, generator, public
from fastgrad._memory import refuse_too_large
from fastgrad.checking import sparsity as patterns
from fastgrad.checking.differences import EPS, Array, Index
from fastgrad.checking.entries import Entries
from fastgrad.checking.forms import Form, is_nest
from fastgrad.checking.judgement import Gradient, check_rtol
from fastgrad.checking.noise import calibrate
from fastgrad.checking.numerical import FEW, check_method, slopes_of
from fastgrad.checking.outputs import Outputs, quick_slopes
from fastgrad.checking.products import disagreement, entries_of_products
from fastgrad.checking.strays import Probe
from fastgrad.checking.summary import summarize
from fastgrad.checking.verdict import judge
from fastgrad.params.bounds import limits
from fastgrad.params.nest import Nest
from fastgrad.reports import Blocks, GradientReport

_STRAYS = 8  # that are looked for, one after the other


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
    problem = _Problem(fun, x, args, kwargs, sparsity, bounds, workers)
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
    method = _real_method(method, step)
    check_rtol(rtol)
    rng = generator("seed", seed)
    problem = _Problem(fun, x, args, kwargs, sparsity, bounds, workers)
    analytic = problem.analytic(jac, vjp, jvp)
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
    if vjp is not None and jvp is not None:
        apart = disagreement(problem.form, problem.outputs, vjp, jvp, rng)
        if apart is not None:
            report = dataclasses.replace(report, verdict="wrong")
            notes.append(apart)
    return dataclasses.replace(
        report,
        notes=(*report.notes, *notes),
        evaluations=problem.outputs.evaluations,
        seconds=time.perf_counter() - started,
    )


def _real_method(method: str, step: float | None) -> str:
    method = check_method(method, step)
    if method == "complex":
        raise ValueError('`method` must not be "complex" for a Jacobian.')
    return method


class _Problem:
    """A function, its point, and the entries of its Jacobian.

    Attributes
    ----------
    row, column : ndarray of int64
        Of the entries that may differ from zero; row by row, or block by block.
    group : ndarray of int64, shape (n,), or None
        Columns that are moved together.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        x: Any,
        args: tuple[Any, ...],
        kwargs: Any,
        sparsity: Any,
        bounds: Any,
        workers: Executor | None,
    ) -> None:
        self.form = Form(fun, x, args, kwargs)
        self.outputs = Outputs(self.form, self.form.point, workers)
        self.outputs.fun = self.form.plain()
        if bounds is not None:
            nest = self.form.nest or Nest(self.outputs.x, "x")
            self.outputs.lower, self.outputs.upper = limits(nest, bounds, "x")
        self.shape = len(self.outputs.at_x), self.outputs.x.size
        self.sparsity = sparsity
        if sparsity is None:
            m, n = self.shape
            what = f"a Jacobian of {m:,} x {n:,} entries"
            refuse_too_large(16.0 * m * n, what, "pass `sparsity`")
        self.row, self.column = patterns.pattern(sparsity, *self.shape)
        self.group = self._groups()

    def quick(self, method: str, step: float | None) -> Array | None:
        """See `quick_slopes`."""
        return quick_slopes(
            self.outputs, self.row, self.column, self.group, method, step
        )

    def entries(self) -> Entries:
        """Return the entries as parameters of losses."""
        if self.form.nested:
            self.sort()
        return Entries(self.outputs, self.row, self.column, self.group, self._parts())

    def analytic(self, jac: Any, vjp: Any, jvp: Any) -> NDArray[Any]:
        """Return the entries of the Jacobian under test."""
        given = [name for name in (jac, vjp, jvp) if name is not None]
        if not given or (jac is not None and len(given) > 1):
            raise TypeError(
                "exactly one of `jac`, `vjp` and `jvp` must be given, or both of the "
                f"latter, got {len(given)}."
            )
        for name, product in (("vjp", vjp), ("jvp", jvp)):
            if product is not None:
                function(name, product)
        where = self.row, self.column, self.group
        if jac is None:
            return entries_of_products(self.form, self.outputs, vjp, jvp, *where)
        if callable(jac) and not hasattr(jac, "matvec"):
            jac = self.form.call(jac, self.outputs.x)
        if hasattr(jac, "matvec"):
            self._refuse_shape(jac)
            return entries_of_products(
                self.form, self.outputs, None, lambda _, u: jac.matvec(u), *where
            )
        if self.form.nested and is_nest(jac):
            jac = self.form.matrix(jac)
        return self._entries_of(jac)

    def add_strays(self, method: str, step: float | None, seed: int) -> list[str]:
        """Add what depends on what outside the pattern; say so."""
        if self.sparsity is None:
            return []
        notes: list[str] = []
        for _ in range(_STRAYS):
            value = self._measured(method, step, seed)
            probe = self._probe(seed)
            stray = probe.find(self.row, self.column, value)
            if stray is None:
                size = float(np.max(probe.limit, initial=0.0))
                notes.append(
                    "outside `sparsity` a dependency is seen with a probability of 99 "
                    f"% if it changes an output by {size:.1g} when its input changes "
                    "by its own size"
                )
                return notes
            notes.append(f"`sparsity` is incomplete: {stray}")
            self.row = np.append(self.row, stray.output)
            self.column = np.append(self.column, stray.input)
            self.group = self._groups()
        return [*notes, "there may be more outside `sparsity`"]

    def refuse_strays(self, value: Array, seed: int) -> None:
        """Raise ValueError if an output depends on an input outside the pattern."""
        if self.sparsity is None:
            return
        stray = self._probe(seed).find(self.row, self.column, value)
        if stray is not None:
            raise ValueError(
                f"`sparsity` must be nonzero at [{stray.output}, {stray.input}]: "
                f"{stray}."
            )

    def sort(self) -> Index:
        """Order the entries block by block, and by rows in each; return that order."""
        order: Index = np.lexsort((self.column, self.row, self._block()))
        self.row, self.column = self.row[order], self.column[order]
        return order

    def arranged(self, entries: Array) -> Any:
        """Return the entries as the Jacobian."""
        if patterns.is_sparse(self.sparsity):
            from scipy.sparse import csr_array

            return csr_array((entries, (self.row, self.column)), shape=self.shape)
        matrix = np.zeros(self.shape)
        matrix[self.row, self.column] = entries
        if self.form.nested:
            return self.form.arranged(matrix)
        return matrix if self.form.outputs[0][1] else matrix[0]

    def relabel(self, report: GradientReport) -> GradientReport:
        """Return the report with Jacobians in it, and entries (output, input)."""
        fields = {
            name: self.arranged(
                np.concatenate(
                    [part.ravel() for part in getattr(report, name).values()]
                )
            )
            for name in ("numerical", "analytic", "error")
        }
        if self.sparsity is not None:
            shapes, starts = self._shapes(), self._starts()
            fields["blocks"] = Blocks(
                dataclasses.replace(b, shape=shapes[b.name]) for b in report.blocks
            )
            fields["wrong"] = tuple(
                dataclasses.replace(e, index=self._place(starts[e.block] + e.index[0]))
                for e in report.wrong
            )
        return dataclasses.replace(report, **fields)

    def _place(self, entry: int) -> tuple[int, ...]:
        """Return the index in its block of an entry."""
        i, j = int(self.row[entry]), int(self.column[entry])
        if not self.form.nested:
            return i, j
        for _, rows, columns, shape in self.form.blocks():
            if rows.start <= i < rows.stop and columns.start <= j < columns.stop:
                size = columns.stop - columns.start
                flat = (i - rows.start) * size + j - columns.start
                return tuple(int(k) for k in np.unravel_index(flat, shape))
        raise IndexError(f"`entry` must be one of the Jacobian, got {entry}.")

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each block of the Jacobian."""
        if not self.form.nested:
            return {"jacobian": self.shape}
        return {name: shape for name, _, _, shape in self.form.blocks()}

    def _block(self) -> Index:
        """Return the number of each entry's block."""
        if not self.form.nested:
            return np.zeros(len(self.row), dtype=np.int64)
        places = list(self.form.blocks())
        rows = np.unique([rows.start for _, rows, _, _ in places])
        columns = np.unique([columns.start for _, _, columns, _ in places])
        across = np.searchsorted(columns, self.column, side="right") - 1
        down = np.searchsorted(rows, self.row, side="right") - 1
        return down * len(columns) + across

    def _parts(self) -> dict[str, tuple[int, ...]]:
        """Return the blocks of entries, and how the entries lie in them."""
        shapes = self._shapes()
        if self.sparsity is None:
            return shapes
        counts = np.bincount(self._block(), minlength=len(shapes)).tolist()
        return {name: (n,) for name, n in zip(shapes, counts, strict=True)}

    def _starts(self) -> dict[str, int]:
        starts, start = {}, 0
        for name, (count,) in self._parts().items():
            starts[name], start = start, start + count
        return starts

    def _groups(self) -> Index | None:
        if self.sparsity is None:
            return None
        return patterns.groups(self.row, self.column, self.shape[1])

    def _measured(self, method: str, step: float | None, seed: int) -> Array:
        value = None if method == "ridders" else self.quick(method, step)
        if value is None:
            entries = self.entries()
            index = np.arange(entries.nest.size)
            slopes = slopes_of(
                entries, index, method, step, True, generator("seed", seed)
            )
            value = slopes.value * entries.units
        return value

    def _probe(self, seed: int) -> Probe:
        return Probe(self.outputs, max(EPS, self.outputs.noise_level()), seed)

    def _entries_of(self, jacobian: Any) -> NDArray[Any]:
        """Return the entries of a Jacobian, which must be zero everywhere else."""
        sparse = patterns.is_sparse(jacobian)
        matrix: Any = jacobian.tocsr() if sparse else np.asarray(jacobian)
        if matrix.dtype.kind not in "fiub":
            raise TypeError(f"`jac` must be real numbers, got {matrix.dtype}.")
        size = self.shape[0] * self.shape[1]
        if sparse or matrix.ndim == 2 or matrix.size != size:
            self._refuse_shape(matrix)
        if not sparse:
            matrix = matrix.reshape(self.shape)
        entries = np.asarray(matrix[self.row, self.column]).ravel()
        nonzero = matrix.count_nonzero() if sparse else np.count_nonzero(matrix)
        if nonzero != np.count_nonzero(entries):
            raise ValueError("`jac` must be zero where `sparsity` is.")
        return entries

    def _refuse_shape(self, matrix: Any) -> None:
        if tuple(matrix.shape) != self.shape:
            raise ValueError(f"`jac` must have shape {self.shape}, got {matrix.shape}.")
