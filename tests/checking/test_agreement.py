"""What a program measured is believed as far as the function itself agrees."""

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.losses import program
from fastgrad.losses.program import CompiledLosses

X = np.random.default_rng(0).normal(size=(20, 5))
PARAMS = {"W": np.random.default_rng(1).normal(size=(5, 3)), "b": np.ones(4)}


def loss(p):
    return np.mean(np.tanh(X @ p["W"]) ** 2) + np.sum(p["b"] ** 2)


def grads(p):
    t = np.tanh(X @ p["W"])
    return {"W": X.T @ (2 * t * (1 - t * t)) / t.size, "b": 2 * p["b"]}


@pytest.mark.parametrize("coverage", ["full", 3, "locate"])
def test_a_program_with_other_slopes_is_not_believed(monkeypatch, coverage):
    """Neither of all entries, nor of some, nor along directions."""
    at_entries, along = CompiledLosses.at_entries, CompiledLosses.along
    right = fg.check_gradient(loss, PARAMS, grads, coverage=coverage)
    assert right.ok
    assert right.engine == "compiled"

    def scaled(self, index, value):
        difference, crossed = at_entries(self, index, value)
        return 1.001 * difference, crossed

    monkeypatch.setattr(CompiledLosses, "at_entries", scaled)
    monkeypatch.setattr(CompiledLosses, "along", lambda *a: 1.001 * along(*a))
    monkeypatch.setattr(program, "_compare", lambda *_: None)
    report = fg.check_gradient(loss, PARAMS, grads, coverage=coverage)
    assert report.ok
    assert report.engine == "python"
    assert "other slopes" in report.fallback
