"""Compiled losses, and when the function itself is asked."""

import math

import numpy as np

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
