"""Is there anything to check? What is looked at before the first difference.

A loss that is random, or that remembers its calls, has no gradient to compare with; a
loss that does not look at its parameters has a trivial one; a gradient callable that
adds to what it returned last time is wrong whatever its first result is. Calls that
make no sense raise; the rest are findings, which become the causes of a report.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fastgrad._arguments import refusal, refuse_other_arguments
from fastgrad._arrays import AnyArray
from fastgrad.checking.audit.generators import Generators
from fastgrad.checking.jacobians import Outputs
from fastgrad.checking.judgement import ROUNDINGS
from fastgrad.losses import Losses, grads_of
from fastgrad.params import Nest, Vector
from fastgrad.reports import Block, Blocks, Cause, GradientReport, Verdict

# Calls by which what is left from the calls before, and fades from one to the next, is
# told from what is random.
_MORE_CALLS = 7
# Calls of what drew random numbers, and yet returned the same: few have few outcomes.
_DRAWS = 16
# Distances, in units of the parameters' own size, at which a loss must have changed.
_DISTANCES = (1e-4, -1e-4, 1.0, -0.45, 10.0)


class ConstantLossError(ValueError):
    """A loss does not depend on its parameters."""


@dataclass(frozen=True)
class Finding:
    """Something that decides the verdict before any comparison.

    Attributes
    ----------
    verdict : {"wrong", "undecided"}
        What the report has to say.
    cause : Cause
        Why.
    """

    verdict: Verdict
    cause: Cause


def audit_loss(losses: Losses, *, seed: int = 0) -> list[Finding]:
    """Return what is wrong with the loss itself.

    Costs 5 evaluations of a loss that is fit to be differentiated, and one where it was
    called elsewhere before.

    Parameters
    ----------
    losses : Losses
        Of the loss.
    seed : int
        Of the direction in which its dependence is tried.

    Returns
    -------
    list of Finding
        ``nondeterministic``, or nothing.

    Raises
    ------
    ConstantLossError
        A ValueError, if the loss does not depend on its parameters at all.

    Examples
    --------
    >>> from fastgrad.losses import make_losses
    >>> rng = np.random.default_rng(0)
    >>> loss = lambda w: (w * (rng.random(3) < 0.5)).sum()  # dropout
    >>> with make_losses(loss, np.ones(3), engine="python") as losses:
    ...     [finding] = audit_loss(losses)
    >>> finding.verdict, finding.cause.code
    ('undecided', 'nondeterministic')
    """
    random, responds = _randomness(losses, seed)
    if random is not None:
        return [random]
    if not responds:
        direction = _random_direction(losses.nest, losses.theta, seed)
        _refuse_constant(losses, direction)
    return []


def refuse_random(losses: Losses, seed: int = 0) -> None:
    """Raise ValueError if the loss returns something else in another call at theta."""
    random, _ = _randomness(losses, seed)
    if random is not None:
        raise ValueError(f"`loss` must be deterministic: {random.cause.message}")


def _randomness(losses: Losses, seed: int) -> tuple[Finding | None, bool]:
    """Return whether the loss is random, and whether it responds to its parameters.

    It is called at theta, elsewhere, and at theta again: one that remembers is noticed.
    """
    generators = Generators(losses.loss)
    drift, responds = [losses.repeat()], losses.responds
    if not responds:  # it was not called elsewhere yet
        direction = _random_direction(losses.nest, losses.theta, seed)
        responds = bool(_known(losses.along(direction, _DISTANCES[:2])).any())
        drift.append(losses.repeat())
    eps = max(float(np.finfo(dtype).eps) for dtype in losses.nest.dtypes)
    # Threads may sum in another order.
    allowed = max(ROUNDINGS * eps, losses.nondet_rtol) * abs(losses.base)
    if np.abs(drift).max() <= allowed and generators.moved():
        others = (losses.repeat() for _ in range(_DRAWS))
        drift += [next((other for other in others if abs(other) > allowed), 0.0)]
    if np.abs(drift).max() <= allowed:
        return None, responds
    return _nondeterministic(losses, drift, generators.moved()), responds


def random_outputs(outputs: Outputs) -> Finding | None:
    """Return whether a function of many outputs has others in another call at x."""
    generators = Generators(outputs.fun)
    usual = ROUNDINGS * outputs.eps * np.abs(outputs.at_x).max(initial=0.0)
    for _ in range(1 + _DRAWS):
        drift = outputs.at([outputs.x.copy()], 1)[0] - outputs.at_x
        if np.abs(drift).max(initial=0.0) > usual:
            break
        if not generators.moved():
            return None
    else:
        return None
    which = int(np.argmax(np.abs(drift)))
    message = (
        f"output {which} of `fun` was {outputs.at_x[which]:.9g} and "
        f"{outputs.at_x[which] + drift[which]:.9g} in two calls at the same `x`: "
        f"{_reason(generators.moved())}. Fix the mask or the seed"
    )
    return Finding("undecided", Cause("nondeterministic", (), message))


def audit_gradients(grads: Any, losses: Losses) -> tuple[list[AnyArray], list[Finding]]:
    """Return the analytic gradients and what is wrong with how they come about.

    To be called before the loss is evaluated anywhere but at theta, so that gradients
    which read what the loss has cached read it at theta.

    Parameters
    ----------
    grads : nest of arrays, callable or None
        As given to `check_gradient`, or a copy of that; None takes what the loss
        returns.
    losses : Losses
        Of the loss.

    Returns
    -------
    arrays : list of ndarray
        Copies, one per block.
    findings : list of Finding
        ``nonfinite``, ``accumulation``, ``stale``, ``nondeterministic``.

    Raises
    ------
    TypeError, ValueError
        If the structure or a shape differs from the parameters', there are no
        gradients, or the callable changes the parameters.
    """
    compute = _source_of_gradients(grads, losses)
    first = compute()
    findings = list(_nonfinite(losses.nest, first))
    if not findings and (grads is None or callable(grads)):
        generators = Generators(losses.loss if grads is None else grads)
        same = partial(_close, losses.nest, first, rtol=losses.nondet_rtol)
        other = compute()
        if same(other) and generators.moved():
            others = (compute() for _ in range(_DRAWS))
            other = next((one for one in others if not same(one)), other)
        if not same(other):
            calls = [first, other, *(compute() for _ in range(_MORE_CALLS))]
            findings.append(_unstable(losses.nest, calls, generators.moved()))
    return first, findings


def unchecked(
    losses: Losses, gradients: list[AnyArray], findings: list[Finding]
) -> GradientReport:
    """Return the report where the findings leave nothing to compare."""
    nest = losses.nest
    nan, analytic = nest.nowhere(), nest.unvector(nest.join(gradients))
    return GradientReport(
        verdict="undecided",
        relative_error=float("nan"),
        blocks=Blocks(
            Block(name, tuple(shape), "undecided", float("nan"), checked=0)
            for name, shape in zip(nest.names, nest.shapes, strict=True)
        ),
        causes=tuple(finding.cause for finding in findings),
        gradients=(nan, analytic, nan),
        evaluations=losses.evaluations,
        engine=losses.engine,
        threads=losses.num_threads,
        fallback=losses.fallback,
    )


def concluded(report: GradientReport, findings: list[Finding]) -> GradientReport:
    """Return the report with what the findings say about it."""
    for finding in findings:
        cause, verdict = finding.cause, finding.verdict
        blocks = tuple(
            dataclasses.replace(block, verdict=_worse(block.verdict, verdict))
            if block.name in cause.blocks
            else block
            for block in report.blocks
        )
        report = dataclasses.replace(
            report,
            verdict=_worse(report.verdict, verdict),
            blocks=Blocks(blocks),
            causes=(cause, *report.causes),
        )
    return report


def _worse(a: Verdict, b: Verdict) -> Verdict:
    return "wrong" if "wrong" in (a, b) else "undecided" if "undecided" in (a, b) else a


def _source_of_gradients(grads: Any, losses: Losses) -> Callable[[], list[AnyArray]]:
    """Return a function that computes the gradients afresh, at theta, as copies."""
    nest = losses.nest
    if grads is None and not losses.returns_grads:
        raise TypeError(
            "`grads` must be given, as `loss` does not return (loss, grads)."
        )

    def compute() -> list[AnyArray]:
        if grads is None:
            structure = grads_of(losses.evaluate())
        elif callable(grads):
            losses.evaluate()
            structure = _call_gradients(grads, nest)
        else:  # nobody else's
            return nest.flatten(grads, "grads")
        return [array.copy() for array in nest.flatten(structure, "grads")]

    return compute


def _call_gradients(grads: Callable[[Any], Any], nest: Nest) -> Any:
    snapshot = nest.snapshot()
    try:
        try:
            result = grads(nest.structure)
        except TypeError:
            refuse_other_arguments("grads", grads, nest.structure)
            raise
        change = nest.change_since(snapshot)
    finally:
        nest.restore(snapshot)
    if change is not None:
        raise ValueError(f"`grads` must not change the parameters, but it {change}.")
    if result is None:
        raise TypeError("`grads` returned None: is its `return` missing?")
    both = isinstance(result, tuple) and len(result) == 2
    if both and isinstance(nest.structure, np.ndarray):
        must = "return the gradient alone"
        hint = ": a `loss` that returns both needs no `grads`"
        raise refusal(TypeError, "grads", must, result, hint)
    return result


def _nonfinite(nest: Nest, grads: list[AnyArray]) -> Iterator[Finding]:
    bad = [
        start + np.flatnonzero(~np.isfinite(leaf))
        for start, leaf in zip(nest.offsets, grads, strict=False)
    ]
    blocks = tuple(name for name, own in zip(nest.names, bad, strict=True) if own.size)
    if blocks:
        index = np.concatenate(bad)
        block = nest.block_of(index[0])
        first = grads[block].reshape(-1)[index[0] - nest.offsets[block]]
        message = (
            f"entries that are not finite: {index.size:,}, the first "
            f"{nest.label(index[0])} = {float(first)}."
        )
        yield Finding("wrong", Cause("nonfinite", blocks, message))


def _unstable(
    nest: Nest, calls: list[list[AnyArray]], generators: list[str]
) -> Finding:
    """Return what it means that the gradients of several calls at theta differ."""
    steps = [
        [b - a for a, b in zip(one, other, strict=True)]
        for one, other in itertools.pairwise(calls)
    ]
    names = tuple(
        name for name, step in zip(nest.names, steps[0], strict=True) if np.any(step)
    )
    if _close(nest, steps[0], steps[1], 0.0):
        message = (
            "each call of `grads` adds the same again to what it returned before: "
            "set the gradients to zero at its start."
        )
        return Finding("wrong", Cause("accumulation", names, message))
    sizes = [float(np.linalg.norm(nest.join(step))) for step in steps]
    pairs = itertools.pairwise(sizes)
    if not generators and all(b <= a for a, b in pairs):
        message = (
            "each call of `grads` at the same parameters returns something else, less "
            "and less so: something is left over from the call before. Clear what "
            "`grads` keeps at its start."
        )
        return Finding("wrong", Cause("stale", names, message))
    message = (
        "`grads` returns another gradient in each call at the same parameters: "
        f"{_reason(generators)}."
    )
    return Finding("undecided", Cause("nondeterministic", names, message))


def _close(nest: Nest, a: list[AnyArray], b: list[AnyArray], rtol: float) -> bool:
    """Whether two gradients differ by no more than roundings, or what is allowed."""
    for dtype, one, other in zip(nest.dtypes, a, b, strict=True):
        kind = max(np.finfo(dtype).eps, np.finfo(np.result_type(one, dtype)).eps)
        scale = np.abs(one).max(initial=0.0)
        if not np.all(np.abs(other - one) <= max(1000 * kind, rtol) * scale):
            return False
    return True


def _nondeterministic(
    losses: Losses, drift: list[float], generators: list[str]
) -> Finding:
    values = ", ".join(f"{losses.base + change:.9g}" for change in (0.0, *drift))
    message = (
        f"`loss` returned {values} in calls at the same parameters: "
        f"{_reason(generators)}. Fix the mask or the seed, or evaluate the loss "
        "without it."
    )
    return Finding(
        "undecided", Cause("nondeterministic", tuple(losses.nest.names), message)
    )


def _reason(generators: list[str]) -> str:
    if generators:
        return f"it draws random numbers from {' and '.join(generators)}"
    return "it is random, as dropout is, or keeps a state between calls"


def _refuse_constant(losses: Losses, direction: Vector) -> None:
    # Away from zero, or half of the way there: beyond, the loss may be another.
    outward = np.copysign(direction, losses.theta)
    rises = (losses.along(outward, distance) for distance in _DISTANCES[2:])
    known = [rise for rise in map(_known, rises) if rise.size]
    if not known or np.any(known):  # it has no value elsewhere, or another
        return
    own = "needs those arrays themselves in `params`: writable, and not copies."
    if losses.engine in ("workers", "vectorized"):
        own = f"cannot be used with {losses.engine}, which hand it copies."
    raise ConstantLossError(
        f"`loss` must depend on `params`, but it returned {losses.base} for all that "
        f"were tried. A loss that reads arrays of its own {own}"
    )


def _known(rises: Vector) -> Vector:
    """Return those that are numbers."""
    known: Vector = rises[np.isfinite(rises)]
    return known


def _random_direction(nest: Nest, theta: Vector, seed: int) -> Vector:
    """Return a random direction, each entry of the size of its own.

    Short steps along it change no sign, so that they stay where logarithms are defined.
    """
    direction = np.random.default_rng(seed).uniform(-2, 2, nest.size)
    for block, part in zip(nest.split(theta), nest.split(direction), strict=True):
        size = np.asarray(np.abs(block))
        typical = float(size.mean()) if block.size else 0.0
        size[size == 0] = typical or 1.0
        part *= size
    return direction
