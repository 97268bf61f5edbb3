"""Does this installation work? A few facts that must hold on any machine.

To add one: a function that returns whether it holds, and a line in `CHECKS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad._arrays import Array
from fastgrad.checking import check_gradient


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
            raise KeyboardInterrupt
        return _loss(p)

    try:
        check_gradient(loss, params, _gradient, engine="python")
    except KeyboardInterrupt:
        return all(np.array_equal(params[name], before[name]) for name in before)
    return False


def _no_false_alarms() -> bool:
    seeds = range(40)
    return all(check_gradient(*_network(seed)).verdict != "wrong" for seed in seeds)


def _bugs_found() -> bool:
    return all(_found(seed, *bug) for seed, bug in enumerate(_BUGS.items()))


def _found(seed: int, bug: str, blocks: set[str]) -> bool:
    """Whether a check calls wrong what the bug makes wrong, and nothing else."""
    report = check_gradient(*_network(seed, bug))
    return {b.name for b in report.blocks if b.verdict == "wrong"} == blocks


CHECKS: dict[str, Callable[[], bool]] = {
    "a correct gradient is found correct": _correct_gradient,
    "one entry that is 1 % off is found, and no other": _planted_error,
    "the fastest engine and the Python function agree": _same_everywhere,
    "parameters are restored bit for bit, even if it is interrupted": (
        _parameters_untouched
    ),
    "right gradients of 40 networks raise no alarm": _no_false_alarms,
    "common bugs are found where they are": _bugs_found,
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


# The blocks that each bug of `_network` makes wrong.
_BUGS = {
    "no derivative": {"W1", "b1"},
    "summed over the batch": {"W2"},
    "sign": {"b2"},
    "no weight decay": {"W1"},
    "first sample only": {"b1"},
}


def _network(seed: int, bug: str = "") -> tuple[Any, dict[str, Array], Any]:
    """Return loss, parameters and gradient of two layers, with a bug if it says."""
    rng = np.random.default_rng(seed)
    m = 3 + seed % 4
    x, y = rng.standard_normal((4, m)), rng.standard_normal((2, m))
    params = {
        "W1": rng.standard_normal((5, 4)) / 2,
        "b1": rng.standard_normal((5, 1)) / 2,
        "W2": rng.standard_normal((2, 5)) / 2,
        "b2": rng.standard_normal((2, 1)) / 2,
    }

    def loss(p: dict[str, Array]) -> Any:
        a = np.tanh(p["W1"] @ x + p["b1"])
        error = p["W2"] @ a + p["b2"] - y
        return np.sum(error**2) / (2 * m) + 0.1 * np.sum(p["W1"] ** 2)

    def grads(p: dict[str, Array]) -> dict[str, Array]:
        a = np.tanh(p["W1"] @ x + p["b1"])
        dz2 = (p["W2"] @ a + p["b2"] - y) / m
        dz1 = p["W2"].T @ dz2 * (1 if bug == "no derivative" else 1 - a**2)
        decay = 0.0 if bug == "no weight decay" else 0.2
        of_bias = dz1[:, :1] if bug == "first sample only" else dz1
        return {
            "W1": dz1 @ x.T + decay * p["W1"],
            "b1": of_bias.sum(axis=1, keepdims=True),
            "W2": dz2 @ a.T * (m if bug == "summed over the batch" else 1),
            "b2": dz2.sum(axis=1, keepdims=True) * (-1 if bug == "sign" else 1),
        }

    return loss, params, grads
