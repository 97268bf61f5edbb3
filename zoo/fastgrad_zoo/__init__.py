"""Gradients broken on purpose, to grade whatever checks gradients.

Each problem is a loss in plain NumPy with its gradient; each bug is one way to get that
gradient wrong, many of them reported publicly. A gradient checker should find every
bug, say in which blocks it is and what it is, and pass every right gradient:

>>> import fastgrad_zoo as zoo
>>> bug = zoo.get("tanh_derivative_missing")
>>> bug.cause, bug.blocks
('local_derivative', ('W1', 'b1'))
>>> loss, params, grads = bug.case(seed=1)
>>> sorted(params) == sorted(grads(params))
True

One bug in three is *held out*: rules that name causes are written with the others in
view, and graded on these.
"""

import difflib
import itertools
from collections.abc import Iterator

from fastgrad_zoo import (
    attention,
    convolution,
    convolution_in_time,
    covariances,
    dense_bugs,
    dense_rows,
    distances,
    dynamics,
    embeddings,
    gates,
    heads,
    latent,
    least_squares,
    likelihoods,
    matchings,
    normalization,
    normalization_rows,
    optimisation,
    pooling,
    rectifiers,
    separable,
    sequence,
    similarity,
    statistics,
    structures,
    systems,
)
from fastgrad_zoo._registry import Bug, Case, Problem

__all__ = ["Bug", "Case", "Problem", "bugs", "get", "problems", "variations"]

_FAMILIES = (
    dense_bugs,
    dense_rows,
    rectifiers,
    structures,
    heads,
    normalization,
    normalization_rows,
    convolution,
    pooling,
    convolution_in_time,
    separable,
    sequence,
    gates,
    attention,
    embeddings,
    similarity,
    statistics,
    least_squares,
    likelihoods,
    covariances,
    latent,
    distances,
    optimisation,
    matchings,
    systems,
    dynamics,
)


def problems() -> tuple[type[Problem], ...]:
    """Return the classes of all problems; their constructors take a seed."""
    return tuple(problem for family in _FAMILIES for problem in family.PROBLEMS)


def bugs(*, held_out: bool | None = None) -> tuple[Bug, ...]:
    """Return all bugs, or those that are held out, or those that are not.

    Parameters
    ----------
    held_out : bool or None
        True for the third that rules must not be written from, False for the rest.
    """
    every = (bug for family in _FAMILIES for bug in family.BUGS)
    return tuple(bug for bug in every if held_out in (None, bug.held_out))


def get(name: str) -> Bug:
    """Return the bug called `name`.

    Raises
    ------
    ValueError
        If there is none.
    """
    named = {bug.name: bug for bug in bugs()}
    if name not in named:
        near = difflib.get_close_matches(name, named, n=1, cutoff=0)[0]
        raise ValueError(
            f"`name` must be a bug of the zoo, got {name!r}; {near!r} is one."
        )
    return named[name]


def variations(count: int, *, seed: int = 0) -> Iterator[Problem]:
    """Yield `count` problems whose gradients are right, all different.

    They take turns, with new data each time, in their default size and in batches of
    1, 2, 3 and 7 samples, where bugs that hide at the default size show themselves.
    """
    yielded = 0
    for round_ in itertools.count():
        for problem in problems():
            if yielded == count:
                return
            batch = (None, 1, 2, 3, 7)[round_ % 5]
            arguments = {"batch": batch} if batch and problem.batched else {}
            yield problem(seed=seed + round_, **arguments)
            yielded += 1
