"""What is chosen behind a function agrees with what the function gave, ties included."""

import numpy as np
import pytest
from program_functions import trace
from scipy import special

UNARY = {
    **{
        name: getattr(np, name)
        for name in (
            *("exp", "expm1", "log", "log1p", "tanh", "sqrt", "sin", "cos", "tan"),
            *("arcsin", "arccos", "arctan", "sinh", "cosh", "arcsinh", "arctanh"),
            *("exp2", "log2", "log10", "cbrt", "square", "reciprocal"),
        )
    },
    "erf": special.erf,
    "erfc": special.erfc,
    "gammaln": special.gammaln,
    "expit": special.expit,
    "log_ndtr": special.log_ndtr,
    "power": lambda x: x**1.7,
    "logaddexp": lambda x: np.logaddexp(x, 0.3),
    "hypot": lambda x: np.hypot(x, 0.3),
    "arctan2": lambda x: np.arctan2(x, 0.3),
}
#: Of an array with equal elements, something that depends on which is the larger.
CHOICES = {
    "max": lambda y: np.max(y),
    "min": lambda y: np.min(y, axis=0),
    "less_max": lambda y: np.sum(np.exp(y - np.max(y))),
    "maximum": lambda y: np.sum(np.maximum(y, y[0]) * np.arange(y.size)),
    "clip": lambda y: np.sum(np.clip(y, y[1], y[0])),
    "abs": lambda y: np.sum(np.abs(y - y[0])),
    "sort": lambda y: np.sum(np.sort(y) * np.arange(y.size) ** 2),
    "ranked": lambda y: np.sum(y[np.argsort(y)] * np.cos(np.arange(y.size))),
    "median": lambda y: np.median(y),
    "where": lambda y: np.sum(np.where(y >= y[0], y, 2.0 * y)),
    "equal": lambda y: np.sum((y == y[0]) * y),
    "percentile": lambda y: np.percentile(y, 70),
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("function", UNARY)
def test_ties_behind_functions_are_those_of_the_function(function, choice):
    rng = np.random.default_rng(3)
    few = rng.uniform(0.1, 0.9, size=4)
    x = np.concatenate([few[:1], few, few[::-1]])

    def loss(x):
        return CHOICES[choice](UNARY[function](x))

    program = trace(loss, x)
    assert program.value == pytest.approx(loss(x), rel=1e-14)
    for h in (1e-3, -1e-3):
        found, _ = program.at_entries(np.arange(x.size), np.full(x.size, h))
        for i in range(x.size):
            moved = x.copy()
            moved[i] += h
            assert found[i] == pytest.approx(loss(moved) - loss(x), abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_probabilities_with_the_maximum_taken_off(seed):
    """At the maximum, what is taken off is taken off exactly."""
    rng = np.random.default_rng(seed)
    data, target = rng.normal(size=(6, 4)), rng.dirichlet(np.ones(3), size=6)

    def loss(w):
        z = np.tanh(data @ w)
        z = z - np.max(z, axis=1, keepdims=True)
        return -np.sum(target * (z - np.log(np.exp(z).sum(axis=1, keepdims=True))))

    w = rng.normal(size=(4, 3))
    program = trace(loss, w)
    found, _ = program.at_entries(np.arange(w.size), np.full(w.size, 1e-7))
    gradient = np.ravel(program.gradient())
    np.testing.assert_allclose(found / 1e-7, gradient, rtol=1e-5, atol=1e-7)
    assert np.isfinite(found).all()
