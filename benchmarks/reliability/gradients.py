"""Gradients of random programs: those of HIPS autograd, to rounding.

The programs are those of `programs.py`, of operations that autograd has. Both run the
same code, with `autograd.numpy` for `numpy` in one. Where a gradient has a choice, at
ties and kinks, NumPy's differences of three sizes part, and nothing is compared.
"""

from types import FunctionType

import autograd
import autograd.numpy
import numpy as np
import programs
from program_functions import trace
from test_random import build

CLAIM = "gradients of random programs are those of HIPS autograd"
CASES, SHORT = 20_000, 200
SHAPES = ((3, 4), (2, 2), (2, 3, 5), (7,), ())


def of_autograd(function):
    """The same code on the NumPy of autograd."""
    scope = {**function.__globals__, "np": autograd.numpy}
    return FunctionType(function.__code__, scope, function.__name__)


def knows(operation):
    """Whether autograd differentiates an operation, and rightly."""
    theirs = of_autograd(operation)
    for shape in SHAPES:
        x = np.cos(1 + np.arange(np.prod(shape, dtype=int))).reshape(shape)
        way = np.sin(x + 2)

        def weighted(x, function=operation):
            out = function(x, x, 1)
            return (out * np.sin(np.arange(out.size)).reshape(out.shape)).sum()

        try:
            slope = (autograd.grad(weighted)(x, theirs) * way).sum()
        except Exception:
            return False
        wanted, known = programs.central(lambda t: weighted(x + t * way))
        if abs(slope - wanted) > 1e-5 * abs(wanted) + known:
            return False
    return True


OPERATIONS = [f for f in programs.EVERY if knows(f)]
build_with_autograd = of_autograd(build)


def case(seed):
    rng = np.random.default_rng(seed)
    steps = [
        (int(rng.integers(len(OPERATIONS))), *map(int, rng.integers(0, [51, 51, 6])))
        for _ in range(rng.integers(1, 13))
    ]
    params = {"a": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    loss = build(steps, OPERATIONS)
    theirs = build_with_autograd(steps, [of_autograd(f) for f in OPERATIONS])
    try:
        wanted = autograd.grad(theirs)(params)
    except (NotImplementedError, TypeError, ValueError):  # not of this shape
        return 0, []
    return 1, differing(loss, params, trace(loss, params).gradient(), wanted, steps)


def differing(loss, params, found, wanted, steps):
    """Entries in which gradients differ, and where the loss has a slope."""
    failures = []
    largest = max(np.abs(g).max() for g in wanted.values())
    for name, value in params.items():
        off = np.abs(found[name] - wanted[name])
        for index in np.argwhere(~(off <= 1e-9 * largest)).tolist():

            def moved(t, name=name, value=value, index=tuple(index)):
                changed = value.copy()
                changed[index] += t
                return loss({**params, name: changed})

            slope, known = programs.central(moved)
            if off[tuple(index)] > known:
                what = f"{found[name][*index]}, autograd {wanted[name][*index]}"
                what += f", NumPy {slope} +- {known}"
                failures.append(f"{name}{index}: {what} ({steps})")
    return failures
