"""Objects that a library makes of parameters, against the same loss without them."""

import numpy as np
import pytest

import fastgrad as fg

spatial = pytest.importorskip("scipy.spatial")
linalg = pytest.importorskip("scipy.sparse.linalg")
sparse = pytest.importorskip("scipy.sparse")
stats = pytest.importorskip("scipy.stats")
interpolate = pytest.importorskip("scipy.interpolate")
POINTS = np.random.default_rng(0).normal(size=(6, 3))
TARGET = np.random.default_rng(1).normal(size=(6, 3))


def rotated(x):
    turn = spatial.transform.Rotation.from_euler("z", x[0])
    return np.sum((turn.apply(POINTS) - TARGET) ** 2)


def rotated_in_numpy(x):
    c, s = np.cos(x[0]), np.sin(x[0])
    turned = np.stack(
        [
            c * POINTS[:, 0] - s * POINTS[:, 1],
            s * POINTS[:, 0] + c * POINTS[:, 1],
            POINTS[:, 2],
        ],
        axis=1,
    )
    return np.sum((turned - TARGET) ** 2)


class Model:
    def fit(self, x):
        rotation = spatial.transform.Rotation
        self.turn = rotation.from_euler("z", x[0]) * rotation.from_euler("z", x[1])

    def loss(self, x):
        self.fit(x)
        return np.sum(self.turn.as_matrix()[0] * [1.0, 2.0, 3.0])


def composed(x):
    return Model().loss(x)


def composed_in_numpy(x):
    return np.cos(x[0] + x[1]) - 2 * np.sin(x[0] + x[1])


def factorised(x):
    matrix = sparse.csc_matrix(np.diag([4.0, 5.0]) + np.outer([1, 2], [0.5, 1]))
    factors = linalg.splu(matrix)
    return np.sum(factors.solve(np.sin(x)))


def factorised_in_numpy(x):
    matrix = np.diag([4.0, 5.0]) + np.outer([1, 2], [0.5, 1])
    return np.sum(np.linalg.solve(matrix, np.sin(x)))


def nearest(x):
    tree = spatial.cKDTree(np.stack([x, x**2], axis=1))
    distance, index = tree.query(np.array([0.1, 0.2]))
    return distance**2 + 3 * x[index]


def nearest_in_numpy(x):
    distance = (x - 0.1) ** 2 + (x**2 - 0.2) ** 2
    k = np.argmin(distance)
    return distance[k] + 3 * x[k]


CASES = {
    rotated: rotated_in_numpy,
    composed: composed_in_numpy,
    factorised: factorised_in_numpy,
    nearest: nearest_in_numpy,
}


@pytest.mark.parametrize("loss", CASES, ids=lambda f: f.__name__)
def test_an_object_made_of_parameters_and_its_use_are_one_operation(loss):
    x = np.array([0.7, -0.4])
    program, plain = fg.trace(loss, x), fg.trace(CASES[loss], x)
    assert program.opaque
    np.testing.assert_allclose(program.value, plain.value, rtol=1e-13)
    right = plain.gradient()
    np.testing.assert_allclose(program.gradient(), right, rtol=1e-7, atol=1e-9)
    report = fg.check_gradient(loss, x, right)
    assert (report.engine, report.verdict) == ("compiled", "correct")
    report = fg.check_gradient(loss, x, right * 1.01)
    assert report.verdict == "wrong"


def test_a_model_keeps_the_object_itself():
    model = Model()
    fg.trace(model.loss, np.array([0.7, -0.4]))
    assert type(model.turn) is spatial.transform.Rotation


def test_an_object_that_changes_is_left_to_the_function():
    """What made it does not say what it is after an item was set."""

    def loss(x):
        turns = spatial.transform.Rotation.from_euler("z", np.stack([x], axis=1))
        turns.__setitem__(0, turns[1])
        return np.sum(turns.as_matrix()[:, 0, 0])

    x = np.array([0.7, -0.4])
    report = fg.check_gradient(loss, x, np.array([0.0, -2 * np.sin(x[1])]))
    assert report.verdict == "correct"
    assert report.engine == "python"


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_subclasses_of_arrays_keep_their_operators():
    matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    masked = np.ma.masked_array([1.0, 2.0], [True, False])

    def loss(x):
        v = np.asmatrix(x).T
        return (v.T * matrix * v)[0, 0] + (masked * x).sum()

    x = np.array([0.7, -0.4])
    right = (matrix + matrix.T).A @ x + [0.0, 2.0]
    report = fg.check_gradient(loss, x, right)
    assert (report.engine, report.verdict) == ("compiled", "correct")
    assert fg.check_gradient(loss, x, right * [1, 1.001]).verdict == "wrong"


# ---- more than what stands for an object does ----------------------------------------

AT = np.linspace(-1, 1, 5)
COEFFICIENTS = np.array([0.3, -0.2, -0.5, 1.0])


def powers(p):
    return np.polynomial.Polynomial(p)


def falling(p):
    f = np.poly1d(p)
    return (f * f + 2 * f - np.poly1d([1.0, 0.0]))(AT).sum() + f[0] * f.c[1] + f.order


def spline(p):
    return interpolate.CubicSpline(AT[:4], p)


def normal(p):
    return stats.norm(loc=p[0], scale=np.exp(p[1]))


BEYOND = {
    "product": lambda p: np.sum((powers(p) * powers(p))(AT)),
    "of numbers": lambda p: np.sum((2 * powers(p) + 1 - p[0] * powers(p))(AT)),
    "roots": lambda p: powers(p).roots().real.max() + powers(p).deriv().roots().real[0],
    "falling": falling,
    "attribute": lambda p: spline(p).c[0].sum() + spline(p).derivative().c[1, 0],
    "moving points": lambda p: spline(p)(0.01 * p[0]) + spline(p).integrate(0.0, p[1]),
    "moments": lambda p: (
        normal(p).mean() * normal(p).std() + normal(p).interval(0.5)[0]
    ),
    "quantile": lambda p: normal(p).ppf(0.3) - normal(p).logpdf(AT).sum(),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_a_stand_in_does_not_do_its_object_does(name):
    loss, p = BEYOND[name], COEFFICIENTS
    program = fg.trace(loss, p.copy())
    assert program.python_operations
    slopes = [(loss(p + e) - loss(p - e)) / 2e-6 for e in 1e-6 * np.eye(4)]
    np.testing.assert_allclose(program.gradient(), slopes, rtol=1e-6, atol=1e-8)
    step = np.array([1e-3, -1e-3, 2e-3, 1e-3])
    moved = program.along(step, [1.0])[0]
    if np.isfinite(moved):
        np.testing.assert_allclose(moved, loss(p + step) - loss(p), rtol=1e-7)
    wrong = program.gradient() * [1, 1, 1, 1.1] + [0.1, 0, 0, 0]
    assert fg.check_gradient(loss, p, wrong).verdict == "wrong"
