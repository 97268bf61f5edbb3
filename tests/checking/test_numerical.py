"""Numerical gradients against closed forms."""

import numpy as np
import pytest
from scipy.optimize._numdiff import approx_derivative

import fastgrad as fg

X = np.random.default_rng(0).normal(size=200)

# A family with known derivatives: scales, curvatures and offsets of all sizes.
FAMILY = {
    "exp": (np.exp, np.exp),
    "sin": (np.sin, np.cos),
    "sin(100 x)": (lambda x: np.sin(100 * x), lambda x: 100 * np.cos(100 * x)),
    "atan(50 x)": (lambda x: np.arctan(50 * x), lambda x: 50 / (1 + (50 * x) ** 2)),
    "x^2": (np.square, lambda x: 2 * x),
    "x^5": (lambda x: x**5, lambda x: 5 * x**4),
    "1e-6 x^3": (lambda x: 1e-6 * x**3, lambda x: 3e-6 * x**2),
    "exp(5 x)": (lambda x: np.exp(5 * x), lambda x: 5 * np.exp(5 * x)),
    "sqrt(1 + x^2)": (lambda x: np.sqrt(1 + x * x), lambda x: x / np.sqrt(1 + x * x)),
    "log(1 + x^2)": (lambda x: np.log1p(x * x), lambda x: 2 * x / (1 + x * x)),
    "gaussian": (lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x)),
    "1 / (2 + x^2)": (lambda x: 1 / (2 + x * x), lambda x: -2 * x / (2 + x * x) ** 2),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "|x - 1e-3|": (lambda x: np.abs(x - 1e-3), lambda x: np.sign(x - 1e-3)),
    "sum + 1e4": (lambda x: np.sin(x) + 1e4, np.cos),
}


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("method", ["central", "forward", "ridders"])
def test_error_bars_hold_in_99_percent(method, engine):
    """Over a broad family the true error is inside the bar, 99 times of 100."""
    inside, bars = [], []
    for f, derivative in FAMILY.values():
        gradient, error = fg.numerical_gradient(
            lambda x, f=f: np.sum(f(x)),
            X,
            method=method,
            return_error=True,
            engine=engine,
        )
        true = derivative(X)
        inside.append(np.abs(gradient - true) <= error)
        bars.append(np.median(error) / np.abs(true).max())
    assert np.mean(inside) >= 0.99
    assert np.median(bars) < (1e-5 if method == "forward" else 1e-8)


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("step", [1e-2, 1e-5])
def test_central_with_a_step_is_the_formula(step, engine):
    """Absolute, the same for every entry, whatever the engine."""
    x = X[:5]
    gradient = fg.numerical_gradient(
        lambda x: np.sum(x**4), x, step=step, engine=engine
    )
    high, low = x + step, x - step
    expected = (high**4 - low**4) / (high - low)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-9)


def test_forward_with_a_step_is_the_formula():
    """(J(x+h) - J(x)) / h."""
    gradient = fg.numerical_gradient(np.sum, np.ones(2), step=0.1, method="forward")
    np.testing.assert_allclose(gradient, 1.0, rtol=1e-12)


def test_complex_step_is_exact():
    """To the last digits, with any step."""
    for step in (None, 1e-10, 1e-100):
        gradient = fg.numerical_gradient(
            lambda x: np.sum(np.exp(x) * np.sin(x)),
            X,
            method="complex",
            step=step,
            engine="python",
        )
        expected = np.exp(X) * (np.sin(X) + np.cos(X))
        np.testing.assert_allclose(gradient, expected, rtol=1e-14, atol=1e-15)


def test_structure_and_parameters():
    """The result is built like the parameters, which stay bit for bit."""
    params = {"a": [np.ones((2, 3)), 2.0], "b": np.float64(3.0)}
    gradient = fg.numerical_gradient(
        lambda p: np.sum(p["a"][0] ** 2) * p["a"][1] + p["b"] ** 2, params
    )
    np.testing.assert_allclose(gradient["a"][0], 4.0)
    np.testing.assert_allclose([gradient["a"][1], gradient["b"]], [6.0, 6.0])
    assert (params["a"][0] == 1).all()


def test_bar_at_a_kink_is_half_the_jump():
    """|x| at 0: 0 +- 1."""
    gradient, error = fg.numerical_gradient(
        lambda x: np.sum(np.abs(x)), np.array([0.0, 1.0]), return_error=True
    )
    np.testing.assert_allclose(gradient, [0, 1], atol=1e-6)
    assert error[0] == pytest.approx(1, abs=1e-3)
    assert error[1] < 1e-6


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "sideways"}, ValueError, "`method` must be one of"),
        ({"step": -1.0}, ValueError, "`step` must be positive"),
        ({"step": "small"}, TypeError, "`step` must be a number"),
        ({"step": np.nan}, ValueError, "`step` must be positive and finite"),
        ({"step": 1e-20}, ValueError, r"lost in rounding at params\[0\]"),
        ({"step": 0.1, "method": "ridders"}, ValueError, "`step` must be None with"),
        ({"method": "complex", "engine": "compiled"}, ValueError, "engine"),
    ],
)
def test_bad_arguments(options, error, message):
    """Each is named, with what it must be."""
    with pytest.raises(error, match=message):
        fg.numerical_gradient(lambda x: np.sum(x**2), np.ones(2), **options)


def test_the_complex_step_finds_the_engine_that_can_do_it():
    x = np.array([0.3, -1.2])
    slope = fg.numerical_gradient(lambda x: np.sum(np.tanh(x)), x, method="complex")
    np.testing.assert_allclose(slope, 1 - np.tanh(x) ** 2, rtol=1e-15)
    report = fg.check_gradient(
        lambda x: np.sum(np.tanh(x)), x, 1 - np.tanh(x) ** 2, method="complex"
    )
    assert report.ok
    assert report.engine == "python"


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_one_curved_entry_among_linear_ones(engine):
    """The step that suits the others does not decide its digits."""
    x = np.full(51, 0.7)
    slopes = np.arange(1.0, 51.0)
    gradient = fg.numerical_gradient(
        lambda w: np.sum(w[:-1] * slopes) + np.exp(3 * w[-1]), x, engine=engine
    )
    np.testing.assert_allclose(gradient, [*slopes, 3 * np.exp(2.1)], rtol=1e-9)


def test_seeds_are_checked():
    with pytest.raises(ValueError, match="`seed` must be a non-negative integer"):
        fg.numerical_gradient(lambda x: np.sum(x**2), np.ones(2), seed=-1)


CURVED = {
    "sine of many": (lambda x: np.sum(np.sin(x)), np.cos),
    "one curved entry": (
        lambda x: np.sum(x[1:]) + np.sin(300 * x[0]),
        lambda x: np.append(300 * np.cos(300 * x[0]), np.ones(len(x) - 1)),
    ),
    "curvature over decades": (
        lambda x: np.sum(np.sin(10.0 ** np.linspace(0, 3, len(x)) * x)),
        lambda x: (
            10.0 ** np.linspace(0, 3, len(x))
            * np.cos(10.0 ** np.linspace(0, 3, len(x)) * x)
        ),
    ),
}


@pytest.mark.parametrize("engine", ["compiled", "python"])
@pytest.mark.parametrize("name", CURVED)
def test_entries_of_other_curvature_get_other_steps(name, engine):
    """As exact as SciPy's three points, which has one step for all; without asking."""
    f, slope = CURVED[name]
    x = np.random.default_rng(0).normal(size=100)
    scipy = approx_derivative(f, x, method="3-point")
    numerical = fg.numerical_gradient(f, x, engine=engine)
    off = [np.abs(n - slope(x)).max() for n in (numerical, scipy)]
    assert off[0] <= 3 * off[1]


@pytest.mark.parametrize("return_error", [True, False])
def test_random_losses_are_refused(return_error):
    """Frozen in the trace they would have a gradient with tiny bars."""
    rng = np.random.default_rng(0)

    def dropout(x):
        return np.sum(x**2 * (rng.random(3) < 0.5))

    with pytest.raises(ValueError, match=r"deterministic.*`rng`"):
        fg.numerical_gradient(dropout, np.ones(3), return_error=return_error)


def test_points_where_the_loss_raises_are_not_numbers():
    """The entry is nan, and the others are right."""

    def loss(x):
        if x[1] != 2:
            raise ValueError("not there")
        return x[0] ** 2

    found = fg.numerical_gradient(loss, np.array([1.0, 2.0]))
    assert found[0] == pytest.approx(2)
    assert np.isnan(found[1])
