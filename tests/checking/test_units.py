"""A report in another unit of the loss is the same report: units are powers of two."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(20, 4)), RNG.normal(size=(20, 3))
PARAMS = {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=3)}


def smooth(p):
    return float(np.sum((np.tanh(X @ p["W"] + p["b"]) - Y) ** 2))


def noisy(p):
    """Digits of thirty bits."""
    return np.round(smooth(p) * 2**30) / 2**30


def kinked(p):
    return float(np.sum(np.abs(X @ p["W"] + p["b"])))


def slopes(loss):
    z = X @ PARAMS["W"] + PARAMS["b"]
    if loss is kinked:
        d = np.sign(z)
    else:
        d = 2 * (np.tanh(z) - Y) * (1 - np.tanh(z) ** 2)
    return {"W": X.T @ d, "b": d.sum(axis=0)}


def reported(loss, unit, error, **options):
    grads = {name: unit * g for name, g in slopes(loss).items()}
    grads["W"][1, 2] += error * unit
    function = (lambda p: unit * loss(p)) if unit != 1 else loss
    return fg.check_gradient(function, PARAMS, grads, **options)


@pytest.mark.parametrize("error", [0.0, 1e-2])
@pytest.mark.parametrize("loss", [smooth, noisy, kinked])
@pytest.mark.parametrize("coverage", ["full", 4, "locate"])
def test_reports_of_gradients(loss, error, coverage):
    expected = reported(loss, 1.0, error, engine="python", coverage=coverage)
    assert expected.verdict == ("wrong" if error and coverage != 4 else "correct")
    for unit in (2.0**-90, 2.0**90):
        found = reported(loss, unit, error, engine="python", coverage=coverage)
        assert found.verdict == expected.verdict
        assert found.relative_error == expected.relative_error
        assert [e.index for e in found.wrong] == [e.index for e in expected.wrong]
        for one, other in zip(found.blocks, expected.blocks, strict=True):
            assert one.detection_limit == unit * other.detection_limit


A = RNG.normal(size=(5, 4))
SPARSE = np.abs(np.subtract.outer(range(5), range(5))) <= 1


def outputs(x):
    return np.tanh(A @ x) ** 2


def chained(x):
    return np.sum(np.sin(x[1:] * x[:-1]))


@pytest.mark.parametrize("error", [0.0, 1e-3])
@pytest.mark.parametrize("unit", [2.0**-60, 2.0**60])
def test_reports_of_jacobians_and_hessians(unit, error):
    """Of the Hessian also what `sparsity` allows, which is verified along a line."""
    x = RNG.normal(size=4)
    t = np.tanh(A @ x)
    right = (2 * t * (1 - t * t))[:, None] * A
    right[1, 2] += error
    y = RNG.normal(size=5)
    pairs, c = y[1:] * y[:-1], np.cos(y[1:] * y[:-1])
    hessian = np.zeros((5, 5))
    for k, (one, cos) in enumerate(zip(pairs, c, strict=True)):
        mixed = cos - one * np.sin(one)
        hessian[k, k + 1] = hessian[k + 1, k] = mixed
        hessian[k, k] -= y[k + 1] ** 2 * np.sin(one)
        hessian[k + 1, k + 1] -= y[k] ** 2 * np.sin(one)
    hessian[2, 2] += error
    reports = [
        (
            fg.check_jacobian(lambda v: u * outputs(v), x, u * right),
            fg.check_hessian(lambda v: u * chained(v), y, u * hessian, sparsity=SPARSE),
        )
        for u in (1.0, unit)
    ]
    for expected, found in zip(*reports, strict=True):
        assert expected.verdict == found.verdict == ("wrong" if error else "correct")
        assert found.relative_error == expected.relative_error
        assert [e.index for e in found.wrong] == [e.index for e in expected.wrong]
