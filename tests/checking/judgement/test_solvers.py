"""Iterative solvers and adaptive integrators inside the loss."""

import math

import mpmath
import numpy as np
import pytest
from families import every_second
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

import fastgrad as fg
from fastgrad.checking.judgement import verdict
from fastgrad.checking.judgement.solvers import _PLACES, _UNSEEN, _unevenness
from fastgrad.losses import make_losses


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
    "power iteration": (largest_eigenvalue, 0.4, [1e-2, 1e-5]),
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


POINTS = np.array([0.4, 1.3, -0.7, 2.2, 0.9])


def cutoff(p):
    """A sum over pairs, of those that are close."""
    total = 0.0
    for i in range(len(p)):
        for j in range(i):
            if abs(p[i] - p[j]) < 1.52:
                total += np.exp(p[i] - p[j])
    return total


def cutoff_in_a_function(p):
    """The same, with a loop of a fixed length where a pair is close."""

    def repeated(x):
        result = 0.0
        for k in range(1, 4):
            result += np.exp(k * x) / k
        return result

    return sum(
        repeated(a - b) for k, a in enumerate(p) for b in p[:k] if abs(a - b) < 1.52
    )


def skipped(p):
    """A `continue`, and a counter of its own."""
    total, k = 0.0, 0
    while k < len(p):
        k += 1
        if p[k - 1] < 0.36:
            continue
        total += np.sin(p[k - 1])
    return total


def two_prices(p):
    """Another formula above a threshold, over several lines."""
    total = 0.0
    for x in p:
        if x > 2.1:
            total += np.exp(
                x,
            )
        else:
            total += np.sin(x)
    return total


def neighbours(p):
    """A sum over the points close to each, from a list of them."""
    near = [[b for b in p if 0 < abs(a - b) < 1.52] for a in p]
    total = 0.0
    for a, points in zip(p, near, strict=True):
        for b in points:
            if b == a:
                continue
            total += np.exp(a - b)
    return total


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize(
    "loss", [cutoff, cutoff_in_a_function, skipped, two_prices, neighbours]
)
def test_a_branch_in_a_loop_excuses_nothing(loss, engine):
    """The loss jumps at it, further away: its slope here is its own."""
    right = np.array([np.imag(loss(POINTS + 1e-30j * unit)) for unit in np.eye(5)])
    right *= 1e30
    assert fg.check_gradient(loss, POINTS, right, engine=engine).verdict == "correct"
    for factor in (0.9, 1.001, 1.05):
        one = right.copy()
        one[3] *= factor
        for wrong in (one, factor * right):
            report = fg.check_gradient(loss, POINTS, wrong, engine=engine)
            assert report.verdict == "wrong"


def simpson(p, a=0.0, b=1.0, tolerance=1e-4):
    """Adaptive, calling itself."""

    def rule(a, b):
        f = [np.exp(-p * x * x) for x in (a, (a + b) / 2, b)]
        return (b - a) / 6 * (f[0] + 4 * f[1] + f[2])

    middle = (a + b) / 2
    halves = rule(a, middle) + rule(middle, b)
    if abs(halves - rule(a, b)) < tolerance:
        return halves
    left = simpson(p, a, middle, tolerance / 2)
    return left + simpson(p, middle, b, tolerance / 2)


def of_each_sample(p):
    """One solution for each of several samples, by a function of its own."""
    return sum(fixed_point(p * x, 1e-4) for x in (0.5, 0.8, 1.1))


@pytest.mark.parametrize(
    ("solver", "meant_by", "p"),
    [
        (simpson, lambda p: simpson(p, tolerance=1e-14), 30.0),
        (
            of_each_sample,
            lambda p: sum(fixed_point(p * x, 1e-14) for x in (0.5, 0.8, 1.1)),
            0.7,
        ),
    ],
)
def test_loops_within_calls_are_solvers_too(solver, meant_by, p):
    """A function that calls itself, and a loop within one that is called."""
    h = 1e-4 * p
    near, far = (
        (meant_by(p + k * h) - meant_by(p - k * h)) / (2 * k * h) for k in (1, 2)
    )
    right = np.array([(4 * near - far) / 3])
    report = fg.check_gradient(lambda x: float(solver(x[0])), np.array([p]), right)
    assert report.verdict == "undecided"
    assert any("another number of times" in note for note in report.notes)


@pytest.mark.parametrize(
    ("p", "tolerance", "wrong"),
    [
        (0.3, 1e-2, 1.01),
        (0.575, 3e-3, 1.04),
        (0.85, 1e-2, 1.04),
        (1.125, 1e-2, 1.1),
        (1.4, 1e-2, 1.2),
        (1.675, 1e-2, 1.2),
    ],
)
def test_adaptive_steps_excuse_what_slopes_change_by_and_no_more(p, tolerance, wrong):
    """Their size changes the slope without a jump: by 0.1 % here, by 10 % there."""
    right, at = np.array([meant(decay, p)]), np.array([p])

    def loss(x):
        return float(decay(x[0], tolerance))

    assert fg.check_gradient(loss, at, right, engine="python").verdict != "wrong"
    report = fg.check_gradient(loss, at, wrong * right, engine="python")
    assert report.verdict == "wrong"


def compiled_root(p, tolerance):
    """Of a function that compiled code calls as often as it needs to."""
    return brentq(lambda x: x + np.exp(x) * p - 1.3, -10, 10, xtol=tolerance)


def compiled_integral(p, tolerance):
    return quad(
        lambda t: np.sqrt(abs(t - p)), 0, 6, epsabs=tolerance, epsrel=tolerance
    )[0]


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("p", [0.7, 2.0])
@pytest.mark.parametrize("solver", [compiled_root, compiled_integral])
def test_what_compiled_code_calls_back_is_a_loop_too(solver, p, engine):
    """How often it does tells, as the turns of a loop do."""
    right, at = np.array([meant(solver, p)]), np.array([p])
    for tolerance in (1e-2, 1e-4):
        options = {"engine": engine, "kwargs": {"tolerance": tolerance}}
        report = fg.check_gradient(of_one(solver), at, right, **options)
        assert report.verdict != "wrong"
        report = fg.check_gradient(of_one(solver), at, 1.3 * right, **options)
        assert report.verdict != "correct"
    assert report.verdict == "wrong"


def of_one(solver):
    def loss(x, tolerance):
        return float(solver(x[0], tolerance))

    return loss


def test_a_solver_that_does_not_end_further_away_is_left_alone():
    """Where it is only watched, it is not run for ever."""

    def loss(p):
        z = 1.0
        while abs(np.sin(p[0] * z) - z + 0.3) > 1e-3:  # no contraction beyond p = 1
            z = np.sin(p[0] * z) + 0.3
        return z

    p = np.array([0.7])
    step = 1e-2
    coarse = (loss(p + step) - loss(p - step)) / (2 * step)
    report = fg.check_gradient(loss, p, np.array([coarse]), engine="python")
    assert report.verdict in ("wrong", "undecided")


def test_jumps_are_looked_for_once_and_not_in_every_piece(rng, monkeypatch):
    """A gradient that is wrong throughout costs a few calls more, however large."""
    calls = 0

    def loss(x):
        nonlocal calls
        calls += 1
        return np.sum(np.tanh(x))

    x = rng.standard_normal(1000)
    taken = []
    for piece in (2**10, 2**5):
        monkeypatch.setattr(verdict, "PIECE", piece)
        calls = 0
        wrong = 1.1 * (1 - np.tanh(x) ** 2)
        report = fg.check_gradient(loss, x, wrong, coverage=500, engine="compiled")
        assert report.blocks[0].wrong == 500
        taken.append(calls)
    assert taken[1] < taken[0] + 20 * 1000 / 2**5


def test_a_solver_that_another_piece_feeds_is_seen(rng, monkeypatch):
    """Though entries that are judged before do not reach it."""
    monkeypatch.setattr(verdict, "PIECE", 2)
    tolerance = 1e-3

    def loss(x):
        return float(np.sum(x[:-1] ** 2) + fixed_point(x[-1], tolerance))

    x = np.array([0.3, -0.8, 1.2, 0.5, 0.7])
    grads = np.append(3.0 * x[:-1], meant(fixed_point, 0.7))
    report = fg.check_gradient(loss, x, grads)
    assert {entry.index for entry in report.wrong} == {(k,) for k in range(4)}


def summed(p, _):
    """The exponential series, until nothing is added."""
    term, total, k = 1.0, 1.0, 0
    while abs(term) > 1e-17 * abs(total):
        k += 1
        term *= p / k
        total += term
    return total


def continued_fraction(p, _):
    """The hyperbolic tangent, by Lentz's method."""
    f, c, d, k = 1e-30, 1e-30, 0.0, 0
    while True:
        numerator, denominator = (p if k == 0 else p * p), 2 * k + 1
        d = 1 / (denominator + numerator * d)
        c = denominator + numerator / c
        f, k = f * c * d, k + 1
        if abs(c * d - 1) < 1e-15:
            return f


CONVERGED = {
    "series": (summed, 0.7, np.exp),
    "continued fraction": (continued_fraction, 0.8, lambda p: 1 - np.tanh(p) ** 2),
    "newton": (lambda p, _: newton(p, 1e-14), 2.3, lambda p: 0.5 * p**-0.5),
    "zeta": (lambda p, _: mpmath.zeta(p), 2.2, lambda p: mpmath.diff(mpmath.zeta, p)),
    "gamma": (
        lambda p, _: mpmath.gamma(p),
        0.7,
        lambda p: mpmath.gamma(p) * mpmath.psi(0, p),
    ),
    "erf": (
        lambda p, _: mpmath.erf(p),
        0.4,
        lambda p: 2 / np.sqrt(np.pi) * np.exp(-p * p),
    ),
}


@pytest.mark.parametrize("name", CONVERGED)
def test_another_number_of_turns_without_a_jump_excuses_nothing(name):
    """Iterations that converge to the last digits: one per cent is wrong."""
    function, p, derivative = CONVERGED[name]
    x = np.array([p, 1.3])

    def loss(x):
        return float(function(x[0], None) + x[1] ** 2)

    right = np.array([float(derivative(p)), 2.6])
    assert fg.check_gradient(loss, x, right).verdict == "correct"
    for factor in (1.01, 0.97):
        report = fg.check_gradient(loss, x, right * [factor, 1.0])
        assert [entry.index for entry in report.wrong] == [(0,)]


def careless(p):
    """A fixed point that nobody can ask to be known better."""
    z = 1.0
    while True:
        z, before = math.cos(p * z), z
        if abs(z - before) < 0.02:
            return z


def test_what_is_off_by_a_fifth_may_be_a_tolerance_and_twice_as_much_is_not():
    """The slopes of the loss are off by 2 to 19 per cent here."""
    for p in np.linspace(0.3, 0.9, 13):
        right, x = np.array([meant(fixed_point, p)]), np.array([p])
        for factor, expected in [(1.0, "undecided"), (2.0, "wrong")]:
            report = fg.check_gradient(
                lambda x: careless(x[0]), x, factor * right, engine="python"
            )
            assert report.verdict == expected


def test_where_an_iteration_may_not_end_it_is_not_asked():
    """It converges slowly, and from 1.32 on never."""

    def loss(p):
        return float(fixed_point(p[0], 1e-13) + p[1] ** 2)

    right = np.array([meant(fixed_point, 0.7), 2.6])
    x = np.array([0.7, 1.3])
    assert fg.check_gradient(loss, x, right).verdict == "correct"
    assert fg.check_gradient(loss, x, right * [1.02, 1.0]).verdict == "wrong"


@pytest.mark.parametrize("share", [0.0, 1e-4, 0.03])
def test_unevenness_is_the_share_of_slopes_that_scatters(share):
    """Beside a parabola: of a wave that is much faster than the places are close."""
    found = []
    for k in range(20):
        fast = 5e4 + 2e3 * k

        def loss(p, fast=fast, k=k):
            x = float(p[0]) - 1
            return 3 * x + x**2 + 3 * share * np.sin(fast * x + k) / fast

        with make_losses(loss, np.ones(1), engine="python") as losses:
            found.append(_unevenness(losses, np.ones(1), _PLACES / 8, 1e6) / _UNSEEN)
    assert share / 1.6 <= np.mean(found) <= 1.6 * share + 1e-9
