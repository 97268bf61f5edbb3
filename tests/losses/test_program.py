"""Compiled losses, and when the function itself is asked."""

import math

import numpy as np
import pytest
from scipy import special

import fastgrad as fg

RNG = np.random.default_rng(4)


def test_a_program_that_leaves_everything_to_the_function_is_not_used():
    x = 2.0 + RNG.random(600)

    def loss(x):
        return np.linalg.eigvalsh(np.outer(x[:30], x[:30]) + np.diag(x[:30]))[0] + sum(
            math.sin(a) if a > 3 else a for a in x
        )

    right = fg.trace(loss, x).gradient()
    report = fg.check_gradient(loss, x, right, coverage=20)
    assert report.ok
    wrong = right.copy()
    wrong[40:] *= -1
    assert fg.check_gradient(loss, x, wrong, coverage=20).verdict == "wrong"


def test_lanes_with_another_outcome_are_counted_and_right():
    x = np.array([0.5, 1e-5, -0.3])

    def loss(x):
        return sum(a * a if a > 0 else -3 * a for a in x)

    report = fg.check_gradient(loss, x, np.array([1.0, 2e-5, -3.0]), step=1e-3)
    assert report.engine == "compiled"
    assert report.guarded > 0
    numerical = fg.numerical_gradient(loss, x, step=1e-3)
    expected = [(loss(x + e) - loss(x - e)) / 2e-3 for e in 1e-3 * np.eye(3)]
    np.testing.assert_allclose(numerical, expected, rtol=1e-9)


@pytest.mark.usefixtures("time_for_causes")
def test_opaque_calls_are_listed_and_only_where_reached():
    c, M = RNG.normal(size=5), RNG.normal(size=(5, 4))

    def loss(p):
        return np.linalg.eigvalsh(p["A"] + p["A"].T)[0] + c @ np.tanh(M @ p["b"])

    params = {"A": RNG.normal(size=(3, 3)), "b": RNG.normal(size=4)}
    program = fg.trace(loss, params)
    (operation,) = program.python_operations
    assert operation.startswith("eigvalsh()")
    got, _ = program.at_entries(np.arange(13), np.full(13, 1e-3))
    theta = program.nest.join(program.nest.leaves)
    moved = [program.nest.unvector(theta + 1e-3 * e) for e in np.eye(13)]
    expected = [loss(p) - program.value for p in moved]
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-14)
    report = fg.check_gradient(loss, params, program.gradient())
    assert report.ok
    assert report.python_operations == program.python_operations
    wrong = {**program.gradient(), "b": M.T @ c}
    report = fg.check_gradient(loss, params, wrong)
    assert report.causes[0].code == "local_derivative"
    assert "np.tanh" in report.causes[0].message


def swing(p):
    """A loop over numbers, whose trace takes many times what a call does."""
    x, v = p["start"][0], p["start"][1]
    try:
        for _ in range(60):
            x, v = x + 0.05 * v, v - 0.05 * (p["k"] * math.sin(x) + p["c"] * v)
    except Exception:  # of the loss's own, as for a step too far
        return 0.0
    return x * x + v


SWING = {"start": np.array([0.4, -0.2]), "k": np.array(1.3), "c": np.array(0.1)}


def test_a_trace_that_takes_longer_than_the_whole_check_is_left(monkeypatch):
    right = fg.trace(swing, SWING).gradient()
    monkeypatch.setattr("fastgrad.losses.worth._UNKNOWN", 0)
    monkeypatch.setattr("fastgrad.losses.worth._SHARE", 0)
    report = fg.check_gradient(swing, SWING, right)
    assert (report.engine, report.verdict) == ("python", "correct")
    assert report.fallback is None
    assert fg.check_gradient(swing, SWING, right, engine="compiled").ok
    wrong = {**right, "c": -right["c"]}
    report = fg.check_gradient(swing, SWING, wrong)
    assert (report.engine, report.verdict) == ("python", "wrong")
    assert report.causes[0].code == "sign"
    monkeypatch.setattr("fastgrad.losses.engines._OF_A_CAUSE", 0)
    assert fg.check_gradient(swing, SWING, wrong).verdict == "wrong"


def test_a_program_that_takes_longer_to_make_than_it_saves_is_not_made(monkeypatch):
    right = fg.trace(swing, SWING).gradient()
    monkeypatch.setattr("fastgrad.losses.worth._MAKING", 1.0)
    report = fg.check_gradient(swing, SWING, right)
    assert (report.engine, report.verdict) == ("python", "correct")
    assert fg.check_gradient(swing, SWING, right, engine="compiled").ok
    report = fg.check_gradient(swing, SWING, {**right, "k": -right["k"]})
    assert (report.engine, report.verdict) == ("python", "wrong")
    assert report.causes[0].code == "sign"


@pytest.mark.parametrize("kept", [0, 3])
def test_calls_that_take_as_long_as_the_function_are_left_to_it(kept, monkeypatch):
    """Unless an entry is moved that none of them sees: its boxes need no calls."""
    x = 1 + RNG.random(6 + kept)
    evaluations = []

    def loss(x):
        evaluations.append(1)
        return np.linalg.eigvalsh(np.outer(x[:6], x[:6]) + np.eye(6))[-1] + (x**2).sum()

    def calls_of(share):
        monkeypatch.setattr("fastgrad.losses.worth._AS_LONG", share)
        monkeypatch.setattr("fastgrad.losses.worth._share_of_calls", share_of)
        evaluations.clear()
        report = fg.check_gradient(loss, x, right)
        assert (report.engine, report.verdict) == ("compiled", "correct")
        assert "eigvalsh" in report.python_operations[0]
        return len(evaluations), report.evaluations

    def share_of(recorded, losses):
        return len(x[:6]) / len(x)

    right = fg.trace(loss, x).gradient()
    own, evaluated = calls_of(0.8)
    assert (own > evaluated) == (not kept)
    assert fg.check_gradient(loss, x, right * 1.01).verdict == "wrong"


def test_a_trace_that_takes_too_much_memory_is_left(monkeypatch):
    right = fg.trace(swing, SWING).gradient()
    monkeypatch.setattr("fastgrad.program.trace.recording.MOST", 300)
    report = fg.check_gradient(swing, SWING, right)
    assert (report.engine, report.verdict) == ("python", "correct")
    assert "takes more than 300 operations" in report.fallback
    with pytest.raises(ValueError, match="more than 300 operations"):
        fg.check_gradient(swing, SWING, right, engine="compiled")


@pytest.mark.parametrize("scale", [1, 60, 100])
def test_a_softmax_that_is_not_stabilised_compiles(scale):
    """A step from a probability of one to one of exp(-200) rounds in differences."""
    rng = np.random.default_rng(1)
    X, labels = rng.normal(size=(8, 4)), rng.integers(3, size=8)

    def loss(W):
        e = np.exp(X @ W)
        p = e / e.sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(8), labels]).mean()

    for _ in range(3):
        W = rng.normal(size=(4, 3)) * scale
        z = X @ W
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        right = X.T @ (p - np.eye(3)[labels]) / 8
        report = fg.check_gradient(loss, W, right)
        assert (report.engine, report.verdict) == ("compiled", "correct")
        right[2] *= 1.001
        assert fg.check_gradient(loss, W, right).verdict == "wrong"


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (special.ndtr, -38.0),
        (special.ndtr, -38.3),
        (special.erfc, 26.7),
        (special.expit, -740.0),
        (np.exp, -740.0),
        (np.exp2, -1060.0),
    ],
)
@pytest.mark.parametrize("others", [[], [0.3]])
def test_numbers_of_few_digits_may_be_zero_in_the_function(function, x, others):
    """Which of these a library returns is no reason to leave the program."""
    x = np.array([x, *others])

    def loss(x):
        return np.sum(function(x))

    grads = fg.numerical_gradient(loss, x)
    report = fg.check_gradient(loss, x, grads)
    assert report.verdict == ("correct" if others else "undecided")
    if others:
        assert report.engine == "compiled"
        wrong = grads * [1.0, 1.01]
        assert fg.check_gradient(loss, x, wrong).verdict == "wrong"


@pytest.mark.parametrize("p", [2.0, 1.7, 2.4])
def test_an_iteration_that_does_not_end_far_away_is_not_called_there(p):
    """The logistic map: beyond 3 it goes around in cycles."""
    endless = []

    def fixed_point(w):
        z, before, turns = 0.5, 0.0, 0
        while abs(z - before) > 1e-6:
            z, before, turns = w[0] * z * (1 - z), z, turns + 1
            if turns > 10_000:
                endless.append(float(w[0]))
                raise ArithmeticError
        return z**2

    z = 1 - 1 / p
    report = fg.check_gradient(fixed_point, np.array([p]), np.array([2 * z / p**2]))
    assert report.verdict != "wrong"
    assert endless == []
