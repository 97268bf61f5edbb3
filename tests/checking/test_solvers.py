"""Iterative solvers and adaptive integrators inside the loss."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import fastgrad as fg


def fixed_point(p, tolerance):
    z = 1.0
    while True:
        new = np.cos(p * z)
        if abs(new - z) < tolerance:
            return new
        z = new


def newton(p, tolerance):
    z = 1.0
    while abs(z * z - p) >= tolerance:
        z = (z + p / z) / 2
    return z


def largest_eigenvalue(p, tolerance):
    matrix = np.array([[2.0, 0.3], [0.3, 1.0 + p]])
    v, size = np.ones(2), 0.0
    for _ in range(10**4):
        w = matrix @ v
        before, size = size, np.linalg.norm(w)
        v = w / size
        if abs(size - before) < tolerance:
            break
    return size


def decay(p, tolerance):
    solution = solve_ivp(
        lambda t, y: [np.sin(t) - p * y[0]], (0, 3), [1.0], rtol=tolerance
    )
    return solution.y[0, -1]


SOLVERS = {
    "fixed point": (fixed_point, 0.7, [1e-3, 1e-5, 1e-7]),
    "newton": (newton, 2.3, [1e-1, 1e-3, 1e-5]),
    "power iteration": (largest_eigenvalue, 0.4, [1e-2, 1e-4, 1e-6]),
    "integrator": (decay, 0.8, [1e-2, 1e-3, 1e-4]),
}


def meant(solver, p):
    """The slope of the function meant, from nearly exact solutions."""
    h = 1e-4
    up, down = (solver(p + step, 1e-13) for step in (h, -h))
    wide = (solver(p + step, 1e-13) for step in (2 * h, -2 * h))
    near, far = (up - down) / (2 * h), np.subtract(*wide) / (4 * h)
    return (4 * near - far) / 3


@pytest.mark.parametrize("name", SOLVERS)
def test_the_slope_of_the_function_meant_is_never_wrong(name):
    """Whatever the tolerance; a factor of 1.3 is."""
    solver, p, tolerances = SOLVERS[name]
    right = np.array([meant(solver, p)])
    for tolerance in tolerances:

        def loss(x, tolerance=tolerance):
            return float(solver(x[0], tolerance))

        report = fg.check_gradient(loss, np.array([p]), right)
        assert report.verdict != "wrong"
        assert fg.check_gradient(loss, np.array([p]), 1.3 * right).verdict != "correct"
        if report.verdict == "undecided":
            [note] = [n for n in report.notes if "rough below" in n]
            assert "params[0]" in note
            assert "test_solvers.py, line" in note
    assert fg.check_gradient(loss, np.array([p]), 1.3 * right).verdict == "wrong"


def test_a_loop_that_does_not_depend_on_the_parameters_excuses_nothing():
    """A gradient that is 1e-4 off is wrong."""

    def loss(p):
        z = 1.0
        for _ in range(30):
            z = np.cos(p[0] * z)
        return float(z)

    right = np.array([meant(fixed_point, 0.7)])
    assert fg.check_gradient(loss, np.array([0.7]), right).verdict == "correct"
    report = fg.check_gradient(loss, np.array([0.7]), 1.0001 * right)
    assert report.verdict == "wrong"
