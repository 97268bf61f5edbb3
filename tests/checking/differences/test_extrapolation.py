"""Numerical derivatives against closed forms, where differences are hard to take."""

import importlib.util
import math
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize._numdiff import approx_derivative

import fastgrad as fg

PATH = Path(__file__).parents[3] / "benchmarks" / "differentiators.py"


def _suite():
    spec = importlib.util.spec_from_file_location("fastgrad_differentiators", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


suite = _suite()
EPS = np.finfo(float).eps
PROBLEMS = {
    f"{p.name}, {p.kind}": p for p in (*suite.problems(seed=5), *suite.held_out(seed=5))
}
# Where the loss itself is known to fewer digits.
COARSE = {
    "noise of 1e-7": 2e-5,
    "float32 inside": 2e-5,
    "rounded to float32": 2e-5,
    "far from 0": 1e-11,
    "sine, 100 of 100": 1e-10,
    "log-gamma, one number at a time": 1e-11,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", PROBLEMS)
def test_no_worse_than_the_usual_differences(name):
    """Near the last digits, and never three times as far off as SciPy's."""
    p = PROBLEMS[name]
    error, _ = suite.measure(p, suite.by_fastgrad)
    usual = {"gradient": 1e-12, "Jacobian": 1e-11, "Hessian": 1e-9}[p.kind]
    assert error <= COARSE.get(p.name, usual)
    other, _ = suite.measure(p, suite.by_scipy)
    assert not error > 3 * other


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "name", [n for n, p in PROBLEMS.items() if p.kind != "Hessian"]
)
def test_without_a_program_they_are_as_good_as_the_arithmetic_allows(name):
    """Where the function is called alone: better than SciPy, for few calls."""
    p = PROBLEMS[name]
    error, calls = suite.measure(p, suite.by_python)
    other, _ = suite.measure(p, suite.by_scipy)
    assert not error > 3 * other
    assert calls <= 90 + 20 * p.x.size


FUNCTIONS = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "rational": (lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2),
}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(FUNCTIONS)),
    st.integers(-2, 12),
    st.integers(-20, 20),
    st.sampled_from([0.0, 1.0, 1e3]),
    st.integers(0, 10**6),
)
def test_bars_cover_the_error(name, rate, unit, offset, seed):
    """Whatever the scales of loss and parameters; and they are worth something."""
    f, slope = FUNCTIONS[name]
    rate, unit = 2.0**rate, 2.0**unit
    x = np.random.default_rng(seed).uniform(0.5, 1.5, 4) / rate

    def loss(p):
        return offset + unit * np.sum(f(rate * p))

    value, bar = fg.numerical_gradient(loss, x, engine="python", return_error=True)
    right = unit * rate * slope(rate * x)
    largest = np.abs(right).max() + 1e-12 * offset * rate
    # Noise passes three bars once in some thousand times.
    assert (np.abs(value - right) <= 6 * bar + 1e-13 * largest).all()
    assert (bar <= 1e-8 * largest + 1e-11 * offset * rate).all()


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_kinks_and_peaks_between_the_steps_are_not_smoothed_over(engine):
    """At any distance, near and far."""
    for distance in 10.0 ** np.arange(-9.0, 0.0):
        k = np.array([0.3, -1.2, 0.9])

        def loss(p, k=k):
            return np.sum(np.abs(p - k)) + np.sum(p**2)

        x = k + distance * np.array([1, -1, 1])
        found = fg.numerical_gradient(loss, x, engine=engine)
        right = np.sign(x - k) + 2 * x
        assert np.abs(found - right).max() < 1e-14 / distance + 1e-9
    width = 1e-4

    def peak(p):
        return p[1] ** 2 + np.exp(-(((p[0] - 0.7) / width) ** 2))

    found = fg.numerical_gradient(peak, np.array([0.70005, 1.0]), engine=engine)
    assert np.allclose(found, [-1e4 * np.exp(-0.25), 2.0], rtol=1e-8)


def test_random_functions_are_refused():
    """Whatever derivative is asked for; a check of one is left open, and says why."""
    rng = np.random.default_rng(0)

    def dropout(x):
        return x * (rng.random(x.shape) < 0.5)

    def loss(x):
        return float(np.sum(dropout(x) ** 2))

    x = np.ones(12)
    calls = [
        lambda: fg.numerical_gradient(loss, x, return_error=True),
        lambda: fg.numerical_hessian(loss, x),
        lambda: fg.numerical_jacobian(dropout, x),
        lambda: fg.numerical_jacobian(dropout, np.ones(100)),
        lambda: fg.numerical_jacobian(dropout, x, return_error=True),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="must be deterministic"):
            call()
    for report in (
        fg.check_gradient(loss, x, 2 * x),
        fg.check_jacobian(dropout, x, np.eye(12)),
        fg.check_hessian(loss, x, 2 * np.eye(12)),
    ):
        assert report.verdict == "undecided"
        assert [cause.code for cause in report.causes] == ["nondeterministic"]


def test_the_usual_differences_know_them_no_better():
    """The comparison is a fair one: SciPy is asked for its three points."""
    found = approx_derivative(np.sin, np.ones(2), method="3-point")
    assert np.allclose(np.diag(found), np.cos(1.0), rtol=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "name", [n for n, p in PROBLEMS.items() if p.kind == "Hessian"]
)
@pytest.mark.parametrize("engine", ["auto", "python"])
def test_hessians_are_within_their_bars(name, engine):
    p = PROBLEMS[name]
    found, error = fg.numerical_hessian(p.fun, p.x, engine=engine, return_error=True)
    assert np.all(np.abs(found - p.exact) <= error + 4 * EPS * np.abs(p.exact))
    assert np.all(error <= 1e-3 * np.abs(p.exact).max())


A = np.random.default_rng(3).normal(size=(6, 6))
# Of these the complex step is another number than the derivative, none, or refused.
NOT_ANALYTIC = {
    "absolute values": (
        lambda w: 1e-4 * np.sum(np.abs(w)),
        lambda w: 1e-4 * np.sign(w),
    ),
    "a norm": (np.linalg.norm, lambda w: w / np.linalg.norm(w)),
    "a product with the conjugate": (
        lambda w: np.sum(A @ w * np.conj(A @ w)),
        lambda w: 2 * A.T @ A @ w,
    ),
    "a real part in a sum": (
        lambda w: np.sum(w**3) + 1e-6 * np.sum(np.real(w) ** 2),
        lambda w: 3 * w**2 + 2e-6 * w,
    ),
    "an imaginary part": (
        lambda w: np.sum(w**2) + np.sum(np.imag(w)) * 1e-3,
        lambda w: 2 * w,
    ),
    "numbers of Python": (lambda w: sum(math.sin(float(v)) for v in w), np.cos),
    "a buffer of floats": (lambda w: _in_a_buffer(w), lambda w: np.cos(w)),
    "float32": (
        lambda w: np.sum(w.astype(np.float32).astype(float) ** 2),
        lambda w: 2 * w,
    ),
    "a branch on complex numbers": (
        lambda w: np.sum(w**2) * (3 if np.iscomplexobj(w) else 1),
        lambda w: 2 * w,
    ),
    "conjugates that cancel at real points": (
        lambda w: np.sum(np.exp(w)) + 1e-7 * np.sum(w.conj() ** 2),
        lambda w: np.exp(w) + 2e-7 * w,
    ),
}


def _in_a_buffer(w):
    out = np.empty(w.shape)
    out[...] = np.sin(w)
    return out.sum()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NOT_ANALYTIC)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_not_analytic_is_not_taken_for_it(name, seed):
    """No trace of the complex step in the result, and no warning."""
    loss, slope = NOT_ANALYTIC[name]
    w = np.random.default_rng(seed).normal(size=6)
    usual = 1e-5 if name == "float32" else 1e-10
    found, error = fg.numerical_gradient(loss, w, engine="python", return_error=True)
    exact = slope(w)
    np.testing.assert_allclose(found, exact, rtol=usual, atol=usual * abs(exact).max())
    if name != "float32":
        assert np.all(np.abs(found - exact) <= error + 4 * EPS * np.abs(exact))
    jacobian = fg.numerical_jacobian(lambda w: np.stack([loss(w), loss(w)]), w)
    np.testing.assert_allclose(
        jacobian, [exact, exact], rtol=usual, atol=usual * abs(exact).max()
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_analytic_is_exact_without_a_program(name):
    """To the last digit, but where differences are further off than they say."""
    f, slope = FUNCTIONS[name]
    exact = 0
    for seed in range(40):
        x = np.random.default_rng(seed).normal(size=1 + seed % 12)
        found = fg.numerical_gradient(lambda x: np.sum(f(x)), x, engine="python")
        np.testing.assert_allclose(found, slope(x), rtol=1e-10, atol=1e-11)
        exact += np.allclose(found, slope(x), rtol=1e-14, atol=1e-15)
    assert exact >= 36


def test_what_a_loss_keeps_is_of_real_parameters():
    """The complex step comes before the differences."""
    kept = []

    def loss(w):
        kept[:] = [np.tanh(w)]
        return np.sum(kept[0] ** 2)

    fg.numerical_gradient(loss, np.array([0.3, -0.4]), engine="python")
    assert kept[0].dtype == np.float64


def test_threads_leave_the_filters_of_warnings_alone():
    before = list(warnings.filters)
    x = np.array([0.3, -0.4])

    def slope(_):
        return fg.numerical_jacobian(np.sin, x)

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(slope, range(64)):
            np.testing.assert_allclose(found, np.diag(np.cos(x)), rtol=1e-14)
    assert warnings.filters == before


@pytest.mark.parametrize("size", [1, 5, 70])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_workers_give_the_same_bits(name, size):
    f, _ = FUNCTIONS[name]
    x = np.random.default_rng(size).normal(size=size)

    def loss(x):
        return np.sum(f(x))

    with ThreadPoolExecutor(2) as pool:
        there = fg.numerical_gradient(loss, x, workers=pool, engine="workers")
        matrix = fg.numerical_jacobian(f, x, workers=pool)
    here = fg.numerical_gradient(loss, x, engine="python")
    np.testing.assert_array_equal(there, here)
    np.testing.assert_array_equal(matrix, fg.numerical_jacobian(f, x))
