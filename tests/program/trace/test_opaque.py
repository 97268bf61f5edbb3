"""Functions that nobody knows and that write into arrays they are given."""

import numpy as np
import pytest

import fastgrad as fg

#: A library: no source that the trace could see into.
LIBRARY = {"np": np, "__name__": "library"}
exec(
    compile(
        """
def squares(x, out, factor=1.0):
    out[...] = factor * np.square(x)

def squares_and_cubes(x, out, cubes):
    out[...] = x * x
    cubes[...] = x**3
    return float(out.sum())

def accumulate(x, total):
    total += x

def first_half(x, out):
    out[: len(out) // 2] = np.square(x[: len(out) // 2])

def returned(x, out):
    out[...] = x * x
    return out
""",
        "<frozen library>",
        "exec",
    ),
    LIBRARY,
)
squares, squares_and_cubes = LIBRARY["squares"], LIBRARY["squares_and_cubes"]
accumulate, first_half = LIBRARY["accumulate"], LIBRARY["first_half"]
returned = LIBRARY["returned"]
X = np.array([0.5, -0.3, 0.8, 1.1])


def uninitialised(x):
    out = np.empty(4)
    squares(np.sin(x), out)
    return out.sum()


def by_keyword(x):
    out = np.empty(4)
    squares(x, out=out, factor=3.0)
    return np.sum(out**2)


def again_in_a_loop(x):
    out, total = np.empty(4), 0.0
    for k in range(1, 4):
        squares(k * x, out)
        total = total + np.sum(out[1:])
    return total


def into_a_view(x):
    out = np.ones((4, 3), order="F")
    squares(x, out[:, 1])
    return np.sum(out**2)


def two_buffers(x):
    out, cubes = np.empty(4), np.empty(4)
    return squares_and_cubes(x, out, cubes) + np.sum(out * cubes)


def added_up(x):
    total = np.ones(4)
    accumulate(x, total)
    accumulate(x**2, total)
    return np.sum(total**2)


def in_part(x):
    out = np.ones(4)
    first_half(x, out)
    return np.sum(out * x)


def given_back(x):
    return np.sum(returned(x, np.empty(4)) ** 2)


CASES = {
    uninitialised: lambda x: np.sum(np.sin(x) ** 2),
    by_keyword: lambda x: np.sum(9 * x**4),
    again_in_a_loop: lambda x: 14 * np.sum(x[1:] ** 2),
    into_a_view: lambda x: np.sum(x**4) + 8.0,
    two_buffers: lambda x: np.sum(x**2 + x**5),
    added_up: lambda x: np.sum((1 + x + x**2) ** 2),
    in_part: lambda x: np.sum(x[:2] ** 3) + np.sum(x[2:]),
    given_back: lambda x: np.sum(x**4),
}


@pytest.mark.parametrize("loss", CASES, ids=lambda f: f.__name__)
def test_what_a_call_writes_is_a_result_of_it(loss):
    plain = fg.trace(CASES[loss], X)
    program = fg.trace(loss, X)
    assert program.opaque
    np.testing.assert_allclose(program.value, plain.value, rtol=1e-14)
    right = plain.gradient()
    np.testing.assert_allclose(program.gradient(), right, rtol=1e-8, atol=1e-9)
    assert fg.check_gradient(loss, X, right).verdict == "correct"
    wrong = right * [1, 1, 1, 1.01]
    report = fg.check_gradient(loss, X, wrong)
    assert (report.engine, report.verdict) == ("compiled", "wrong")


def test_a_buffer_that_is_kept_holds_what_an_ordinary_call_leaves():
    out = np.full(4, np.nan)

    def loss(x):
        squares(x, out)
        return np.sum(out**2)

    program = fg.trace(loss, X)
    loss(X)
    program.gradient()
    np.testing.assert_array_equal(out, X**2)


def test_loss_of_scikit_learn_as_it_stands():
    linear_loss = pytest.importorskip("sklearn.linear_model._linear_loss")
    from sklearn._loss import HalfBinomialLoss

    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 3))
    labels = (rng.random(20) > 0.5).astype(float)
    model = linear_loss.LinearModelLoss(HalfBinomialLoss(), fit_intercept=True)

    def loss(w):
        return model.loss(w, features, labels, l2_reg_strength=0.3)

    w = rng.normal(size=4)
    z = features @ w[:3] + w[3]
    error = (1 / (1 + np.exp(-z)) - labels) / 20
    right = np.append(features.T @ error + 0.3 * w[:3], error.sum())
    report = fg.check_gradient(loss, w, right)
    assert (report.engine, report.verdict) == ("compiled", "correct")
    report = fg.check_gradient(loss, w, right * [1, 1.01, 1, 1])
    assert (report.engine, report.verdict) == ("compiled", "wrong")
