"""Does this installation work? A few facts that must hold on any machine.

Each function in `CHECKS` returns whether its docstring is true.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.check import check_gradient

Array = NDArray[np.float64]


def correct_gradient() -> bool:
    """A correct gradient is found correct."""
    return check_gradient(_loss, _params(), _gradient).ok


def planted_error() -> bool:
    """One entry that is 1 % off is found, and no other."""
    params = _params()
    grads = _gradient(params)
    grads["W"][2, 1] *= 1.01
    report = check_gradient(_loss, params, grads)
    return [(entry.block, entry.index) for entry in report.wrong] == [("W", (2, 1))]


def same_everywhere() -> bool:
    """The fastest engine and the Python function agree."""
    fast = check_gradient(_loss, _params(), _gradient).numerical
    plain = check_gradient(_loss, _params(), _gradient, engine="python").numerical
    return all(np.allclose(fast[name], plain[name], rtol=1e-6) for name in plain)


def parameters_untouched() -> bool:
    """Parameters are bit for bit what they were, even if the loss fails."""
    params, before = _params(), _params()

    def loss(p: dict[str, Array]) -> Any:
        if p["W"][1, 1] != before["W"][1, 1]:
            raise FloatingPointError
        return _loss(p)

    try:
        check_gradient(loss, params, _gradient, engine="python")
    except FloatingPointError:
        return all(np.array_equal(params[name], before[name]) for name in before)
    return False


CHECKS: list[Callable[[], bool]] = [
    correct_gradient,
    planted_error,
    same_everywhere,
    parameters_untouched,
]


def run() -> bool:
    """Print each fact and whether it holds; return whether all do."""
    results = [check() for check in CHECKS]
    for check, holds in zip(CHECKS, results, strict=True):
        fact = (check.__doc__ or check.__name__).splitlines()[0]
        print(f"{'ok    ' if holds else 'FAILED'}  {fact}")
    return all(results)


_X = np.random.default_rng(1).standard_normal((4, 8))


def _params() -> dict[str, Array]:
    rng = np.random.default_rng(2)
    return {"W": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 1))}


def _loss(p: dict[str, Array]) -> Any:
    return np.mean(np.tanh(p["W"] @ _X + p["b"]) ** 2)


def _gradient(p: dict[str, Array]) -> dict[str, Array]:
    a = np.tanh(p["W"] @ _X + p["b"])
    dz = 2 * a * (1 - a**2) / a.size
    return {"W": dz @ _X.T, "b": dz.sum(axis=1, keepdims=True)}
