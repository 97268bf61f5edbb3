"""Numerical derivatives against closed forms, where differences are hard to take."""

import importlib.util
import math
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from families import every_second
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize._numdiff import approx_derivative

import fastgrad as fg
from fastgrad.checking.differences.extrapolation import MULTIPLES, extrapolated
from fastgrad.checking.differences.pairs import Pairs

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def _script(name):
    path = BENCHMARKS / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"fastgrad_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


suite, bars = _script("differentiators"), _script("bars")
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
    assert calls <= 90 + 22 * p.x.size


FUNCTIONS = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "rational": (lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2),
}


@settings(max_examples=60)
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


@pytest.mark.parametrize("distance", [0.0, 1e-3, 0.4, 0.6, 1.0, 1.6, 2.5, 3.5])
@pytest.mark.parametrize("jump", [1e-5, 1e-3, 1.0, 30.0])
def test_bars_cover_kinks_at_any_distance(jump, distance):
    """Nearer than all steps the quotients agree, with the mean of two slopes."""
    slope, bend, third, fifth = np.random.default_rng(0).normal(size=(4, 500, 1))
    h = np.outer(np.ones(500), MULTIPLES) / 64

    def rise(t):
        kink = jump * np.maximum(t - distance / 64, 0)
        return slope * t + bend * t**2 + third * t**3 + fifth * t**5 + kink

    found = extrapolated(Pairs(rise(h), rise(-h), h, h, None), np.full(500, 1e-15))
    assert (np.abs(found.value - slope[:, 0]) <= 1.01 * found.error).all()


@pytest.mark.parametrize(
    ("name", "method", "size"),
    [
        *((name, "central", 24) for name in bars.SMOOTH),
        ("sin 3x", "ridders", 24),
        ("sin 3x", "forward", 24),
        ("sin 3x", "central", 1100),
    ],
)
def test_bars_cover_kinks_that_curvature_hides(name, method, size):
    for jump in (1e-6, 1e-5, 1e-3) if size < 1000 else (1e-5,):
        for distance in (-8.0, -4.0, -2.5):
            error, bar, _ = bars.trial(name, jump, distance, 0, size, method)
            assert (error <= 1.1 * bar).all()
            assert np.median(bar) < 2 * jump + 1e-5


@every_second
@pytest.mark.parametrize("periods", [1, 2, 7])
@pytest.mark.parametrize("off", [0.0, 1e-6, 0.005, 0.02, 0.04])
def test_steps_that_hold_whole_waves_do_not_hide_them(periods, off):
    """Beside a step of an eighth and its halves, and among slower ones in a block."""
    x = np.random.default_rng(periods).uniform(0.5, 1.4, 36)
    rate = 2 * np.pi * periods * (1 + off) * 2.0 ** (3 + np.arange(36) % 6)
    rate[::9] = 1.0

    def loss(x):
        return float(np.sum(np.sin(rate * x)))

    found, error = fg.numerical_gradient(loss, x, engine="python", return_error=True)
    exact = rate * np.cos(rate * x)
    assert (np.abs(found - exact) <= 4 * error + 1e-12 * rate).all()
    assert (error <= 1e-6 * rate).all()
    jacobian = fg.numerical_jacobian(lambda x: np.sin(rate * x.real), x)
    np.testing.assert_allclose(jacobian, np.diag(exact), atol=1e-6 * rate.max())


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


@every_second
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


@pytest.mark.parametrize("name", ["absolute values", "a real part in a sum"])
def test_nor_of_many_inputs(name):
    """Where directions alone tell, and what is off is one part in a million."""
    loss, slope = NOT_ANALYTIC[name]
    w = np.random.default_rng(0).normal(size=100)

    def fun(w):
        return np.stack([np.sum(np.exp(w)), loss(w), np.sum(w)])

    found, error = fg.numerical_jacobian(fun, w, return_error=True)
    exact = np.stack([np.exp(w), slope(w), np.ones(100)])
    np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-9 * abs(exact[1]).max())
    assert np.all(np.abs(found - exact) <= error + 4 * EPS * np.abs(exact))


@pytest.mark.parametrize("bounds", [None, (-10.0, 10.0)])
@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("size", [3, 40, 128])
def test_analytic_functions_are_called_once_an_input(size, vectorized, bounds):
    """And along two directions, which is all the same for a network's many inputs."""
    rng = np.random.default_rng(size)
    A, x = rng.normal(size=(7, size)) / np.sqrt(size), rng.normal(size=size)
    calls = 0

    def fun(x):
        nonlocal calls
        calls += 1
        return np.tanh(x @ A.T)

    found, error = fg.numerical_jacobian(
        fun, x, vectorized=vectorized, bounds=bounds, return_error=True
    )
    exact = (1 - np.tanh(A @ x) ** 2)[:, None] * A
    np.testing.assert_allclose(found, exact, rtol=1e-13, atol=1e-15)
    assert np.all(error <= 1e-9)
    assert calls <= (30 if vectorized else size + 60)


@pytest.mark.parametrize("room", [1e-3, 0.1])
def test_what_is_analytic_is_not_asked_outside_its_bounds(room):
    """Along directions, too; and the bars are of what is measured there."""
    x = np.linspace(0.5, 1.5, 20)

    def fun(z):
        assert (np.abs(np.real(z) - x) <= room).all()
        return np.sqrt(z) * z[::-1]

    found, error = fg.numerical_jacobian(
        fun, x, bounds=(x - room, x + room), return_error=True
    )
    exact = np.diag(x[::-1] / (2 * np.sqrt(x))) + np.diag(np.sqrt(x))[:, ::-1]
    np.testing.assert_allclose(found, exact, rtol=1e-13, atol=1e-15)
    assert np.all(error <= 1e-8)


@pytest.mark.parametrize("rate", [1.0, 20.0, 40.0, 200.0])
def test_waves_are_analytic_too(rate):
    """Unless they are very short, the steps along a direction become small enough."""
    x, calls = np.linspace(0.5, 1.5, 100), []

    def fun(x):
        calls.append(1)
        return np.sin(rate * x)

    found, error = fg.numerical_jacobian(fun, x, return_error=True)
    np.testing.assert_allclose(found, np.diag(rate * np.cos(rate * x)), rtol=1e-12)
    assert np.all(error <= 1e-7 * rate)
    assert len(calls) <= 100 + 60 or rate > 100


@pytest.mark.parametrize("digits", [2, 4, 7])
def test_rounded_losses_of_positive_parameters_are_asked_at_no_others(digits):
    """Though noise asks for large steps."""
    x, least = np.linspace(0.7, 1.4, 12), []

    def loss(x):
        least.append(x.min())
        return round(float(np.sum(np.log(x))), digits)

    found, error = fg.numerical_gradient(loss, x, engine="python", return_error=True)
    assert np.mean(np.abs(found - 1 / x) <= error) >= 0.9
    assert min(least) > 0


ROUNDED = {
    "float32 inside": (lambda x: np.exp(x.astype(np.float32)).astype(float), 2e-4),
    "float32 outside": (lambda x: np.exp(x).astype(np.float32), 1e-3),
    "four decimals": (lambda x: np.round(np.exp(x), 4), 0.02),
    "three decimals of some": (
        lambda x: np.where(np.arange(x.size) % 2, np.round(np.exp(x), 3), np.exp(x)),
        0.1,
    ),
}


@every_second
@pytest.mark.parametrize("name", ROUNDED)
@pytest.mark.parametrize("size", [5, 70, 150])
def test_rounded_outputs_of_any_number_of_inputs(name, size):
    """Most entries are zero, and few of those sampled respond at all."""
    fun, usual = ROUNDED[name]
    x = np.random.default_rng(size).uniform(-1, 1, size)
    exact = np.diag(np.exp(x))
    found, error = fg.numerical_jacobian(fun, x, return_error=True)
    assert np.abs(found - exact).max() <= usual
    assert np.mean(np.abs(found - exact) <= error + EPS) >= 0.98
    assert np.abs(fg.numerical_jacobian(fun, x) - exact).max() <= usual


STAIRS = {
    "decimals": lambda v, n: round(float(np.sum(np.cos(v))), n),
    "floor": lambda v, n: np.floor(np.sum(np.cos(v)) * 10.0**n) / 10.0**n,
    "rint": lambda v, n: np.rint(np.sum(np.cos(v)) * 10.0**n) / 10.0**n,
    "of each": lambda v, n: np.sum(np.round(np.cos(v), n)),
}


@every_second
@pytest.mark.parametrize("name", STAIRS)
@pytest.mark.parametrize("digits", [4, 6, 7])
@pytest.mark.parametrize("size", [6, 150])
def test_compiled_losses_that_are_rounded_have_slopes_from_afar(name, digits, size):
    """Their exact differences are those of a step of a staircase: zero."""
    v = np.random.default_rng(digits).normal(size=size)
    found, error = fg.numerical_gradient(
        lambda v: STAIRS[name](v, digits), v, return_error=True
    )
    np.testing.assert_allclose(found, -np.sin(v), atol=200 * 10.0**-digits)
    assert np.mean(np.abs(found + np.sin(v)) <= error) >= 0.97


@pytest.mark.parametrize("far", [2.0**-12, 50.0])
def test_dead_entries_are_on_no_stairs(far):
    """Nor where they respond close by, to one side alone: they are exactly zero."""
    v, calls = np.random.default_rng(0).normal(size=80), []
    begin = v + far

    def loss(w):
        calls.append(1)
        return np.sum(np.maximum(w - begin, 0.0)) + w[0]

    found, error = fg.numerical_gradient(loss, v, return_error=True)
    np.testing.assert_array_equal(found, np.eye(80)[0])
    assert (error[1:] < 1e-200).all()
    assert len(calls) < 80


@pytest.mark.parametrize("base", [0.0, 3.0])
@pytest.mark.parametrize("engine", ["auto", "python"])
def test_a_loss_that_never_changes_has_no_slope(base, engine):
    found, error = fg.numerical_gradient(
        lambda w: base + 0.0 * float(w[0]), np.ones(3), engine=engine, return_error=True
    )
    assert (found == 0).all()
    assert (error < 1e-12).all()


#: Smooth, bent, noisy, and all of it.
UNLIKE = {
    "smooth": lambda x: np.sum(np.sin(3 * x)),
    "kinks": lambda x: np.sum(np.abs(x - 0.3)) + np.sum(np.maximum(x, 0.7) ** 2),
    "noise": lambda x: np.sum(np.exp(x)) + 1e-9 * np.sum(np.sin(1e11 * x)),
    "poles": lambda x: np.sum(1 / (x - 0.301)),
    "jumps": lambda x: np.sum(np.floor(50 * x) + x),
}


@every_second
@pytest.mark.parametrize("method", ["central", "ridders", "forward"])
@pytest.mark.parametrize("name", UNLIKE)
def test_the_unit_of_a_loss_does_not_matter(name, method):
    """Powers of two change no digit: neither of the slopes nor of their bars."""
    x = np.random.default_rng(3).uniform(0.1, 1.2, 12)
    x[:2] = 0.3, 0.7  # at the kinks
    options = {"engine": "python", "method": method, "return_error": True}
    usual = fg.numerical_gradient(lambda x: float(UNLIKE[name](x)), x, **options)
    for unit in (2.0**-40, 2.0**40):
        found = fg.numerical_gradient(
            lambda x, unit=unit: float(unit * UNLIKE[name](x)), x, **options
        )
        np.testing.assert_array_equal(found, unit * np.array(usual))


@pytest.mark.parametrize("outside", [np.inf, -np.inf, np.nan])
def test_losses_that_are_infinite_outside_their_domain(outside):
    """Steps that leave it say nothing, and no warning either."""
    x = np.array([0.02, 1.0, 1.2, 0.8, 1.1, 0.9])

    def loss(x):
        return float(np.sum(x * np.log(x))) if (x > 0).all() else outside

    found, error = fg.numerical_gradient(loss, x, engine="python", return_error=True)
    assert (np.abs(found - np.log(x) - 1) <= error).all()
    assert (error < 1e-8).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_hundreds_of_entries_by_calls_alone(name):
    """Where the function is real, and where the complex step can be taken."""
    f, slope = FUNCTIONS[name]
    x = np.random.default_rng(7).normal(size=300)
    for real in (False, True):

        def loss(x, real=real):
            return float(np.sum(f(x))) if real else np.sum(f(x))

        found, error = fg.numerical_gradient(
            loss, x, engine="python", return_error=True
        )
        exact = slope(x)
        assert np.abs(found - exact).max() <= (1e-11 if real else 1e-14) * 10
        assert np.all(np.abs(found - exact) <= 6 * error + 1e-13)


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


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6, 1e-7, 1e-8])
@pytest.mark.parametrize(
    ("pole", "slope"),
    [
        (lambda u: np.log(np.abs(u)), lambda u: 1 / u),
        (lambda u: 1 / u, lambda u: -1 / u**2),
        (lambda u: np.tan(u + np.pi / 2), lambda u: np.sin(u) ** -2.0),
    ],
)
def test_next_to_a_pole_bars_hold(pole, slope, distance, engine):
    """Both sides of a step may be beyond it, where slopes are others."""
    x = np.array([1 + distance, 0.7])
    value, error = fg.numerical_gradient(
        lambda x: pole(x[0] - 1) + np.sin(x[1]),
        x,
        return_error=True,
        engine=engine,
    )
    right = slope(x[0] - 1)
    rounding = 4 * np.finfo(float).eps / distance * abs(right)  # of u + pi / 2
    assert abs(value[0] - right) <= error[0] + rounding
    assert error[0] <= 1e-2 * abs(right)


@every_second
@pytest.mark.parametrize("distance", [3e-9, -1e-9, 1e-10, -3e-11, 1e-11])
@pytest.mark.parametrize(
    ("pole", "slope"),
    [
        (lambda u: np.log(np.abs(u)), lambda u: 1 / u),
        (lambda u: 1 / u, lambda u: -1 / u**2),
        (lambda u: u**-2.0, lambda u: -2 * u**-3.0),
        (lambda u: np.sqrt(np.abs(u)), lambda u: 0.5 * np.sign(u) / np.sqrt(np.abs(u))),
    ],
)
def test_closer_to_a_pole_than_most_steps_bars_hold(pole, slope, distance):
    """What the loss does on the other side is no noise, nor its mean a slope of zero."""
    x = np.array([1 + distance])

    def loss(x):
        return float(pole(x[0] - 1))

    right = slope(x[0] - 1)
    value, error = fg.numerical_gradient(loss, x, return_error=True, engine="python")
    assert abs(value[0] - right) <= error[0] <= 1e-2 * abs(right)
    for grads, verdict in ((right, "correct"), (2 * right, "wrong")):
        found = fg.check_gradient(loss, x, np.array([grads]), engine="python")
        assert found.verdict == verdict
    assert not fg.check_gradient(loss, x, np.zeros(1), engine="python").ok
