"""Parts of a check of which little shows in a verdict, each by itself."""

import time

import numpy as np
import pytest
from scipy import sparse

import fastgrad as fg
from fastgrad.checking.differences.pairs import Pairs
from fastgrad.checking.differences.scales import keeping_sign
from fastgrad.checking.differences.tables import quantum_of

UNITS = [2.0**-60, 1.0, 2.0**60]


def function(x):
    return np.sin(x) * x[::-1]


def jac(x):
    return np.diag(np.cos(x) * x[::-1]) + np.diag(np.sin(x))[:, ::-1]


X = np.array([0.4, -1.1, 2.3, 0.9])


@pytest.mark.parametrize("unit", UNITS)
def test_scales_that_keep_signs(unit):
    """Eight times as far nothing changes its sign, and zero has none."""
    theta = unit * np.array([3.0, -2.0, 1e-3, -1e-9, 0.0])
    found = keeping_sign(np.full(5, unit), theta, 8.0)
    for sign in (-8.0, 8.0):
        assert (np.sign(theta + sign * found) == np.sign(theta))[:4].all()
    assert (found[:4] * 8 > 0.9 * np.minimum(8 * unit, abs(theta[:4]))).all()
    assert found[4] == unit


@pytest.mark.parametrize("unit", UNITS)
def test_small_multiples_are_steps(unit):
    """Of one number; thousands of times as much may be anything."""
    steps = unit * np.array([[3.0, -6.0, 0.0, 21.0], [2.0, 2.5, 0.0, 0.0]])
    steps = np.vstack([steps, unit * np.array([1.0, 1.0, 2e6, 2.0]), np.zeros(4)])
    found = quantum_of(steps)
    assert found[:2].tolist() == [3 * unit, 0.5 * unit]
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize("unit", UNITS)
def test_differences_round_as_they_are_large(unit):
    """A rounding of each of two, over the distance, and not hundreds."""
    h = np.full(3, 2.0**-10)
    plus = unit * np.array([1.0, 3.0, 1e-6])
    rounding = Pairs(plus, -plus, h, h, None).rounding()
    least = 2 * np.finfo(float).eps * plus / (2 * h)
    assert (least <= rounding).all()
    assert (rounding <= 100 * least).all()


@pytest.mark.parametrize("unit", UNITS)
def test_products_that_contradict_each_other_in_any_unit(unit):
    """A percent of a tiny Jacobian is a contradiction, rounding of a huge one is none."""
    products = {
        "vjp": lambda x, v: unit * (v @ jac(x)),
        "jvp": lambda x, u: unit * (jac(x) @ u),
    }
    assert fg.check_jacobian(lambda x: unit * function(x), X, **products).ok
    products["jvp"] = lambda x, u: 1.01 * unit * (jac(x) @ u)
    report = fg.check_jacobian(lambda x: unit * function(x), X, **products)
    assert not report.ok
    assert any("not of the same Jacobian" in note for note in report.notes)


def test_blocks_of_sparse_jacobians_have_their_shapes():
    n = 7
    right = sparse.diags_array(2 * np.arange(1.0, n + 1))
    report = fg.check_jacobian(
        lambda x: x**2, np.arange(1.0, n + 1), right, sparsity=np.eye(n)
    )
    assert [(b.shape, b.size) for b in report.blocks] == [((n, n), n * n)]


def test_what_cannot_be_allocated_ends_a_jacobian():
    """It is no border of the domain."""
    calls = []

    def scarce(x):
        calls.append(1)
        if len(calls) > 2:
            raise MemoryError
        return function(x)

    with pytest.raises(MemoryError):
        fg.check_jacobian(scarce, X, jac(X))


def test_seconds_are_those_of_the_check():
    started = time.perf_counter()
    report = fg.check_gradient(lambda x: np.sum(x**2), X, 2 * X)
    assert 0 < report.seconds <= time.perf_counter() - started


def losses(p, x):
    return np.mean((x @ p) ** 2)


def slopes(p, x):
    return 2 * x.T @ (x @ p) / len(x)


@pytest.mark.parametrize("axis", ["x", 0.5])
def test_axes_of_samples_are_integers(axis):
    with pytest.raises(TypeError, match="`axis"):
        fg.check_variations(losses, X, slopes, (np.ones((5, 4)),), axis=axis)
    with pytest.raises(TypeError, match="`per_sample"):
        fg.check_variations(
            lambda p, x: losses(p["w"], x), {"w": X}, slopes, (np.ones((5, 4)),),
            per_sample={"w": axis},
        )  # fmt: skip


def test_two_samples_are_enough_for_batches():
    """One of them, three of them, and both in another order."""
    report = fg.check_variations(losses, X, slopes, (np.arange(8.0).reshape(2, 4),))
    names = {variation.name for variation in report.variations}
    assert names >= {"a batch of 1", "a batch of 3", "samples reordered"}


@pytest.mark.parametrize("given", [-0.5, 0.25, 1.0])
def test_kinks_are_no_part_of_the_relative_error(given):
    """It is that of the entries with a slope: 0.02 of 2.02, to the other two."""

    def loss(p):
        return abs(p[0]) + p[1] ** 2 / 2 + p[2]

    report = fg.check_gradient(loss, np.array([0.0, 1.0, 0.0]), [given, 1.02, 1.0])
    off = 0.02 / (np.hypot(1.02, 1.0) + np.hypot(1.0, 1.0))
    assert report.relative_error == pytest.approx(off, rel=1e-6)
    assert [entry.index for entry in report.wrong] == [(1,)]


def test_monitors_take_their_share_again_and_again(monkeypatch):
    """Of a tenth of the time, as much as a check takes every tenth second."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monitor = fg.GradientMonitor(lambda w: np.sum(w**4), share=0.1)
    check = monitor._check

    def checked(*args, **options):
        now[0] += 1.0
        return check(*args, **options)

    monitor._check = checked
    for _ in range(200):
        monitor.step(X, 4 * X**3)
        now[0] += 1.0
    assert 15 <= len(monitor.checked) <= 25
