"""Every line that a report of a door shows is one of the user's functions."""

import numpy as np
import pytest
from families import every_second
from user_lines import lines_of, shown

import fastgrad as fg
from fastgrad.interop import scipy as door

pytestmark = pytest.mark.usefixtures("time_for_causes")

A = np.random.default_rng(0).standard_normal((6, 4))
X = np.array([0.3, -0.7, 0.2, 0.5])


def f(x):
    h = np.tanh(A @ x)
    return np.sin(h) * h


def jacobian(x):
    h = np.tanh(A @ x)
    slope = np.sin(h) + h * np.cos(h)
    return (slope * (1 - h**2))[:, None] * A


def careless(x):
    h = np.tanh(A @ x)
    slope = np.sin(h) + h * np.cos(h)
    return (slope * (1 - h))[:, None] * A


def loss(x):
    return np.sum(f(x))


def gradient(x):
    return jacobian(x).sum(axis=0)


MISTAKES = {
    "twice": lambda right: lambda x: 2 * right(x),
    "negative": lambda right: lambda x: -right(x),
    "partial": lambda right: lambda x: right(x) * (np.arange(4) > 0),
}


@every_second
@pytest.mark.parametrize(
    "check",
    [
        lambda wrong: fg.check_jacobian(f, X, wrong(jacobian)),
        lambda wrong: door.check_jac(f, wrong(jacobian), X),
        lambda wrong: fg.check_hessian(gradient, X, wrong(hessian)),
        lambda wrong: door.check_hess(gradient, wrong(hessian), X),
        lambda wrong: fg.check_gradient(loss, X, wrong(gradient)),
        lambda wrong: door.check_grad(loss, wrong(gradient), X, report=True),
    ],
    ids=["jacobian", "check_jac", "hessian", "check_hess", "gradient", "check_grad"],
)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_lines(check, mistake):
    report = check(MISTAKES[mistake])
    assert report.verdict == "wrong"
    assert report.causes
    users = lines_of(f, jacobian, loss, gradient, *MISTAKES.values())
    assert shown(str(report)) <= users


def test_a_jacobian_is_not_blamed_on_its_weights():
    report = fg.check_jacobian(f, X, careless)
    assert report.causes[0].code == "local_derivative"
    assert shown(str(report)) <= lines_of(f)


def hessian(x):
    return fg.numerical_jacobian(gradient, x)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ([2], "wrong only at index 2 of axis 1"),
        ([0, 3], "wrong only at index 0, 3 of axis 1"),
    ],
)
def test_columns_of_a_jacobian_are_no_entries(at, words):
    def wrong(x):
        right = jacobian(x)
        right[:, at] += np.outer(np.arange(6.0), [0.3, 0.7][: len(at)])
        return right

    text = "".join(cause.message for cause in fg.check_jacobian(f, X, wrong).causes)
    assert words in text


def layer(p):
    return np.tanh(X @ p["W"]) * p["g"]


LAYER = {"W": A[:4, :3], "g": np.array([0.5, -1.0, 2.0])}
Z = X + 1j * X[::-1] / 3


def power(z):
    return np.sum(np.abs(A @ z) ** 2)


@pytest.mark.parametrize("factor", [2, -1, 0.1])
def test_layers_and_complex_parameters(factor):
    def backward(p, dy):
        y = np.tanh(X @ p["W"])
        dz = factor * dy * p["g"] * (1 - y**2)
        return {"W": np.outer(X, dz), "g": factor * dy * y}

    def slope(z):
        return factor * 2 * A.T @ (A @ z)

    reports = [
        fg.check_gradient(*_of_layer(layer, backward)),
        fg.check_gradient(power, Z, slope),
    ]
    for report in reports:
        assert report.verdict == "wrong"
        assert report.causes
        assert shown(str(report)) <= lines_of(layer, power, backward, slope)


def _of_layer(forward, backward):
    loss, grads = fg.layer_loss(forward, backward)
    return loss, LAYER, grads
