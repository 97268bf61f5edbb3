"""The same derivatives by every formula, of losses and of functions with many outputs."""

import numpy as np
import pytest
from families import every_second
from scipy import sparse

import fastgrad as fg

METHODS = ["central", "forward", "backward", "complex", "ridders"]
CLOSE = {
    "central": 1e-8,
    "forward": 1e-6,
    "backward": 1e-6,
    "complex": 1e-13,
    "ridders": 1e-9,
}
X = np.linspace(0.5, 2.0, 7)


def fun(x):
    y = np.exp(x) * x
    y[1:] += np.sin(x[:-1]) * x[1:]
    return y


def jac(x):
    below = np.diag(np.cos(x[:-1]) * x[1:], -1)
    return np.diag(np.exp(x) * (1 + x) + np.r_[0.0, np.sin(x[:-1])]) + below


def nested(p):
    return {"y": fun(p["x"]) * p["s"], "z": [p["s"] ** 3]}


NESTED = {"x": X, "s": np.array(1.5)}
PATTERN = sparse.csr_array(np.eye(7) + np.eye(7, k=-1))


@every_second
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sparsity", [None, PATTERN])
@pytest.mark.parametrize("many", [False, True])
def test_jacobians(method, sparsity, many):
    """Of seven inputs, and of seventy, where the step is found for all at once."""
    x = np.linspace(0.5, 2.0, 70) if many else X
    if many and sparsity is not None:
        sparsity = sparse.csr_array(np.eye(70) + np.eye(70, k=-1))
    found = fg.numerical_jacobian(fun, x, method=method, sparsity=sparsity)
    found = found if sparsity is None else found.toarray()
    np.testing.assert_allclose(found, jac(x), CLOSE[method], atol=CLOSE[method])
    value, error = fg.numerical_jacobian(fun, x, method=method, return_error=True)
    assert (np.abs(value - jac(x)) <= error + 1e-13).all()


@every_second
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sparsity", [None, PATTERN])
@pytest.mark.parametrize("coverage", ["full", 5, 1])
def test_checks_of_jacobians(method, sparsity, coverage):
    options = {"method": method, "sparsity": sparsity, "coverage": coverage}
    right = fg.check_jacobian(fun, X, jac, **options)
    assert right.verdict == "correct"
    if isinstance(coverage, int):
        assert right.blocks[0].checked == coverage
        assert np.isfinite(getattr(right.numerical, "data", right.numerical)).any()
    wrong = fg.check_jacobian(fun, X, lambda x: 1.01 * jac(x), **options)
    assert wrong.verdict == "wrong"
    assert len(wrong.wrong) == 13 or (coverage != "full" and wrong.wrong)
    for entry in wrong.wrong:
        i, j = entry.index
        assert entry.numerical == pytest.approx(jac(X)[i, j], rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_nests(method):
    found = fg.numerical_jacobian(nested, NESTED, method=method)
    close = CLOSE[method]
    np.testing.assert_allclose(found["y"]["x"], 1.5 * jac(X), close, atol=close)
    np.testing.assert_allclose(found["y"]["s"], fun(X), close)
    np.testing.assert_allclose(found["z"][0]["s"], 3 * 1.5**2, close)
    exact = {
        "y": {"x": 1.5 * jac(X), "s": fun(X)},
        "z": [{"x": np.zeros(7), "s": np.array(6.75)}],
    }
    report = fg.check_jacobian(nested, NESTED, exact, method=method)
    assert report.verdict == "correct"
    exact["z"][0]["x"][3] = 0.1
    report = fg.check_jacobian(nested, NESTED, exact, method=method, coverage=7)
    assert [entry.name for entry in report.wrong] == ["z.0/x[3]"]


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method):
    def loss(x):
        return np.sum(fun(x) ** 2)

    right = jac(X).T @ (2 * fun(X))
    found = fg.numerical_gradient(loss, X, method=method)
    np.testing.assert_allclose(found, right, 10 * CLOSE[method])
    assert fg.check_gradient(loss, X, right, method=method).ok
    wrong = right * np.where(np.arange(7) == 4, 1.01, 1.0)
    report = fg.check_gradient(loss, X, wrong, method=method)
    assert [entry.name for entry in report.wrong] == ["params[4]"]


def test_one_sided_differences_stay_on_their_side():
    """Where the loss has no value on the other."""
    x = np.array([0.0, 1.0])
    for method, f in (
        ("forward", lambda x: x**1.5),
        ("backward", lambda x: (-x) ** 1.5),
    ):
        sign = 1.0 if method == "forward" else -1.0
        found = fg.numerical_jacobian(f, sign * x, method=method, step=1e-4)
        assert np.isfinite(found).all()
        assert found[1, 1] == pytest.approx(sign * 1.5, rel=1e-3)
        loss = lambda x, f=f: float(np.sum(f(x)))  # noqa: E731
        found = fg.numerical_gradient(loss, sign * x, method=method, step=1e-4)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("call", [fg.numerical_jacobian, fg.numerical_gradient])
def test_the_complex_step_needs_complex_arithmetic(call):
    with pytest.raises(TypeError, match=r'`method="complex"` needs a .* got float64'):
        call(lambda x: np.sum(np.asarray(x.real, float) ** 2), X, method="complex")


def test_coverage_of_a_jacobian_is_no_search():
    with pytest.raises(ValueError, match=r"`coverage` must be .* got 'locate'"):
        fg.check_jacobian(fun, X, jac, coverage="locate")


def stacked(points, shift=0.0):
    y = np.exp(points) * points + shift
    y[:, 1:] += np.sin(points[:, :-1]) * points[:, 1:]
    return y


@every_second
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sparsity", [None, PATTERN])
@pytest.mark.parametrize("options", [{}, {"args": (1.0,)}, {"kwargs": {"shift": 3}}])
def test_many_points_at_once(method, sparsity, options):
    """The numbers are those of one at a time; the function is called a few times."""
    calls, options = [], {**options, "method": method, "sparsity": sparsity}

    def counted(points, shift=0.0):
        calls.append(len(points))
        return stacked(points, shift)

    def single(x, shift=0.0):
        return stacked(x[None], shift)[0]

    one = fg.numerical_jacobian(single, X, **options)
    many = fg.numerical_jacobian(counted, X, vectorized=True, **options)
    assert abs(one - many).max() == 0
    if method != "complex":
        assert len(calls) < 0.6 * sum(calls)
    for factor, verdict in ((1.0, "correct"), (1.01, "wrong")):
        report = fg.check_jacobian(
            *(stacked, X, lambda x, shift=0.0, f=factor: f * jac(x)),
            **(options | {"vectorized": True}),
        )
        assert report.verdict == verdict
        assert report.engine == "vectorized"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: (lambda p: p.sum(), X),
            r"each of the 1 stacked points, got shape \(\)",
        ),
        (
            lambda: (lambda p: p[:1], np.ones(3)),
            r"each of the \d stacked points, got shape \(1, 3\)",
        ),
        (lambda: (stacked, {"x": X}), "`vectorized` must be False where `x` is a nest"),
    ],
)
def test_functions_that_are_not_vectorized(call, message):
    with pytest.raises(ValueError, match=message):
        fg.numerical_jacobian(*call(), vectorized=True)
