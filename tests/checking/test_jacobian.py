"""Jacobians and Hessians against closed forms and scipy's differences."""

import itertools
import re
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from families import every_second
from scipy import sparse
from scipy.optimize import rosen_der, rosen_hess
from scipy.optimize._numdiff import approx_derivative
from scipy.sparse.linalg import aslinearoperator

from fastgrad.checking.hessian import check_hessian, numerical_hessian
from fastgrad.checking.jacobian import check_jacobian, numerical_jacobian
from fastgrad.params import walk

A = np.random.default_rng(0).normal(size=(20, 6))
X = np.random.default_rng(1).normal(size=6)


def fun(x):
    return np.sin(A @ x) * np.exp(0.1 * x[0])


def jac(x):
    first = np.arange(6) == 0
    z = (A @ x)[:, None]
    return (np.cos(z) * A + 0.1 * np.sin(z) * first) * np.exp(0.1 * x[0])


@pytest.mark.parametrize("method", ["central", "forward", "ridders"])
def test_values_and_bars(method):
    """Inside its bars nearly always, and close to scipy's."""
    jacobian, error = numerical_jacobian(fun, X, method=method, return_error=True)
    assert jacobian.shape == (20, 6)
    assert np.mean(np.abs(jacobian - jac(X)) <= error) >= 0.98
    np.testing.assert_allclose(jacobian, approx_derivative(fun, X), atol=1e-5)


def test_a_scalar_function_and_a_single_input():
    """As in scipy's tests: shapes follow the function."""
    np.testing.assert_allclose(numerical_jacobian(np.sum, np.ones(3)), 1.0)
    column = numerical_jacobian(lambda x: np.array([x[0] ** 2, np.tan(x[0])]), [1.0])
    np.testing.assert_allclose(column, [[2.0], [1 / np.cos(1.0) ** 2]], rtol=1e-8)


def test_bounds_are_respected():
    """One-sided at a bound, and never evaluated outside."""
    lower, upper = np.array([1.0, -np.inf]), np.array([np.inf, 2.0])

    def guarded(x):
        assert (x >= lower).all()
        assert (x <= upper).all()
        return np.array([np.sqrt(x[0] - 0.5) * x[1], np.exp(x[0] * x[1] ** 2 / 4)])

    x = np.array([1.0, 2.0])
    expected = np.array([[np.sqrt(2), np.sqrt(0.5)], [np.exp(1), np.exp(1)]])
    jacobian, error = numerical_jacobian(
        guarded, x, bounds=(lower, upper), return_error=True
    )
    assert (np.abs(jacobian - expected) <= error).all()
    np.testing.assert_allclose(jacobian, expected, rtol=1e-7)
    assert check_jacobian(guarded, x, expected, bounds=(lower, upper)).ok


@pytest.mark.parametrize("room", [0.0, 1e-3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounded_outputs_do_not_lead_outside(room, dtype):
    """Though they respond to large steps alone."""
    x = np.linspace(0.5, 1.5, 150).astype(dtype)
    low, high = x - dtype(room), x + dtype(0.3)

    def guarded(x):
        assert (x >= low).all()
        assert (x <= high).all()
        return np.round(np.log(x), 3)

    assert numerical_jacobian(guarded, x, bounds=(low, high)).shape == (150, 150)


def tridiagonal(x):
    y = x**3
    y[1:] += x[:-1] * x[1:]
    return y


def tridiagonal_jac(x):
    below = np.r_[0.0, x[:-1]]
    return sparse.csr_array(np.diag(3 * x**2 + below) + np.diag(x[1:], -1))


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, np.asarray])
def test_sparsity_saves_evaluations(kind):
    """Columns without a common row go together; the kind of matrix is kept."""
    n = 300
    x = np.random.default_rng(2).normal(size=n)
    pattern = kind(np.eye(n) + np.eye(n, k=-1))
    calls = []

    def counted(x):
        calls.append(1)
        return tridiagonal(x)

    jacobian = numerical_jacobian(counted, x, sparsity=pattern)
    assert sparse.issparse(jacobian) == sparse.issparse(pattern)
    dense = jacobian.toarray() if sparse.issparse(jacobian) else jacobian
    np.testing.assert_allclose(dense, tridiagonal_jac(x).toarray(), atol=1e-6)
    assert len(calls) < n


def test_wrong_entries_are_named_by_output_and_input():
    """Dense, sparse, and as products with vectors."""
    wrong = jac(X)
    wrong[3, 4] *= 1.01
    report = check_jacobian(fun, X, wrong)
    assert [e.name for e in report.wrong] == ["jacobian[3, 4]"]
    assert check_jacobian(fun, X, jac).ok
    assert check_jacobian(fun, X, vjp=lambda x, v: v @ jac(x)).ok
    assert check_jacobian(fun, X, jvp=lambda x, u: jac(x) @ u).ok
    x = np.random.default_rng(2).normal(size=50)
    bad = tridiagonal_jac(x).tolil()
    bad[7, 6] += 0.1
    report = check_jacobian(
        tridiagonal, x, bad.tocsr(), sparsity=np.eye(50) + np.eye(50, k=-1)
    )
    assert [e.index for e in report.wrong] == [(7, 6)]


def test_outputs_of_different_size_do_not_hide_each_other():
    """Rows are measured in units of their own noise."""

    def mixed(x):
        return np.array([1e10 * np.sin(x[0]), 1e-10 * np.sin(x[1])])

    right = np.diag([1e10 * np.cos(1.0), 1e-10 * np.cos(2.0)])
    assert check_jacobian(mixed, [1.0, 2.0], right).ok
    wrong = right * np.array([[1.0], [1.01]])
    report = check_jacobian(mixed, [1.0, 2.0], wrong)
    assert [e.index for e in report.wrong] == [(1, 1)]


def test_hessian():
    """Of Rosenbrock's function; an asymmetric one is noted."""
    assert check_hessian(rosen_der, X, rosen_hess).ok
    wrong = rosen_hess(X)
    wrong[1, 0] += 0.5
    report = check_hessian(rosen_der, X, wrong)
    assert [e.name for e in report.wrong] == ["hessian[1, 0]"]
    assert any("not symmetric" in note for note in report.notes)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((fun, X), {}, TypeError, "exactly one of"),
        ((fun, X, np.ones((6, 20))), {}, ValueError, "`jac` must have shape"),
        ((fun, X * np.nan, jac), {}, ValueError, "`x` must be finite"),
        ((fun, X, jac), {"bounds": (9, 10)}, ValueError, "`x` must be within"),
        ((fun, X, jac), {"sparsity": np.eye(3)}, ValueError, "`sparsity` must have"),
        ((fun, X, jac), {"sparsity": np.eye(20, 6)}, ValueError, "zero where"),
        ((fun, X, jac), {"workers": 2}, TypeError, "`workers` must be a concurrent"),
        ((fun, X, jac), {"rtol": -1.0}, ValueError, "`rtol` must be"),
        ((fun, X, jac), {"seed": -1}, ValueError, "`seed` must be"),
        ((lambda x: x[x == X], X, np.eye(6)), {}, ValueError, "as many outputs"),
        (
            (lambda x: np.where(x == X[2], np.nan, x), X, jac),
            {},
            ValueError,
            "finite .* output 2",
        ),
        ((lambda x: [[1, 2], [3]], X, jac), {}, ValueError, "`fun` must return"),
        ((fun, X[:0], jac), {}, ValueError, "`x` must have at least one"),
        ((lambda x: x[:0], X, jac), {}, ValueError, "outputs of `fun` must have"),
        (
            (np.zeros_like, X, np.zeros((6, 6))),
            {"sparsity": np.zeros((6, 6))},
            ValueError,
            "`sparsity` must have at least one",
        ),
    ],
)
def test_bad_arguments(arguments, options, error, message):
    """Each is named."""
    with pytest.raises(error, match=message):
        check_jacobian(*arguments, **options)


def test_workers_give_the_same_bits():
    """An executor calls the function; sparse, bounded or plain."""
    with ThreadPoolExecutor(3) as workers:
        for options in (
            {"return_error": True},
            {"method": "ridders"},
            {"sparsity": jac(X) != 0},
            {"bounds": (X, X + 1)},
        ):
            alone = numerical_jacobian(fun, X, **options)
            together = numerical_jacobian(fun, X, workers=workers, **options)
            np.testing.assert_array_equal(np.array(alone), np.array(together))
        report = check_jacobian(fun, X, jac, workers=workers)
    assert report.ok
    assert report.engine == "workers"
    assert report.seconds > 0


def test_outputs_of_different_curvature_are_all_accurate():
    """One step for all would suit the linear outputs and not the exponential."""

    def mixed(p):
        return np.array([p[0] * np.exp(p[1]), p[0] ** 2, p[1] * p[2]])

    x = np.array([1.0, 2.0, 3.0])
    exact = [[np.exp(2), np.exp(2), 0], [2, 0, 0], [0, 3, 2]]
    np.testing.assert_allclose(numerical_jacobian(mixed, x), exact, atol=1e-10)


def test_sparsity_as_lists():
    """Any array_like of the shape will do."""
    pattern = np.eye(3).tolist()
    found = numerical_jacobian(lambda p: p**2, [1.0, 2.0, 3.0], sparsity=pattern)
    np.testing.assert_allclose(found, np.diag([2.0, 4.0, 6.0]), atol=1e-9)


@pytest.mark.parametrize("n", [70, 150])
@pytest.mark.parametrize(
    ("method", "other"), [("central", "3-point"), ("forward", "2-point")]
)
def test_as_few_evaluations_as_scipy(n, method, other):
    """For many inputs, and as accurate."""
    matrix = np.random.default_rng(3).normal(size=(40, n)) / np.sqrt(n)
    x = np.random.default_rng(4).normal(size=n)
    calls = []

    def counted(x):
        calls.append(1)
        return np.tanh(matrix @ x)

    exact = (1 - np.tanh(matrix @ x) ** 2)[:, None] * matrix
    found = numerical_jacobian(counted, x, method=method)
    ours, calls[:] = len(calls), []
    theirs = approx_derivative(counted, x, method=other)
    assert ours <= 1.2 * len(calls)
    assert np.abs(found - exact).max() <= 3 * np.abs(theirs - exact).max()


@pytest.mark.parametrize("fast", [30.0, 300.0, 1e3, 1e4, 1e5])
def test_a_column_that_bends_gets_a_smaller_step(fast):
    """One input oscillates faster than the others; others take no more evaluations."""
    x, calls = np.linspace(0.1, 1.0, 200), []
    rate = np.where(np.arange(200) == 17, fast, 1.0)

    def fun(x):
        calls.append(1)
        return np.exp(1j * rate * x).imag

    found = numerical_jacobian(fun, x)
    np.testing.assert_allclose(found, np.diag(rate * np.cos(rate * x)), rtol=1e-5)
    assert len(calls) <= 2 * 200 + 6


@pytest.mark.parametrize("rate", [1.0, 15.0, 30.0, 40.0])
def test_waves_are_no_noise_and_mostly_need_no_smaller_steps(rate):
    """Two evaluations each, but where the slope is next to nothing."""
    x, calls = np.linspace(0.1, 1.0, 400), []

    def fun(x):
        calls.append(1)
        return np.sin(rate * x)

    found = numerical_jacobian(fun, x)
    exact = np.diag(rate * np.cos(rate * x))
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-6 * rate)
    assert len(calls) <= (2.4 if rate < 20 else 3) * 400


def test_noise_of_a_thousand_roundings_is_measured():
    """Two evaluations each would leave ten times as much of it."""
    x = np.linspace(0.5, 1.5, 150)
    noise = 2000 * np.finfo(float).eps

    def fun(x):
        return np.sin(x) + noise * np.sin(1e15 * x)

    found = numerical_jacobian(fun, x)
    np.testing.assert_allclose(found, np.diag(np.cos(x)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [150, 300])
def test_what_is_not_analytic_is_found_out_before_any_input_is_moved(size):
    """Though hardly off: a few evaluations more than differences alone take."""
    matrix = np.random.default_rng(3).normal(size=(40, size)) / np.sqrt(size)
    x, calls = np.random.default_rng(4).normal(size=size), []

    def counted(x):
        calls.append(1)
        return np.sin(matrix @ x) + 1e-3 * np.abs(x).sum()

    numerical_jacobian(counted, x, return_error=True, method="forward")
    usual, calls[:] = len(calls), []
    _, error = numerical_jacobian(counted, x, return_error=True)
    assert np.isfinite(error).all()
    assert len(calls) < usual


def test_noisy_outputs_are_measured():
    """Rounded to float32 inside: the step is chosen for that noise."""
    x = np.linspace(0.5, 1.5, 80)
    found = numerical_jacobian(lambda x: np.sin(x).astype(np.float32), x)
    np.testing.assert_allclose(found, np.diag(np.cos(x)), atol=3e-3)


def nested(p):
    return {"y": p["W"] @ p["b"] ** 2, "s": np.sum(p["b"])}


P = {"W": np.arange(6.0).reshape(2, 3) + 1, "b": np.array([0.5, -1.0, 2.0])}


def nested_jac(p):
    W, b = p["W"], p["b"]
    y_of_w = np.zeros((2, 2, 3))
    y_of_w[[0, 1], [0, 1]] = b**2
    return {
        "y": {"W": y_of_w, "b": 2 * W * b},
        "s": {"W": np.zeros((2, 3)), "b": np.ones(3)},
    }


def test_nests():
    """Inputs and outputs may be nests; the Jacobian is nested outputs first."""
    found, right = numerical_jacobian(nested, P), nested_jac(P)
    for output in right:
        for given in right[output]:
            np.testing.assert_allclose(
                found[output][given], right[output][given], atol=1e-8
            )
    report = check_jacobian(nested, P, nested_jac)
    assert report.ok
    assert [block.name for block in report.blocks] == ["y/W", "y/b", "s/W", "s/b"]
    wrong = nested_jac(P)
    wrong["y"]["b"][1, 2] *= 1.01
    assert [e.name for e in check_jacobian(nested, P, wrong).wrong] == ["y/b[1, 2]"]
    x = np.ones(2)
    one = check_jacobian(lambda x: {"a": x**2}, x, {"a": np.diag(2 * x)})
    assert one.ok
    assert [block.name for block in one.blocks] == ["a/x"]
    assert check_jacobian(
        nested,
        P,
        jvp=lambda p, u: {
            "y": u["W"] @ p["b"] ** 2 + p["W"] @ (2 * p["b"] * u["b"]),
            "s": np.sum(u["b"]),
        },
    ).ok


ALIKE = [("a.b", "a"), (1, "1"), ("x", "y")]  # the last are told apart as they are


@every_second
@pytest.mark.parametrize("outputs", [*ALIKE, ("a", "a/b")])
@pytest.mark.parametrize("inputs", [*ALIKE, ("b/c", "c")])
def test_blocks_whose_names_are_written_alike(outputs, inputs):
    """Keys may be joined to the same name; a report has all blocks."""

    def pair(keys, one, two):
        return {keys[0]: one, keys[1]: {"b": two} if keys[0] == "a.b" else two}

    def fun(p):
        u, v = (leaf for *_, leaf in walk(p))
        return pair(outputs, u**2, np.sin(v) * u)

    def jac(p):
        u, v = (leaf for *_, leaf in walk(p))
        one = pair(inputs, np.diag(2 * u), np.zeros((2, 2)))
        two = pair(inputs, np.diag(np.sin(v)), np.diag(u * np.cos(v)))
        return pair(outputs, one, two)

    x = pair(inputs, np.array([0.5, -1.5]), np.array([1.0, 2.0]))
    names = [block.name for block in check_jacobian(fun, x, jac).blocks]
    assert len(set(names)) == 4
    for k, name in enumerate(names):
        wrong = jac(x)
        [*walk(wrong)][k][-1][0, 1] += 1.0
        [entry] = check_jacobian(fun, x, wrong).wrong
        assert (entry.block, entry.index) == (name, (0, 1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("entry", [np.nan, np.inf, 1e308, -1e308, 1e-320])
@pytest.mark.parametrize("unit", [1e-300, 1.0])
def test_entries_that_no_number_is_like(entry, unit):
    """They are wrong, and nothing else is said."""
    x, wrong = np.array([1.0, 2.0]), np.diag([2.0, entry])
    with np.errstate(all="raise", under="ignore"):
        report = check_jacobian(lambda x: unit * x**2, x, wrong * unit)
        assert report.verdict == "wrong"
        assert "[1, 1]" in [name[-6:] for name in (e.name for e in report.wrong)]
        assert check_hessian(lambda x: x**2, x, wrong).verdict == "wrong"


@every_second
@pytest.mark.parametrize("show", [None, False])
@pytest.mark.parametrize(
    ("call", "cheaper"),
    [
        (lambda **o: check_jacobian(linear, np.ones(60), MATRIX, **o), "coverage=10"),
        (lambda **o: check_hessian(linear, np.ones(60), MATRIX, **o), "coverage=10"),
        (lambda **o: check_jacobian(linear, np.ones(60), 2 * MATRIX, **o), "coverage=10"),
        (lambda **o: numerical_jacobian(linear, np.ones(60), **o), "sparsity="),
        (
            lambda **o: check_hessian(quadratic, np.ones(30), 2 * MATRIX[:30, :30], **o),
            "the gradient in place of the loss",
        ),
        (
            lambda **o: check_jacobian(
                linear, np.ones(60), vjp=lambda x, v: v @ MATRIX, **o
            ),
            "`jac` instead of `vjp`",
        ),
        (
            lambda **o: check_jacobian(
                linear, np.ones(60), jvp=lambda x, u: MATRIX @ u, **o
            ),
            "`jac` instead of `jvp`",
        ),
        (lambda **o: numerical_hessian(quadratic, np.ones(60), **o), "sparsity="),
        (
            lambda **o: check_jacobian(
                lambda x: x**2, np.ones(60), 2 * np.eye(60), sparsity=np.ones((60, 60)),
                method="ridders", **o,
            ),
            "workers=",
        ),
    ],
)  # fmt: skip
def test_what_takes_long_is_said(call, cheaper, show, monkeypatch, capsys):
    """With what is cheaper, as of a gradient; a second passes in each call."""
    now = itertools.count()
    clock = types.SimpleNamespace(monotonic=lambda: float(next(now)))
    monkeypatch.setattr("fastgrad.losses.progress.time", clock)
    call(progress=show)
    said = capsys.readouterr().err
    assert said.count("left, for") == (show is None)
    assert (cheaper in said) == (show is None)


MATRIX = np.sin(np.arange(3600.0)).reshape(60, 60)
MATRIX += MATRIX.T


def linear(x):
    return MATRIX @ x


def quadratic(x):
    return x @ MATRIX[: x.size, : x.size] @ x


def test_further_arguments():
    """Of the function and of its Jacobian."""
    found = numerical_jacobian(
        lambda x, a, *, b: a * x + b * x**2, X, args=(2.0,), kwargs={"b": 3.0}
    )
    np.testing.assert_allclose(found, np.diag(2 + 6 * X), atol=1e-8)
    assert check_jacobian(
        lambda x, a: a * x**2, X, lambda x, a: np.diag(2 * a * x), args=(2.0,)
    ).ok


def test_products_of_different_jacobians():
    """`vjp` and `jvp` are checked against each other."""
    right = {"vjp": lambda x, v: v @ jac(x), "jvp": lambda x, u: jac(x) @ u}
    assert check_jacobian(fun, X, **right).ok
    wrong = {**right, "jvp": lambda x, u: 1.001 * jac(x) @ u}
    report = check_jacobian(fun, X, **wrong)
    assert report.verdict == "wrong"
    assert any("not of the same Jacobian" in note for note in report.notes)


@pytest.mark.parametrize(
    ("condition", "dtype"),
    [(1.0, "f4"), (1e2, "f4"), (1.0, "f8"), (1e2, "f8"), (1e6, "f8")],
)
def test_products_that_solve_systems_are_of_the_same_jacobian(condition, dtype):
    """To the digits that the condition leaves; one entry of a hundred off is seen."""
    rng = np.random.default_rng(5)
    (left, _), (right, _) = (np.linalg.qr(rng.normal(size=(10, 10))) for _ in "lr")
    matrix = (left * np.logspace(0, -np.log10(condition), 10)) @ right
    matrix, x = matrix.astype(dtype), rng.normal(size=10).astype(dtype)

    def solve(x):
        return np.linalg.solve(matrix, x)

    def vjp(_, v):
        return np.linalg.solve(matrix.T, v)

    report = check_jacobian(solve, x, vjp=vjp, jvp=lambda _, u: solve(u))
    assert not any("not of the same" in note for note in report.notes)

    def other(_, u):
        out = solve(u)
        out[3] += 1e-2 * out[3]
        return out

    report = check_jacobian(solve, x, vjp=vjp, jvp=other)
    assert any("not of the same" in note for note in report.notes)


@pytest.mark.parametrize("given", [lambda m: m, lambda m: lambda x: m])
def test_linear_operators(given):
    """As `jac`, or returned by it; dense and with a pattern."""
    operator = aslinearoperator(jac(X))
    assert check_jacobian(fun, X, given(operator)).ok
    assert not check_jacobian(fun, X, given(1.01 * operator)).ok
    x = np.random.default_rng(2).normal(size=50)
    right = aslinearoperator(tridiagonal_jac(x))
    inside = np.eye(50) + np.eye(50, k=-1)
    assert check_jacobian(tridiagonal, x, given(right), sparsity=inside).ok
    with pytest.raises(ValueError, match="`jac` must have shape"):
        check_jacobian(fun, X, given(right))


MIXED = np.random.default_rng(8).normal(size=(5, 5))


def its_outputs(x, scale=1.0):
    hidden = np.tanh(MIXED @ x)
    return scale * hidden


def its_jacobian(x, scale=1.0):
    return scale * (1 - np.tanh(MIXED @ x) ** 2)[:, None] * MIXED


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.usefixtures("time_for_causes")
def test_a_transposed_jacobian_is_called_so_to_its_digits(dtype):
    """One of which an entry is off besides is none."""
    x = np.array([0.3, -0.8, 0.5, 0.1, -0.2])
    jacobian = its_jacobian(x).T.astype(dtype)
    report = check_jacobian(its_outputs, x, jacobian)
    assert [cause.code for cause in report.causes] == ["layout"]
    jacobian[np.unravel_index(np.argmax(np.abs(jacobian)), (5, 5))] *= 1 + 1e-5
    report = check_jacobian(its_outputs, x, jacobian)
    assert report.verdict == "wrong"
    assert "layout" not in {cause.code for cause in report.causes}


@every_second
@pytest.mark.parametrize("args", [(), (3.0,)])
@pytest.mark.parametrize(
    ("wrong", "code", "part"),
    [
        (lambda x, *a: 2 * its_jacobian(x, *a), "scale", "`jac / 2` matches"),
        (lambda x, *a: -its_jacobian(x, *a), "sign", "in jacobian"),
        (lambda x, *a: its_jacobian(x, *a).T, "layout", "`jac.T`"),
        (lambda x, a=1.0: a * MIXED, "local_derivative", "the derivative of np.tanh"),
    ],
    ids=["twice", "minus", "transposed", "without a derivative"],
)
@pytest.mark.usefixtures("time_for_causes")
def test_causes_are_named(wrong, code, part, args):
    x = np.array([0.3, -0.8, 0.5, 0.1, -0.2])
    assert check_jacobian(its_outputs, x, its_jacobian, args=args).ok
    report = check_jacobian(its_outputs, x, wrong, args=args)
    assert report.verdict == "wrong"
    cause = report.causes[0]
    assert (cause.code, cause.blocks) == (code, ("jacobian",))
    assert part in cause.message
    assert "grads" not in cause.message
    assert "params" not in cause.message


@every_second
@pytest.mark.parametrize(
    ("axis", "rows"),
    [(0, [2]), (0, [0, 4]), (0, [1, 2, 3]), (0, [0, 1, 2, 4]), (1, [3]), (1, [0, 3])],
)
@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda some: 3 * some, {"scale", "partial"}),
        (lambda some: -some, {"sign", "partial"}),
        (lambda some: 0 * some, {"zero", "partial"}),
        (lambda some: some[::-1], {"layout"}),
    ],
    ids=["thrice", "minus", "zero", "reversed"],
)
@pytest.mark.usefixtures("time_for_causes")
def test_some_rows_or_columns(rows, axis, change, codes):
    """Are told as such, and by a formula that makes the matrix right where it can."""
    x = np.array([0.3, -0.8, 0.5, 0.1, -0.2])
    right = its_jacobian(x)
    wrong = right.copy()
    some = np.moveaxis(wrong, axis, 0)
    some[rows] = change(some[rows])
    if np.array_equal(wrong, right):
        return  # one row the other way round
    given = sparse.csr_array(wrong) if axis else wrong
    (cause,) = check_jacobian(its_outputs, x, given).causes
    assert cause.code in codes
    assert re.search(r"in jacobian\b", cause.message)
    shown = f"[{rows[0]}" if len(rows) == 1 else f"{rows[0]}"
    assert shown in cause.message or f"index {rows[0]}" in cause.message
    for formula in re.findall(r"`([^`]*jac[^`]*)`", cause.message):
        due = eval(formula, {"np": np, "jac": wrong})
        where = re.search(r"in jacobian(\[.*?\])? ", cause.message)[1] or "[:]"
        np.testing.assert_allclose(due, eval(f"right{where}"), rtol=1e-6)


T = np.linspace(0.0, 3.0, 20)


def decay(p):
    return p[0] * np.exp(-p[1] * T) + p[2]


@pytest.mark.parametrize(
    ("column", "mistake", "code", "part"),
    [
        (1, lambda a, e: a * T * e, "sign", "np.negative"),
        (1, lambda a, e: -a * e, "local_derivative", "np.multiply"),
        (1, lambda a, e: -a * T, "local_derivative", "np.exp"),
        (1, lambda a, e: -T * e, "local_derivative", "np.multiply"),
        (0, lambda a, e: e**2, "local_derivative", "np.multiply"),
        (0, lambda a, e: e / a, "partial", "0.4 times what it should be at index 0"),
        (2, lambda a, e: 0 * T, "accumulation", "np.add"),
    ],
)
@pytest.mark.usefixtures("time_for_causes")
def test_a_column_is_named_by_the_line_of_the_function(column, mistake, code, part):
    """Of a model with few parameters each column is one number in a sum of rows."""
    x = np.array([2.5, 0.7, 0.3])
    e = np.exp(-x[1] * T)
    wrong = np.stack([e, -x[0] * T * e, np.ones_like(T)], axis=1)
    assert check_jacobian(decay, x, wrong).ok
    wrong[:, column] = mistake(x[0], e)
    causes = check_jacobian(decay, x, wrong).causes
    [cause] = [cause for cause in causes if cause.code == code]
    assert part in cause.message
    assert cause.source_line is None or "return p[0] * np.exp" in cause.source_line


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda j: {"W": 2 * j["W"], "b": j["b"]}, {("h/W", "scale")}),
        (
            lambda j: {"W": 2 * j["W"], "b": -j["b"]},
            {("h/W", "scale"), ("h/b", "sign")},
        ),
        (lambda j: {"W": j["W"], "b": j["b"][::-1]}, {("h/b", "geometry")}),
    ],
)
@pytest.mark.usefixtures("time_for_causes")
def test_causes_of_nests(change, codes):
    """Those that the entries of each block show."""
    a, x = np.array([0.3, -0.8, 0.5]), {"W": MIXED[:3, :3], "b": np.array([0.1, -2, 1])}

    def fun(p):
        return {"h": np.tanh(p["W"] @ a + p["b"])}

    slope = np.diag(1 - fun(x)["h"] ** 2)
    right = {"W": slope[:, :, None] * a, "b": slope}
    assert check_jacobian(fun, x, {"h": right}).ok
    report = check_jacobian(fun, x, {"h": change(right)})
    assert {(cause.blocks[0], cause.code) for cause in report.causes} == codes


@pytest.mark.usefixtures("time_for_causes")
def test_an_entry_of_a_jacobian():
    x = np.array([0.3, -0.8, 0.5, 0.1, -0.2])
    wrong = its_jacobian(x)
    wrong[3, 1] += 0.1
    (cause,) = check_jacobian(its_outputs, x, wrong).causes
    assert (cause.code, cause.blocks) == ("partial", ("jacobian",))
    assert "one entry is wrong, at [3, 1]" in cause.message


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.usefixtures("time_for_causes")
def test_causes_of_scalars_products_and_sparse_matrices(stored):
    x = np.linspace(0.2, 0.9, 6)
    found = check_jacobian(lambda x: np.sum(np.sin(x)), x, -np.cos(x))
    assert found.causes[0].code == "sign"
    pattern = sparse.eye_array(6, format="csr") if stored else np.eye(6)
    wrong = (
        sparse.diags_array(2 * np.cos(x)).tocsr() if stored else np.diag(2 * np.cos(x))
    )
    found = check_jacobian(np.sin, x, wrong, sparsity=pattern)
    assert found.causes[0].code == "scale"
    found = check_jacobian(np.sin, x, vjp=lambda x, v: -v * np.cos(x))
    assert found.causes[0].code == "sign"
    assert "`-vjp`" in found.causes[0].message


@every_second
@pytest.mark.parametrize("exponent", [-300, -12, 24])
@pytest.mark.parametrize("other", [-12, 0, 12])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_each_output_is_judged_by_its_own_size(exponent, other, offset):
    """However small it is beside others: each is a loss of its own."""
    unit = np.array([10.0**exponent, 10.0**other])
    x = np.array([0.7, 1.3])

    def fun(x):
        return unit * np.array([offset + x[0] ** 2, np.sin(x[1]) * x[0]])

    right = unit[:, None] * np.array(
        [[2 * x[0], 0], [np.sin(x[1]), np.cos(x[1]) * x[0]]]
    )
    report = check_jacobian(fun, x, right)
    assert report.verdict == "correct"
    assert not any("not verified" in note for note in report.notes)
    for place in ((0, 0), (1, 1)):
        wrong = right.copy()
        wrong[place] *= 1.01
        report = check_jacobian(fun, x, wrong)
        assert [entry.index for entry in report.wrong] == [place]
