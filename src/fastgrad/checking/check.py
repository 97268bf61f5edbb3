"""The gradient check: the one story, told in order."""

import dataclasses
import time
from typing import Any, Unpack

import numpy as np

from fastgrad._arguments import generator, with_arguments
from fastgrad._arrays import Index
from fastgrad._memory import refuse_too_large
from fastgrad._public import public_with
from fastgrad.checking.audit import audit_gradients, audit_loss, concluded, unchecked
from fastgrad.checking.complexes import (
    are_complex,
    gradient_of_parts,
    in_parts,
    of_parts,
    refuse_for_complex,
)
from fastgrad.checking.conclusions import explained, summarize, summarize_search
from fastgrad.checking.coverage import check_coverage, covered
from fastgrad.checking.differences import (
    Calibration,
    Every,
    Given,
    calibrate,
    check_method,
    engine_for,
    evaluations_of,
    has_one_course,
    refuse_lost_step,
)
from fastgrad.checking.directions import (
    first_disagreement,
    first_disagreement_along,
    locate,
    refuse_formula,
)
from fastgrad.checking.judgement import (
    Gradient,
    Verdicts,
    check_rtol,
    judge,
    rounding_of_inverses,
)
from fastgrad.losses import Losses, Options, make_losses
from fastgrad.params import with_own_leaves
from fastgrad.reports import GradientReport

# Bytes for each entry: what is found about it, and its share of the gradient and of the
# report.
_KEPT, _KEPT_ALWAYS = 52, 40

_BOTH = (
    "each evaluation computed the gradient too, as `loss` returns both: one that "
    "returns the loss alone, with `grads=`, is checked faster"
)

# Looking for the cause takes no longer than this share of the check, or this time.
_SHARE, _SECONDS = 0.2, 2.0


@public_with(make_losses)
def check_gradient(
    loss: Any,
    params: Any,
    grads: Any = None,
    *,
    rtol: float | None = None,
    step: Any = None,
    method: str = "auto",
    coverage: str | int = "full",
    seed: int = 0,
    **options: Unpack[Options],
) -> GradientReport:
    """Check a gradient: is it wrong, where, and why.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args, **kwargs)`` returns the loss; or an array of per-sample
        losses, with `reduction`; or ``(loss, grads)``. It may read the arrays of
        `params` wherever they are, instead of its argument: they are moved in place.
    params : array or nest of arrays
        Dicts, lists, tuples, named tuples and dataclasses of float64, float32 or
        float16 arrays. They are bit for bit what they were after every exit. Complex
        arrays have blocks with a last axis for real and imaginary part, and a gradient
        dL/dRe + i dL/dIm, as torch's; `loss` must read them from its argument.
    grads : nest of arrays or callable, optional
        The gradient in the structure of `params`, or a function that takes what
        `loss` takes and returns it. Left out when `loss` returns it too.
    args, kwargs : tuple, dict
        What else `loss` and `grads` take.
    blocks : sequence of str, optional
        Names of the blocks to check, or patterns as of files, ``["W1", "b*"]``. The
        other leaves of `params` may be anything and are left alone; the gradient need
        not have them.
    bounds : (lower, upper), optional
        Numbers, or built like `params`; None is no bound. `loss` is never evaluated
        outside: at a bound differences are one-sided, of the same order.
    rtol : float, optional
        A relative difference that does not matter, besides the measured error bar. By
        default 1e-6 for float64 gradients, 1e-3 for float32 and 3e-2 for float16; 4e-10
        for float64 where differences are exact.
    step : float or nest of floats and arrays, optional
        The absolute step, for every entry or built like `params`; chosen for each block
        by default.
    method : {"auto", "central", "forward", "backward", "complex", "ridders"}
        The difference formula, see `numerical_gradient`. Suspects are always tried
        again with a ladder of central steps.
    coverage : {"full", "locate"} or int
        Every entry; or so many random entries of each block; or random directions
        in each block and, where these differ, a search for the wrong entries; it
        chooses its own steps, so `step` and other methods are refused.
    reduction : {None, "mean", "sum"}
        How an array of losses makes one loss. Differences are then taken per sample,
        before they are summed, which keeps many digits.
    engine : {"auto", "compiled", "callback", "vectorized", "python", "workers"}
        How losses are computed; by default the fastest way that works.
    vectorized : bool
        `loss` takes parameters with a leading axis of K sets and returns K losses.
    workers : concurrent.futures.Executor, optional
        Calls the Python function in its workers, which are sent it once; with
        ``engine="compiled"`` they replay its program.
    num_threads : int, optional
        For compiled losses.
    seed : int
        Of everything random here. NumPy's global state is never touched.
    progress : bool, optional
        None shows a bar on a terminal when the check takes more than a second.
    nondet_rtol : float
        How much loss and gradient may differ, relatively, between calls at the same
        parameters, as sums on a GPU do. That noise is measured as any other is; what
        the gradient may be off by is `rtol`.

    Returns
    -------
    GradientReport
        True if the verdict is "correct"; print it.

    Raises
    ------
    TypeError, ValueError
        If the call makes no sense: parameters that are not floating point arrays or
        not finite, gradients of another structure or shape, a loss that is not a finite
        number, that changes its parameters, or that ignores them, unknown options. A
        wrong gradient raises nothing.

    Notes
    -----
    One evaluation per entry where the loss is compiled and its differences are exact,
    two otherwise; about 30 more for each of a few entries per block on which noise and
    curvature of the loss are measured, 20 to 60 for each suspect, and two along a
    random direction or, where these do not settle it, 20 for each of at most eight.
    What the verdicts mean and how they are reached is described in
    ``docs/verdict.md``.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 7.0])
    >>> def loss(p):
    ...     return np.mean((p["w"] * x + p["b"] - y) ** 2)
    >>> def grads(p):
    ...     error = p["w"] * x + p["b"] - y
    ...     return {"w": np.mean(2 * error * x), "b": np.mean(error)}  # no factor 2
    >>> report = check_gradient(loss, {"w": 0.5, "b": 0.1}, grads)
    >>> report.verdict, [entry.name for entry in report.wrong]
    ('wrong', ['b'])

    Sums on a GPU come in another order in every call:

    >>> noise = np.random.default_rng(0)
    >>> def on_gpu(p):
    ...     return loss(p) * (1 + 1e-13 * noise.standard_normal())
    >>> check_gradient(on_gpu, {"w": 0.5, "b": 0.1}, grads).verdict
    'undecided'
    >>> check_gradient(on_gpu, {"w": 0.5, "b": 0.1}, grads, nondet_rtol=1e-12).verdict
    'wrong'
    """
    started = time.perf_counter()
    method, rng = check_method(method, step), generator("seed", seed)
    check_rtol(rtol)
    coverage = check_coverage(coverage)
    if coverage == "locate":
        refuse_formula(method, step, options.get("bounds"))
    grads = _as_given(grads, options)
    options["engine"] = engine_for(method, options.get("engine", "auto"))
    if are_complex(params):
        refuse_for_complex(method, options)
        loss = of_parts(loss, params)
        grads = None if grads is None else gradient_of_parts(grads, params)
        params = in_parts(params, params, "params")
    with make_losses(loss, params, **options) as losses:
        _refuse_too_large(losses, coverage)
        arrays, findings = audit_gradients(grads, losses)
        gradient = Gradient.of(arrays, rtol, losses.nest.leaves)
        arrays = losses.nest.split(gradient.value)  # copies of it are not kept
        grads = grads if callable(grads) else None
        losses.forgive((Exception,))  # the report says so
        about_loss = audit_loss(losses, seed=seed)
        index = covered(losses, coverage, gradient, rng)
        steps = Given.of(losses.nest, step)
        if steps is not None and method != "complex":
            refuse_lost_step(losses, index, steps)
        if about_loss:
            report = unchecked(losses, arrays, [*findings, *about_loss])
        else:
            if coverage == "locate":
                losses, entries, report = _located(losses, options, gradient, rng)
            else:
                given = (method, steps, gradient, index, rng)
                losses, entries, report = _entry_by_entry(losses, options, *given)
            seconds = max(_SECONDS, _SHARE * (time.perf_counter() - started))
            of = (losses, gradient, entries, grads)
            report = concluded(explained(report, findings, *of, seconds), findings)
    return _with_costs(report, losses, started)


def _as_given(grads: Any, options: Options) -> Any:
    """The gradient under test: as a function of the parameters, or as arrays."""
    if callable(grads):
        return with_arguments(grads, options.get("args", ()), options.get("kwargs"))
    # The loss may write into the arrays.
    return None if grads is None else with_own_leaves(grads)


@np.errstate(all="ignore")  # where numbers overflow they are not known
def _entry_by_entry(
    losses: Losses,
    options: Options,
    method: str,
    step: Given | None,
    gradient: Gradient,
    index: Index | Every,
    rng: np.random.Generator,
) -> tuple[Losses, Verdicts, GradientReport]:
    """Return how entries were measured, by which losses, and what that makes of them.

    By the user's function, should its slopes be others than those of the program.
    """
    if losses.engine != "compiled":  # few at once say nothing of many
        _say_how_long(losses, len(index), method)
    given = (method, step, gradient, index, rng)
    calibration, entries = _measured(losses, *given)
    losses.let_go()
    block = first_disagreement(losses, entries, calibration, rng)
    if block is not None:
        losses = _function_of(losses, block, options["engine"])
        calibration, entries = _measured(losses, *given)
    return losses, entries, summarize(losses, entries, calibration)


@np.errstate(all="ignore")
def _located(
    losses: Losses, options: Options, gradient: Gradient, rng: np.random.Generator
) -> tuple[Losses, Verdicts, GradientReport]:
    """Return the same for entries that are searched for along random directions."""
    searches, entries, calibration = locate(losses, gradient, rng)
    block = first_disagreement_along(losses, searches, calibration, rng)
    if block is not None:
        losses = _function_of(losses, block, options["engine"])
        searches, entries, calibration = locate(losses, gradient, rng)
    report = summarize_search(losses, searches, entries, calibration)
    return losses, entries, report


def _measured(
    losses: Losses,
    method: str,
    step: Given | None,
    gradient: Gradient,
    index: Index | Every,
    rng: np.random.Generator,
) -> tuple[Calibration, Verdicts]:
    """Return how entries were measured, and what that makes of them."""
    calibration = calibrate(losses, rng, method=method, step=step)
    if losses.engine == "compiled":
        _say_how_long(losses, len(index), calibration.method)
    if calibration.method == "exact" and has_one_course(losses):
        gradient = gradient.to_the_last_digits(rounding_of_inverses(losses))
    return calibration, judge(losses, calibration, gradient, index, rng)


def _function_of(losses: Losses, block: str, engine: str) -> Losses:
    """Return the user's function in place of a program that is another one."""
    why = (
        f"the traced program and the function have other slopes along a random "
        f"direction through {block}"
    )
    if engine == "compiled":
        raise ValueError(f'`engine="compiled"` needs a loss that can be traced: {why}.')
    function = losses.function
    assert function is not None
    function.evaluations += losses.evaluations
    function.fallback = why
    return function


def _with_costs(
    report: GradientReport, losses: Losses, started: float
) -> GradientReport:
    """Return the report with what the check has cost, and what would have cost less."""
    notes = report.notes
    if losses.returns_grads and losses.engine in ("python", "workers"):
        notes = (*notes, _BOTH)
    if elsewhere := getattr(losses, "elsewhere", 0):
        notes = (*notes, f"the program was replayed by {elsewhere} workers")
    return dataclasses.replace(
        report,
        notes=notes,
        evaluations=losses.evaluations,
        guarded=getattr(losses, "guarded", 0),
        python_operations=losses.python_operations,
        seconds=time.perf_counter() - started,
    )


def _say_how_long(losses: Losses, entries: int, method: str) -> None:
    """Have it said, before long, how long the check will take and what is cheaper."""
    of_block = max(np.diff(losses.nest.offsets))
    cheaper = []
    if entries > 100 * len(losses.nest.names) and of_block > 100:
        cheaper.append("`coverage=100` checks 100 entries of each block")
    cheaper.append('`coverage="locate"` looks along random directions')
    if losses.engine == "python":
        cheaper.append("`workers=` takes an executor")
        if losses.returns_grads:
            cheaper.append("a `loss` that does not compute its gradient too")
    losses.progress.plan(
        evaluations_of(method) * entries,
        f"Cheaper: {'; '.join(cheaper)}. `progress=False` says nothing.",
    )


def _refuse_too_large(losses: Losses, coverage: str | int) -> None:
    """Raise MemoryError before anything is measured that cannot be kept."""
    size = losses.nest.size
    instead = "check block by block, by `blocks=`"
    if coverage == "full":
        instead = f"pass `coverage=100`, or {instead}"
    what = f"a check of {size:,} entries"
    refuse_too_large(planned(size, coverage), what, instead)


def planned(size: int, coverage: str | int) -> float:
    """Return the bytes that a check of so many parameters takes beside these.

    Where the loss computes fewer numbers than there are parameters.
    """
    return float(size) * (_KEPT if coverage == "full" else _KEPT_ALWAYS)
