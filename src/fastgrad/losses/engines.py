"""Which way a loss is computed: the one asked for, or the fastest that works."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

from fastgrad._arguments import (
    choice,
    executor,
    flag,
    function,
    number,
    refusal,
    with_arguments,
)
from fastgrad._public import public
from fastgrad._threads import resolve_num_threads
from fastgrad.losses.batched import batched_losses
from fastgrad.losses.blas import blas_threads
from fastgrad.losses.bounded import BoundedLosses
from fastgrad.losses.callback import CallbackLosses
from fastgrad.losses.interface import Losses, refuse_shared
from fastgrad.losses.program import OUT_OF_MEMORY, CompiledLosses
from fastgrad.losses.progress import Progress
from fastgrad.losses.proof import compile_losses
from fastgrad.losses.python import PythonLosses
from fastgrad.losses.randomness import global_generator_kept
from fastgrad.losses.remedies import remedy
from fastgrad.losses.vectorized import VectorizedLosses
from fastgrad.losses.workers import SentProgram, WorkersLosses
from fastgrad.losses.worth import patience, pays, savings
from fastgrad.params import Nest, claimed, limits
from fastgrad.program import Program, TakesTooLong, TraceError

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: Seconds that one trace may take if it is made to name a cause.
_OF_A_CAUSE = 0.5
_SHORT = 5e-3  # seconds of a call, in which threads of BLAS save little

_ENGINES = ("auto", "compiled", "callback", "vectorized", "python", "workers")


class Options(TypedDict, total=False):
    """How a loss is computed, see `make_losses`, whose keyword arguments these are."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] | None
    blocks: Sequence[str] | None
    bounds: Any
    engine: str
    reduction: str | None
    vectorized: bool
    workers: "Executor | None"
    num_threads: int | None
    progress: bool | None
    nondet_rtol: float


@contextmanager
def make_losses(
    loss: Any,
    params: Any,
    *,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    blocks: Sequence[str] | None = None,
    bounds: Any = None,
    engine: str = "auto",
    reduction: str | None = None,
    vectorized: bool = False,
    workers: "Executor | None" = None,
    num_threads: int | None = None,
    progress: bool | None = None,
    nondet_rtol: float = 0.0,
) -> Iterator[Losses]:
    """Open the fastest `Losses` that can compute `loss`.

    Parameters
    ----------
    loss : callable or scipy.LowLevelCallable
        ``loss(params)``, see `fastgrad.check_gradient`.
    params : nest of arrays
        Where to evaluate; see `fastgrad.params.nest.Nest`.
    args, kwargs : tuple, dict
        What else `loss` takes.
    blocks : sequence of str, optional
        Only these are parameters, see `Nest`.
    bounds : (lower, upper), optional
        `loss` is never evaluated outside, see `fastgrad.params.bounds.limits`.
    engine : {"auto", "compiled", "callback", "vectorized", "python", "workers"}
        ``"auto"`` takes the fastest that works.
    reduction : {None, "mean", "sum"}
        For losses that return one loss per sample.
    vectorized : bool
        `loss` takes stacked parameters and returns as many losses.
    workers : concurrent.futures.Executor, optional
        Calls the Python function in the executor's workers; with ``"compiled"`` they
        replay the program.
    num_threads : int, optional
        For compiled losses.
    progress : bool, optional
        None shows a bar on a terminal when it takes more than a second.
    nondet_rtol : float
        How much `loss` may differ, relatively, from call to call.

    Yields
    ------
    Losses
        On leaving the ``with`` statement the parameters are restored. Until then other
        threads that ask for losses of the same arrays wait.

    Raises
    ------
    TypeError, ValueError
        If the arguments contradict each other, the parameters are refused by `Nest`,
        or what the loss returns at `params` is not a finite loss.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.array([1.0, 2.0])
    >>> with make_losses(lambda w: (w**2).sum(), W, engine="python") as losses:
    ...     losses.at_entries([0, 1], [1.5, 3.0])[0]
    array([1.25, 5.  ])
    """
    engine = _choose_engine(loss, engine, vectorized, workers)
    num_threads = resolve_num_threads(num_threads)
    number("nondet_rtol", nondet_rtol, least=0)
    one = engine in ("auto", "compiled") and workers is None
    with (
        claimed(params),
        global_generator_kept(),
        blas_threads(one=one) as give_back,
    ):
        losses = _make(
            with_arguments(loss, args, kwargs),
            Nest(params, blocks=blocks),
            bounds,
            Progress(progress),
            engine,
            reduction,
            workers,
            num_threads,
            give_back,
        )
        losses.nondet_rtol = nondet_rtol
        with losses:
            yield losses


@public
def trace(
    loss: Callable[[Any], Any], params: Any, *, reduction: str | None = None
) -> Program:
    """Record a loss written in NumPy as a program.

    The loss is called with arrays that record what NumPy is asked to do. The program is
    handed out once it has proved to be the loss, as `check_gradient` asks for: traced
    next to `params` it gives the loss at `params` to the last digits, or else is the
    same program, with the same constants, when it is traced there again; and it gives
    what the function gives at points that move every block alone.

    Parameters
    ----------
    loss : callable
        ``loss(params)`` returns a number, or an array of per-sample losses with
        `reduction`, or ``(loss, grads)``.
    params : array or nest of arrays
        Where to trace: any nest of dicts, lists, tuples and dataclasses.
    reduction : {"mean", "sum"}, optional
        How an array of per-sample losses becomes one number.

    Returns
    -------
    Program
        Replays the loss with entries of `params` perturbed; computes in float64.

    Raises
    ------
    TraceError
        If the loss does something that cannot be traced, or the program is not the
        function: it says what and where.
    TypeError, ValueError
        If `params` or what the loss returns there make no sense, see `check_gradient`.

    Notes
    -----
    One trace or two, and about two evaluations of the loss for each block of
    parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgrad as fg
    >>> x = np.ones((3, 5))
    >>> program = fg.trace(lambda p: np.tanh(p["W"] @ x).sum(), {"W": np.eye(4, 3)})
    >>> len(program.operations)
    3
    >>> round(program.value, 6)
    11.423912
    """
    if not callable(loss):
        raise refusal(TypeError, "loss", "be callable", loss)
    with make_losses(loss, params, engine="python", reduction=reduction) as python:
        return compile_losses(python, None, sharing=False).program


def as_program(losses: Losses) -> Program | None:
    """Return the loss as a program: traced for the purpose where none is at hand.

    None where it cannot be traced, not within a time that a cause is worth, or is not
    one function, of this process.
    """
    if not losses.joint:
        return None
    if losses.program is not None or losses.fallback is not None or losses.untraceable:
        return losses.program  # type: ignore[no-any-return]
    function = losses.function or losses
    if function.engine != "python":
        return None
    try:
        seconds = max(patience(savings(function)), _OF_A_CAUSE)
        program = compile_losses(function, 1, seconds=seconds).program
    except (TraceError, TakesTooLong):
        losses.untraceable = True
        return None
    finally:
        losses.restore()
    if function is losses:
        losses.program = program
    return program


def _make(
    loss: Any,
    nest: Nest,
    bounds: Any,
    progress: Progress,
    engine: str,
    reduction: str | None,
    workers: "Executor | None",
    num_threads: int,
    give_back: Callable[[], bool],
) -> Losses:
    sides = None if bounds is None else limits(nest, bounds)

    def bounded(losses: Losses) -> Losses:
        return losses if sides is None else BoundedLosses(losses, *sides)

    if engine == "callback":
        return bounded(CallbackLosses(loss, nest, progress, num_threads))
    if workers is not None or engine == "vectorized":
        refuse_shared(nest, engine if workers is None else "workers")
    if engine == "vectorized":
        return bounded(VectorizedLosses(loss, nest, progress, reduction))
    python = PythonLosses(loss, nest, progress, reduction)
    if python.seconds >= _SHORT and give_back():
        python.open()
    if workers is not None:
        build = partial(PythonLosses, loss, reduction=reduction)
        sent = bounded(WorkersLosses(python, build, workers, python.seconds))
        if engine == "workers":
            return sent
        return bounded(_in_workers(bounded(python), sent, workers))
    losses = bounded(python)
    if engine == "python":
        return losses
    compiled = _compiled(losses, engine, num_threads)
    if compiled.engine != "compiled" and give_back():
        compiled.open()
    return compiled if compiled is losses else bounded(compiled)


def _in_workers(python: Losses, sent: Losses, workers: "Executor") -> Losses:
    """Return the loss traced, its program replayed by workers, the rest `sent`."""
    losses = _compiled(python, "compiled", 1)
    assert isinstance(losses, CompiledLosses)
    losses.here = sent
    losses.replay = sent_program = SentProgram(losses.program, workers, 1)
    losses.elsewhere = sent_program.size
    return losses


def _compiled(python: Losses, engine: str, num_threads: int) -> Losses:
    """Return the loss traced, or, where `engine` leaves the choice, as it is."""
    losses: Losses = python
    saved = savings(python) if engine == "auto" else math.inf
    try:
        losses = compiled = compile_losses(
            python, num_threads, seconds=patience(saved), saved=saved
        )
        if compiled.asks_the_function:
            compiled.here = batched_losses(python)
        if engine == "auto" and not pays(compiled):
            losses = compiled.here
            losses.program = compiled.program  # names causes nevertheless
    except TakesTooLong:
        losses = batched_losses(python)
    except TraceError as error:
        if engine == "compiled":
            raise ValueError(
                f'`engine="compiled"` needs a loss that can be traced: {error}. '
                f"Instead: {remedy(error.reason)}."
            ) from error
        python.fallback = f"{error}; instead: {remedy(error.reason)}"
        losses = batched_losses(python)
    except MemoryError:
        if engine == "compiled":
            raise
        python.fallback = OUT_OF_MEMORY
    finally:
        python.restore()
    losses.evaluations = max(python.evaluations, losses.evaluations)
    return losses


def _choose_engine(
    loss: Any, engine: str, vectorized: bool, workers: "Executor | None"
) -> str:
    """Return the engine the arguments ask for, "auto" if they leave it open."""
    choice("engine", engine, _ENGINES)
    flag("vectorized", vectorized)
    if not _is_low_level(loss):
        function("loss", loss)
    executor("workers", workers)
    asked = {
        "callback": _is_low_level(loss),
        "vectorized": vectorized,
        "workers": workers is not None,
    }
    implied = [name for name, wanted in asked.items() if wanted]
    if implied == ["workers"] and engine == "compiled":
        return engine
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
