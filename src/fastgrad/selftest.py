"""Does this installation work? A few facts that must hold on any machine.

To add one: a function that returns whether it holds, and a line in `CHECKS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad.checking.check import check_gradient

Array = NDArray[np.float64]


def _correct_gradient() -> bool:
    return check_gradient(_loss, _params(), _gradient).ok


def _planted_error() -> bool:
    params = _params()
    grads = _gradient(params)
    grads["W"][2, 1] *= 1.01
    report = check_gradient(_loss, params, grads)
    return [(entry.block, entry.index) for entry in report.wrong] == [("W", (2, 1))]


def _same_everywhere() -> bool:
    fast = check_gradient(_loss, _params(), _gradient).numerical
    plain = check_gradient(_loss, _params(), _gradient, engine="python").numerical
    return all(np.allclose(fast[name], plain[name], rtol=1e-6) for name in plain)


def _parameters_untouched() -> bool:
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


def _no_false_alarms() -> bool:
    from fastgrad import zoo

    right = (problem.case() for problem in zoo.variations(150))
    return not any(check_gradient(*case).verdict == "wrong" for case in right)


def _bugs_found() -> bool:
    """Every fifth bug of the zoo, in the blocks where it is."""
    from fastgrad import zoo

    for bug in zoo.bugs()[::5]:
        if bug.cause in ("mutated", "nondeterministic"):
            continue  # not a matter of differences
        loss, params, grads = bug.case()
        for _ in range(bug.wrong_from_call - 1):
            grads(params)
        report = check_gradient(loss, params, grads)
        wrong = {block.name for block in report.blocks if block.verdict == "wrong"}
        if wrong != set(bug.blocks):
            return False
    return True


CHECKS: dict[str, Callable[[], bool]] = {
    "a correct gradient is found correct": _correct_gradient,
    "one entry that is 1 % off is found, and no other": _planted_error,
    "the fastest engine and the Python function agree": _same_everywhere,
    "parameters are restored bit for bit, even if the loss fails": (
        _parameters_untouched
    ),
    "right gradients of 150 problems raise no alarm": _no_false_alarms,
    "every fifth bug of the zoo is found where it is": _bugs_found,
}


def run() -> bool:
    """Print each fact and whether it holds; return whether all do."""
    results = []
    for fact, holds in CHECKS.items():
        results.append(holds())
        print(f"{'ok    ' if results[-1] else 'FAILED'}  {fact}")
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
