"""Calls that only Python can make are never differenced as if they were exact."""

import numpy as np
import pytest
from families import every_second
from scipy.integrate import quad, solve_ivp

import fastgrad as fg
from fastgrad.interop.scipy import check_grad

A = np.array([[2.0, 1, 0], [1, 3, 1], [0, 1, 5]])
B = np.array([[2.0, 1, 0.5], [-1, 3, 1], [0.3, 1, 5]])
C = np.array([1.0, 2, 3])
X = np.array([0.1, 0.2, 0.3])


def integral(w):
    return quad(lambda x: w[1] * np.exp(w[0] * x) + w[2] * x, 0, 1, epsabs=1e-13)[0]


def flow(w):
    rates = {"rtol": 1e-11, "atol": 1e-13, "method": "DOP853"}
    return solve_ivp(lambda t, y: -w[0] * y + w[2], (0, 1), [w[1]], **rates).y[0, -1]


def singular(x):
    u, _, vt = np.linalg.svd(B + np.diag(x))
    return (u * vt.T) @ C


decay = np.exp(-X[0])
OPAQUE = {  # each with its gradient at X
    "eigh": (
        lambda w: np.linalg.eigh(A + np.diag(w))[0] @ C,
        np.linalg.eigh(A + np.diag(X))[1] ** 2 @ C,
    ),
    "svd": (lambda w: np.linalg.svd(B + np.diag(w))[1] @ C, singular(X)),
    "qr": (
        lambda w: np.sum(np.log(np.abs(np.diag(np.linalg.qr(B + np.diag(w))[1])))),
        np.diag(np.linalg.inv(B + np.diag(X))),
    ),
    "quad": (
        integral,
        [
            X[1] * ((X[0] - 1) * np.exp(X[0]) + 1) / X[0] ** 2,
            np.expm1(X[0]) / X[0],
            0.5,
        ],
    ),
    "solve_ivp": (
        flow,
        [
            -X[1] * decay + X[2] * (decay / X[0] - (1 - decay) / X[0] ** 2),
            decay,
            (1 - decay) / X[0],
        ],
    ),
}


@every_second
@pytest.mark.parametrize("exact", [0, 40])
@pytest.mark.parametrize("unused", [0, 97])
@pytest.mark.parametrize("name", OPAQUE)
def test_beside_others(name, unused, exact):
    """However many entries are not used, or only where differences are exact."""
    f, grads = OPAQUE[name]
    more = np.linspace(0.5, 1.5, exact)
    x = np.concatenate([X, np.ones(unused), more])
    truth = np.concatenate([grads, np.zeros(unused), 2 * more])

    def loss(w):
        return f(w[:3]) + np.sum(w[3 + unused :] ** 2)

    found, error = fg.numerical_gradient(loss, x, return_error=True)
    solver = 1e-9 * np.abs(truth)  # what its tolerance is off by
    assert (np.abs(found - truth) <= error + solver).all()
    assert (error[:3] <= 1e-4 * np.abs(truth[:3])).all()
    assert fg.check_gradient(loss, x, truth).ok
    assert check_grad(loss, lambda _: truth, x) <= 1e-4
    wrong = truth * np.where(np.arange(len(x)) == 1, 1.01, 1.0)
    assert fg.check_gradient(loss, x, wrong).verdict == "wrong"
