"""Solvers that are handed their tolerances: these are made tighter to see the slope."""

import math
import sys

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import fastgrad as fg
from fastgrad.checking.judgement.handed import handing, seen
from fastgrad.checking.judgement.tighter import Tighter
from fastgrad.losses import make_losses

SYSTEMS = {
    "oscillator": (lambda y, p: [y[1], -(p[0] ** 2) * y[0]], lambda p: [p[1], 0.0]),
    "logistic": (lambda y, p: [p[0] * y[0] * (1 - y[0] / p[1])], lambda p: [0.1]),
    "predators": (
        lambda y, p: [y[0] * (p[0] - p[1] * y[1]), y[1] * (y[0] / 2 - 1)],
        lambda p: [1.0, 1.0],
    ),
    "pendulum": (
        lambda y, p: [y[1], -p[0] * np.sin(y[0]) - y[1] / 10],
        lambda p: [p[1], 0.0],
    ),
}
# The slopes of all are less even where they are seen than they are off by.
OFF = [
    ("predators", "RK45", 3e-3, 1.46, [0.62, 1.12]),
    ("logistic", "RK45", 3e-3, 0.74, [1.93, 2.13]),
    ("oscillator", "RK23", 1e-3, 1.34, [1.18, 1.29]),
]


def final(p, system, end, method="DOP853", rtol=1e-12, atol=1e-14):
    """Return the square of the state at the end."""
    slope, start = SYSTEMS[system]
    options = {"method": method, "rtol": rtol, "atol": atol}
    return solve_ivp(lambda t, y: slope(y, p), (0, end), start(p), **options).y[0, -1]


def meant(p, system, end, h=2e-3):
    """Return the gradient of it, from nearly exact solutions."""
    sides = [
        [final(p + k * h * e, system, end) ** 2 for k in (1, -1, 2, -2)]
        for e in np.eye(2)
    ]
    return np.array([(8 * (a - b) - c + d) / (12 * h) for a, b, c, d in sides])


@pytest.mark.parametrize(("system", "method", "rtol", "end", "p"), OFF)
def test_what_tighter_tolerances_agree_with_is_not_wrong(system, method, rtol, end, p):
    """Errors of the size of what the solver is off by, and larger ones, are."""

    def loss(p):
        return float(final(p, system, end, method, rtol, rtol / 1e3) ** 2)

    p = np.array(p)
    right = meant(p, system, end)
    report = fg.check_gradient(loss, p, right, engine="python")
    assert report.verdict == "undecided"
    assert any("Tighten the tolerance" in note for note in report.notes)
    for factor in (0.7, 1.3):
        report = fg.check_gradient(loss, p, factor * right, engine="python")
        assert report.verdict == "wrong"


def test_a_slope_that_tolerances_do_not_move_is_wrong_by_one_per_cent():
    """The loss is off by 0.1 %, and jumps by nothing."""

    def loss(p):
        return float(final(p, "logistic", 0.74, "RK45", 3e-3, 3e-6) ** 2)

    p = np.array([1.93, 2.13])
    wrong = meant(p, "logistic", 0.74) * [1.01, 1.0]
    report = fg.check_gradient(loss, p, wrong, engine="python")
    assert [entry.index for entry in report.wrong] == [(0,)]


def calls_of(loss, p, grads):
    """Return the verdict, and how often the loss was called for that."""
    calls = 0

    def counted(p):
        nonlocal calls
        calls += 1
        return loss(p)

    return fg.check_gradient(counted, p, grads, engine="python").verdict, calls


def test_where_tighter_tolerances_refute_a_gradient_no_jump_is_looked_for():
    """Nor a second one where a first excuses all that can be: it is called far less."""

    def loss(p):
        return float(final(p, "logistic", 0.74, "RK45", 3e-3, 3e-6) ** 2)

    def another(p):  # the same, with nothing that functions are handed
        return float(final(p, "logistic", 0.74) ** 2)

    p = np.array([1.93, 2.13])
    right = meant(p, "logistic", 0.74)
    verdict, usual = calls_of(another, p, 1.3 * right)
    assert verdict == "wrong"
    for factor, verdict in [(1.0, "undecided"), (0.7, "wrong"), (1.3, "wrong")]:
        found, calls = calls_of(loss, p, factor * right)
        assert found == verdict
        assert calls < 2 * usual


def test_a_tolerance_of_another_loop_refutes_nothing():
    """The slope of a loop with its own, which nobody hands it, stays as far off."""

    def within(p):
        z = 1.0
        while True:
            z, before = math.cos(p * z), z
            if abs(z - before) < 1e-3:
                return z

    def loss(p):
        return root(p[1], 1e-5) + within(p[0])

    z, p = 0.0, np.array([0.7, 2.0])
    for _ in range(100):
        z = math.cos(p[0] * z)
    right = -z * math.sin(p[0] * z) / (1 + p[0] * math.sin(p[0] * z))
    grads = np.array([right, 0.5 / math.sqrt(2)])
    report = fg.check_gradient(loss, p, grads, engine="python")
    assert report.verdict == "undecided"
    assert any("Tighten the tolerance" in note for note in report.notes)


def root(p, tolerance=1e-3, start=0.05, *, damping=0.09):
    """By a damped iteration; `start` and `damping` are no tolerances."""
    z, step = start, 1.0
    while abs(step) > tolerance:
        step = (p - z * z) * (1 - damping) / (2 * z + 1)
        z += step
    return z


def test_numbers_that_functions_are_handed_are_seen_and_replaced():
    """Defaults and keywords, too; nan are those that vary. Tracing goes on as before."""

    def twice(p):
        return root(p, 1e-6) + root(p, 1e-7, damping=0.08)

    before = sys.gettrace()
    with seen() as numbers:
        twice(2.0)
    assert sys.gettrace() is before
    found = numbers[root.__code__]
    assert found["start"] == 0.05
    assert math.isnan(found["tolerance"])
    assert math.isnan(found["damping"])
    with handing({root.__code__: {"tolerance": 10.0}}):
        assert root(2.0) == 0.05
    assert sys.gettrace() is before
    assert root(2.0) == pytest.approx(math.sqrt(2), abs=1e-2)


def test_only_what_makes_the_loss_run_longer_is_made_smaller():
    """And what depends on no parameter."""

    def loss(p):
        return root(p[0], start=p[1])

    def scaled(p, weight=1e-2):
        return weight * loss(p)

    with make_losses(scaled, np.array([2.0, 0.05]), engine="python") as losses:
        changed, _ = Tighter(losses)._found
    assert set(changed) == {root.__code__}
    assert changed[root.__code__]["tolerance"] < 1e-5
    assert "start" not in changed[root.__code__]


def shifted(p, tolerance):
    """The square, and an error by a root of the tolerance: it falls slowly, and evenly."""
    left, error = 1.0, tolerance**0.22
    while left > tolerance:
        left *= 0.5 ** (1 / p)
    return p * p + 0.1 * error * p


def shifted_in_many_turns(p, tolerance):
    """As many as tolerances are small."""
    turns, error = 1, tolerance**0.22
    while p / turns > tolerance:
        turns += 1
    return p * p + 0.1 * error * p


@pytest.mark.parametrize(
    ("solver", "tolerance"),
    [(shifted, 0.05), (shifted, 2e-9), (shifted_in_many_turns, 0.05)],
)
def test_slopes_that_come_closer_slowly_agree(solver, tolerance):
    """Those of the loss are off evenly: nothing else tells, and no jump excuses more."""
    p = np.array([0.7, 1.3, 1.1])

    def loss(p):
        return float(sum(solver(x, tolerance) for x in p))

    seen = [
        fg.check_gradient(loss, p, factor * p, engine="python").verdict
        for factor in (2.0, 2.1, 1.95, 2.6)
    ]
    assert seen == ["undecided", "wrong", "wrong", "wrong"]


def test_tolerances_that_rounding_would_not_let_be_met_are_left_alone():
    """The square of a root near 1000 is off by 1e-13: the loss would never end."""
    longest = 0

    def root(p, tolerance):
        nonlocal longest
        z, turns = p, 0
        while abs(z * z - p) > tolerance:
            turns += 1
            longest = max(longest, turns)
            z = (z + p / z) / 2
        return z

    p = np.array([1002.2])
    wrong = 0.55 / np.sqrt(p)

    def loss(p):
        return float(root(p[0], 1e-10))

    assert fg.check_gradient(loss, p, wrong, engine="python").verdict == "wrong"
    assert longest < 20


def relaxed(p, tolerance, share):
    """A fixed point, approached by a share of what is left."""
    z = step = 1.0
    while abs(step) > tolerance:
        step = share * (math.cos(p * z) - z)
        z += step
    return z


@pytest.mark.parametrize("share", [0.15, 0.3, 0.9])
def test_a_share_is_no_tolerance(share):
    """With less of it an iteration stops as far from where it should, by smaller steps."""
    p = np.array([0.7, 1.1])

    def loss(p):
        return float(sum(relaxed(x, 3e-3, share) for x in p))

    z = np.array([relaxed(x, 1e-14, 0.9) for x in p])
    right = -z * np.sin(p * z) / (1 + p * np.sin(p * z))
    verdicts = [
        fg.check_gradient(loss, p, factor * right, engine="python").verdict
        for factor in (1.0, 1.3)
    ]
    assert verdicts == ["undecided", "wrong"]


def test_of_a_wrong_gradient_a_few_entries_are_looked_at():
    """However many there are: the loss runs longer with tighter tolerances."""
    calls = []
    for size in (50, 200):
        p = np.linspace(0.5, 1.5, size)
        count = 0

        def loss(p, tolerance=1e-3):
            nonlocal count
            count += tolerance < 1e-3
            return float(shifted(p.mean(), tolerance) * p.size)

        assert fg.check_gradient(loss, p, 2.6 * p, engine="python").verdict == "wrong"
        calls.append(count)
    assert 0 < calls[0] <= calls[1] < calls[0] + 10
