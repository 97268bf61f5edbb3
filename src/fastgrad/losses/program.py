"""Losses from a traced program, once it has proved to be the user's function."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._arrays import Flags, Index
from fastgrad._threads import resolve_num_threads
from fastgrad.losses.interface import Losses, Replay, Substitute
from fastgrad.params import Vector
from fastgrad.program import Program, Source

#: Elements of an array that are moved at once in the kernels: lanes of all of them take
#: eight times their memory.
MANY = 2**19


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
    replay : Replay
        What is asked for losses: the program, here or elsewhere.
    elsewhere : int
        Workers that replay it; 0 where this process does.
    seconds_of_function : float
        That the function took for one of them, when it was compared with the program.
    rounds : (str, Source), optional
        Why the program may give other digits than the function, and where.
    moves_all : bool
        Whether the kernels may move all parameters at once.
    """

    engine = "compiled"
    program: Program
    replay: Replay
    guarded = 0
    elsewhere = 0
    seconds_of_function = 0.0
    rounds: tuple[str, Source] | None = None
    _gone = False

    def __init__(
        self, python: Losses, program: Program, num_threads: int | None
    ) -> None:
        super().__init__(python)
        self.program = self.replay = program
        self.python_operations = program.python_operations
        self.rounding = program.rounding
        self.num_threads = resolve_num_threads(num_threads)
        self.moves_all = max(self.nest.size, program.widest) <= MANY

    def reads(self, index: Index | slice) -> Flags:
        """See `Losses.reads`; of an embedding, few rows."""
        return super().reads(index) if self._gone else self.program.read[index]

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
        """See `Losses.along`; by the function where arrays are very large."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        self.evaluations += len(t)
        if self._gone or not self.moves_all:
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

    def _replayed(self, index: Index, value: Vector) -> tuple[Vector, Flags]:
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

    def leave(self) -> None:
        """Leave the rest to the function."""
        self._gone = True

    def _give_up(self) -> None:
        self.leave()
        self.fallback = OUT_OF_MEMORY

    @property
    def function(self) -> Losses:
        """See `Losses.function`."""
        return self.here

    def let_go(self) -> None:
        """See `Losses.let_go`; what is asked for afterwards is left to the function."""
        if not self.moves_all:
            self.leave()
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
