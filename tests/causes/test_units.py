"""Causes do not depend on the unit that a loss is measured in."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(24, 5)), RNG.normal(size=(24, 3))
PARAMS = {
    "W1": RNG.normal(size=(5, 6)) * 0.5,
    "b1": RNG.normal(size=6) * 0.2,
    "W2": RNG.normal(size=(6, 3)) * 0.5,
    "b2": RNG.normal(size=3) * 0.2,
}
DECAY = 0.25


def network(unit, wrong=""):
    """Return a loss in a unit, and its gradient with a mistake."""

    def loss(p):
        hidden = np.tanh(X @ p["W1"] + p["b1"])
        error = hidden @ p["W2"] + p["b2"] - Y
        penalty = DECAY / 2 * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2))
        return unit * (np.sum(error**2) / len(X) + penalty)

    def grads(p):
        hidden = np.tanh(X @ p["W1"] + p["b1"])
        d2 = 2 * unit * (hidden @ p["W2"] + p["b2"] - Y) / len(X)
        back = d2 @ p["W2"].T
        slope = 1 - (X @ p["W1"] + p["b1"] if wrong == "its input" else hidden) ** 2
        d1 = back if wrong == "no slope" else back * slope
        found = {
            "W1": X.T @ d1 + unit * DECAY * p["W1"],
            "b1": d1.mean(axis=0) if wrong == "mean" else d1.sum(axis=0),
            "W2": hidden.T @ d2 + unit * DECAY * p["W2"],
            "b2": d2.sum(axis=0),
        }
        if wrong == "rows":
            found["W2"] = found["W2"][::-1]
        if wrong == "clipped":
            found = {k: np.clip(g, -unit / 8, unit / 8) for k, g in found.items()}
        if wrong == "one row":
            found["W1"][2] = 0.0
        return found

    return loss, PARAMS, grads


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**40])
@pytest.mark.parametrize(
    "wrong",
    [
        *("", "no slope", "its input", "mean", "rows", "clipped", "one row"),
    ],
)
def test_causes_are_those_in_another_unit(wrong, unit):
    def named(unit):
        causes = fg.check_gradient(*network(unit, wrong)).causes
        return [(cause.code, set(cause.blocks)) for cause in causes]

    expected = named(1.0)
    assert named(unit) == expected
    assert bool(expected) == bool(wrong)
    assert all(code != "unknown" for code, _ in expected)
