"""Losses in which terms cancel: right gradients, derived by hand or by mpmath."""

import mpmath
import numpy as np
import pytest
from families import every_second
from scipy.special import erf, expit, ndtr, softmax

import fastgrad as fg


def by_mpmath(function):
    def grads(w):
        with mpmath.workdps(60):
            return np.array([float(mpmath.diff(function, mpmath.mpf(x))) for x in w])

    return grads


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


CASES = {
    "complement of a sigmoid": (
        lambda w: -np.log(1 - sigmoid(w)).sum(), sigmoid, [25, 28, 30, 32, 34, 36],
    ),
    "complement of a tanh": (
        lambda w: np.log(1 - np.tanh(w)).sum(), lambda w: -(1 + np.tanh(w)), [12, 15, 17],
    ),
    "complement of an error function": (
        lambda w: np.log(1 - erf(w)).sum(),
        by_mpmath(lambda x: mpmath.log(mpmath.erfc(x))), [4, 5, 5.7],
    ),
    "mass of an interval": (
        lambda w: -np.log(ndtr(w + 0.5) - ndtr(w)).sum(),
        by_mpmath(lambda x: -mpmath.log(mpmath.ncdf(x + 0.5) - mpmath.ncdf(x))), [5, 7],
    ),
    "exponential less one": (
        lambda w: ((np.exp(w) - 1) / w).sum(),
        by_mpmath(lambda x: mpmath.expm1(x) / x), [1e-4, 1e-6, 1e-9, 1e-12, 1e-17],
    ),
    "one less a cosine": (
        lambda w: ((1 - np.cos(w)) / w**2).sum(),
        by_mpmath(lambda x: (1 - mpmath.cos(x)) / x**2), [1e-2, 1e-3, 1e-6],
    ),
    "one more and less": (
        lambda w: np.log((w + 1) - 1).sum(), lambda w: 1 / w, [1e-8, 1e-10, 1e-13],
    ),
    "one less an exponential": (
        lambda w: np.log(1 - np.exp(-w)).sum(),
        lambda w: 1 / np.expm1(w), [1e-8, 1e-10, 1e-13],
    ),
    "angle of a cosine": (
        lambda w: np.arccos(1 - w).sum(),
        lambda w: 1 / np.sqrt(w * (2 - w)), [1e-8, 1e-10, 1e-13],
    ),
    "variance by moments": (
        lambda w: np.mean((1e6 * w) ** 2) - np.mean(1e6 * w) ** 2,
        lambda w: 1e12 * (w - w.mean()), [1.0, 1.000001],
    ),
}  # fmt: skip
POINTS = [(name, point) for name, (_, _, points) in CASES.items() for point in points]


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize(("name", "point"), POINTS)
def test_a_right_gradient_is_never_wrong(name, point, engine):
    loss, grads, _ = CASES[name]
    w = np.array([point, 0.3])
    assert fg.check_gradient(loss, w, grads, engine=engine).verdict != "wrong"


@pytest.mark.parametrize(("name", "point"), [p for p in POINTS if p[1] != 1e-13])
def test_bars_cover_what_rounding_does(name, point):
    loss, grads, _ = CASES[name]
    w = np.array([point, 0.3])
    slope, error = fg.numerical_gradient(loss, w, return_error=True)
    off = np.abs(slope - grads(w))
    assert (off <= 2 * error + 1e-9 * np.abs(grads(w))).all()


@pytest.mark.parametrize("name", CASES)
def test_an_entry_that_does_not_cancel_is_still_checked(name):
    loss, grads, points = CASES[name]
    w = np.array([points[0], 0.3])
    wrong = grads(w) * [1, 1.01]
    assert not fg.check_gradient(loss, w, wrong).ok


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n][2][0] > 1e-5])
def test_what_rounding_does_not_reach_is_not_excused(name):
    """At these points it reaches a ten-thousandth at most."""
    loss, grads, points = CASES[name]
    w = np.array([points[0], 0.3])
    report = fg.check_gradient(loss, w, grads(w) * [1.01, 1])
    assert [entry.index for entry in report.wrong] == [(0,)]


def test_a_slope_that_larger_steps_measure_is_not_excused():
    """That of the program is another there, and spreads by thousands of it."""

    def loss(w):
        value = np.sum(np.tanh(w))
        return value + 1e-9 * np.sin(1e13 * value)

    w = np.array([0.3, -0.8, 1.1])
    report = fg.check_gradient(loss, w, 1.5 * (1 - np.tanh(w) ** 2))
    assert len(report.wrong) == 3


def test_counts_are_exact():
    """Whichever way a sum of ones was rounded, a branch on it would be another."""

    def loss(w):
        enough = np.sum(w > 0) >= 3
        return np.sum(np.where(enough, w, 5 * w) ** 2)

    w = np.array([1.5, 2.5, 3.5])
    assert len(fg.check_gradient(loss, w, 2.02 * w).wrong) == 3


def test_the_line_is_told():
    def loss(w):
        rest = 1 - sigmoid(w)
        return -np.log(rest).sum()

    report = fg.check_gradient(loss, np.array([34.0, 0.3]), sigmoid)
    assert report.verdict == "undecided"
    assert "cancel in test_inner_rounding.py, line" in str(report)


# ---- numbers so small that few of their digits are left ------------------------------

TINY = {
    "softmax": lambda z: -np.log(np.exp(z) / np.exp(z).sum())[0],
    "sigmoid": lambda z: -np.log(np.exp(z[0]) / (1 + np.exp(z[0]))) + z[1] ** 2,
    "density": lambda z: -np.log(np.exp(-0.5 * (z[0] - 38.2 - 320) ** 2 / 75)) + z[1],
    "product": lambda z: -np.log(np.prod(np.exp(z))) + np.sum(z**2),
}
RIGHT = {
    "softmax": lambda z: softmax(z) - [1, 0],
    "sigmoid": lambda z: np.array([-expit(-z[0]), 2 * z[1]]),
    "density": lambda z: np.array([(z[0] - 358.2) / 75, 1.0]),
    "product": lambda z: 2 * z - 1,
}


@every_second
@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("below", [700.0, 737.3, 740.6, 742.9])
def test_slopes_of_numbers_that_underflow_are_no_wrong_gradients(name, below):
    """Of exp(-740) three digits are left, and its logarithm is a staircase."""
    shift = {"density": 358.2 - np.sqrt(150 * below), "product": -below - 1.3}
    z = np.array([shift.get(name, -below), 1.3])
    right = RIGHT[name](z)
    assert fg.check_gradient(TINY[name], z, right).verdict != "wrong"
    report = fg.check_gradient(TINY[name], z, right + [0, 0.5])
    assert report.verdict == "wrong" or below > 700
