"""At a vertex, as of a norm at zero: any vector in the unit ball of the dual norm."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

A = np.array([[2.0, 0.3], [0.3, 1.0]])
# sqrt(u.M.u) at zero: a is a subgradient where a.inv(M).a is at most 1.
CONES = {
    "norm": (np.linalg.norm, np.eye(2)),
    "root of a product": (lambda u: np.sqrt(u @ A @ u), A),
    "root of a sum": (lambda u: np.sqrt(np.einsum("i,i->", u, u)), np.eye(2)),
    "power": (lambda u: np.sum(u**2) ** 0.5, np.eye(2)),
    "distance": (lambda u: np.linalg.norm(u * 3 - 0.0), 9 * np.eye(2)),
    "angle": (lambda u: np.arctan2(np.sqrt(u @ u), 1.0), np.eye(2)),
}


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("name", CONES)
@pytest.mark.parametrize("share", [0.0, 0.9, 1.1, 3.0])
def test_the_dual_ball_is_right_and_what_is_longer_wrong(name, share, engine):
    """In any direction; in one of the axes its length is that of a slope."""
    cone, matrix = CONES[name]
    u = np.zeros(2)
    for angle in (0.0, 0.4, 2.5):
        a = np.array([np.cos(angle), np.sin(angle)])
        a *= share / np.sqrt(a @ np.linalg.solve(matrix, a))
        report = fg.check_gradient(lambda u: cone(u) + u @ u, u, a, engine=engine)
        assert report.verdict == ("correct" if share < 1 else "wrong"), str(report)


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_rows_of_zeros_hide_no_mistake_beside_them(engine):
    """Group lasso."""
    w = np.random.default_rng(0).normal(size=(4, 3))
    w[1] = 0

    def loss(w):
        return np.sum(np.linalg.norm(w, axis=1)) + np.sum(w**3)

    size = np.linalg.norm(w, axis=1, keepdims=True)
    right = np.divide(w, size, out=np.zeros((4, 3)), where=size > 0) + 3 * w**2
    assert fg.check_gradient(loss, w, right, engine=engine).ok
    wrong = right.copy()
    wrong[2, 1] *= 1.01
    report = fg.check_gradient(loss, w, wrong, engine=engine)
    assert [entry.index for entry in report.wrong] == [(2, 1)]


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_a_vertex_may_be_smoothed_by_what_follows(engine):
    def loss(u):
        return np.linalg.norm(u) ** 2 + np.sum(u)

    u = np.zeros(3)
    assert fg.check_gradient(loss, u, np.ones(3), engine=engine).ok
    report = fg.check_gradient(loss, u, np.array([1, 1.01, 1]), engine=engine)
    assert [entry.index for entry in report.wrong] == [(1,)]


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize(
    "length",
    [
        lambda w: np.sum(w**2, axis=1) ** 0.5,
        lambda w: np.hypot(w[:, 0], w[:, 1]),
        lambda w: np.abs(w[:, 0] + 1j * w[:, 1]),
    ],
)
def test_several_rows_of_zeros(length, engine):
    """Where the loss happens to be exact, closer steps round it all the same."""
    w = np.random.default_rng(0).normal(size=(5, 2))
    w[[1, 3]] = 0
    size = length(w)[:, None]
    right = np.divide(w, size, out=np.zeros((5, 2)), where=size > 0)

    def check(row, values):
        given = right.copy()
        given[row] = values
        return fg.check_gradient(
            lambda w: np.sum(length(w)), w, given, engine=engine
        ).verdict

    assert check(1, [0, 0]) == "correct"
    assert check(2, 1.01 * right[2]) == check(1, [2, 0]) == "wrong"
