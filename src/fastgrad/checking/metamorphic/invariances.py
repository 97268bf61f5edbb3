"""Which identities a loss may obey: a combination of losses, and a line.

`identities` sees from the losses which of them hold.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad._arrays import Index
from fastgrad.params import Nest, Vector
from fastgrad.reports import Identity


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
    """An identity that may hold: `terms` do not change along a line.

    Attributes
    ----------
    name : str
        What it says of the loss.
    block : str
        Whose gradient it is about.
    consequence : str
        What then holds for that gradient.
    line : ndarray of float64, shape (P,)
        Where the line goes,
    scaled : bool
        with each entry multiplied by the parameter's own, or as it is.
    terms : tuple of Term
        The combination of losses.
    """

    name: str
    block: str
    consequence: str
    line: Vector
    scaled: bool = False
    terms: tuple[Term, ...] = (Term(1.0),)

    def direction(self, theta: Vector) -> Vector:
        """Return where the line goes from `theta`."""
        return self.line * theta if self.scaled else self.line


def of_samples(
    nest: Nest, theta: Vector, count: int, rng: np.random.Generator
) -> Iterator[Candidate]:
    """Yield what may hold for other samples, one by one of the blocks."""
    size = sizes(nest, theta)
    for name, terms in _combinations(count):
        for block, label in enumerate(nest.names):
            inside = slice(*nest.offsets[block : block + 2])
            line = np.zeros(nest.size)
            line[inside] = (size * rng.standard_normal(nest.size))[inside]
            too = "the gradient is so too"
            yield Candidate(name, label, too, line, terms=terms)


def _combinations(count: int) -> list[tuple[str, tuple[Term, ...]]]:
    """Return what may not change, and a name for that.

    Samples in another order; each of them twice, which shows whether the loss is an
    average or a sum; two parts of the batch.
    """
    if count < 2:
        return []
    every = np.arange(count)
    part = max(1, count // 3)
    first, rest, share = every[:part], every[part:], part / count
    twice, whole = np.concatenate([every, every]), Term(1.0)
    return [
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


def of_block(
    test: Callable[[Candidate], Identity | None],
    nest: Nest,
    theta: Vector,
    block: int,
    rng: np.random.Generator,
) -> list[Identity]:
    """Return the results of `test` for what holds when one block is changed.

    `test` returns None for what does not hold. Anything at all; a constant added, or
    multiplied by, for each slice along an axis, else one for all; the sign.
    """
    name, shape = nest.names[block], nest.shapes[block]
    inside = slice(*nest.offsets[block : block + 2])
    size = sizes(nest, theta)

    def changed(how: str, so: str, change: Any, scaled: bool = False) -> list[Identity]:
        line = np.zeros(nest.size)
        line[inside] = np.broadcast_to(change, shape).ravel()
        found = test(Candidate(f"the same {how}", name, so, line, scaled))
        return [] if found is None else [found]

    def shifted(where: str, slices: tuple[int, ...]) -> list[Identity]:
        change = float(size[inside].mean()) * rng.standard_normal(slices)
        how = f"when a constant is added to {name}{where}"
        return changed(how, f"its gradient sums to zero{where}", change)

    def multiplied(where: str, slices: tuple[int, ...]) -> list[Identity]:
        if not theta[inside].any():
            return []
        factor = rng.uniform(0.3, 0.7, slices) * rng.choice([-1.0, 1.0], slices)
        how = f"when {name} is multiplied by a constant{where}"
        so = f"its product with its gradient sums to zero{where}"
        return changed(how, so, factor, scaled=True)

    anything = size[inside].reshape(shape) * rng.standard_normal(shape)
    without = changed(f"whatever {name} is", "its gradient is zero", anything)
    if without:
        return without
    found: list[Identity] = []
    for change in (shifted, multiplied):
        *by_slice, by_one = _constants(shape)
        held = [one for constants in by_slice for one in change(*constants)]
        found += held or change(*by_one)
    negated = test(_negated(nest, name, inside, size * rng.standard_normal(nest.size)))
    return found if negated is None else [*found, negated]


def nearby(nest: Nest, theta: Vector, rng: np.random.Generator) -> Vector:
    """Return other parameters, each up to a third from its own value, none at zero.

    They keep their signs, so that logarithms stay defined.
    """
    moved: Vector = theta + sizes(nest, theta) * rng.uniform(-1 / 3, 1 / 3, nest.size)
    return moved


def sizes(nest: Nest, theta: Vector) -> Vector:
    """Return the size of each entry; that of others in its block if it is zero."""
    out = np.abs(theta)
    for part in nest.split(out):
        typical = float(part.mean()) if part.size else 0.0
        part[part == 0] = typical or 1.0
    return out


def _negated(nest: Nest, name: str, inside: slice, line: Vector) -> Candidate:
    sign = np.ones(nest.size)
    sign[inside] = -1
    return Candidate(
        f"the same when {name} is negated",
        name,
        "its gradient is negated, and others stay",
        line,
        terms=(Term(1.0), Term(-1.0, sign=sign)),
    )


def _constants(shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the shapes of constants along each axis, and at last of one for all.

    ``(2, 3)`` gives ``(1, 3)`` along axis 0, ``(2, 1)`` along axis 1, and ``(1, 1)``.
    """
    for axis, size in enumerate(shape):
        others = math.prod(shape) // size
        if size > 1 and others > 1:
            yield f" along axis {axis}", (*shape[:axis], 1, *shape[axis + 1 :])
    yield "", (1,) * len(shape)
