"""What docs/howto/coming-from.md calls the same elsewhere gives the same numbers."""

import numpy as np
import pytest
from scipy import differentiate, sparse
from scipy.optimize import approx_fprime, rosen
from scipy.optimize._numdiff import approx_derivative

import fastgrad as fg

X = np.array([0.5, 1.25, -0.75])


def fun(x):
    return np.array([x[0] * np.exp(x[1]), np.sin(x[2]), x[0] / (2 + x[1] ** 2)])


def numdifftools():
    nd = pytest.importorskip("numdifftools")
    yield nd.Gradient(rosen)(X), fg.numerical_gradient(rosen, X)
    yield nd.Jacobian(fun)(X), fg.numerical_jacobian(fun, X)
    yield nd.Hessian(rosen)(X), fg.numerical_hessian(rosen, X)


def jacobi():
    theirs = pytest.importorskip("jacobi").jacobi
    value, error = fg.numerical_jacobian(fun, X, return_error=True)
    assert (error < 1e-6).all()
    yield theirs(fun, X)[0], value
    diagonal = fg.numerical_jacobian(np.sin, X, sparsity=sparse.eye_array(3))
    yield theirs(np.sin, X, diagonal=True)[0], diagonal.diagonal()


def scipy():
    yield approx_derivative(fun, X), fg.numerical_jacobian(fun, X)
    forward = fg.numerical_gradient(rosen, X, method="forward", step=1e-6)
    yield approx_fprime(X, rosen, 1e-6), forward
    yield (
        approx_derivative(fun, X, method="2-point", abs_step=1e-6),
        fg.numerical_jacobian(fun, X, method="forward", step=1e-6),
    )
    yield differentiate.jacobian(fun, X).df, fg.numerical_jacobian(fun, X)
    yield differentiate.hessian(rosen, X).ddf, fg.numerical_hessian(rosen, X)


@pytest.mark.parametrize("pairs", [scipy, numdifftools, jacobi])
def test_the_same_numbers(pairs):
    for theirs, ours in pairs():
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
