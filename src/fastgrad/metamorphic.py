"""Identities that a right gradient obeys: no step, no truncation, any precision.

If some combination R of losses, at transformed parameters or samples, does not change
along a line, then the same combination of gradients is perpendicular to that line:

- The loss does not change when a constant is added to the logits, or a weight before a
  normalisation is multiplied by one: R is the loss itself, the line is the change.
- It does not change when samples are put in another order, is the same (a mean) or
  twice as large (a sum) when each occurs twice, is the average or the sum of those of
  two parts of the batch, is even in a block: R is the difference, any line will do.

Which of these hold is not asked but seen, from the losses: at two distances of the size
of the parameters, on both sides, R must stay where it is, to the noise that moving the
parameters by a rounding makes. What the gradient predicts there must be far more than
that noise, and must be seen again at other parameters, before it is called wrong: an
invariance of one point only (a dead unit, a tie, a kink) is none.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad.params import Nest, Vector
from fastgrad.returned import Returned, grads_of
from fastgrad.samples import Index, Samples
from fastgrad.variation_report import Identity
from fastgrad.verdict import Gradient

# Where along a line the losses are compared, in units of the parameters' own size. No
# rational ratio: what is periodic does not return to its value at both.
_DISTANCES = (0.2371, -0.2371, 1.0813, -1.0813)
_FLAT = 16.0  # times the noise: more than that is a change
_ROUGH = 1e5  # times the rounding of the losses: where there is more noise, no identity
_FAR = 32.0  # times what counts as flat, or as noise of the gradient: beyond doubt
_JITTERS = 3


@dataclass(frozen=True)
class Term:
    """One of the losses in a combination.

    Attributes
    ----------
    weight : float
        Its factor.
    index : ndarray of int64 or None
        On which samples; None for those given.
    sign : ndarray of float64 or None
        What the parameters are multiplied by.
    """

    weight: float
    index: Index | None = None
    sign: Vector | None = None


@dataclass(frozen=True)
class Candidate:
    """An identity that may hold.

    Attributes
    ----------
    name : str
        What it says of the loss.
    block : str
        Whose gradient it is about.
    terms : tuple of Term
        The combination of losses that does not change
    direction : ndarray of float64, shape (P,)
        along this line.
    consequence : str
        What then holds for the gradient.
    """

    name: str
    block: str
    terms: tuple[Term, ...]
    direction: Vector
    consequence: str


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
        self.evaluations = 0
        self.rtol = 0.0 if rtol is None else rtol
        self._by_dtype = rtol is None
        self._loss = loss
        self._grads = grads
        self._returned = Returned(reduction)
        self._saved = self.nest.snapshot()

    def value(self, theta: Vector, term: Term) -> float:
        """Return the loss of one term; nan where it is not defined."""
        try:
            result = self._evaluate(theta, term)
            return self._returned.combine(self._returned.value(result))
        except Exception:  # so far from the parameters it may raise anything
            return math.nan

    def slope(
        self, theta: Vector, terms: tuple[Term, ...], direction: Vector
    ) -> tuple[float, float]:
        """Return the slope that the gradient claims, and the size of what it sums."""
        slope = size = 0.0
        for term in terms:
            gradient = self._gradient(theta, term)
            moved = direction if term.sign is None else term.sign * direction
            slope += term.weight * float(gradient @ moved)
            size += abs(term.weight) * float(np.abs(gradient) @ np.abs(moved))
        return slope, size

    def _gradient(self, theta: Vector, term: Term) -> Vector:
        result = self._evaluate(theta, term)  # what it caches, the gradient may read
        if self._grads is None:
            structure = grads_of(result)
        else:
            params, data = self.samples.take(term.index)
            with np.errstate(all="ignore"):
                structure = self._grads(params, *data)
        arrays = self.samples.gather(structure, term.index)
        if self._by_dtype:
            self.rtol = max(self.rtol, *Gradient.of(arrays, None).rtol)
        return self.nest.join(arrays)

    def _evaluate(self, theta: Vector, term: Term) -> Any:
        theta = theta if term.sign is None else term.sign * theta
        for leaf, part in zip(self.nest.leaves, self.nest.split(theta), strict=True):
            leaf[...] = part
        params, data = self.samples.take(term.index)
        self.evaluations += 1
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
    that do not hold take two evaluations of these losses, those that do ten, and one
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
    other = nearby(function.nest, function.theta, rng)

    def test(candidate: Candidate) -> Identity | None:
        return _test(function, other, candidate, rng)

    found = [test(candidate) for candidate in _of_samples(function, rng)]
    for block, leaf in enumerate(function.nest.leaves):
        if leaf.size:
            found += _block_identities(test, function, block, rng)
    return tuple(identity for identity in found if identity is not None)


def nearby(nest: Nest, theta: Vector, rng: np.random.Generator) -> Vector:
    """Return other parameters, each up to a third from its own value, none at zero.

    They keep their signs, so that logarithms stay defined.
    """
    moved: Vector = theta + _sizes(nest, theta) * rng.uniform(-1 / 3, 1 / 3, nest.size)
    return moved


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
    terms, direction = candidate.terms, candidate.direction
    slope, size = function.slope(theta, terms, direction)
    far = abs(slope) * min(map(abs, _DISTANCES)) > _FAR * flat
    if not (far and abs(slope) > function.rtol * size):  # nan too
        return None
    again = [slope]
    for _ in range(_JITTERS):
        point = _jittered(function.nest, theta, rng)
        again.append(function.slope(point, terms, direction)[0])
    return abs(slope) / size if abs(slope) > _FAR * np.ptp(again) else None


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
    base, eps = sum(parts), max(np.finfo(dtype).eps for dtype in function.nest.dtypes)
    noise = float(eps) * sum(map(abs, parts))
    most = _ROUGH * noise
    changes = []
    points = [theta + distance * candidate.direction for distance in _DISTANCES]
    for point in points:
        changes.append(sum(at(point)) - base)
        if not abs(changes[-1]) <= most:  # nan too
            return None
    for point, change in zip(points, changes, strict=True):
        moved = sum(at(_jittered(function.nest, point, rng))) - base
        noise = max(noise, abs(moved - change))
    flat = _FLAT * noise
    return flat if max(map(abs, changes)) <= flat <= most else None


def _of_samples(function: Function, rng: np.random.Generator) -> Iterator[Candidate]:
    """Yield what may hold for other samples, for each block."""
    nest, m = function.nest, function.samples.count
    if m < 2:
        return
    every = np.arange(m)
    part = max(1, m // 3)
    first, rest, share = every[:part], every[part:], part / m
    twice, whole = np.concatenate([every, every]), Term(1.0)
    too = "the gradient is so too"
    combinations: list[tuple[str, tuple[Term, ...]]] = [
        ("the same for samples in another order", (whole, Term(-1.0, every[::-1]))),
        ("the same with every sample twice, a mean", (whole, Term(-1.0, twice))),
        ("twice as large with every sample twice, a sum", (whole, Term(-0.5, twice))),
        (
            "the average over parts of the batch",
            (whole, Term(-share, first), Term(share - 1, rest)),
        ),
        (
            "the sum over parts of the batch",
            (whole, Term(-1.0, first), Term(-1.0, rest)),
        ),
    ]
    sizes = _sizes(nest, function.theta)
    for name, terms in combinations:
        for block, label in enumerate(nest.names):
            if nest.leaves[block].size:
                line = np.zeros(nest.size)
                inside = slice(*nest.offsets[block : block + 2])
                line[inside] = (sizes * rng.standard_normal(nest.size))[inside]
                yield Candidate(name, label, terms, line, too)


def _block_identities(
    test: Callable[[Candidate], Identity | None],
    function: Function,
    block: int,
    rng: np.random.Generator,
) -> list[Identity | None]:
    """Return what holds when one block is changed."""
    nest, name = function.nest, function.nest.names[block]
    inside = slice(*nest.offsets[block : block + 2])
    leaf = nest.split(function.theta)[block]
    sizes = _sizes(nest, function.theta)

    def changed(how: str, change: Any, consequence: str) -> Identity | None:
        line = np.zeros(nest.size)
        line[inside] = np.broadcast_to(change, leaf.shape).ravel()
        if not line.any():
            return None
        return test(Candidate(f"the same {how}", name, (Term(1.0),), line, consequence))

    def shifted(where: str, shape: tuple[int, ...]) -> Identity | None:
        typical = float(sizes[inside].mean())
        change = typical * rng.standard_normal(shape)
        how = f"when a constant is added to {name}{where}"
        return changed(how, change, f"its gradient sums to zero{where}")

    def multiplied(where: str, shape: tuple[int, ...]) -> Identity | None:
        factor = rng.uniform(0.3, 0.7, shape) * rng.choice([-1.0, 1.0], shape)
        how = f"when {name} is multiplied by a constant{where}"
        return changed(
            how, factor * leaf, f"its product with its gradient sums to zero{where}"
        )

    anything = sizes[inside].reshape(leaf.shape) * rng.standard_normal(leaf.shape)
    without = changed(f"whatever {name} is", anything, "its gradient is zero")
    if without is not None:
        return [without]
    found: list[Identity | None] = []
    for change in (shifted, multiplied):
        *by_slice, by_one = _constants(leaf.shape)
        held = [change(where, shape) for where, shape in by_slice]
        found += held if any(held) else [change(*by_one)]
    sign = np.ones(nest.size)
    sign[inside] = -1
    negated = Candidate(
        f"the same when {name} is negated",
        name,
        (Term(1.0), Term(-1.0, sign=sign)),
        sizes * rng.standard_normal(nest.size),
        "its gradient is negated, and others stay",
    )
    return [*found, test(negated)]


def _constants(shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the shapes of constants along each axis, and at last of one for all.

    ``(2, 3)`` gives ``(1, 3)`` along axis 0, ``(2, 1)`` along axis 1, and ``(1, 1)``.
    """
    for axis, size in enumerate(shape):
        others = math.prod(shape) // size
        if size > 1 and others > 1:
            yield f" along axis {axis}", (*shape[:axis], 1, *shape[axis + 1 :])
    yield "", (1,) * len(shape)


def _sizes(nest: Nest, theta: Vector) -> Vector:
    """Return the size of each entry; of the others in its block if it is zero."""
    out = np.abs(theta)
    for part in nest.split(out):
        typical = float(part.mean()) if part.size else 0.0
        part[part == 0] = typical or 1.0
    return out


def _jittered(nest: Nest, theta: Vector, rng: np.random.Generator) -> Vector:
    """Return the parameters moved by about two roundings."""
    out = theta.copy()
    for part, dtype in zip(nest.split(out), nest.dtypes, strict=True):
        part *= 1 + 2 * np.finfo(dtype).eps * rng.uniform(-1, 1, part.shape)
    return out
