"""A program stands for a function once it has proved to be the same.

Traced next to the parameters, and evaluated at them, it gives the loss to its last
digits, in which every block shows; or else, traced again there, it is the same program,
with the same constants. Along a direction through all blocks and through each, and at
some entries, it gives the values that the function gives.
"""

import gc
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad._arrays import Index
from fastgrad.losses.endless import Endless
from fastgrad.losses.interface import Losses, keep_signs
from fastgrad.losses.program import MANY, CompiledLosses
from fastgrad.losses.worth import leave_dear_calls, promises
from fastgrad.params import Nest, Vector
from fastgrad.program import (
    Graph,
    Line,
    Node,
    Packages,
    Program,
    TakesTooLong,
    TraceError,
    at_parameters,
    defining_line,
    elsewhere,
    first_call_of_more,
    first_constant_that_moved,
    first_other_operation,
    merged,
    outline,
    shows_its_numbers,
    trace_graph,
)

#: Most operations a program may have; beyond, Python is as good.
MAX_OPERATIONS = 200_000
#: Most of one whose loops are kept turn by turn, too: whose mistakes are looked for so.
MAX_TURNS = 350


def compile_losses(
    python: Losses,
    num_threads: int | None,
    *,
    sharing: bool = True,
    seconds: float = math.inf,
    saved: float = math.inf,
) -> CompiledLosses:
    """Trace the loss and accept the program only if it is the function.

    Parameters
    ----------
    python : Losses
    num_threads : int, optional
        See `make_losses`.
    sharing : bool
        The program may share large arrays with the loss: nobody writes into them as
        long as it is used.
    seconds : float
        That one trace may take.
    saved : float
        Seconds that the program can save: it is not made where that takes longer.

    Raises
    ------
    TakesTooLong
        If it takes longer than that.
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
    given = python.loss, python.nest, python.reduction.kind
    trace = partial(python.watch.call, trace_graph, *given, packages=packages)
    proved = partial(_proved, trace, python, num_threads, sharing, seconds, saved)
    try:
        return proved()
    except Endless:
        raise TraceError("does not end when it is traced", source) from None
    except TraceError:
        if not packages.followed:
            raise
        packages.called = True  # something got past the trace in one
        return proved()


def program_of(loss: Any, nest: Nest, recorded: Graph) -> Program:
    """The program of a loss that was recorded, its loops at once where possible."""
    graph = merged(recorded)
    turns = graph is not recorded and len(recorded.nodes) <= MAX_TURNS
    program = Program(nest, graph, recorded if turns else None)
    if len(program.nodes) > MAX_OPERATIONS:
        reason = f"has {len(program.nodes):,} operations"
        raise TraceError(reason, defining_line(loss))
    return program


def _proved(
    trace: Callable[..., Graph],
    python: Losses,
    num_threads: int | None,
    sharing: bool,
    seconds: float,
    saved: float,
) -> CompiledLosses:
    """The program of a trace, which has to be the function."""
    patient = partial(trace, sharing=sharing, seconds=seconds)
    recorded = _traced_next(patient, python, _NEXT[0])
    if recorded is not None and not promises(recorded, python, saved):
        raise TakesTooLong
    once = recorded is not None and _brought_back(recorded, python)
    if not once:
        beside = [] if recorded is None else outline(recorded.nodes)
        del recorded  # as large as the parameters
        recorded = _traced_again(trace, python, sharing, beside)
    assert recorded is not None
    if saved < math.inf:
        leave_dear_calls(recorded, python)
    if max(node.size for node in recorded.nodes) > MANY:
        gc.collect()  # what a trace recorded refers to itself, and is as large
    program = program_of(python.loss, python.nest, recorded)
    compiled = CompiledLosses(python, program, num_threads)
    compiled.rounds = recorded.rounds
    _compare("at the parameters", program.value, python.base, compiled)
    # Far away outcomes are others, and what iterates until it is near may not end.
    sizes = _SIZES[1:] if program.guards else _SIZES
    for size in sizes:
        try:
            shown = _compare_around(compiled, python, size)
            break
        except (TraceError, MemoryError):
            raise
        except Exception as error:  # of the loss: nearer, it may have a value
            if size == sizes[-1]:
                endless = isinstance(error, Endless)
                does = "does not end" if endless else f"raises {type(error).__name__}"
                raise TraceError(
                    f"{does} next to the parameters", defining_line(python.loss)
                ) from error
    if once and shown < _SHOWN * abs(python.base):
        _traced_again(trace, python, True, outline(recorded.nodes))
    return compiled


# ---- the same program next to theta --------------------------------------------------

#: Relative distances of the other trace: a smaller one where the program is another
#: at the larger, and there zeros, where kinks are, stay.
_NEXT = (1e-3, 1e-9)
#: Of the loss: what it may differ by for one trace to be enough, and what moving each
#: block has to change in it.
_DIGITS, _SHOWN = 2.0**-50, 2.0**-14


def _brought_back(recorded: Graph, python: Losses) -> bool:
    """Whether one trace is enough: at theta, it gives the loss to its last digits.

    A number that got past it is one of the parameters that it was traced at, and would
    show. Its values are those at theta then.
    """
    if recorded.opaque or max(node.size for node in recorded.nodes) > MANY:
        return False
    values = at_parameters(recorded, python.nest.split(python.theta))
    if values is None:
        return False
    off = abs(float(values[recorded.result]) - python.base)
    if not (off <= _DIGITS * abs(python.base) and shows_its_numbers(recorded, values)):
        return False
    for node, value in values.items():
        node.becomes(value)
    return True


def _traced_again(
    trace: Callable[..., Graph], python: Losses, sharing: bool, beside: list[Line]
) -> Graph:
    """The trace at theta, which has to be the one next to it."""
    try:
        recorded = trace(theta=python.theta, sharing=sharing)
        _refuse_other(trace, recorded.nodes, beside, python)
    finally:
        python.restore()
    return recorded


def _refuse_other(
    trace: Callable[..., Graph],
    nodes: Sequence[Node],
    beside: list[Line],
    python: Losses,
) -> None:
    """Refuse a program that is another next to theta, or has other constants there."""
    parted = first_other_operation(nodes, beside)
    if parted is not None:
        beside = _outlined_next(trace, python, 1)
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


def _outlined_next(
    trace: Callable[..., Graph], python: Losses, turn: int
) -> list[Line]:
    """The outline of a trace at parameters moved a little; empty if it fails there."""
    traced = _traced_next(partial(trace, sharing=True), python, _NEXT[turn])
    return [] if traced is None else outline(traced.nodes)


def _traced_next(
    trace: Callable[..., Graph], python: Losses, size: float
) -> Graph | None:
    """A trace at parameters moved a little, if it does not fail there."""
    try:
        _move_next(python, size)
        return trace()
    except TraceError:
        if size == _NEXT[-1]:
            raise
        return None
    except MemoryError:
        raise
    except Exception:  # of the loss: it has no value there
        return None
    finally:
        python.restore()


def _move_next(python: Losses, size: float) -> None:
    rng = np.random.default_rng(1)
    for leaf in python.nest.leaves:
        step = max(size, 8 * float(np.finfo(leaf.dtype).eps))
        move = rng.uniform(0.5 * step, 1.5 * step, leaf.shape)
        at_zero = leaf == 0
        move[at_zero] *= _typical(leaf) if size == _NEXT[0] else 0.0
        np.multiply(move, leaf, out=move, where=~at_zero)
        np.add(leaf, move, out=leaf, casting="same_kind")
    python.confine()


# ---- the same values around theta ----------------------------------------------------

#: Of the perturbations to compare at: smaller ones where the function itself fails,
#: e.g. because a matrix is no longer positive definite.
_SIZES = (1.0, 1e-2, 1e-4)
#: Of a parameter that is not zero: how far it may be moved.
_WITHIN = 0.75
#: Of all values inside the function, that may add up.
_ROUNDINGS = 16
#: Of numbers smaller than that many functions return zero instead.
_FLUSHED = float(np.finfo(np.float64).tiny)
#: Blocks of which an entry is moved, where not all entries can be.
_BLOCKS = 16
#: Entries of a block that say how large its entries are.
_SAMPLE = 2**14


def _compare_around(compiled: CompiledLosses, python: Losses, size: float) -> float:
    """At some entries, along a direction through all blocks, and through each alone.

    Returns the least that moving a whole block changes in the loss; 0 if unknown.
    """
    rng = np.random.default_rng(0)
    nest = python.nest
    direction = rng.uniform(-2, 2, nest.size)
    for leaf, part in zip(nest.leaves, nest.split(direction), strict=True):
        part *= size * _typical(leaf)
    keep_signs(direction, python.theta, _WITHIN)
    for _ in range(2):  # both ways
        direction = python.within(direction)
        np.negative(direction, out=direction)
    entry = rng.choice(nest.size, min(nest.size, 3), replace=False)
    if not compiled.moves_all:
        entry = np.append(entry, _one_of_each(nest.offsets, rng))
    moved = python.representable(entry, python.theta[entry] + direction[entry])
    began = time.thread_time()  # not what other processes take
    expected = [*python.at_entries(entry, moved)[0]]
    compiled.seconds_of_function = (time.thread_time() - began) / len(entry)
    if not compiled.moves_all:
        del direction, leaf, part  # as large as the parameters
    got = [*compiled.at_entries(entry, moved)[0]]
    if compiled.moves_all:
        times = _all_and_each(nest.offsets)
        for t in times.T:
            expected += [*python.along(_each_times(t, direction, nest), 1.0)]
        replayed = compiled.program.along(direction, times)
        left = ~np.isfinite(replayed)  # to the function
        got += [*np.where(left, expected[len(entry) :], replayed)]
    compiled.responds = bool(np.nan_to_num(expected).any())

    def point(k: int) -> Vector:
        if k >= len(entry):
            return python.theta + _each_times(times[:, k - len(entry)], direction, nest)
        theta = python.theta.copy()
        theta[entry[k]] = moved[k]
        return theta

    for k, (a, b) in enumerate(zip(got, expected, strict=True)):
        at = partial(point, k) if compiled.moves_all else None
        _compare("at perturbed parameters", a, b, compiled, at)
    of_blocks = expected[len(entry) + 2 :] or expected[len(entry) + 1 :]
    return min(map(abs, np.nan_to_num(of_blocks)), default=0.0)


def _one_of_each(offsets: Index, rng: np.random.Generator) -> Index:
    """Return an entry of each block, or of some."""
    blocks = rng.permutation(np.flatnonzero(np.diff(offsets)))[:_BLOCKS]
    entries: Index = rng.integers(offsets[blocks], offsets[blocks + 1])
    return entries


def _all_and_each(offsets: Index) -> NDArray[np.float64]:
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
    flat = leaf.reshape(-1) if leaf.flags.c_contiguous else leaf.flat
    some = np.abs(flat[:: leaf.size // _SAMPLE | 1], dtype=float)  # odd, as no row
    largest = float(some.max(initial=0.0)) or 1.0  # squares may overflow
    squares = np.square(some / largest)
    return float(np.sqrt(np.mean(squares)) * largest or 1.0) if some.size else 1.0


def _difference(program: Program, theta: Vector) -> float:
    """What the loss changes by up to theta, by the program's operations in NumPy."""
    there = zip(program.parameters, program.nest.split(theta), strict=True)
    return float(elsewhere(program.nodes, program.result, dict(there))) - program.value


def _compare(
    where: str,
    got: float,
    expected: float,
    compiled: CompiledLosses,
    point: Callable[[], Vector] | None = None,
) -> None:
    """Compare what program and function give, `point` being where."""
    if not np.isfinite(expected):
        return
    eps = max(float(np.finfo(dtype).eps) for dtype in compiled.nest.dtypes)
    # Rounding of the loss itself, and its growth through the function.
    tolerance = 1e4 * eps * abs(compiled.base) + eps**0.4 * abs(expected) + _FLUSHED
    off = abs(got - expected)
    if not off <= tolerance:
        inside = compiled.program.rounding_of_function  # of terms that cancel
        if off <= _ROUNDINGS * inside:
            compiled.here.rounding = inside
            return
        if point is not None:  # or do kernels round so much of so long a step?
            off = abs(_difference(compiled.program, point()) - expected)
        if off <= tolerance:
            return
        text = (
            f"the traced program gives {got:.17g} {where}, the function {expected:.17g}"
        )
        raise TraceError(*compiled.rounds or (text, defining_line(compiled.loss)))
