"""At a tie a maximum has two slopes, and code for gradients takes either of them.

Rows of zeros, as batches are padded with, tie where biases are zero, too.
"""

import warnings

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 5)), RNG.normal(size=(12, 2))
X[[3, 7]] = 0.0
PARAMS = {
    "W1": RNG.normal(size=(5, 6)),
    "b1": np.zeros(6),
    "W2": RNG.normal(size=(6, 2)),
}
RELUS = {
    "maximum": lambda z: np.maximum(z, 0),
    "product": lambda z: z * (z > 0),
    "where": lambda z: np.where(z >= 0, z, 0),
    "abs": lambda z: (z + np.abs(z)) / 2,
    "minimum": lambda z: -np.minimum(0, -z),
}
ON = {"below": lambda z: z > 0, "above": lambda z: z >= 0}


def loss_with(relu):
    def loss(p):
        hidden = RELUS[relu](X @ p["W1"] + p["b1"])
        return np.mean((hidden @ p["W2"] - Y) ** 2)

    return loss


def grads_with(side, mistake=None):
    def grads(p):
        z = X @ p["W1"] + p["b1"]
        hidden = np.maximum(z, 0)
        out = (hidden @ p["W2"] - Y) / Y.size
        out = out if mistake == "scale" else 2 * out
        dz = out @ (1.5 * p["W2"].T if mistake == "edge" else p["W2"].T) * ON[side](z)
        read = z if mistake == "local_derivative" else hidden
        return {"W1": X.T @ dz, "b1": dz.sum(0), "W2": read.T @ out}

    return grads


def codes(*case):
    """The causes, of whole blocks; whatever else is said raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = fg.check_gradient(*case)
    assert report.verdict == "wrong"
    assert {b.name for b in report.blocks if b.verdict == "wrong"} == {
        name for cause in report.causes for name in cause.blocks
    }
    return [cause.code for cause in report.causes]


@pytest.mark.parametrize("side", ON)
@pytest.mark.parametrize("relu", RELUS)
def test_either_slope_at_a_tie_is_right(relu, side):
    assert fg.check_gradient(loss_with(relu), PARAMS, grads_with(side))


@pytest.mark.parametrize(
    ("relu", "side"), [*zip(RELUS, ["below", "above"] * 3, strict=False)]
)
def test_mistakes_beside_ties_are_named(relu, side):
    grads = grads_with(side, "scale")
    assert codes(loss_with(relu), PARAMS, grads(PARAMS)) == ["scale"]


@pytest.mark.parametrize(
    ("mistake", "side"), [("edge", "above"), ("local_derivative", "below")]
)
def test_lines_beside_ties_are_repaired(mistake, side):
    grads = grads_with(side, mistake)
    report = fg.check_gradient(loss_with("maximum"), PARAMS, grads)
    expected = "scale" if mistake == "edge" else mistake
    assert {cause.code for cause in report.causes} == {expected}
    assert "the mistake is in line" in report.causes[0].message


@pytest.mark.parametrize("winner", [0, -1], ids=["first", "last"])
def test_mistakes_beside_equal_maxima_are_named(winner):
    """A window may have several largest elements, and code takes one of them."""
    data, x = np.array([[1.0, 2, 2], [3, 0, 3], [1, 1, 1]]), np.ones(3)

    def loss(x):
        return np.sum(np.max(data * x, axis=1) ** 2)

    def grads(x):
        z = data * x
        where = [np.flatnonzero(row == row.max())[winner] for row in z]
        d = np.zeros((3, 3))
        d[np.arange(3), where] = z.max(axis=1)  # 2 times that is due
        return np.sum(d * data, axis=0)

    assert fg.check_gradient(loss, x, lambda x: 2 * grads(x))
    assert codes(loss, x, grads)[0] == "scale"


@pytest.mark.parametrize("as_function", [True, False], ids=["function", "arrays"])
@pytest.mark.parametrize("ties", [0, 4])
def test_slopes_that_change_at_ties_only_are_not_stale(ties, as_function):
    """Quantile regression: slopes are constant, but where residuals are zero."""
    x, tau = RNG.normal(size=20), 0.3
    q = x + np.where(np.arange(20) < ties, 0.0, RNG.normal(size=20))

    def loss(q):
        return np.mean(np.maximum(tau * (x - q), (tau - 1) * (x - q)))

    def grads(q):
        return np.where(x > q, -tau, tau - 1) / x.size  # 1 - tau is due

    found = codes(loss, q, grads if as_function else grads(q))
    assert found[0] == "sign"
    assert "stale" not in found


def rows(x, pick):
    return np.sum(np.array([1.0, -2, 3]) * pick(x, axis=1) ** 2)


def rows_grads(x, pick):
    top = pick(x, axis=1, keepdims=True)
    return 2 * (x == top) * top * np.array([[1.0], [-2], [3]])


def pooled(x, pick):
    return np.sum(np.sin(pick(x.reshape(2, 2, 3, 2), axis=(1, 3))))


def pooled_grads(x, pick):
    windows = x.reshape(2, 2, 3, 2)
    top = pick(windows, axis=(1, 3), keepdims=True)
    return ((windows == top) * np.cos(top)).reshape(x.shape)


@pytest.mark.parametrize("pick", [np.max, np.min])
@pytest.mark.parametrize(
    ("loss", "grads", "shape"),
    [(rows, rows_grads, (3, 5)), (pooled, pooled_grads, (4, 6))],
)
def test_a_mask_that_counts_equal_winners_in_full_is_named(loss, grads, shape, pick):
    """As ``x == x.max()`` does; right where there is one winner."""
    ties = np.random.default_rng(2).integers(1, 4, shape).astype(float)
    report = fg.check_gradient(lambda x: loss(x, pick), ties, lambda x: grads(x, pick))
    assert report.verdict == "wrong"
    [cause] = report.causes
    assert cause.code == "mask"
    assert "each of several equal winners" in cause.message
    x = ties + np.random.default_rng(3).uniform(0, 0.1, shape)
    assert fg.check_gradient(lambda x: loss(x, pick), x, grads(x, pick))


@pytest.mark.parametrize("given", [[1.0, 1.0, 0.0], [2.0, 0.0, 0.0], [3.0, 4.0, 0.0]])
def test_whole_numbers_at_ties_are_not_rounded_ones(given):
    """Where no wrong entry has one slope nothing is known to be a rounding."""
    x = np.array([3.0, 3.0, 1.0])
    report = fg.check_gradient(np.max, x, np.array(given))
    assert report.verdict == "wrong"
    assert "precision" not in {cause.code for cause in report.causes}


WEIGHTS = np.random.default_rng(4).normal(size=(4, 3))
A, B = {}, {}
A["some"], B["some"] = WEIGHTS + 0.0, WEIGHTS + [[0.3], [-0.2], [0.0], [0.0]]
A["all"], B["all"] = np.ones((4, 3)), np.ones((4, 3))
#: The loss's choice of one of several, and whether one of them is it.
CHOICES = {
    "maximum": (np.maximum, np.greater_equal),
    "minimum": (np.minimum, np.less_equal),
    "max": (lambda a, b: np.max(np.stack([a, b]), axis=0), np.equal),
    "clipped maximum": (lambda a, b: np.maximum(np.maximum(a, b), -9), np.equal),
}


@every_second
@pytest.mark.parametrize("as_function", [True, False], ids=["function", "arrays"])
@pytest.mark.parametrize("ties", A)
@pytest.mark.parametrize("choice", CHOICES)
def test_equal_values_that_both_receive_all_are_named(choice, ties, as_function):
    """As ``a >= b`` and ``b >= a`` do; right where one is larger."""
    pick, won = CHOICES[choice]

    def loss(p):
        return np.sum(WEIGHTS * pick(p["a"], p["b"]) ** 2)

    def grads(p):
        top = pick(p["a"], p["b"])
        return {name: 2 * WEIGHTS * top * won(p[name], top) for name in p}

    p = {"a": A[ties], "b": B[ties]}
    report = fg.check_gradient(loss, p, grads if as_function else grads(p))
    assert report.verdict == "wrong"
    first = report.causes[0]
    assert (first.code, first.blocks) == ("mask", ("a", "b"))
    assert "each of several equal winners" in first.message
    apart = {"a": A[ties], "b": B[ties] + 0.1}
    assert fg.check_gradient(loss, apart, grads)


@pytest.mark.parametrize("pick", [np.maximum, np.minimum])
def test_each_of_three_equal_values_may_receive_all(pick):
    p = {
        name: WEIGHTS + shift
        for name, shift in zip("abc", (0, 0, [[0], [1], [0], [-1]]), strict=True)
    }

    def loss(p):
        return np.sum(WEIGHTS * pick(pick(p["a"], p["b"]), p["c"]))

    def grads(p):
        top = pick(pick(p["a"], p["b"]), p["c"])
        return {name: WEIGHTS * (p[name] == top) for name in p}

    [cause] = fg.check_gradient(loss, p, grads).causes
    assert (cause.code, cause.blocks) == ("mask", ("a", "b", "c"))


def test_what_is_right_at_another_point_is_no_factor():
    """Two towers of equal weights: both slopes are twice their mean."""
    p = {"W": PARAMS["W1"], "V": PARAMS["W1"].copy()}

    def loss(p):
        return np.mean(np.maximum(X @ p["W"], X @ p["V"]) ** 2)

    def grads(p):
        a, b = X @ p["W"], X @ p["V"]
        d = 2 * np.maximum(a, b) / a.size
        return {"W": X.T @ (d * (a >= b)), "V": X.T @ (d * (b >= a))}

    [cause] = fg.check_gradient(loss, p, grads).causes
    assert (cause.code, cause.blocks) == ("mask", ("W", "V"))
