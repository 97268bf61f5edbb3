"""Mistakes in the derivatives of linear algebra, in small losses written by hand."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(11)
N = 4
A = RNG.normal(size=(N, N)) + 3 * np.eye(N)
B, C = RNG.normal(size=(N, 2)), RNG.normal(size=(N, N))
S = A @ A.T
INVERSE, LOWER = np.linalg.inv(A), np.linalg.cholesky(S)


def named(loss, params, grads, codes):
    report = fg.check_gradient(loss, params, grads)
    assert report.verdict == "wrong"
    cause = report.causes[0]
    assert cause.code in codes, cause
    return cause


# ---- solve ---------------------------------------------------------------------------


def solved(p):
    return np.sum(np.linalg.solve(p["A"], p["B"]) ** 2)


X = np.linalg.solve(A, B)
G = 2 * X
U = np.linalg.solve(A.T, G)
OUTER = -U @ X.T


def test_the_derivative_of_solve_is_right():
    assert fg.check_gradient(solved, {"A": A, "B": B}, {"A": OUTER, "B": U}).ok


@pytest.mark.parametrize(
    ("of_a", "of_b", "codes"),
    [
        (-U @ B.T, U, {"local_derivative"}),
        (U @ X.T, U, {"local_derivative", "sign"}),
        (OUTER.T, U, {"layout"}),
        (-G @ X.T, G, {"local_derivative"}),
        (-G @ X.T, U, {"local_derivative"}),
        (OUTER, G, {"local_derivative"}),
        (-INVERSE @ G @ X.T, INVERSE @ G, {"layout"}),
        (OUTER, INVERSE @ G, {"layout"}),
        (-A.T @ G @ X.T, A.T @ G, {"local_derivative"}),
        (-U @ U.T, U, {"local_derivative"}),
        ((OUTER + OUTER.T) / 2, U, {"layout"}),
        (np.tril(OUTER), U, {"partial", "mask"}),
        (OUTER * np.eye(N), U, {"partial", "mask"}),
    ],
)
def test_mistakes_with_solutions_are_named(of_a, of_b, codes):
    params, grads = {"A": A, "B": B}, {"A": of_a, "B": of_b}
    wrong = {"A"} if of_b is U else {"B"} if of_a is OUTER else {"A", "B"}
    assert set(named(solved, params, grads, codes).blocks) == wrong


def test_a_ridge_left_out_of_the_solve_that_goes_back_is_named():
    def loss(p):
        return np.sum(np.linalg.solve(p["A"] + 0.5 * np.eye(N), p["B"]) ** 2)

    x = np.linalg.solve(A + 0.5 * np.eye(N), B)
    u = np.linalg.solve(A.T, 2 * x)
    cause = named(loss, {"A": A, "B": B}, {"A": -u @ x.T, "B": u}, {"local_derivative"})
    assert "without" in cause.message


def test_a_ridge_left_out_of_the_inverse_of_a_determinant_is_named():
    def loss(p):
        return np.linalg.slogdet(p["A"] + 0.5 * np.eye(N))[1]

    cause = named(loss, {"A": A}, {"A": T}, {"local_derivative"})
    assert "without" in cause.message


def test_a_matrix_of_nobody_is_not_named():
    grads = {"A": OUTER + 0.1 * RNG.normal(size=(N, N)), "B": U}
    named(solved, {"A": A, "B": B}, grads, {"unknown"})


# ---- inverse -------------------------------------------------------------------------


def inverted(p):
    return np.sum(C * np.linalg.inv(p["A"]))


T = INVERSE.T


@pytest.mark.parametrize(
    ("of_a", "codes"),
    [
        (-C @ T, {"local_derivative"}),
        (-T @ C, {"local_derivative"}),
        (T @ C @ T, {"local_derivative", "sign"}),
        (-T @ C @ INVERSE, {"layout"}),
        ((-T @ C @ T).T, {"layout"}),
    ],
)
def test_mistakes_with_inverses_are_named(of_a, codes):
    named(inverted, {"A": A}, {"A": of_a}, codes)


# ---- determinants --------------------------------------------------------------------


def determined(p):
    return np.linalg.slogdet(p["A"])[1] + np.sum(C * p["A"])


def product(p):
    return np.linalg.det(p["A"] + C)


@pytest.mark.parametrize(
    ("of_a", "codes"),
    [
        (INVERSE + C, {"layout"}),
        (A + C, {"local_derivative"}),
        (A.T + C, {"local_derivative"}),
        ((T + INVERSE) / 2 + C, {"layout"}),
        (T + INVERSE - T * np.eye(N) + C, {"accumulation"}),
        (np.tril(T) + C, {"partial", "mask"}),
        (C - T, {"local_derivative", "sign"}),
    ],
)
def test_mistakes_with_log_determinants_are_named(of_a, codes):
    named(determined, {"A": A}, {"A": of_a}, codes)


def test_the_logarithm_is_named_where_the_determinant_is_due():
    grads = {"A": np.linalg.inv(A + C).T}
    named(product, {"A": A}, grads, {"local_derivative"})


# ---- Cholesky ------------------------------------------------------------------------


def factored(p):
    return np.sum(C * np.linalg.cholesky(p["S"] + 0.1 * np.eye(N)))


F = np.linalg.cholesky(S + 0.1 * np.eye(N))
I_F = np.linalg.inv(F)


def read_below(m):
    """Of a derivative of the whole matrix, what its lower triangle receives."""
    m = m + m.T
    return np.tril(m) - m * np.eye(N) / 2


PHI = np.tril(F.T @ np.tril(C))
HALF = PHI - PHI * np.eye(N) / 2
WHOLE = I_F.T @ (HALF + HALF.T) / 2 @ I_F


def test_the_derivative_of_cholesky_is_right():
    grads = {"S": read_below(I_F.T @ HALF @ I_F)}
    assert fg.check_gradient(factored, {"S": S}, grads).ok


@pytest.mark.parametrize(
    ("of_s", "codes"),
    [
        (read_below(I_F.T @ PHI @ I_F), {"local_derivative", "accumulation"}),
        (WHOLE, {"layout"}),
        (np.tril(WHOLE), {"partial", "accumulation", "local_derivative"}),
    ],
)
def test_mistakes_with_cholesky_factors_are_named(of_s, codes):
    named(factored, {"S": S}, {"S": of_s}, codes)
