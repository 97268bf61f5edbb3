"""The same check for other samples, other layouts and other parameters.

Real bugs hide at default values: a bias gradient that is right for one sample only, a
factor gamma that is 1 when training starts, an array read as if it were contiguous. A
check of one point passes them all. Here it is repeated with what users vary.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._arguments import function, generator, refusal
from fastgrad._arrays import AnyArray
from fastgrad._public import public
from fastgrad.checking.audit import ConstantLossError
from fastgrad.checking.check import check_gradient
from fastgrad.checking.coverage import check_coverage
from fastgrad.checking.metamorphic import (
    Arguments,
    Function,
    Samples,
    data_arrays,
    find_identities,
    has_orders,
    nearby,
    other_order,
    spread_out,
    unchanged,
)
from fastgrad.losses import OF_LOSS, Reduction, blas_threads, global_generator_kept
from fastgrad.params import Nest, Vector, claimed
from fastgrad.reports import (
    AS_GIVEN,
    GradientReport,
    Identity,
    Outcome,
    Variation,
    VariationReport,
    described,
)

_SIZES = (1, 2, 3)
_NAMES = {
    *(f"a batch of {size}" for size in _SIZES),
    "samples reordered",
    "samples duplicated",
    "data in another order",
    "data not contiguous",
    "parameters in another order",
    "parameters not contiguous",
    "parameters off their defaults",
    "other parameters",
}
# Causes after which a gradient is not a function that identities could be about.
_NO_FUNCTION = {"nondeterministic", "accumulation", "nonfinite"}


@public
def check_variations(
    loss: Any,
    params: Any,
    grads: Any = None,
    data: Sequence[Any] = (),
    *,
    axis: int | Sequence[int | None] = 0,
    per_sample: Mapping[str, int] | None = None,
    variations: Iterable[str] | None = None,
    rtol: float | None = None,
    coverage: str | int = "full",
    reduction: str | None = None,
    engine: str = "auto",
    num_threads: int | None = None,
    seed: int = 0,
) -> VariationReport:
    """Check a gradient for other samples, other layouts and other parameters too.

    Parameters
    ----------
    loss : callable
        ``loss(params, *data)`` returns what the loss of `check_gradient` may return.
    params : array or nest of arrays
        As for `check_gradient`.
    grads : callable, optional
        ``grads(params, *data)`` returns the gradient in the structure of `params`. Left
        out when `loss` returns it too. `layer_loss` makes both from a layer.
    data : tuple
        The other arguments: arrays, nests of arrays, or anything else, which is passed
        on as it is. Without samples in it only layouts and parameters are varied.
    axis : int or sequence of (int or None)
        The axis of the samples: 0 for ``(samples, features)``, -1 for ``(features,
        samples)``. All arrays that have it hold samples. Or one for each member of
        `data`, None for those that hold none.
    per_sample : mapping of str to int, optional
        Blocks of `params` that hold samples too, and along which axis: the input of a
        layer, ``{"x": 0}``.
    variations : iterable of str, optional
        The names of those to check, of the ones below; all by default. None of them
        leaves the check as given, and the identities.
    rtol, coverage, reduction, engine, num_threads, seed
        As for `check_gradient`.

    Returns
    -------
    VariationReport
        True if all is right; print it. A mapping from the names of the variations to
        their `GradientReport`.

    Raises
    ------
    TypeError, ValueError
        As `check_gradient`, for the arguments as given, and if `grads` is not callable,
        or `axis`, `per_sample` or `variations` do not fit. What a function raises with
        the arguments as given is let through; what it raises in a variation is a
        finding, and kept in the report.

    Notes
    -----
    The variations, each a whole `check_gradient`, where they make a difference:

    - ``a batch of 1``, ``a batch of 2``, ``a batch of 3``, of the samples there are (of
      a single sample, only itself duplicated);
    - ``samples reordered``, ``samples duplicated``;
    - ``data in another order``: Fortran order, or C order if it was that;
      ``data not contiguous``: every other element of a larger array, with nan between;
    - ``parameters in another order``, ``parameters not contiguous``;
    - ``parameters off their defaults``: blocks of ones (gamma) and of zeros (beta,
      biases) drawn at random;
    - ``other parameters``, each up to a third from where it was.

    Then the identities that the loss obeys, seen from its values, and that the gradient
    must obey: see ``docs/variations.md``. They need no differences, so they also hold
    for float32 and for very many parameters.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 1.0]]), np.array([1.0, 0, 2])
    >>> params = {"w": np.array([0.5, -0.3]), "b": np.array([0.1])}
    >>> def loss(p, X, y):
    ...     return np.mean((X @ p["w"] + p["b"] - y) ** 2)
    >>> def grads(p, X, y):
    ...     error = 2 / 3 * (X @ p["w"] + p["b"] - y)  # the batch it was written for
    ...     return {"w": error @ X, "b": error.sum(keepdims=True)}
    >>> report = check_variations(loss, params, grads, (X, y))
    >>> print(report.summary)
    Gradient WRONG: wrong only with a batch of 1, a batch of 2 and samples duplicated; \
4 of 6 identities of the loss broken.
    >>> report["a batch of 1"].verdict
    'wrong'
    """
    started = time.perf_counter()
    if grads is not None and not callable(grads):
        must = "be a function of parameters and data, as it is called with others"
        raise refusal(TypeError, "grads", must, grads)
    wanted = _chosen(variations)
    function("loss", loss)
    check_coverage(coverage)
    nest = Nest(params)
    samples = Samples(nest, data, axis, per_sample)
    rng = generator("seed", seed)
    options = dict(rtol=rtol, coverage=coverage, reduction=reduction, seed=seed)
    options |= dict(engine=engine, num_threads=num_threads)
    with ExitStack() as stack:
        stack.enter_context(global_generator_kept())
        stack.enter_context(blas_threads())
        stack.enter_context(_restored(nest))
        with unchanged(samples.arguments.data):
            first = _check(loss, grads, samples.arguments, options)
        found = [_of_report(AS_GIVEN, first)]
        for case in _plan(samples, rng):
            if case.name in wanted:
                found.append(_run(loss, grads, nest, case, options))
        identities: tuple[Identity, ...] = ()
        if not ({cause.code for cause in first.causes} & _NO_FUNCTION or nest.shared):
            function_of = Function(loss, grads, samples, rtol=rtol, reduction=reduction)
            with unchanged(samples.arguments.data), function_of as f:
                identities = find_identities(f, rng)
    seconds = time.perf_counter() - started
    return VariationReport(tuple(found), identities, seconds)


@dataclass(frozen=True)
class _Case:
    """One variation: other arguments, or other values in the parameters.

    Attributes
    ----------
    name : str
    arguments : Arguments
        With which the functions are called.
    theta : ndarray of float64, optional
        What is written into the parameters meanwhile.
    defined : bool
        Whether the loss, defined as given, has to be defined here.
    finite : bool
        Whether, finite as given, it has to be finite here.
    """

    name: str
    arguments: Arguments
    theta: Vector | None = None
    defined: bool = True
    finite: bool = False


def _plan(samples: Samples, rng: np.random.Generator) -> Iterator[_Case]:
    """Yield the variations that make a difference."""
    yield from _batches(samples)
    yield from _layouts("data", data_arrays(samples.arguments.data), samples)
    if not samples.nest.shared:  # copies of shared memory would not be shared
        yield from _layouts("parameters", samples.nest.leaves, samples)
    nest, own = samples.nest, samples.arguments
    theta = nest.join(nest.leaves)
    drawn = _off_defaults(nest, theta, rng)
    if not np.array_equal(drawn, theta):
        yield _Case("parameters off their defaults", own, drawn, defined=False)
    yield _Case("other parameters", own, nearby(nest, theta, rng), defined=False)


def _batches(samples: Samples) -> Iterator[_Case]:
    m = samples.count
    every = np.arange(m)
    for size in _SIZES if m > 1 else ():
        if size != m:  # three of two samples: one of them twice
            some = samples.take(np.arange(size) % m)
            yield _Case(f"a batch of {size}", some, defined=size < m)
    if m > 1:
        yield _Case("samples reordered", samples.take(every[::-1]))
    if m:
        twice = samples.take(np.concatenate([every, every]))
        yield _Case("samples duplicated", twice, defined=False)


def _layouts(what: str, arrays: list[AnyArray], samples: Samples) -> Iterator[_Case]:
    if any(map(has_orders, arrays)):
        other = samples.copied(what, other_order)
        yield _Case(f"{what} in another order", other, finite=True)
    if any(array.ndim for array in arrays):
        spread = samples.copied(what, spread_out)
        yield _Case(f"{what} not contiguous", spread, finite=True)


def _off_defaults(nest: Nest, theta: Vector, rng: np.random.Generator) -> Vector:
    """Return the parameters with blocks of ones and of zeros drawn at random."""
    drawn = theta.copy()
    for part in nest.split(drawn):
        if np.all(part == 1):
            part[...] = rng.uniform(0.5, 1.5, part.shape)
        elif np.all(part == 0):
            part[...] = 0.5 * rng.standard_normal(part.shape)
    return drawn


def _chosen(variations: Iterable[str] | None) -> set[str]:
    if variations is None:
        return _NAMES
    must = f"be some of {sorted(_NAMES)}"
    try:
        names = None if isinstance(variations, str) else list(variations)
    except TypeError:  # a number, or an array without axes
        names = None
    if names is None:
        raise refusal(TypeError, "variations", must, variations)
    for name in names:
        if not isinstance(name, str) or name not in _NAMES:
            raise refusal(ValueError, "variations", must, name)
    return set(names)


def _run(
    loss: Any, grads: Any, nest: Nest, case: _Case, options: dict[str, Any]
) -> Variation:
    """Check one variation; whatever is raised there is part of what was found."""
    name, (params, data) = case.name, case.arguments
    with _restored(nest), np.errstate(all="ignore"):
        if case.theta is not None:
            for leaf, part in zip(nest.leaves, nest.split(case.theta), strict=True):
                leaf[...] = part
        try:
            with unchanged(data):
                value = Reduction(options["reduction"]).value(
                    _loss_at(loss, params, data)
                )
                if not np.isfinite(value).all():
                    return _not_finite(case)
                report = _check(loss, grads, case.arguments, options)
        except ConstantLossError:
            why = "the loss does not depend on the parameters"
            return Variation(name, "skipped", detail=why)
        except Exception as error:
            skip = not case.defined and _is_of_loss(error)
            outcome: Outcome = "skipped" if skip else "raises"
            return Variation(name, outcome, error=error, detail=described(error))
    return _of_report(name, report)


def _loss_at(loss: Any, params: Any, data: tuple[Any, ...]) -> Any:
    try:
        return loss(params, *data)
    except Exception as error:
        error.add_note(f"{OF_LOSS} in a variation.")
        raise


def _is_of_loss(error: Exception) -> bool:
    return any(note.startswith(OF_LOSS) for note in getattr(error, "__notes__", ()))


def _not_finite(case: _Case) -> Variation:
    if case.finite:
        why = "the loss is not finite: it reads memory as it is not laid out"
        return Variation(case.name, "wrong", detail=why)
    return Variation(case.name, "skipped", detail="the loss is not finite")


def _of_report(name: str, report: GradientReport) -> Variation:
    """Return what a report says about a variation."""
    if report.causes:
        cause = report.causes[0]
        where = f" ({', '.join(cause.blocks)})" if cause.blocks else ""
        return Variation(name, report.verdict, report, detail=f"{cause.code}{where}")
    counted = sum(block.undecided for block in report.blocks)
    if report.verdict == "undecided" and not counted:
        why = "no entry has an influence on the loss"
        return Variation(name, "skipped", report, detail=why)
    return Variation(name, report.verdict, report)


def _check(
    loss: Any, grads: Any, arguments: Arguments, options: dict[str, Any]
) -> GradientReport:
    """Check the gradient with these arguments."""
    params, data = arguments

    def bound_loss(params: Any) -> Any:
        return loss(params, *data)

    def bound_grads(params: Any) -> Any:
        return grads(params, *data)

    return check_gradient(
        bound_loss, params, None if grads is None else bound_grads, **options
    )


@contextmanager
def _restored(nest: Nest) -> Iterator[None]:
    """Put back the parameters, which no other thread moves meanwhile."""
    with claimed(nest.structure):
        saved = nest.snapshot()
        try:
            yield
        finally:
            nest.restore(saved)
