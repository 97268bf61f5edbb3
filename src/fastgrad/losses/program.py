"""Losses from a traced program, once it has proved to be the user's function."""

import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._threads import resolve_num_threads
from fastgrad.losses.interface import (
    OUTSIDE,
    Flags,
    Integers,
    Losses,
    Replay,
    Substitute,
)
from fastgrad.params import Nest, Vector
from fastgrad.program import (
    Graph,
    Line,
    Node,
    Packages,
    Program,
    TraceError,
    defining_line,
    first_call_of_more,
    first_constant_that_moved,
    first_other_operation,
    outline,
    program_of,
    trace_graph,
)

#: Parameters that are moved at once in the kernels: lanes of all of them take eight
#: times their memory.
_MANY = 2**19


#: Why the kernels did not, or not to the end.
OUT_OF_MEMORY = "the kernels ran out of memory; the function itself was asked"


class CompiledLosses(Substitute):
    """A traced program, replayed in compiled kernels over OpenMP threads.

    It computes in float64 whatever the dtype of the parameters, and its differences are
    formed operation by operation, so they carry far less rounding than subtracting two
    losses would. Where a guard of the program gives way, or an operation is reached
    that only Python can evaluate, the function itself is asked.

    Attributes
    ----------
    guarded : int
        Evaluations by the function because a branch, a mask, ... had another outcome.
    python_operations : tuple of str
        Calls that only Python can make, see `Program`.
    replay : Replay
        What is asked for losses: the program, here or elsewhere.
    seconds_of_function : float
        That the function took for one of them, when it was compared with the program.
    """

    engine = "compiled"
    program: Program
    replay: Replay
    guarded = 0
    seconds_of_function = 0.0
    _gone = False

    def __init__(
        self, python: Losses, program: Program, num_threads: int | None
    ) -> None:
        super().__init__(python)
        self.program = self.replay = program
        self.python_operations = program.python_operations
        self.rounding = program.rounding
        self.num_threads = resolve_num_threads(num_threads)

    def representable(self, index: ArrayLike, value: ArrayLike) -> Vector:
        """See `Losses.representable`; float64 holds every value."""
        if self._gone or self.asks_the_function:
            return self.here.representable(index, value)
        return np.array(value, dtype=np.float64)

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index = np.asarray(index, dtype=np.int64)
        value = np.broadcast_to(np.asarray(value, dtype=float), index.shape)
        if self._gone:
            self.evaluations += len(index)
            return self.here.at_entries(index, value)
        self.evaluations += int(self.program.read[index].sum())
        try:
            difference, crossed = self._replayed(index, value)
        except MemoryError:
            self._give_up()
            return self.here.at_entries(index, value)
        lost = self._lost(difference)
        if lost.size:
            found = self.here.at_entries(index[lost], value[lost])[0]
            # Another branch may be a kink; behind an opaque call none can be seen, and
            # where the loss has no value there is none.
            crossed[lost] = np.isnan(difference[lost]) & np.isfinite(found)
            difference[lost] = found
        return difference, crossed

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`; by the function where there are very many parameters."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        self.evaluations += len(t)
        if self._gone or self.nest.size > _MANY:
            return self.here.along(direction, t)
        self.progress.advance(len(t))
        direction = np.asarray(direction, dtype=np.float64)
        try:
            difference = self.replay.along(direction, t)
        except MemoryError:
            self._give_up()
            return self.here.along(direction, t)
        lost = self._lost(difference)
        if lost.size:
            difference[lost] = self.here.along(direction, t[lost])
        return difference

    def _replayed(self, index: Integers, value: Vector) -> tuple[Vector, Flags]:
        """Return what the program says at entries."""
        self.progress.expect(len(index))
        done = 0

        def advance(now: int, _: int) -> None:
            nonlocal done
            self.progress.advance(now - done)
            done = now

        delta = value - self.theta[index]
        return self.replay.at_entries(
            index, delta, num_threads=self.num_threads, progress=advance
        )

    def _give_up(self) -> None:
        """Leave the rest to the function."""
        self._gone, self.fallback = True, OUT_OF_MEMORY

    @property
    def function(self) -> Losses:
        """See `Losses.function`."""
        return self.here

    def let_go(self) -> None:
        """See `Losses.let_go`; what is asked for afterwards is left to the function."""
        if self.nest.size > _MANY:
            self._gone = True
            self.program = self.replay = None  # type: ignore[assignment]

    @property
    def asks_the_function(self) -> bool:
        """Whether there may be points that the program leaves to the function."""
        return bool(self.program.guards or self.program.opaque)

    def _lost(self, difference: Vector) -> NDArray[np.intp]:
        """Which of these the program leaves to the function."""
        lost = np.flatnonzero(~np.isfinite(difference))
        if self.program.guards:
            self.guarded += int(np.isnan(difference[lost]).sum())
        return lost


def compile_losses(
    python: Losses,
    reduction: str | None,
    num_threads: int | None,
    *,
    sharing: bool = True,
) -> CompiledLosses:
    """Trace the loss and accept the program only if it is the function.

    Parameters
    ----------
    python : Losses
    reduction, num_threads
        See `make_losses`.
    sharing : bool
        The program may share large arrays with the loss: nobody writes into them as
        long as it is used.

    Raises
    ------
    TraceError
        If the loss cannot be traced, a constant of the program moves with the
        parameters, or program and function differ by more than rounding at theta or at
        perturbed points.
    """
    source = defining_line(python.loss)
    if python.nest.shared:
        one, other = python.nest.shared[0]
        raise TraceError(f"parameters share memory ({one} and {other})", source)
    packages = Packages()
    trace = partial(trace_graph, python.loss, python.nest, reduction, packages=packages)
    try:
        return _proved(trace, python, num_threads, sharing=sharing)
    except TraceError:
        if not packages.followed:
            raise
        packages.called = True  # something got past the trace in one
        return _proved(trace, python, num_threads, sharing=sharing)


def _proved(
    trace: Callable[..., Graph],
    python: Losses,
    num_threads: int | None,
    *,
    sharing: bool,
) -> CompiledLosses:
    """The program of a trace, which has to be the function."""
    try:
        beside = _traced_next(trace, python, _NEXT[0])
        recorded = trace(theta=python.theta, sharing=sharing)
        _refuse_other(trace, recorded.nodes, beside, python)
    finally:
        python.restore()
    if python.nest.size > _MANY:
        gc.collect()  # what a trace recorded refers to itself, and is as large
    program = program_of(python.loss, python.nest, recorded)
    compiled = CompiledLosses(python, program, num_threads)
    _compare("at the parameters", program.value, python.base, compiled)
    for size in _SIZES:
        try:
            _compare_around(compiled, python, size)
            break
        except TraceError:
            raise
        except Exception as error:  # of the loss: nearer, it may have a value
            if size == _SIZES[-1]:
                raise TraceError(
                    f"raises {type(error).__name__} next to the parameters",
                    defining_line(python.loss),
                ) from error
    return compiled


#: Of all values inside the function, that may add up.
_ROUNDINGS = 16

#: Seconds that a whole check may lose with a program.
_TRIFLE = 3e-3
_TRIED = 16


def pays(compiled: CompiledLosses) -> bool:
    """Whether checking every entry by the program is the cheaper way.

    Measured at a few entries, each a bundle of its own: a program of many small
    operations, or one that leaves most entries to the function, can take longer than
    the function does.
    """
    theta, size = compiled.theta, compiled.nest.size
    entry = np.random.default_rng(2).integers(size, size=min(size, _TRIED))
    began = time.thread_time()
    delta = 1e-4 * (np.abs(theta[entry]) + 1)
    difference, _ = compiled.program.at_entries(entry, delta, num_threads=1)
    bundle = (time.thread_time() - began) / len(entry)
    bundles = sum(order.bundles for order in compiled.program.orders)
    kept = float(np.mean(np.isfinite(difference)))
    saved = 2 * size * kept * compiled.seconds_of_function
    return bundles * bundle - saved <= _TRIFLE


# ---- the same program next to theta --------------------------------------------------

#: Relative distances of the other trace: a smaller one where the program is another
#: at the larger, and there zeros, where kinks are, stay.
_NEXT = (1e-6, 1e-9)


def _refuse_other(
    trace: Callable[..., Graph],
    nodes: Sequence[Node],
    beside: list[Line],
    python: Losses,
) -> None:
    """Refuse a program that is another next to theta, or has other constants there."""
    parted = first_other_operation(nodes, beside)
    if parted is not None:
        beside = _traced_next(trace, python, _NEXT[1])
        parted = first_other_operation(nodes, beside)
    if parted is not None:  # where the other trace failed, at the first node
        raise TraceError(
            "does something else at parameters next to these", parted.source
        )
    moved = first_constant_that_moved(nodes, beside)
    if moved is not None:
        raise TraceError(
            "uses a number that depends on the parameters, but got past the trace",
            moved.source,
        )
    called = first_call_of_more(nodes, beside)
    if called is not None:
        raise TraceError(
            f"{called.label} depends on more than its arguments", called.source
        )


def _traced_next(
    trace: Callable[..., Graph], python: Losses, size: float
) -> list[Line]:
    """The outline of a trace at parameters moved a little; empty if it fails there."""
    try:
        _move_next(python, size)
        return outline(trace(sharing=True).nodes)
    except TraceError:
        if size == _NEXT[-1]:
            raise
        return []
    except OUTSIDE:
        return []
    finally:
        python.restore()


def _move_next(python: Losses, size: float) -> None:
    rng = np.random.default_rng(1)
    for leaf in python.nest.leaves:
        step = max(size, 8 * float(np.finfo(leaf.dtype).eps))
        move = rng.uniform(0.5 * step, 1.5 * step, leaf.shape)
        zero = _typical(leaf) if size == _NEXT[0] else 0.0
        move *= np.where(leaf == 0, zero, leaf)
        np.add(leaf, move, out=leaf, casting="same_kind")
    python.confine()


# ---- the same values around theta ----------------------------------------------------

#: Of the perturbations to compare at: smaller ones where the function itself fails,
#: e.g. because a matrix is no longer positive definite.
_SIZES = (1.0, 1e-2, 1e-4)
#: Entries of a block that say how large its entries are.
_SAMPLE = 2**17


def _compare_around(compiled: CompiledLosses, python: Losses, size: float) -> None:
    """At some entries, along a direction through all blocks, and through each alone."""
    rng = np.random.default_rng(0)
    nest = python.nest
    direction = rng.uniform(-2, 2, nest.size)
    for leaf, part in zip(nest.leaves, nest.split(direction), strict=True):
        part *= size * _typical(leaf)
    direction = -python.within(-python.within(direction))  # both ways
    entry = rng.integers(nest.size, size=3)
    moved = python.representable(entry, python.theta[entry] + direction[entry])
    began = time.thread_time()  # not what other processes take
    expected = [*python.at_entries(entry, moved)[0]]
    compiled.seconds_of_function = (time.thread_time() - began) / len(entry)
    got = [*compiled.at_entries(entry, moved)[0]]
    if nest.size <= _MANY:
        times = _all_and_each(nest.offsets)
        for t in times.T:
            expected += [*python.along(_each_times(t, direction, nest), 1.0)]
        replayed = compiled.program.along(direction, times)
        left = ~np.isfinite(replayed)  # to the function
        got += [*np.where(left, expected[len(entry) :], replayed)]
    compiled.responds = any(expected)
    for a, b in zip(got, expected, strict=True):
        _compare("at perturbed parameters", a, b, compiled)


def _all_and_each(offsets: Integers) -> NDArray[np.float64]:
    """How far to move each block: all of them, twice, and each that has entries."""
    each = -0.3 * np.eye(len(offsets) - 1)[:, np.diff(offsets) > 0]
    several = each if each.shape[1] > 1 else each[:, :0]
    together = np.tile([0.01, -0.3], (len(each), 1))
    return np.concatenate([together, several], axis=1)


def _each_times(t: Vector, direction: Vector, nest: Nest) -> Vector:
    """Return the direction, each block times its own number."""
    out = np.zeros(nest.size)
    parts = zip(t.tolist(), nest.split(direction), nest.split(out), strict=True)
    for time_of_block, part, to in parts:
        if time_of_block:
            np.multiply(time_of_block, part, out=to)
    return out


def _typical(leaf: NDArray[Any]) -> float:
    """Root mean square, of a sample of many entries; 1 where that is zero."""
    some = np.abs(leaf.flat[:: max(1, leaf.size // _SAMPLE)], dtype=float)
    largest = float(some.max(initial=0.0)) or 1.0  # squares may overflow
    squares = np.square(some / largest)
    return float(np.sqrt(np.mean(squares)) * largest or 1.0) if some.size else 1.0


def _compare(where: str, got: float, expected: float, compiled: CompiledLosses) -> None:
    eps = max(float(np.finfo(dtype).eps) for dtype in compiled.nest.dtypes)
    # Rounding of the loss itself, and its growth through the function.
    tolerance = 1e4 * eps * abs(compiled.base) + eps**0.4 * abs(expected)
    off = abs(got - expected)
    if np.isfinite(expected) and not off <= tolerance:
        inside = compiled.program.rounding_of_function  # of terms that cancel
        if off <= _ROUNDINGS * inside:
            compiled.here.rounding = inside
            return
        raise TraceError(
            f"the traced program gives {got:.17g} {where}, the function "
            f"{expected:.17g}",
            defining_line(compiled.loss),
        )
