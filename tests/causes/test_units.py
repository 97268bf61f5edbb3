"""Causes do not depend on the unit that a loss is measured in."""

from itertools import cycle

import numpy as np
import pytest
from tanh_network import PARAMS, X, loss, right

import fastgrad as fg


def network(unit, wrong=""):
    """Return a loss in a unit, and its gradient with a mistake."""
    slopes = {"its input": lambda a: 1 - np.arctanh(a) ** 2, "no slope": np.ones_like}

    def grads(p):
        found = right(p, slopes.get(wrong, lambda a: 1 - a**2))
        found = {name: unit * g for name, g in found.items()}
        if wrong == "mean":
            found["b1"] /= len(X)
        if wrong == "rows":
            found["W2"] = found["W2"][::-1]
        if wrong == "clipped":
            found = {k: np.clip(g, -unit / 8, unit / 8) for k, g in found.items()}
        if wrong == "one row":
            found["W1"][2] = 0.0
        return found

    return lambda p: unit * loss(p), PARAMS, grads


WRONG = ["", "no slope", "its input", "mean", "rows", "clipped", "one row"]


@pytest.mark.parametrize(
    ("wrong", "unit"), [*zip(WRONG, cycle([2.0**-40, 2.0**40]), strict=False)]
)
def test_causes_are_those_in_another_unit(wrong, unit):
    def named(unit):
        causes = fg.check_gradient(*network(unit, wrong)).causes
        return [(cause.code, set(cause.blocks)) for cause in causes]

    expected = named(1.0)
    assert named(unit) == expected
    assert bool(expected) == bool(wrong)
    assert all(code != "unknown" for code, _ in expected)
