"""Losses and parameters of any size, in every engine: no warning, no false answer."""

import warnings

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

RNG = np.random.default_rng(1)
X, Y, P = RNG.normal(size=(6, 3)), RNG.normal(size=6), np.array([0.4, -1.1, 0.7])

SAMPLES = {
    "squares": (
        lambda p: (X @ p - Y) ** 2,
        lambda p: 2 * X * (X @ p - Y)[:, None],
    ),
    "tanh": (
        lambda p: np.tanh(X @ p) + 3,
        lambda p: X / np.cosh(X @ p)[:, None] ** 2,
    ),
    "relu": (
        lambda p: np.maximum(X @ p, 0) + p.sum() / 2,
        lambda p: X * (X @ p > 0)[:, None] + 0.5,
    ),
}
UNITS = [1e-300, 1.0, 1e150]
SIZES = [1e-300, 1e-150, 1.0, 1e180, 1e300]
ENGINES = {
    "compiled": {"engine": "compiled"},
    "python": {"engine": "python"},
    "by sample": {"reduction": "mean"},
    "vectorized": {"vectorized": True},
    "locate": {"coverage": "locate"},
}


@every_second
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("unit", UNITS)
def test_no_size_of_losses_or_parameters_misleads(unit, name, engine):
    f, slopes = SAMPLES[name]
    for size in SIZES:
        if not 1e-300 <= size / unit <= 1e300:
            continue

        def samples(p, size=size):
            return size * f(p / unit)

        def loss(p, samples=samples):
            if engine == "by sample":
                return samples(p)
            if engine == "vectorized":
                return np.array([np.mean(samples(one)) for one in p])
            return np.mean(samples(p))

        right = size / unit * slopes(P).mean(axis=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for factor in (1.0, 1.5):
                report = fg.check_gradient(
                    loss, unit * P, factor * right, **ENGINES[engine]
                )
                assert report.verdict != ("wrong" if factor == 1.0 else "correct")
                report.to_json()
