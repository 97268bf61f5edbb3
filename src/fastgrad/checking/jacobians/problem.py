"""A function, its point, and the entries of its Jacobian."""

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from fastgrad._arguments import (
    Seed,
    flag,
    function,
    generator,
    refusal,
    with_arguments,
)
from fastgrad._arrays import Array, Index
from fastgrad._memory import refuse_too_large
from fastgrad.checking.differences import EPS, Given, check_method, slopes_of
from fastgrad.checking.jacobians import sparsity as patterns
from fastgrad.checking.jacobians.analytic import analytic_jacobian
from fastgrad.checking.jacobians.entries import Entries
from fastgrad.checking.jacobians.flattening import FlatFunction, is_nest
from fastgrad.checking.jacobians.outputs import Outputs, of_one
from fastgrad.checking.jacobians.products import entries_of_products
from fastgrad.checking.jacobians.quick import quick_slopes
from fastgrad.checking.jacobians.strays import SEARCHES, Probe
from fastgrad.losses import Progress
from fastgrad.params import Nest, limits
from fastgrad.reports import Blocks, GradientReport


class Options(TypedDict, total=False):
    """The keyword arguments of a `Problem`; `numerical_jacobian` describes them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] | None
    method: str
    step: Any
    sparsity: Any
    bounds: Any
    vectorized: bool
    workers: Executor | None
    progress: bool | None
    seed: Seed


class Problem:
    """A function, its point, and the entries of its Jacobian.

    Attributes
    ----------
    row, column : ndarray of integers
        Of the entries that may differ from zero; row by row, or block by block.
    group : ndarray of int64, shape (n,), or None
        Columns that are moved together.
    given, title : str
        The argument that is checked, and the block it makes.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        x: Any,
        names: tuple[str, str] = ("jac", "jacobian"),
        *,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        method: str = "auto",
        step: Any = None,
        sparsity: Any = None,
        bounds: Any = None,
        vectorized: bool = False,
        workers: Executor | None = None,
        progress: bool | None = None,
        seed: Seed = 0,
    ) -> None:
        self.given, self.title = names
        self.method, self.seed = check_method(method, step), seed
        generator("seed", seed)
        flag("vectorized", vectorized)
        if vectorized and (is_nest(x) or workers is not None):
            must = "be False where `x` is a nest, or `workers` are given"
            raise refusal(ValueError, "vectorized", must, vectorized)
        one = of_one(function("fun", fun)) if vectorized else fun
        self.flat = FlatFunction(one, x, args, kwargs)
        _refuse_nothing("`x`", self.flat.point.size)
        self.outputs = Outputs(self.flat, self.flat.point, workers, Progress(progress))
        self.outputs.fun = self.flat.plain()
        if self.flat.is_complex:
            given = {"vectorized": vectorized, "sparsity": sparsity is not None}
            self._refuse_for_complex(given | {"bounds": bounds is not None})
        if vectorized:
            self.outputs.many = with_arguments(fun, args, kwargs)
        self.step: Given | None = None
        if step is not None:
            self.step = Given.of(self._nest(), step)
        if bounds is not None:
            nest = self._nest()
            self.outputs.lower, self.outputs.upper = limits(nest, bounds, "x")
        self.shape = len(self.outputs.at_x), self.outputs.x.size
        _refuse_nothing("the outputs of `fun`", self.shape[0])
        self.sparsity = sparsity
        if sparsity is None:
            m, n = self.shape
            what = f"a Jacobian of {m:,} x {n:,} entries"
            refuse_too_large(16.0 * m * n, what, "pass `sparsity`")
        self.row, self.column = patterns.pattern(sparsity, *self.shape)
        self.group = self._groups()

    def _refuse_for_complex(self, given: dict[str, bool]) -> None:
        """Raise if the call asks for what complex numbers do not have."""
        if self.method == "complex":
            raise ValueError(
                '`method="complex"` needs real numbers: complex ones move in the plane '
                "already."
            )
        for name, is_given in given.items():
            if is_given:
                raise ValueError(f"`{name}` must not be given with complex numbers.")

    def _nest(self) -> Nest:
        return self.flat.nest or Nest(self.outputs.x, "x")

    def rng(self) -> np.random.Generator:
        """Return what picks where noise and curvature are measured."""
        return generator("seed", self.seed)

    def quick(self) -> Array | None:
        """See `quick_slopes`."""
        where = self.row, self.column, self.group
        steps = None if self.step is None else self.step[np.arange(self.shape[1])]
        method = "central" if self.method == "complex" else self.method
        return quick_slopes(self.outputs, *where, method, steps)

    @property
    def plain(self) -> bool:
        """Whether it is of a real vector of one point, called here, in real numbers."""
        many = self.outputs.many is not None or self.outputs.workers is not None
        return not (many or self.flat.nested or self.flat.is_complex)

    @property
    def chooses(self) -> bool:
        """Whether steps are chosen here, as they suit central differences."""
        return self.method == "central" and self.step is None

    def by_complex_steps(self) -> tuple[Array, Array] | None:
        """Return the entries, and their bars; None where there are no such steps.

        See `analytic_jacobian`.
        """
        if not self.chooses or self.sparsity is not None or self.flat.is_complex:
            return None
        found = analytic_jacobian(self.outputs, self.rng())
        if found is None:
            return None
        jacobian, row, column = found
        bars = np.outer(row, column) + 64 * EPS * np.abs(jacobian)
        return jacobian.ravel(), bars.ravel()

    def steps_of_entries(self) -> Given | None:
        """Return the steps of the entries, if they were asked for."""
        return None if self.step is None else self.step.of_columns(self.column)

    def entries(self) -> Entries:
        """Return the entries as parameters of losses."""
        _refuse_nothing("`sparsity`", self.column.size)
        if self.flat.nested:
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
            return entries_of_products(self.flat, self.outputs, vjp, jvp, *where)
        if callable(jac) and not hasattr(jac, "matvec"):
            jac = self.flat.call(jac, self.outputs.x)
        if hasattr(jac, "matvec"):
            self._refuse_shape(jac)
            return entries_of_products(
                self.flat, self.outputs, None, lambda _, u: jac.matvec(u), *where
            )
        if self.flat.is_complex or (self.flat.nested and is_nest(jac)):
            jac = self.flat.matrix(jac, self.given)
        return self._entries_of(jac)

    def add_strays(self) -> list[str]:
        """Add what depends on what outside the pattern; say so."""
        if self.sparsity is None:
            return []
        notes: list[str] = []
        for _ in range(SEARCHES):
            value = self._measured()
            probe = self._probe()
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

    def refuse_strays(self, value: Array) -> None:
        """Raise ValueError if an output depends on an input outside the pattern."""
        if self.sparsity is None:
            return
        stray = self._probe().find(self.row, self.column, value)
        if stray is not None:
            raise ValueError(
                f"`sparsity` must be nonzero at [{stray.output}, {stray.input}]: "
                f"{stray}."
            )

    def sort(self) -> Index | slice:
        """Order the entries block by block, and by rows in each; return that order."""
        if self.sparsity is None and not self.flat.nested:  # as they are
            return slice(None)
        order: Index = np.lexsort((self.column, self.row, self._block()))
        self.row, self.column = self.row[order], self.column[order]
        return order

    def matrix(self, entries: Array) -> Any:
        """Return the entries as a matrix, sparse if the pattern is."""
        if patterns.is_sparse(self.sparsity):
            from scipy.sparse import csr_array

            return csr_array((entries, (self.row, self.column)), shape=self.shape)
        if self.sparsity is None and not self.flat.nested:  # row by row
            return entries.reshape(self.shape)
        matrix = np.zeros(self.shape)
        matrix[self.row, self.column] = entries
        return matrix

    def arranged(self, entries: Array) -> Any:
        """Return the entries as the Jacobian."""
        matrix = self.matrix(entries)
        if patterns.is_sparse(self.sparsity):
            return matrix
        if self.flat.nested:
            return self.flat.arranged(matrix)
        return matrix if self.flat.outputs[0].shape else matrix[0]

    def derivative(self, entries: Array) -> Any:
        """Return the entries as `numerical_jacobian` does: complex where these are."""
        if not self.flat.is_complex:
            return self.arranged(entries)
        return self.flat.derivative(self.matrix(entries))

    def bars(self, error: Array) -> Any:
        """Return error bars of the entries as those of the `derivative`."""
        if not self.flat.is_complex:
            return self.arranged(error)
        return self.flat.bars(self.matrix(error))

    def relabel(self, report: GradientReport) -> GradientReport:
        """Return the report with Jacobians in it, and entries (output, input)."""
        given = report.numerical, report.analytic, report.error
        fields: dict[str, Any] = {
            "gradients": tuple(
                self.arranged(_in_a_row([part.ravel() for part in nest.values()]))
                for nest in given
            )
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
        if not self.flat.nested:
            return i, j
        for b in self.flat.blocks():
            rows, columns = b.rows, b.columns
            if rows.start <= i < rows.stop and columns.start <= j < columns.stop:
                size = columns.stop - columns.start
                flat = (i - rows.start) * size + j - columns.start
                return tuple(int(k) for k in np.unravel_index(flat, b.shape))
        raise IndexError(f"`entry` must be one of the Jacobian, got {entry}.")

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each block of the Jacobian."""
        if not self.flat.nested:
            return {self.title: self.shape}
        return {block.name: block.shape for block in self.flat.blocks()}

    def _block(self) -> Index:
        """Return the number of each entry's block."""
        if not self.flat.nested:
            return np.zeros(len(self.row), dtype=np.int64)
        places = list(self.flat.blocks())
        rows = np.unique([block.rows.start for block in places])
        columns = np.unique([block.columns.start for block in places])
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

    def _measured(self) -> Array:
        value = None if self.method == "ridders" else self.quick()
        if value is None:
            entries = self.entries()
            index = np.arange(entries.nest.size)
            steps = self.steps_of_entries()
            slopes = slopes_of(entries, index, self.method, steps, True, self.rng())
            value = slopes.value * entries.units
        return value

    def _probe(self) -> Probe:
        level = max(EPS, self.outputs.noise_level)
        order = 1.0 if self.method in ("forward", "backward") else 2.0
        relative = level ** (1 / (order + 1))
        if self.step is not None:
            steps = self.step[np.arange(self.shape[1])]
            relative = float(np.median(steps / self.outputs.scale))
        accuracy = max(relative**order, level / relative)
        return Probe(self.outputs, level, accuracy, self.seed)

    def _entries_of(self, jacobian: Any) -> NDArray[Any]:
        """Return the entries of a Jacobian, which must be zero everywhere else."""
        sparse = patterns.is_sparse(jacobian)
        try:
            matrix: Any = jacobian.tocsr() if sparse else np.asarray(jacobian)
        except ValueError:  # rows of different lengths
            raise refusal(TypeError, self.given, "be a matrix", jacobian) from None
        if matrix.dtype.kind not in "fiub":
            raise TypeError(f"`{self.given}` must be real numbers, got {matrix.dtype}.")
        size = self.shape[0] * self.shape[1]
        if sparse or matrix.ndim == 2 or matrix.size != size:
            self._refuse_shape(matrix)
        if not sparse:
            matrix = matrix.reshape(self.shape)
        entries = np.asarray(matrix[self.row, self.column]).ravel()
        nonzero = matrix.count_nonzero() if sparse else np.count_nonzero(matrix)
        if nonzero != np.count_nonzero(entries):
            raise ValueError(f"`{self.given}` must be zero where `sparsity` is.")
        return entries

    def _refuse_shape(self, matrix: Any) -> None:
        if tuple(matrix.shape) != self.shape:
            raise ValueError(
                f"`{self.given}` must have shape {self.shape}, got {matrix.shape}."
            )


def _refuse_nothing(what: str, size: int) -> None:
    """Raise where there is nothing to differentiate, or by nothing."""
    if not size:
        raise ValueError(f"{what} must have at least one entry, got none.")


def _in_a_row(parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
