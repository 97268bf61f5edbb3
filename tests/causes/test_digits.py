"""Gradients that are right but for digits, as differences and float32 leave them."""

import re

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

RNG = np.random.default_rng(11)
X, C, W = RNG.normal(size=(30, 8)), RNG.normal(size=5), RNG.normal(size=(8, 5))


def loss(w):
    return np.sum(np.tanh(X @ w) @ C)


def formula(w, x=X, c=C):
    return x.T @ ((1 - np.tanh(x @ w) ** 2) * c)


RIGHT = formula(W)


def differences(h, sides):
    wide = [np.zeros((8, 5)) for _ in range(40)]
    for k, one in enumerate(wide):
        one.flat[k] = h
    up = np.array([loss(W + one) for one in wide])
    down = np.array([loss(W - one) for one in wide]) if sides == 2 else loss(W)
    return ((up - down) / (sides * h)).reshape(8, 5)


ROUNDED = {
    "central differences": differences(1e-6, 2),
    "wide central differences": differences(1e-4, 2),
    "forward differences": differences(1e-8, 1),
    "float32 constants": formula(W, c=C.astype(np.float32)),
    "float32 data": formula(W, x=X.astype(np.float32)),
    "float32 parameters": formula(W.astype(np.float32)),
    "pi of few digits": RIGHT * (3.14159265 / np.pi),
    "a factor all but one": RIGHT * (1 + 1e-7),
    "noise": RIGHT + 1e-8 * RNG.normal(size=(8, 5)),
}


@pytest.mark.parametrize("kind", ROUNDED)
def test_missing_digits_are_called_so(kind):
    """With a tolerance that makes the gradient right, if there is one."""
    report = fg.check_gradient(loss, W, ROUNDED[kind])
    assert report.verdict == "wrong"
    [cause] = report.causes
    assert cause.code == "precision"
    off = np.linalg.norm(ROUNDED[kind] - RIGHT) / np.linalg.norm(RIGHT)
    digits = int(re.search(r"about (\d+) digits", cause.message).group(1))
    assert abs(digits + np.log10(off)) <= 1.1
    rtol = re.search(r"`rtol=([0-9e.-]+)`", cause.message)
    if rtol is not None:
        again = fg.check_gradient(loss, W, ROUNDED[kind], rtol=float(rtol.group(1)))
        assert again.verdict == "correct"
    assert "great" not in str(report)


def test_one_small_entry_that_is_wrong_is_no_missing_digit():
    """Though the gradient agrees to nine digits."""
    c = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1e-9])
    w = RNG.normal(size=6)
    wrong = c * np.cos(w)
    wrong[5] *= 3
    report = fg.check_gradient(lambda w: np.sum(c * np.sin(w)), w, wrong)
    assert report.verdict == "wrong"
    assert all(cause.code != "precision" for cause in report.causes)


@pytest.mark.parametrize("factor", [1.0001, 0.999, 1 + 3e-6])
def test_a_factor_of_few_digits_is_a_factor(factor):
    """Nobody's rounding is that large."""
    first = fg.check_gradient(loss, W, factor * RIGHT).causes[0]
    assert first.code == "scale"


def newton(p, tolerance):
    """The root of z**3 + p[0] z - p[1], times p[2]."""
    z = 1.0
    while abs(step := (z**3 + p[0] * z - p[1]) / (3 * z * z + p[0])) > tolerance:
        z -= step
    return z * p[2]


def picard(p, tolerance):
    """A fixed point of p[1] / 2 cos(p[0] z), times p[2]."""
    z, last = 1.0, 0.0
    while abs(z - last) > tolerance:
        z, last = np.cos(p[0] * z) * p[1] / 2, z
    return z * p[2]


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("solve", [newton, picard])
@pytest.mark.parametrize(("factor", "code"), [(-1.0, "sign"), (1.3, "scale")])
def test_a_factor_is_told_though_a_tolerance_blurs_slopes(solve, factor, code, engine):
    """Divided by it the gradient is right, to what the tolerance leaves."""
    p = np.array([0.7, 1.3, 2.1])
    right = fg.numerical_gradient(lambda p: solve(p, 1e-14), p)
    report = fg.check_gradient(
        lambda p: solve(p, 1e-4), p, factor * right, engine=engine
    )
    [cause] = report.causes
    assert cause.code == code
    undo = re.search(r"`(.*grads.*?)`", cause.message)[1]
    assert eval(undo, {"grads": factor}) == pytest.approx(1, 1e-2)
    assert ("sign" in cause.message) == (factor == -1)


def test_what_is_off_by_several_factors_has_none():
    """However nearly most of it is off by one."""
    p = np.array([0.7, 1.3, 2.1])
    right = fg.numerical_gradient(lambda p: picard(p, 1e-14), p)
    [cause] = fg.check_gradient(
        lambda p: picard(p, 1e-4), p, right * [2.0, 2.0, 2.1]
    ).causes
    assert cause.code == "unknown"
