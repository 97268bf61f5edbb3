"""What everything above is written against: losses at perturbed points."""

import abc
from collections.abc import Iterator
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from fastgrad._arrays import Flags, Index
from fastgrad.losses.endless import Watch
from fastgrad.losses.progress import Progress
from fastgrad.losses.reduction import Reduction
from fastgrad.params import Nest, Vector

# What a loss raises outside its domain: LinAlgError is a ValueError, a warning where
# warnings are errors.
OUTSIDE = (ArithmeticError, AssertionError, IndexError, ValueError, Warning)

_PIECE = 2**14  # entries whose moves are shortened at once

# How a note on an exception that the user's loss raised begins.
OF_LOSS = "fastgrad: while evaluating `loss`"


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
    responds : bool
        Whether the user's function is known to return something else elsewhere.
    nondet_rtol : float
        How much the loss may differ, relatively, from call to call.
    bounded : bool
        Whether there are points at which the loss must not be evaluated.
    joint : bool
        Whether all parameters are those of one function, and may be moved together.
    noise : float
        The standard deviation of differences, where that is known; nan otherwise.
    evaluations : int
        How many losses have been evaluated so far.
    seconds : float
        That the user's function took for one of them, the first.
    watch : Watch
        Ends its calls that do not end by themselves, where it is Python's.
    lenient : tuple of type
        A loss that raises one of these at a perturbed point, as outside of its domain,
        is nan there. What else it raises, and at theta, comes through.
    raised : Exception or None
        The first that did not come through.
    loss : callable
        The user's function, as it was given.
    returns_grads : bool
        Whether the function returns ``(loss, grads)``.
    reduction : Reduction
        How what the function returns is read.
    program : Program or None
        The loss traced, where it could be: it names causes, whatever the engine.
    untraceable : bool
        Whether that has been tried in vain.
    python_operations : tuple of str
        Calls of the program that only Python can make, see `Program`.
    fallback : str or None
        Why a faster engine was not used: the line and the reason.
    num_threads : int
        Threads of fastgrad's own kernels.
    progress : Progress
        Advanced by every evaluation.
    """

    engine: str
    base: float
    seconds: float = 0.0
    watch: Watch
    rounding: float = 0.0
    nondet_rtol: float = 0.0
    noise: float = float("nan")
    bounded = False
    joint = True
    responds: bool = False
    returns_grads: bool = False
    fallback: str | None = None
    num_threads: int = 1
    lenient: tuple[type[Exception], ...] = ()
    raised: Exception | None = None
    program: Any = None
    untraceable: bool = False
    python_operations: tuple[str, ...] = ()

    def __init__(
        self, loss: Any, nest: Nest, progress: Progress, reduction: str | None = None
    ) -> None:
        self.loss, self.reduction = loss, Reduction(reduction)
        self.nest = nest
        self.progress = progress
        self.theta: Vector = nest.join(nest.leaves)
        self.evaluations = 0
        self.open()

    def open(self) -> None:  # noqa: B027 (some need nothing of the function at first)
        """Evaluate the function at theta, which may be done anew."""

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

    def reads(self, index: Index | slice) -> Flags:
        """Return for each entry whether the loss may depend on it at all."""
        return np.broadcast_to(True, self.theta[index].shape)

    def _expected(self, index: ArrayLike, value: ArrayLike) -> tuple[Index, Vector]:
        """Return entry numbers and values as vectors; that many losses are to come."""
        index, value = as_entries(index, value)
        self.progress.expect(len(index))
        return index, value

    def pieces(self, index: Any, size: int) -> Iterator[Any]:
        """Yield where in `index` the entries are that are best measured together."""
        for start in range(0, max(1, len(index)), size):
            yield slice(start, start + size)

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

    def within(self, direction: Vector) -> Vector:
        """Return the direction, shortened where theta moved by it is out of bounds."""
        return direction

    def inward(self, direction: Vector, reach: float) -> Vector:
        """Return the direction, each entry turned and shortened as bounds need it.

        Theta moved by it is within bounds, `reach` times and twice as far, or as far
        to both sides.
        """
        return direction

    @property
    def function(self) -> "Losses | None":
        """The user's function, if losses are not computed by calling that."""
        return None

    def let_go(self) -> None:  # noqa: B027 (most keep nothing)
        """Free what is kept to measure entries, if it takes much memory."""

    def confine(self) -> None:  # noqa: B027 (most know no bounds)
        """Put parameters that were moved out of bounds back onto them."""

    def restore(self) -> None:  # noqa: B027 (most engines move nothing)
        """Put the parameters back, bit for bit."""

    def forgive(self, kinds: tuple[type[Exception], ...]) -> None:
        """Be lenient with these kinds of exceptions from now on."""
        self.lenient = kinds

    def _forgives(self, error: BaseException) -> bool:
        """Whether the loss has no value where it raised this: it is out of its domain.

        Memory is another matter.
        """
        if not isinstance(error, self.lenient) or isinstance(error, MemoryError):
            return False
        if self.raised is None:
            self.raised = error
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.restore()
        self.progress.close()
        if kind is None:  # what a model keeps of its last call is that of theta
            self.evaluate()

    def _count(self, evaluations: int) -> None:
        self.evaluations += evaluations
        self.progress.advance(evaluations)


class Replay(Protocol):
    """What is asked of a traced program, here or elsewhere."""

    def at_entries(
        self, index: Index, delta: Vector, *, num_threads: int, progress: Any
    ) -> tuple[Vector, Flags]:
        """See `fastgrad.program.program.Program.at_entries`."""

    def along(self, direction: Vector, t: Vector) -> Vector:
        """See `fastgrad.program.program.Program.along`."""


class Substitute(Losses):
    """Losses that compute perturbed points in another way than the user's function.

    At theta itself the function is asked, through the losses `here`.
    """

    def __init__(self, here: Losses) -> None:
        self.here = here
        self.loss, self.reduction = here.loss, here.reduction
        self.nest, self.progress = here.nest, here.progress
        self.theta, self.seconds = here.theta, here.seconds
        self.returns_grads, self.responds = here.returns_grads, here.responds
        self.evaluations = here.evaluations

    @property
    def base(self) -> float:  # type: ignore[override]
        """See `Losses`; what the function gave."""
        return self.here.base

    @property
    def raised(self) -> Exception | None:  # type: ignore[override]
        """See `Losses`; what the function raised."""
        return self.here.raised

    def forgive(self, kinds: tuple[type[Exception], ...]) -> None:
        """See `Losses.forgive`."""
        self.here.forgive(kinds)
        super().forgive(kinds)

    def open(self) -> None:
        """See `Losses.open`."""
        self.evaluations += 1
        self.here.open()

    def evaluate(self) -> Any:
        """See `Losses.evaluate`."""
        self.evaluations += 1
        return self.here.evaluate()

    def repeat(self) -> float:
        """See `Losses.repeat`."""
        self.evaluations += 1
        return self.here.repeat()

    def within(self, direction: Vector) -> Vector:
        """See `Losses.within`."""
        return self.here.within(direction)

    def confine(self) -> None:
        """See `Losses.confine`."""
        self.here.confine()

    def restore(self) -> None:
        """See `Losses.restore`."""
        self.here.restore()


def as_entries(index: ArrayLike, value: ArrayLike) -> tuple[Index, Vector]:
    """Return entry numbers and values as vectors of the same length."""
    index = np.atleast_1d(np.asarray(index, dtype=np.int64))
    value = np.broadcast_to(np.asarray(value, dtype=np.float64), index.shape)
    return index, value


def keep_signs(move: Vector, theta: Vector, within: float) -> None:
    """Shorten moves of what is not zero to less than that, in place.

    Beyond zero a loss may be another, or never return.
    """
    for start in range(0, len(move), _PIECE):
        part, x = move[start : start + _PIECE], theta[start : start + _PIECE]
        own = np.where(x == 0, np.inf, within * np.abs(x))
        np.clip(part, -own, own, out=part)


def add_note(error: BaseException, where: str) -> None:
    """Say on an exception of the loss's own where it was evaluated."""
    if isinstance(error, Exception):
        error.add_note(f"{OF_LOSS} {where}.")


def refuse_shared(nest: Nest, argument: str) -> None:
    """Raise ValueError if blocks share memory, which copies would not."""
    if nest.shared:
        one, other = nest.shared[0]
        raise ValueError(
            f"`{argument}` needs parameters that do not share memory, but {one} and "
            f"{other} do."
        )
