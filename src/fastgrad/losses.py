"""Losses at perturbed points, whichever way they are computed.

Everything fastgrad measures is a difference ``J(theta moved) - J(theta)``. A `Losses`
gives those; difference formulas, noise estimates, searches and diagnoses are written
against it and never see how the loss is computed: by a Python function called once per
point (`PythonLosses`), by one called with many points at once (`VectorizedLosses`),
through an executor (`WorkersLosses`), or by a compiled callback (`CallbackLosses`).

The user's arrays are moved in place where they are used at all, and are bit for bit
what they were after every call, whatever happened in it.
"""

import abc
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad.params import AnyArray, Nest, Vector
from fastgrad.progress import Progress
from fastgrad.returned import FLOATS, Returned, grads_of

Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

_ENGINES = ("auto", "compiled", "callback", "vectorized", "python", "workers")
_STACK_BYTES = 2**26  # of stacked parameters in one vectorised call
_MAX_STACK = 1024
_CHUNKS_PER_WORKER = 4


class Losses(abc.ABC):
    """Losses at perturbed points; a context manager that restores the parameters.

    Attributes
    ----------
    engine : str
        ``"compiled"``, ``"callback"``, ``"vectorized"``, ``"python"`` or ``"workers"``.
    nest : Nest
        The parameters.
    theta : ndarray of float64, shape (P,)
        All parameters as one vector.
    base : float
        J(theta).
    evaluations : int
        How many losses have been evaluated so far.
    loss : callable
        The user's function, as it was given.
    grads : nest or None
        What a loss that returns ``(loss, grads)`` returned as grads at theta.
    fallback : str or None
        Why a faster engine was not used.
    progress : Progress
        Advanced by every evaluation.
    """

    engine: str
    base: float
    grads: Any = None
    fallback: str | None = None

    def __init__(self, loss: Any, nest: Nest, progress: Progress) -> None:
        self.loss = loss
        self.nest = nest
        self.progress = progress
        self.theta: Vector = nest.join(nest.leaves)
        self.evaluations = 0

    @abc.abstractmethod
    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """Return J(theta with theta[index[k]] = value[k]) - J(theta), for each k.

        Returns
        -------
        difference : ndarray of float64, shape (K,)
            Taken per sample before summing, where the loss gives samples.
        crossed : ndarray of bool, shape (K,), or None
            Whether a max, abs, where, ... was on another side than at theta; None
            where the engine cannot see it.
        """

    @abc.abstractmethod
    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """Return J(theta + t[k] * direction) - J(theta) for each k."""

    def representable(self, index: ArrayLike, value: ArrayLike) -> Vector:
        """Return `value` as the dtypes of the entries `index` store it."""
        index, value = _entries(index, value)
        out = value.copy()
        for b, here in _by_block(self.nest, index):
            out[here] = out[here].astype(self.nest.dtypes[b])
        return out

    def imaginary(self, index: ArrayLike, h: ArrayLike) -> Vector:
        """Return Im J(theta + i h[k] e_index[k]) for each k: the complex step."""
        raise ValueError(
            f'`method="complex"` needs `engine="python"`, got {self.engine!r}.'
        )

    def restore(self) -> None:  # noqa: B027 (most engines move nothing)
        """Put the parameters back, bit for bit."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restore()
        self.progress.close()

    def _count(self, evaluations: int) -> None:
        self.evaluations += evaluations
        self.progress.advance(evaluations)


class PythonLosses(Losses):
    """The user's function, called once per point; parameters are moved in place.

    Cost beyond the user's own function: under 1 microsecond per evaluation, and two
    passes over the parameters per call of `at_entries`.
    """

    engine = "python"

    def __init__(
        self,
        loss: Callable[[Any], Any],
        nest: Nest,
        progress: Progress,
        reduction: str | None = None,
    ) -> None:
        super().__init__(loss, nest, progress)
        self._saved = nest.snapshot()
        self._returned = Returned(reduction)
        result = self.evaluate()
        self.grads = grads_of(result)
        self._base = self._returned.at_theta(result)
        self.base = self._returned.combine(self._base)

    def evaluate(self) -> Any:
        """Return what the user's function returns at theta, whatever that is."""
        with self._restoring("at `params` as given"):
            result = self.loss(self.nest.structure)
            self._count(1)
            self._refuse_mutation(self._saved)
        return result

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = _entries(index, value)
        out = np.empty(len(index))
        for block, here in _by_block(self.nest, index):
            entries = index[here] - self.nest.offsets[block]
            out[here] = self._in_block(block, entries, value[here])
        self._refuse_mutation(self._saved)
        return out, None

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`."""
        steps = self.nest.split(np.asarray(direction, dtype=np.float64))
        times = np.atleast_1d(np.asarray(t, dtype=np.float64))
        out = np.empty(len(times))
        for k, time in enumerate(times.tolist()):
            with self._restoring(f"with `params` moved by {time} times a direction"):
                for leaf, step in zip(self.nest.leaves, steps, strict=True):
                    np.add(leaf, time * step, out=leaf, casting="same_kind")
                moved = self.nest.snapshot()
                result = self.loss(self.nest.structure)
                self._count(1)
                self._refuse_mutation(moved)
                out[k] = self._returned.difference(result, self._base)
        return out

    def imaginary(self, index: ArrayLike, h: ArrayLike) -> Vector:
        """See `Losses.imaginary`; the loss gets complex128 copies."""
        index, h = _entries(index, h)
        leaves = [leaf.astype(np.complex128) for leaf in self.nest.leaves]
        structure = self.nest.rebuild(leaves)
        out = np.empty(len(index))
        for block, here in _by_block(self.nest, index):
            flat = leaves[block].flat
            for k in here:
                entry = int(index[k] - self.nest.offsets[block])
                before = flat[entry]
                flat[entry] = complex(before.real, h[k])
                with self._restoring(f"with {self.nest.label(index[k])} + {h[k]}j"):
                    result = self.loss(structure)
                    self._count(1)
                flat[entry] = before
                out[k] = self._returned.imaginary(result)
        return out

    def restore(self) -> None:
        """See `Losses.restore`."""
        self.nest.restore(self._saved)

    def _in_block(self, block: int, entries: Integers, values: Vector) -> list[float]:
        """Return the differences for entries of one block.

        The hot loop: everything in it is paid once per evaluation.
        """
        leaf = self.nest.leaves[block]
        flat = leaf.reshape(-1) if leaf.flags.c_contiguous else leaf.flat
        loss, structure, advance = self.loss, self.nest.structure, self.progress.advance
        base, difference = self._base, self._returned.difference
        number = base if isinstance(base, float) else None
        out: list[float] = []
        entry, value = 0, 0.0
        try:
            for entry, value in zip(entries.tolist(), values.tolist(), strict=True):
                before = flat[entry]
                flat[entry] = value
                result = loss(structure)
                flat[entry] = before
                if number is not None and type(result) in FLOATS:
                    out.append(float(result) - number)
                else:
                    out.append(difference(result, base))
                advance()
        except BaseException as error:
            self.restore()
            label = self.nest.label(int(self.nest.offsets[block]) + entry)
            _add_note(error, f"with {label} = {value}")
            raise
        finally:
            self.evaluations += len(out)
        return out

    @contextmanager
    def _restoring(self, where: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            _add_note(error, where)
            raise
        finally:
            self.restore()

    def _refuse_mutation(self, expected: list[AnyArray]) -> None:
        change = self.nest.change_since(expected)
        if change is not None:
            self.restore()
            raise ValueError(f"`loss` must not change its parameters, but it {change}.")


class WorkersLosses(PythonLosses):
    """The user's function, called by the workers of an executor, chunk by chunk.

    Each chunk has its own copy of the parameters, so a loss that reads a model's arrays
    instead of its argument cannot be used. With processes the loss must be picklable.

    Parameters
    ----------
    workers : concurrent.futures.Executor
        Or anything with its `submit`. It is left open.
    """

    engine = "workers"

    def __init__(
        self,
        loss: Callable[[Any], Any],
        nest: Nest,
        progress: Progress,
        reduction: str | None,
        workers: Executor,
    ) -> None:
        _refuse_shared(nest, "workers")
        super().__init__(loss, nest, progress, reduction)
        self._workers = workers

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = _entries(index, value)
        chunks = self._chunks(len(index))
        calls = [("at_entries", index[chunk], value[chunk]) for chunk in chunks]
        return self._gather(calls), None

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        chunks = self._chunks(len(t))
        return self._gather([("along", direction, t[chunk]) for chunk in chunks])

    def _chunks(self, count: int) -> list[slice]:
        workers = getattr(self._workers, "_max_workers", None) or os.cpu_count() or 1
        size = max(1, -(-count // (workers * _CHUNKS_PER_WORKER)))
        return [slice(i, i + size) for i in range(0, count, size)]

    def _gather(self, calls: list[tuple[str, Any, Any]]) -> Vector:
        """Run the calls on the workers; their results in order, whoever was first."""
        futures: list[Future[tuple[Vector, int]]] = []
        parts = [np.empty(0)]
        try:
            for call in calls:
                futures.append(
                    self._workers.submit(
                        _in_worker,
                        self.loss,
                        self.nest.structure,
                        self._returned.reduction,
                        *call,
                    )
                )
            for future in futures:
                part, evaluations = future.result()
                parts.append(part)
                self._count(evaluations)
        finally:
            for future in futures:
                future.cancel()
        return np.concatenate(parts)


def _in_worker(
    loss: Callable[[Any], Any],
    params: Any,
    reduction: str | None,
    method: str,
    *arguments: Any,
) -> tuple[Vector, int]:
    nest = Nest(params).private_copy()
    with PythonLosses(loss, nest, Progress(show=False), reduction) as losses:
        result = getattr(losses, method)(*arguments)
        return result[0] if method == "at_entries" else result, losses.evaluations


class VectorizedLosses(Losses):
    """A loss that takes K stacked parameter sets and returns K losses.

    Every array it gets has a leading axis of length K; it returns an array of shape
    (K,), or (K, samples) with ``reduction=``. It gets copies, never the user's arrays.
    """

    engine = "vectorized"

    def __init__(
        self,
        loss: Callable[[Any], Any],
        nest: Nest,
        progress: Progress,
        reduction: str | None = None,
    ) -> None:
        _refuse_shared(nest, "vectorized")
        super().__init__(loss, nest, progress)
        self._returned = Returned(reduction)
        self._stack = int(np.clip(_STACK_BYTES // (8 * nest.size), 1, _MAX_STACK))
        # Two points, so that a loss that is not vectorised is noticed.
        self._base = self._returned.at_theta(self._call(self._stacked(2), 2)[0])
        self.base = self._returned.combine(self._base)

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = _entries(index, value)
        out = np.empty(len(index))
        for chunk in self._chunks(len(index)):
            here, new = index[chunk], value[chunk]
            leaves = self._stacked(len(here))
            for block, rows in _by_block(self.nest, here):
                flat = leaves[block].reshape(len(here), -1)
                flat[rows, here[rows] - self.nest.offsets[block]] = new[rows]
            out[chunk] = self._differences(leaves, len(here))
        return out, None

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`."""
        steps = self.nest.split(np.asarray(direction, dtype=np.float64))
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        out = np.empty(len(t))
        for chunk in self._chunks(len(t)):
            times = t[chunk]
            leaves = self._stacked(len(times))
            for leaf, step in zip(leaves, steps, strict=True):
                moves = np.multiply.outer(times, step)
                np.add(leaf, moves, out=leaf, casting="same_kind")
            out[chunk] = self._differences(leaves, len(times))
        return out

    def _chunks(self, count: int) -> list[slice]:
        return [slice(i, i + self._stack) for i in range(0, count, self._stack)]

    def _stacked(self, count: int) -> list[AnyArray]:
        return [
            np.broadcast_to(leaf, (count, *leaf.shape)).copy()
            for leaf in self.nest.leaves
        ]

    def _call(self, leaves: list[AnyArray], count: int) -> list[Any]:
        result = self.loss(self.nest.rebuild(leaves))
        self._count(count)
        return self._returned.rows(result, count)

    def _differences(self, leaves: list[AnyArray], count: int) -> list[float]:
        values = self._call(leaves, count)
        return [self._returned.difference(value, self._base) for value in values]


def make_losses(
    loss: Any,
    params: Any,
    *,
    engine: str = "auto",
    reduction: str | None = None,
    vectorized: bool = False,
    workers: Executor | None = None,
    num_threads: int | None = None,
    progress: bool | None = None,
) -> Losses:
    """Return the fastest `Losses` that can compute `loss`.

    Parameters
    ----------
    loss : callable or scipy.LowLevelCallable
        ``loss(params)``, see `fastgrad.check_gradient`.
    params : nest of arrays
        Where to evaluate; see `fastgrad.params.Nest`.
    engine : {"auto", "compiled", "callback", "vectorized", "python", "workers"}
        ``"auto"`` takes the fastest that works.
    reduction : {None, "mean", "sum"}
        For losses that return one loss per sample.
    vectorized : bool
        `loss` takes stacked parameters and returns as many losses.
    workers : concurrent.futures.Executor, optional
        Calls the Python function in the executor's workers.
    num_threads : int, optional
        For compiled losses.
    progress : bool, optional
        None shows a bar on a terminal when it takes more than a second.

    Returns
    -------
    Losses
        To be used in a ``with`` statement, which restores the parameters.

    Raises
    ------
    TypeError, ValueError
        If the arguments contradict each other, the parameters are refused by `Nest`,
        or what the loss returns at `params` is not a finite loss.

    Examples
    --------
    >>> W = np.array([1.0, 2.0])
    >>> with make_losses(lambda w: (w**2).sum(), W, engine="python") as losses:
    ...     losses.at_entries([0, 1], [1.5, 3.0])[0]
    array([1.25, 5.  ])
    """
    engine = _choose_engine(loss, engine, vectorized, workers)
    nest, bar = Nest(params), Progress(progress)
    if engine == "workers":
        assert workers is not None
        return WorkersLosses(loss, nest, bar, reduction, workers)
    if engine == "vectorized":
        return VectorizedLosses(loss, nest, bar, reduction)
    python = PythonLosses(loss, nest, bar, reduction)
    if engine == "python":
        return python
    return _compiled(python, reduction, engine, num_threads)


def _compiled(
    python: PythonLosses, reduction: str | None, engine: str, num_threads: int | None
) -> Losses:
    """Return the loss traced, or, where `engine` leaves the choice, as it is."""
    from fastgrad.compiled import TraceError, compile_losses

    try:
        return compile_losses(python, reduction, num_threads)
    except TraceError as error:
        if engine == "compiled":
            raise ValueError(
                f'`engine="compiled"` needs a loss that can be traced: {error}.'
            ) from error
        python.fallback = str(error)
        return python
    finally:
        python.restore()


def _choose_engine(
    loss: Any, engine: str, vectorized: bool, workers: Executor | None
) -> str:
    """Return the engine the arguments ask for, "auto" if they leave it open."""
    if engine not in _ENGINES:
        raise ValueError(f"`engine` must be one of {_ENGINES}, got {engine!r}.")
    if not callable(loss) and not _is_low_level(loss):
        raise TypeError(f"`loss` must be callable, got {type(loss).__name__}.")
    if workers is not None and not callable(getattr(workers, "submit", None)):
        raise TypeError(
            "`workers` must be a concurrent.futures.Executor, "
            f"got {type(workers).__name__}."
        )
    asked = {
        "callback": _is_low_level(loss),
        "vectorized": vectorized,
        "workers": workers is not None,
    }
    implied = [name for name, wanted in asked.items() if wanted]
    if len(implied) > 1 or (implied and engine not in ("auto", *implied)):
        raise ValueError(
            f"`engine={engine!r}` contradicts the other arguments, which ask for "
            f"{' and '.join(implied)}."
        )
    if engine in asked and not implied:
        needs = {
            "callback": "`loss` to be a scipy.LowLevelCallable",
            "vectorized": "`vectorized=True`",
            "workers": "`workers=` to be an executor",
        }
        raise ValueError(f"`engine={engine!r}` needs {needs[engine]}.")
    return implied[0] if implied else engine


def _is_low_level(loss: Any) -> bool:
    # By name: scipy is not imported for the sake of a question.
    return type(loss).__name__ == "LowLevelCallable" and isinstance(loss, tuple)


def _entries(index: ArrayLike, value: ArrayLike) -> tuple[Integers, Vector]:
    index = np.atleast_1d(np.asarray(index, dtype=np.int64))
    value = np.broadcast_to(np.asarray(value, dtype=np.float64), index.shape)
    return index, value


def _by_block(nest: Nest, index: Integers) -> Iterator[tuple[int, Integers]]:
    """Yield each block met in `index`, with the positions in `index` that are in it."""
    blocks = nest.block_of(index)
    order = np.argsort(blocks, kind="stable")
    edges = np.flatnonzero(np.diff(blocks[order])) + 1
    for here in np.split(order, edges):
        if here.size:
            yield int(blocks[here[0]]), here


def _refuse_shared(nest: Nest, argument: str) -> None:
    if nest.shared:
        one, other = nest.shared[0]
        raise ValueError(
            f"`{argument}` needs parameters that do not share memory, but {one} and "
            f"{other} do."
        )


def _add_note(error: BaseException, where: str) -> None:
    if isinstance(error, Exception):
        error.add_note(f"fastgrad: while evaluating `loss` {where}.")
