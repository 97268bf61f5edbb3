"""Global generators are where they were, whatever a function draws from them."""

import random

import numpy as np
import pytest

import fastgrad as fg

X = np.array([0.3, -1.2, 0.8])
A = np.arange(6.0).reshape(2, 3) - 2.0


def loss(x):
    return np.sum(np.sin(A @ x))


def grads(x):
    return A.T @ np.cos(A @ x)


def hessian(x):
    return -(A.T * np.sin(A @ x)) @ A


def fun(x):
    return np.sin(A @ x)


def jac(x):
    return np.cos(A @ x)[:, None] * A


def network(p):
    return np.sum(np.tanh(A @ p["W"]))


DOORS = {
    "gradient": lambda d: fg.check_gradient(d(loss), X, d(grads)),
    "python": lambda d: fg.check_gradient(d(loss), X, d(grads), engine="python"),
    "locate": lambda d: fg.check_gradient(d(loss), X, d(grads), coverage="locate"),
    "differences": lambda d: fg.numerical_gradient(d(loss), X),
    "jacobian": lambda d: fg.check_jacobian(d(fun), X, d(jac)),
    "wrong": lambda d: fg.check_jacobian(d(fun), X, 1.1 * jac(X)),
    "products": lambda d: fg.check_jacobian(
        d(fun), X, vjp=d(lambda x, v: v @ jac(x)), jvp=d(lambda x, u: jac(x) @ u)
    ),
    "stacked": lambda d: fg.check_jacobian(
        d(lambda x: np.sin(x @ A.T)), X, jac(X), vectorized=True
    ),
    "columns": lambda d: fg.numerical_jacobian(d(fun), X),
    "error bars": lambda d: fg.numerical_jacobian(d(fun), X, return_error=True),
    "hessian": lambda d: fg.check_hessian(d(grads), X, d(hessian)),
    "hessian of loss": lambda d: fg.check_hessian(d(loss), X, hessian(X)),
    "curvatures": lambda d: fg.numerical_hessian(d(loss), X),
    "trace": lambda d: fg.trace(d(loss), X),
    "variations": lambda d: fg.check_variations(d(loss), X, d(grads)),
    "signal": lambda d: fg.diagnose_signal(d(network), {"W": np.ones((3, 2))}),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_functions_draw_is_put_back(door, monkeypatch):
    """Through every door, where a draw changes nothing and where it raises."""
    # Workers of pytest, and other tests, have threads of their own.
    monkeypatch.setattr("threading.active_count", lambda: 1)

    def drawing(function):
        def drawn(*args):
            np.random.rand(3)  # noqa: NPY002
            random.random()
            return function(*args)

        return drawn

    def raising(_):
        def raised(*_):
            np.random.rand(3)  # noqa: NPY002
            random.random()
            raise ZeroDivisionError

        return raised

    before = np.random.get_state()[1:3]  # noqa: NPY002
    of_python = random.getstate()
    DOORS[door](drawing)
    with pytest.raises((ZeroDivisionError, fg.TraceError)):
        DOORS[door](raising)
    after = np.random.get_state()[1:3]  # noqa: NPY002
    assert after[1] == before[1]
    assert (after[0] == before[0]).all()
    assert random.getstate() == of_python
