"""Identities that a right gradient obeys: no step, no truncation, any precision.

If some combination R of losses, at transformed parameters or samples, does not change
along a line, then the same combination of gradients is perpendicular to that line:

- The loss does not change when a constant is added to the logits, or a weight before a
  normalisation is multiplied by one: R is the loss itself, the line is the change.
- It does not change when samples are put in another order, is the same (a mean) or
  twice as large (a sum) when each occurs twice, is the average or the sum of those of
  two parts of the batch, is even in a block: R is the difference, any line will do.

Which of these hold is not asked but seen, from the losses: about the size of the
parameters away, on both sides, R must stay where it is, to the noise that moving the
parameters by a rounding makes. What the gradient predicts there must be far more than
that noise, and must be seen again at other parameters, before it is called wrong: an
invariance of one point only (a dead unit, a tie, a kink) is none.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from fastgrad.checking.judgement import Gradient
from fastgrad.checking.metamorphic.invariances import (
    Candidate,
    Term,
    nearby,
    of_block,
    of_samples,
    sizes,
)
from fastgrad.checking.metamorphic.samples import Samples
from fastgrad.losses import Reduction, grads_of
from fastgrad.params import Nest, Vector
from fastgrad.reports import Identity

_FLAT = 16.0  # times the noise, of losses and of claims: more than that is a change
_SEEN = 6  # points within a rounding, for the noise of a claim; or anywhere, for sizes


class Slope(NamedTuple):
    """What a gradient claims along a line.

    Attributes
    ----------
    claimed : float
        The slope: a sum over entries and terms.
    size : float
        The sum of their absolute values.
    tolerance : float
        What the arithmetic of a right gradient may make of zero: `rtol` of each entry,
        in no way that is common to them.
    """

    claimed: float
    size: float
    tolerance: float


class Function:
    """A loss and its gradient, at any parameters and on any samples.

    The parameters are moved in place: to be used in a ``with`` statement, which puts
    them back.

    Parameters
    ----------
    loss, grads : callable
        As given to `check_variations`.
    samples : Samples
        The arguments.
    rtol, reduction
        As given to `check_variations`.
    """

    def __init__(
        self,
        loss: Any,
        grads: Any,
        samples: Samples,
        *,
        rtol: float | None = None,
        reduction: str | None = None,
    ) -> None:
        self.samples = samples
        self.nest: Nest = samples.nest
        self.theta = self.nest.join(self.nest.leaves)
        self.eps = max(float(np.finfo(dtype).eps) for dtype in self.nest.dtypes)
        self.scale = 0.0  # how large the loss usually is
        self.rtol = 0.0  # of the gradient, once it is known
        self._rtol = rtol
        self._loss = loss
        self._grads = grads
        self._reduction = Reduction(reduction)
        self._saved = self.nest.snapshot()

    def value(self, theta: Vector, term: Term) -> float:
        """Return the loss of one term; nan where it is not defined."""
        try:
            result = self._evaluate(theta, term)
            return self._reduction.combine(self._reduction.value(result))
        except Exception:  # so far from the parameters it may raise anything
            return math.nan

    def slope(self, theta: Vector, terms: tuple[Term, ...], direction: Vector) -> Slope:
        """Return the slope that the gradient claims along a line."""
        claimed = size = tolerance = 0.0
        for term in terms:
            gradient = self._gradient(theta, term)
            moved = direction if term.sign is None else term.sign * direction
            parts = term.weight * gradient * moved
            claimed += float(parts.sum())
            size += float(np.abs(parts).sum())
            tolerance += self.rtol * float(np.linalg.norm(parts))
        return Slope(claimed, size, tolerance)

    def _gradient(self, theta: Vector, term: Term) -> Vector:
        result = self._evaluate(theta, term)  # what it caches, the gradient may read
        if self._grads is None:
            structure = grads_of(result)
        else:
            params, data = self.samples.take(term.index)
            with np.errstate(all="ignore"):
                structure = self._grads(params, *data)
        arrays = self.samples.gather(structure, term.index)
        # Float32 parameters make float32 values, whatever the gradient ends up as.
        computed = Gradient.of([*arrays, *self.nest.leaves], self._rtol)
        self.rtol = max(self.rtol, *computed.rtol)
        return self.nest.join(arrays)

    def _evaluate(self, theta: Vector, term: Term) -> Any:
        theta = theta if term.sign is None else term.sign * theta
        for leaf, part in zip(self.nest.leaves, self.nest.split(theta), strict=True):
            leaf[...] = part
        params, data = self.samples.take(term.index)
        with np.errstate(all="ignore"):
            return self._loss(params, *data)

    def __enter__(self) -> "Function":
        return self

    def __exit__(self, *_: object) -> None:
        self.nest.restore(self._saved)


def find_identities(
    function: Function, rng: np.random.Generator
) -> tuple[Identity, ...]:
    """Return the identities of the loss, and whether the gradient obeys them.

    Parameters
    ----------
    function : Function
        The loss and its gradient.
    rng : Generator
        Draws the directions.

    Returns
    -------
    tuple of Identity
        Only those that the loss obeys.

    Notes
    -----
    Of about a dozen identities for each block, with two or three losses in each, those
    that do not hold take two evaluations of these losses, those that do five, and one
    gradient.

    Examples
    --------
    >>> W, x = np.array([[0.5, -1.0, 2.0]]), np.array([[0.3], [1.0]])
    >>> def loss(W, x):  # softmax: the same for W + c
    ...     z = x @ W
    ...     return np.mean(np.log(np.exp(z).sum(axis=1)) - z[:, 0])
    >>> def grads(W, x):  # "- 1" forgotten at the label
    ...     p = np.exp(x @ W)
    ...     return x.T @ (p / p.sum(axis=1, keepdims=True)) / len(x)
    >>> with Function(loss, grads, Samples(Nest(W), (x,), axis=0)) as function:
    ...     found = find_identities(function, np.random.default_rng(0))
    >>> [identity.name for identity in found if not identity.holds]
    ['the same when a constant is added to params']
    """
    nest, theta = function.nest, function.theta
    other = nearby(nest, theta, rng)
    function.scale = _scale(function, rng)

    def test(candidate: Candidate) -> Identity | None:
        return _test(function, other, candidate, rng)

    count = function.samples.count
    found = [test(one) for one in of_samples(nest, theta, count, rng)]
    for block, leaf in enumerate(nest.leaves):
        if leaf.size:
            found += of_block(test, nest, theta, block, rng)
    return tuple(identity for identity in found if identity is not None)


def _test(
    function: Function, other: Vector, candidate: Candidate, rng: np.random.Generator
) -> Identity | None:
    """Return an identity of the loss, or None if it is not one."""
    identity = Identity(candidate.name, candidate.block, candidate.consequence)
    flat = _flatness(function, function.theta, candidate, rng)
    if flat is None:
        return None
    try:
        violation = _violation(function, function.theta, candidate, flat, rng)
        if violation is not None:  # seen elsewhere too?
            flat = _flatness(function, other, candidate, rng)
            if flat is None or not _violation(function, other, candidate, flat, rng):
                violation = None
    except Exception as error:
        return dataclasses.replace(identity, holds=False, error=error)
    if violation is None:
        return identity
    return dataclasses.replace(identity, holds=False, violation=violation)


def _violation(
    function: Function,
    theta: Vector,
    candidate: Candidate,
    flat: float,
    rng: np.random.Generator,
) -> float | None:
    """Return the slope claimed where the losses are flat, relative to its terms.

    None unless it is more than noise and rounding, of losses and gradients, can make.
    """
    terms, direction = candidate.terms, candidate.direction(theta)
    slope, size, tolerance = function.slope(theta, terms, direction)
    # Gradients round as losses of the usual size do, even where this loss is tiny.
    flat = max(flat, _FLAT * function.eps * function.scale)
    if not abs(slope) > max(flat, tolerance):  # nan too
        return None
    again = [slope]
    for _ in range(_SEEN):
        point = _jittered(function.nest, theta, rng)
        again.append(function.slope(point, terms, direction).claimed)
    return abs(slope) / size if abs(slope) > _FLAT * np.ptp(again) else None


def _flatness(
    function: Function,
    theta: Vector,
    candidate: Candidate,
    rng: np.random.Generator,
) -> float | None:
    """Return the change that the noise hides, None if there is a greater one."""

    def at(point: Vector) -> list[float]:
        terms = candidate.terms
        return [term.weight * function.value(point, term) for term in terms]

    parts = at(theta)
    size = sum(map(abs, parts))
    base, noise = sum(parts), function.eps * size
    most = math.sqrt(function.eps) * size  # half of the digits
    changes = []
    direction = candidate.direction(theta)
    points = [theta + direction, theta - direction]
    for point in points:
        changes.append(sum(at(point)) - base)
        if not abs(changes[-1]) <= most:  # nan too
            return None
    for point, change in zip(points, changes, strict=True):
        moved = sum(at(_jittered(function.nest, point, rng))) - base
        noise = max(noise, abs(moved - change))
    flat = _FLAT * noise
    return flat if max(map(abs, changes)) <= flat <= most else None


def _scale(function: Function, rng: np.random.Generator) -> float:
    """Return how large the loss usually is, at parameters of about this size."""
    values = []
    for _ in range(_SEEN):
        far = 2 * sizes(function.nest, function.theta)
        far *= rng.standard_normal(function.nest.size)
        for point in (function.theta + far, function.theta - far):
            values.append(abs(function.value(point, Term(1.0))))
    usual = np.isfinite(values)
    return float(np.quantile(np.array(values)[usual], 0.75)) if usual.any() else 0.0


def _jittered(nest: Nest, theta: Vector, rng: np.random.Generator) -> Vector:
    """Return the parameters moved by about two roundings."""
    out = theta.copy()
    for part, dtype in zip(nest.split(out), nest.dtypes, strict=True):
        part *= 1 + 2 * np.finfo(dtype).eps * rng.uniform(-1, 1, part.shape)
    return out
