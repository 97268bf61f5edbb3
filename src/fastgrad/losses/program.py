"""Losses from a traced program, once it has proved to be the user's function."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgrad._threads import resolve_num_threads
from fastgrad.losses.interface import Flags, Losses, PythonLosses
from fastgrad.params.nest import Vector
from fastgrad.program.graph import TraceError, calling_line
from fastgrad.program.program import Program, trace_nest


class CompiledLosses(Losses):
    """A traced program, replayed in compiled kernels over OpenMP threads.

    It computes in float64 whatever the dtype of the parameters, and its differences are
    formed operation by operation, so they carry far less rounding than subtracting two
    losses would.
    """

    engine = "compiled"

    def __init__(
        self, python: PythonLosses, program: Program, num_threads: int | None
    ) -> None:
        super().__init__(python.loss, python.nest, python.progress)
        self.program = program
        self.rounding = program.rounding
        self.base = python.base
        self.grads = python.grads
        self.evaluations = python.evaluations
        self.num_threads = resolve_num_threads(num_threads)
        self._python = python

    def representable(self, index: ArrayLike, value: ArrayLike) -> Vector:
        """See `Losses.representable`; float64 holds every value."""
        return np.array(value, dtype=np.float64)

    def at_entries(
        self, index: ArrayLike, value: ArrayLike
    ) -> tuple[Vector, Flags | None]:
        """See `Losses.at_entries`."""
        index = np.asarray(index, dtype=np.int64)
        delta = np.asarray(value, dtype=np.float64) - self.theta[index]
        self.progress.expect(len(index))
        done = 0

        def advance(now: int, _: int) -> None:
            nonlocal done
            self.progress.advance(now - done)
            done = now

        difference, crossed = self.program.at_entries(
            index, delta, num_threads=self.num_threads, progress=advance
        )
        self.evaluations += len(index)
        return difference, crossed

    def along(self, direction: ArrayLike, t: ArrayLike) -> Vector:
        """See `Losses.along`."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        self.evaluations += len(t)
        self.progress.advance(len(t))
        return self.program.along(np.asarray(direction, dtype=np.float64), t)

    def evaluate(self) -> Any:
        """See `Losses.evaluate`."""
        self.evaluations += 1
        return self._python.evaluate()

    def repeat(self) -> float:
        """See `Losses.repeat`; by the function, not the program."""
        self.evaluations += 1
        return self._python.repeat()

    def restore(self) -> None:
        """Put the parameters back: tracing or a check of the trace may move them."""
        self._python.restore()


def compile_losses(
    python: PythonLosses, reduction: str | None, num_threads: int | None
) -> CompiledLosses:
    """Trace the loss and accept the program only if it agrees with the function.

    Raises
    ------
    TraceError
        If the loss cannot be traced, or the program and the function differ by more
        than rounding at theta or at perturbed points.
    """
    source = calling_line()
    if python.nest.shared:
        one, other = python.nest.shared[0]
        raise TraceError(f"parameters share memory ({one} and {other})", source)
    program = trace_nest(python.loss, python.nest, reduction=reduction)
    python.restore()
    compiled = CompiledLosses(python, program, num_threads)
    _compare("at the parameters", program.value, python.base, python)
    for size in _SIZES:
        try:
            _compare_around(compiled, python, size)
            break
        except (np.linalg.LinAlgError, ArithmeticError):
            if size == _SIZES[-1]:
                raise
    return compiled


#: Of the perturbations to compare at: smaller ones where the function itself fails,
#: e.g. because a matrix is no longer positive definite.
_SIZES = (1.0, 1e-2, 1e-4)


def _compare_around(
    compiled: CompiledLosses, python: PythonLosses, size: float
) -> None:
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(python.nest.size) * _scale(python) * size
    t = np.array([0.01, -0.3])
    entry = rng.integers(python.nest.size, size=3)
    moved = python.representable(entry, python.theta[entry] + direction[entry])
    expected = [*python.along(direction, t), *python.at_entries(entry, moved)[0]]
    got = [*compiled.along(direction, t), *compiled.at_entries(entry, moved)[0]]
    for a, b in zip(got, expected, strict=True):
        _compare("at perturbed parameters", a, b, python)


def _scale(python: PythonLosses) -> NDArray[np.float64]:
    """Root mean square of each entry's block; 1 where that is zero."""
    sizes = []
    for leaf in filter(np.size, python.nest.leaves):
        largest = float(np.abs(leaf).max()) or 1.0  # squares may overflow
        share = np.sqrt(np.mean(np.square(leaf / largest, dtype=float)))
        sizes.append(np.full(leaf.size, share * largest or 1.0))
    return np.concatenate(sizes)


def _compare(where: str, got: float, expected: float, python: PythonLosses) -> None:
    eps = max(float(np.finfo(dtype).eps) for dtype in python.nest.dtypes)
    # Rounding of the loss itself, and its growth through the function.
    tolerance = 1e4 * eps * abs(python.base) + eps**0.4 * abs(expected)
    if np.isfinite(expected) and not abs(got - expected) <= tolerance:
        raise TraceError(
            f"the traced program gives {got:.17g} {where}, the function "
            f"{expected:.17g}",
            calling_line(),
        )
