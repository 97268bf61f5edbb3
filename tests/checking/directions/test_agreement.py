"""What a program measured is believed as far as the function itself agrees."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg
from fastgrad.losses import proof
from fastgrad.losses.program import CompiledLosses

X = np.random.default_rng(0).normal(size=(20, 5))
PARAMS = {"W": np.random.default_rng(1).normal(size=(5, 3)), "b": np.ones(4)}


def loss(p):
    return np.mean(np.tanh(X @ p["W"]) ** 2) + np.sum(p["b"] ** 2)


def grads(p):
    t = np.tanh(X @ p["W"])
    return {"W": X.T @ (2 * t * (1 - t * t)) / t.size, "b": 2 * p["b"]}


@pytest.mark.parametrize("off", [1e-3, 1e-5])
@pytest.mark.parametrize("coverage", ["full", 3, "locate"])
def test_a_program_with_other_slopes_is_not_believed(monkeypatch, coverage, off):
    """Neither of all entries, nor of some, nor along directions."""
    at_entries, along = CompiledLosses.at_entries, CompiledLosses.along
    right = fg.check_gradient(loss, PARAMS, grads, coverage=coverage)
    assert right.ok
    assert right.engine == "compiled"

    def scaled(self, index, value):
        difference, crossed = at_entries(self, index, value)
        return (1 + off) * difference, crossed

    monkeypatch.setattr(CompiledLosses, "at_entries", scaled)
    monkeypatch.setattr(CompiledLosses, "along", lambda *a: (1 + off) * along(*a))
    monkeypatch.setattr(proof, "_compare", lambda *_: None)
    report = fg.check_gradient(loss, PARAMS, grads, coverage=coverage)
    assert report.ok
    assert report.engine == "python"
    assert "other slopes" in report.fallback


@every_second
@pytest.mark.parametrize(
    "bounds",
    [
        (None, 100.0),
        ({"W": -5.0, "b": 0.9}, None),
        ({"W": -5.0, "b": 1.0}, {"W": 5.0, "b": 1.0 + 1e-9}),
        (PARAMS, None),
        (None, PARAMS),
        (PARAMS, {"W": PARAMS["W"] + 1e-7, "b": 4.0}),
    ],
)
@pytest.mark.parametrize("wrong", [["W"], ["b"], ["W", "b"]])
def test_within_bounds_the_function_has_the_last_word_too(monkeypatch, bounds, wrong):
    """Where all, some or no entries can be moved both ways."""
    low, high = (
        {"W": other, "b": other} if not isinstance(other, dict) else other
        for other in bounds
    )
    seen = []

    def watched(p):
        seen.append({name: np.array(x) for name, x in p.items()})
        return loss(p)

    right = fg.check_gradient(loss, PARAMS, grads, bounds=(low, high))
    assert (right.verdict, right.engine) == ("correct", "compiled")
    at_entries = CompiledLosses.at_entries
    factor = np.where(np.arange(19) < 15, "W" in wrong, "b" in wrong) * 1e-3

    def scaled(self, index, value):
        difference, crossed = at_entries(self, index, value)
        return (1 + factor[index]) * difference, crossed

    monkeypatch.setattr(CompiledLosses, "at_entries", scaled)
    monkeypatch.setattr(proof, "_compare", lambda *_: None)
    report = fg.check_gradient(watched, PARAMS, grads, bounds=(low, high))
    assert report.ok
    assert report.engine == "python"
    assert "other slopes" in report.fallback
    for name in PARAMS:
        at = np.array([p[name] for p in seen if p[name].dtype == float])
        if low[name] is not None:
            assert (at >= low[name]).all()
        if high[name] is not None:
            assert (at <= high[name]).all()


def test_no_parameter_changes_its_sign_for_the_last_word():
    """However small it is beside the others: beyond zero a loss may never return."""
    x, seen = np.linspace(0.5, 1.5, 40), []
    x[[3, 8]] = 1e-4, -3e-5

    def watched(x):
        if x.dtype == float:
            seen.append(np.array(x))
        return 1e6 + np.sum(np.sin(3 * x))  # rounded, so that it takes large steps

    for seed in range(5):
        report = fg.check_gradient(watched, x, 3 * np.cos(3 * x), seed=seed)
        assert (report.verdict, report.engine) == ("correct", "compiled")
    moved = [row for row in seen if (row != x).sum() > 1]
    assert len(moved) >= 10
    assert (np.sign(moved) == np.sign(x)).all()


@pytest.mark.usefixtures("time_for_causes")
def test_within_bounds_causes_are_named_by_the_program():
    wrong = {**grads(PARAMS), "W": X.T @ (2 * np.tanh(X @ PARAMS["W"])) / 60}
    report = fg.check_gradient(loss, PARAMS, wrong, bounds=(-9.0, 9.0))
    assert [cause.code for cause in report.causes] == ["local_derivative"]
    assert "np.tanh" in report.causes[0].message
