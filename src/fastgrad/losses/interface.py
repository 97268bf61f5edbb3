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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._threads import resolve_num_threads
from fastgrad.losses.progress import Progress
from fastgrad.losses.returned import FLOATS, Returned, grads_of
from fastgrad.params.nest import AnyArray, Nest, Vector

if TYPE_CHECKING:
    from concurrent.futures import Executor

Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

# A perturbed point may lie outside the domain of the loss.
_QUIETLY = np.errstate(all="ignore")

# How a note on an exception that the user's loss raised begins.
OF_LOSS = "fastgrad: while evaluating `loss`"

_ENGINES = ("auto", "compiled", "callback", "vectorized", "python", "workers")


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
    rounding : float
        A standard deviation of differences that the engine knows they have at least.
    evaluations : int
        How many losses have been evaluated so far.
    loss : callable
        The user's function, as it was given.
    grads : nest or None
        What a loss that returns ``(loss, grads)`` returned as grads at theta.
    fallback : str or None
        Why a faster engine was not used: the line and the reason.
    num_threads : int
        Threads of fastgrad's own kernels.
    progress : Progress
        Advanced by every evaluation.
    """

    engine: str
    base: float
    rounding: float = 0.0
    grads: Any = None
    fallback: str | None = None
    num_threads: int = 1
    random_state: Any = None  # of NumPy's global generator, which the loss may use

    def __init__(self, loss: Any, nest: Nest, progress: Progress) -> None:
        self.loss = loss
        self.nest = nest
        self.progress = progress
        self.theta: Vector = nest.join(nest.leaves)
        self.evaluations = 0

    def evaluate(self) -> Any:
        """Return what the user's function returns at theta, where there is one.

        It leaves the function's own caches, which the gradient may read, as a call at
        theta does.
        """
        return None

    def repeat(self) -> float:
        """Return J(theta) - base, by the user's function once more."""
        return float(self.along(np.zeros(self.nest.size), [0.0])[0])

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
        index, value = as_entries(index, value)
        out = value.copy()
        for b, here in self.nest.by_block(index):
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
        try:
            if kind is None:  # what a model keeps of its last call is that of theta
                self.evaluate()
        finally:
            if self.random_state is not None:
                np.random.set_state(self.random_state)  # noqa: NPY002
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
        """See `Losses.evaluate`."""
        with self._restoring("at `params` as given"):
            result = self.loss(self.nest.structure)
            self._count(1)
            self._refuse_mutation(self._saved)
        return result

    @_QUIETLY
    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index, value = as_entries(index, value)
        self.progress.expect(len(index))
        out = np.empty(len(index))
        for block, here in self.nest.by_block(index):
            entries = index[here] - self.nest.offsets[block]
            out[here] = self._in_block(block, entries, value[here])
        self._refuse_mutation(self._saved)
        return out, None

    @_QUIETLY
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

    @_QUIETLY
    def imaginary(self, index: ArrayLike, h: ArrayLike) -> Vector:
        """See `Losses.imaginary`; the loss gets complex128 copies."""
        index, h = as_entries(index, h)
        leaves = [leaf.astype(np.complex128) for leaf in self.nest.leaves]
        structure = self.nest.rebuild(leaves)
        out = np.empty(len(index))
        for block, here in self.nest.by_block(index):
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
        leaf = np.asarray(self.nest.leaves[block])
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
                if number is not None and type(result) in FLOATS:
                    out.append(float(result) - number)
                else:
                    out.append(difference(result, base))
                flat[entry] = before  # once the result, maybe lazy, has become a number
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


def make_losses(
    loss: Any,
    params: Any,
    *,
    engine: str = "auto",
    reduction: str | None = None,
    vectorized: bool = False,
    workers: "Executor | None" = None,
    num_threads: int | None = None,
    progress: bool | None = None,
) -> Losses:
    """Return the fastest `Losses` that can compute `loss`.

    Parameters
    ----------
    loss : callable or scipy.LowLevelCallable
        ``loss(params)``, see `fastgrad.check_gradient`.
    params : nest of arrays
        Where to evaluate; see `fastgrad.params.nest.Nest`.
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
    num_threads = resolve_num_threads(num_threads)
    random_state = np.random.get_state()  # noqa: NPY002
    try:
        losses = _make(
            loss,
            Nest(params),
            Progress(progress),
            engine,
            reduction,
            workers,
            num_threads,
        )
    except BaseException:
        np.random.set_state(random_state)  # noqa: NPY002
        raise
    losses.random_state = random_state
    return losses


def _make(
    loss: Any,
    nest: Nest,
    progress: Progress,
    engine: str,
    reduction: str | None,
    workers: "Executor | None",
    num_threads: int | None,
) -> Losses:
    from fastgrad.losses import callback as losses_callback
    from fastgrad.losses import many as losses_many

    if engine == "callback":
        return losses_callback.CallbackLosses(loss, nest, progress, num_threads)
    if engine == "workers":
        return losses_many.WorkersLosses(loss, nest, progress, reduction, workers)
    if engine == "vectorized":
        return losses_many.VectorizedLosses(loss, nest, progress, reduction)
    python = PythonLosses(loss, nest, progress, reduction)
    if engine == "python":
        return python
    return _compiled(python, reduction, engine, num_threads)


def _compiled(
    python: PythonLosses, reduction: str | None, engine: str, num_threads: int | None
) -> Losses:
    """Return the loss traced, or, where `engine` leaves the choice, as it is."""
    from fastgrad.losses.program import compile_losses
    from fastgrad.program.graph import TraceError

    losses: Losses = python
    try:
        losses = compile_losses(python, reduction, num_threads)
    except TraceError as error:
        if engine == "compiled":
            raise ValueError(
                f'`engine="compiled"` needs a loss that can be traced: {error}.'
            ) from error
        python.fallback = str(error)
    finally:
        python.restore()
    # A model may keep values of its last call for its backward pass: those of theta.
    python.evaluate()
    losses.evaluations = python.evaluations
    return losses


def _choose_engine(
    loss: Any, engine: str, vectorized: bool, workers: "Executor | None"
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


def as_entries(index: ArrayLike, value: ArrayLike) -> tuple[Integers, Vector]:
    """Return entry numbers and values as vectors of the same length."""
    index = np.atleast_1d(np.asarray(index, dtype=np.int64))
    value = np.broadcast_to(np.asarray(value, dtype=np.float64), index.shape)
    return index, value


def _add_note(error: BaseException, where: str) -> None:
    if isinstance(error, Exception):
        error.add_note(f"{OF_LOSS} {where}.")
