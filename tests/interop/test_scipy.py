"""The doors to SciPy's optimisers, against SciPy's own functions."""

import doctest

import numpy as np
import pytest
import scipy.optimize as so
import scipy.sparse as sp
import scipy.sparse.linalg as spl

import fastgrad.interop.scipy as door
from fastgrad.interop.scipy import check_constraint, check_grad, check_hess, check_jac

X = np.array([1.3, 0.7, 0.8, 1.9])


def _off(x):
    grad = so.rosen_der(x)
    grad[2] += 3.0
    return grad


def _vector(x, a):
    return np.array([x[0] * x[1], np.sin(a * x[1]), x[0] ** 2])


def _jacobian(x, a):
    return np.array([[x[1], x[0]], [0, a * np.cos(a * x[1])], [2 * x[0], 0]])


def test_the_docstrings_examples():
    assert doctest.testmod(door).failed == 0


@pytest.mark.parametrize("epsilon", [None, 1e-7])
def test_the_number_is_scipys(epsilon):
    options = {} if epsilon is None else {"epsilon": epsilon}
    scale = np.linalg.norm(so.rosen_der(X))
    assert check_grad(so.rosen, so.rosen_der, X, **options) < 1e-5 * scale
    if epsilon is None:
        assert check_grad(so.rosen, so.rosen_der, X) < 1e-9 * scale
    theirs = so.check_grad(so.rosen, _off, X, **options)
    assert check_grad(so.rosen, _off, X, **options) == pytest.approx(theirs, rel=1e-4)
    assert theirs == pytest.approx(3.0, rel=1e-4)


def test_along_a_random_direction():
    theirs = so.check_grad(
        so.rosen, _off, X, direction="random", rng=np.random.default_rng(3)
    )
    ours = check_grad(so.rosen, _off, X, direction="random", seed=3)
    assert ours == pytest.approx(theirs, rel=1e-3)  # theirs is off by its step
    assert check_grad(so.rosen, so.rosen_der, X, direction="random", seed=3) < 1e-6


def test_vector_valued_functions_and_args():
    x = np.array([1.0, 2.0])
    assert check_grad(_vector, _jacobian, x, 3.0) < 1e-8
    wrong = lambda x, a: _jacobian(x, a) + 0.5  # noqa: E731
    assert check_grad(_vector, wrong, x, 3.0) == pytest.approx(0.5 * np.sqrt(6))
    report = check_grad(_vector, wrong, x, 3.0, report=True)
    assert report.verdict == "wrong"


def test_a_function_that_returns_both_and_integers():
    both = lambda x, k: (k * so.rosen(x), k * so.rosen_der(x))  # noqa: E731
    assert check_grad(both, True, [2, 3, 1], 2.0) < 1e-6
    report = check_grad(both, True, [2, 3, 1], 2.0, report=True)
    assert report.verdict == "correct"


@pytest.mark.parametrize(
    "bounds",
    [
        so.Bounds(0, np.inf),
        [(0, None), (0.0, 5.0)],
    ],
)
def test_nothing_is_evaluated_outside_bounds(bounds):
    def func(x):
        assert (x >= 0).all()
        return np.sum(x * np.sqrt(x))

    x = np.array([0.0, 4.0])
    grad = lambda x: 1.5 * np.sqrt(x)  # noqa: E731
    assert check_grad(func, grad, x, bounds=bounds) < 1e-2  # one-sided at x[0] = 0
    report = check_grad(func, lambda x: grad(x) + [0, 1], x, bounds=bounds, report=True)
    assert {entry.index[-1] for entry in report.wrong} == {1}


def _residuals(p, t, y):
    return p[0] * np.exp(-p[1] * t) - y


def _residuals_jac(p, t, y):
    e = np.exp(-p[1] * t)
    return np.stack([e, -p[0] * t * e], axis=1)


FORMS = {
    "array": lambda J: J,
    "sparse": sp.csr_array,
    "LinearOperator": spl.aslinearoperator,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("called", [True, False])
def test_least_squares(form, called):
    t, y, p = np.linspace(0.1, 1, 5), np.ones(5), [2, 1]

    def give(jac):
        function = lambda p, t, y: FORMS[form](jac(p, t, y))  # noqa: E731
        return function if called else function(p, t, y)

    assert check_jac(
        _residuals, give(_residuals_jac), p, t, y, bounds=([0, 0], [9, 9])
    ).ok
    wrong = lambda p, t, y: _residuals_jac(p, t, y) * [1, -1]  # noqa: E731
    report = check_jac(_residuals, give(wrong), p, t, y)
    assert {entry.index[1] for entry in report.wrong} == {1}


N = 20_000  # a dense Jacobian would take 3.2 GB


def _tridiagonal(x):
    y = -2 * x**3
    y[1:] += x[:-1] ** 2
    y[:-1] += np.sin(x[1:])
    return y


def _tridiagonal_jac(x):
    diagonals = [2 * x[:-1], -6 * x**2, np.cos(x[1:])]
    return sp.diags(diagonals, [-1, 0, 1], format="csr")


def test_a_large_sparse_jacobian_stays_sparse():
    x = np.linspace(0.5, 1.5, N)
    assert check_jac(_tridiagonal, _tridiagonal_jac, x).ok

    def off(x):
        J = _tridiagonal_jac(x)
        J.data[1234] *= 1.001
        return J

    report = check_jac(_tridiagonal, off, x)
    row = np.searchsorted(off(x).indptr, 1234, side="right") - 1
    assert [entry.index for entry in report.wrong] == [(row, off(x).indices[1234])]


def test_a_dependency_that_a_large_sparse_jacobian_leaves_out_is_found():
    def without(x):
        J = _tridiagonal_jac(x)
        J.data[1234] = 0
        J.eliminate_zeros()
        return J

    report = check_jac(_tridiagonal, without, np.linspace(0.5, 1.5, N))
    assert report.verdict == "wrong"
    assert len(report.wrong) == 1


def test_hessians():
    assert check_hess(so.rosen_der, so.rosen_hess, X).ok
    assert check_hess(
        so.rosen_der, lambda x: spl.aslinearoperator(so.rosen_hess(x)), X
    ).ok
    assert check_hess(so.rosen_der, None, X, hessp=so.rosen_hess_prod).ok
    wrong = lambda x, p: so.rosen_hess_prod(x, p) + p[0]  # noqa: E731
    assert check_hess(so.rosen_der, None, X, hessp=wrong).verdict == "wrong"
    with pytest.raises(TypeError, match="exactly one of `hess` and `hessp`"):
        check_hess(so.rosen_der, None, X)


def test_constraints():
    fun = lambda x: [x[0] ** 2 + x[1], x[0] ** 2 - x[1] ** 3]  # noqa: E731
    jac = lambda x: [[2 * x[0], 1], [2 * x[0], -3 * x[1] ** 2]]  # noqa: E731
    hess = lambda x, v: np.diag([2 * v[0] + 2 * v[1], -6 * x[1] * v[1]])  # noqa: E731
    reports = check_constraint(so.NonlinearConstraint(fun, 0, 1, jac, hess), [0.5, 2])
    assert all(report.ok for report in reports.values())
    assert set(reports) == {"jac", "hess"}
    wrong = lambda x, v: np.diag([2 * v[0] + 2 * v[1], 6 * x[1] * v[1]])  # noqa: E731
    constraint = so.NonlinearConstraint(fun, 0, 1, jac, wrong)
    assert check_constraint(constraint, [0.5, 2])["hess"].verdict == "wrong"
    updates = so.NonlinearConstraint(fun, 0, 1, jac, so.BFGS())
    assert set(check_constraint(updates, [0.5, 2])) == {"jac"}
    with pytest.raises(TypeError, match=r"`constraint\.jac` must be callable"):
        check_constraint(so.NonlinearConstraint(fun, 0, 1), [0.5, 2])


def test_bad_arguments():
    with pytest.raises(ValueError, match="`direction` must be"):
        check_grad(so.rosen, so.rosen_der, X, direction="some")
    with pytest.raises(ValueError, match="needs a scalar-valued"):
        check_grad(_vector, _jacobian, X[:2], 1.0, direction="random")
    with pytest.raises(TypeError, match="`func` must be callable"):
        check_grad(3, so.rosen_der, X)


@pytest.mark.parametrize(("func", "grad"), [(None, np.cos), (np.sum, None)])
def test_what_cannot_be_called_is_named(func, grad):
    name = "func" if func is None else "grad"
    with pytest.raises(TypeError, match=f"`{name}` must be callable"):
        check_grad(func, grad, [1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: check_grad(so.rosen, so.rosen_der, X, bounds=(0, 2)),
            TypeError,
            "`bounds` must be scipy.optimize.Bounds, or a pair",
        ),
        (
            lambda: check_grad(so.rosen, lambda x: so.rosen_der(x)[:2], X),
            ValueError,
            "`grad` must return as many numbers as there are derivatives, 4, got",
        ),
        (
            lambda: check_grad(so.rosen, so.rosen_der, "abc"),
            TypeError,
            "`x0` must be an array of numbers, got str 'abc'",
        ),
        (
            lambda: check_grad(so.rosen, so.rosen_der, [[1, 2], [3]]),
            TypeError,
            "`x0` must be an array of numbers, got list",
        ),
        (
            lambda: check_constraint({"type": "eq", "fun": so.rosen}, X),
            TypeError,
            "`constraint` must be a scipy.optimize.NonlinearConstraint, got dict",
        ),
        (
            lambda: check_constraint(so.LinearConstraint(np.eye(4), 0, 1), X),
            TypeError,
            "`constraint` must be a scipy.optimize.NonlinearConstraint, got Linear",
        ),
    ],
)
def test_malformed_arguments_are_named(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value).startswith(message)
