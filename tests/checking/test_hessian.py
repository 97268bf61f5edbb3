"""Hessians against closed forms."""

import numpy as np
import pytest
from families import every_second
from scipy import sparse
from scipy.optimize import rosen, rosen_der, rosen_hess
from scipy.sparse.linalg import aslinearoperator

import fastgrad as fg

X = np.random.default_rng(1).normal(size=6)


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_values_and_bars(size, engine):
    """Of Rosenbrock's function, in any units, traced or called."""
    found, error = fg.numerical_hessian(
        lambda x: rosen(x / size), size * X, engine=engine, return_error=True
    )
    exact = rosen_hess(X) / size**2
    assert (np.abs(found - exact) <= error).mean() >= 0.9
    assert np.abs(found - exact).max() <= 1e-8 * np.abs(exact).max()
    assert (found == found.T).all()


def test_a_step_is_taken_as_it_is():
    """The three-point formula: of x⁴ it is off by 2 h²."""
    [[found]] = fg.numerical_hessian(lambda x: x[0] ** 4, np.array([1.0]), step=0.5)
    assert found == 12.5


def test_noise_is_taken_into_account():
    """A loss rounded to float32 gets larger steps, and wider bars."""
    x = np.linspace(0.5, 1.0, 4)

    def loss(x):
        return float(np.float32(np.sum(np.exp(x))))

    found, error = fg.numerical_hessian(loss, x, return_error=True)
    exact = np.diag(np.exp(x))
    assert (np.abs(found - exact) <= error).all()
    np.testing.assert_allclose(found, exact, atol=0.05)


def test_nests():
    """A nest of nests, by both names."""
    p = {"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([0.5, -1.0])}
    found = fg.numerical_hessian(lambda p: np.sum((p["w"] @ p["b"]) ** 2), p)
    w, b = p["w"], p["b"]
    np.testing.assert_allclose(found["b"]["b"], 2 * w.T @ w, atol=1e-8)
    right = 2 * np.einsum("ik,j,l->ijkl", np.eye(2), b, b)
    np.testing.assert_allclose(found["w"]["w"], right, atol=1e-8)
    np.testing.assert_allclose(
        found["b"]["w"], np.moveaxis(found["w"]["b"], -1, 0), atol=1e-12
    )


def test_patterns():
    """Only what may not be zero is measured, and stays sparse."""
    pattern = sparse.csr_array(rosen_hess(X) != 0)
    calls = []

    def counted(x):
        calls.append(1)
        return rosen(x)

    found = fg.numerical_hessian(counted, X, sparsity=pattern, engine="python")
    assert sparse.issparse(found)
    np.testing.assert_allclose(found.toarray(), rosen_hess(X), atol=1e-6)
    few = len(calls)
    fg.numerical_hessian(counted, X, engine="python")
    assert few < len(calls) - few


def test_further_arguments():
    found = fg.numerical_hessian(
        lambda x, a, *, b: a * x[0] ** 2 + b * x[0] * x[1],
        np.ones(2),
        args=(3.0,),
        kwargs={"b": 5.0},
    )
    np.testing.assert_allclose(found, [[6.0, 5.0], [5.0, 0.0]], atol=1e-8)


@pytest.mark.parametrize("fun", [rosen, rosen_der])
def test_checks(fun):
    """Against the gradient, or the loss alone."""
    assert fg.check_hessian(fun, X, rosen_hess).ok
    wrong = rosen_hess(X)
    wrong[2, 1] *= 1.001
    report = fg.check_hessian(fun, X, wrong)
    assert [e.name for e in report.wrong] == ["hessian[2, 1]"]
    assert any("not symmetric" in note for note in report.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0}, "`step` must be"),
        ({"args": 3}, "`args` must be"),
        ({"sparsity": np.eye(2)}, "`sparsity` must have shape"),
        ({"engine": "fast"}, "`engine` must be"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fg.numerical_hessian(rosen, X, **options)


def test_products():
    """A Hessian given by its products with vectors, and an operator."""
    right = rosen_hess(X)
    assert fg.check_hessian(rosen_der, X, hvp=lambda x, u: rosen_hess(x) @ u).ok
    assert fg.check_hessian(rosen_der, X, aslinearoperator(right)).ok
    report = fg.check_hessian(rosen, X, hvp=lambda x, u: 1.01 * rosen_hess(x) @ u)
    assert report.verdict == "wrong"


@pytest.mark.parametrize("at", [2.0, np.float64(2.0), np.array(2.0)])
def test_of_one_number(at):
    """Its gradient is a number, too, and taken for one; a loss is told by a vector."""
    assert fg.check_hessian(lambda x: 3 * x**2, at, 12.0).ok
    assert fg.check_hessian(lambda x: 3 * x**2, at, 12.12).verdict == "wrong"
    assert fg.check_hessian(lambda x: x[0] ** 3, [at], [[12.0]]).ok
    assert fg.check_hessian(lambda x: x[0] ** 3, [at], [[12.12]]).verdict == "wrong"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((rosen_der, X), {}, "one of `hess` and `hvp` .* got neither"),
        ((rosen_der, X, np.eye(6)), {"hvp": len}, "got both"),
        ((rosen, X, np.eye(5)), {}, "`hess` must have shape"),
        ((lambda x: x[:2], X, np.eye(6)), {}, "`grad` must return 6 .* got 2"),
        ((rosen, X, np.eye(6) * 1j), {}, "`hess` must be real"),
        ((3, X, np.eye(6)), {}, "`grad` must be callable"),
    ],
)
def test_checks_that_make_no_sense(arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fg.check_hessian(*arguments, **options)


NEST = {"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([0.5, -1.0])}


def _nested_loss(p):
    return np.sum((p["w"] @ p["b"]) ** 2)


def _nested_gradient(p):
    z = p["w"] @ p["b"]
    return {"w": 2 * np.outer(z, p["b"]), "b": 2 * p["w"].T @ z}


def _nested_hessian(p):
    w, b, z = p["w"], p["b"], p["w"] @ p["b"]
    crossed = 2 * np.einsum("ik,j->ijk", w, b) + 2 * np.einsum(
        "i,jk->ijk", z, np.eye(2)
    )
    return {
        "w": {"w": 2 * np.einsum("ik,j,l->ijkl", np.eye(2), b, b), "b": crossed},
        "b": {"w": np.moveaxis(crossed, -1, 0).copy(), "b": 2 * w.T @ w},
    }


@pytest.mark.parametrize("fun", [_nested_loss, _nested_gradient])
def test_checks_of_nests(fun):
    """Each pair of arrays is a block, named y/x, in which a mistake is found."""
    report = fg.check_hessian(fun, NEST, _nested_hessian)
    assert report.ok, report
    assert [block.name for block in report.blocks] == ["w/w", "w/b", "b/w", "b/b"]
    assert "Gradient" not in str(report)
    wrong = _nested_hessian(NEST)
    wrong["b"]["w"][1, 0, 1] *= 1.01
    report = fg.check_hessian(fun, NEST, wrong)
    assert [entry.name for entry in report.wrong] == ["b/w[1, 0, 1]"]
    assert any("not symmetric" in note for note in report.notes)


def test_what_is_not_verified_is_told_in_its_own_units():
    """Zeros of a Hessian that is measured twice are known to its rounding."""
    report = fg.check_hessian(_nested_loss, NEST, _nested_hessian)
    [note] = [note for note in report.notes if note.startswith("not verified")]
    size = float(note.split("at most ")[1].split(":")[0])
    assert size < 1e-6


@pytest.mark.parametrize("fun", [rosen, rosen_der])
def test_checks_never_leave_the_bounds(fun):
    """Also where the gradient is measured from the loss, at a corner."""

    def inside(x):
        assert (x >= X).all()
        return fun(x)

    assert fg.check_hessian(inside, X, rosen_hess, bounds=(X, None)).ok
    report = fg.check_hessian(inside, X, 1.001 * rosen_hess(X), bounds=(X, None))
    assert report.verdict == "wrong"


A = np.random.default_rng(0).normal(size=(6, 4))
Y = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])


def logistic(z):
    return 1 / (1 + np.exp(-z))


class Ridge:
    def grad(self, w):
        return A.T @ (logistic(A @ w) - Y) + 0.1 * w


def its_hessian(w, slope=lambda p: p * (1 - p), ridge=0.1):
    return A.T @ (A * slope(logistic(A @ w))[:, None]) + ridge * np.eye(4)


@pytest.mark.parametrize(
    ("wrong", "code", "line"),
    [
        (lambda w: 2 * its_hessian(w), "scale", None),
        (lambda w: -its_hessian(w), "sign", None),
        (lambda w: its_hessian(w, ridge=0.0), "accumulation", "0.1 * w"),
        (lambda w: its_hessian(w, lambda p: p), "local_derivative", "np.exp(-z)"),
    ],
    ids=["twice", "minus", "without the ridge", "value for derivative"],
)
@pytest.mark.usefixtures("time_for_causes")
def test_causes_are_named_from_the_lines_of_the_gradient(wrong, code, line):
    w = np.array([0.3, -0.8, 0.5, 0.1])
    assert fg.check_hessian(Ridge().grad, w, its_hessian).ok
    report = fg.check_hessian(Ridge().grad, w, wrong)
    assert report.verdict == "wrong"
    cause = report.causes[0]
    assert cause.code == code
    assert cause.blocks == ("hessian",)
    assert "grads" not in cause.message
    assert line is None or line in cause.source_line


@every_second
@pytest.mark.parametrize(
    ("wrong", "code", "part"),
    [
        (lambda right: 2 * right, "scale", "`hess / 2`"),
        (lambda right: -right, "sign", "`-hess`"),
        (np.tril, "mask", "cut to the lower triangle"),
        (lambda right: right[:, [1, 0, 2, 3]], "layout", "another order along axis 1"),
        (lambda right: right * [1, 1, 3, 1], "partial", "3 times what it should be"),
    ],
    ids=["twice", "minus", "lower", "swapped", "column"],
)
@pytest.mark.parametrize("of_loss", [False, True])
@pytest.mark.usefixtures("time_for_causes")
def test_causes_that_the_entries_show(wrong, code, part, of_loss):
    """Whether it is checked against a gradient, or against a loss."""
    c, x = np.arange(1.0, 5.0), np.array([0.3, -0.8, 0.5, 0.1])

    def loss(x):
        return np.sin(c @ x) + np.sum(x**3) / 3

    def gradient(x):
        return np.cos(c @ x) * c + x**2

    right = -np.sin(c @ x) * np.outer(c, c) + 2 * np.diag(x)
    fun = loss if of_loss else gradient
    assert fg.check_hessian(fun, x, right).ok
    (cause,) = fg.check_hessian(fun, x, wrong(right)).causes
    assert cause.code == code
    assert part in cause.message


@pytest.mark.parametrize("fun", [_nested_loss, _nested_gradient])
def test_coverage(fun):
    """So many entries of each block; there is no search."""
    report = fg.check_hessian(fun, NEST, _nested_hessian, coverage=1)
    assert [block.checked for block in report.blocks] == [1] * len(report.blocks)
    with pytest.raises(ValueError, match='`coverage` must be "full" or the number'):
        fg.check_hessian(fun, NEST, _nested_hessian, coverage="locate")


@pytest.mark.parametrize("step", [None, 1e-3])
@pytest.mark.parametrize("size", [2, 5, 9])
def test_a_pattern_that_leaves_out_entries_is_refused(size, step):
    """Where differences can see them; one that holds all is not."""
    rng = np.random.default_rng(size)
    x, far = rng.normal(size=size), np.zeros((size, size), dtype=bool)
    far[0, -1] = far[-1, 0] = True

    def loss(x, coupling):
        return np.sum(np.sin(x)) + 1e3 + coupling * x[0] * x[-1]

    for coupling in (0.0, 0.1, 10.0):
        for whole in (np.eye(size), sparse.eye_array(size, format="csr")):
            options = {"args": (coupling,), "step": step}
            if coupling:
                with pytest.raises(ValueError, match="`sparsity` must be nonzero"):
                    fg.numerical_hessian(loss, x, sparsity=whole, **options)
            else:
                fg.numerical_hessian(loss, x, sparsity=whole, **options)
        found = fg.numerical_hessian(
            loss, x, sparsity=np.eye(size) + far, args=(coupling,), step=step
        )
        exact = np.diag(-np.sin(x)) + coupling * far
        np.testing.assert_allclose(found, exact, atol=1e-4)


def refusing(x):
    """What many write for where a function ends."""
    if not (x > 0).all():
        raise ValueError("outside")
    return x


#: Losses that end beside a point or at it, and the second derivatives of each term.
ENDING = {
    "x log x": (lambda x: np.sum(x * np.log(x)), lambda x: 1 / x, [1e-6, 0.7, 2.0]),
    "raises": (
        lambda x: np.sum(x * np.log(refusing(x))),
        lambda x: 1 / x,
        [1e-5, 1.0, 3.0],
    ),
    "logarithm": (lambda x: -np.sum(np.log(x)), lambda x: x**-2, [1e-4, 1.0, 2.0]),
    "power": (
        lambda x: np.sum(x**1.5),
        lambda x: 0.75 * x**-0.5,
        [1e-3, 0.4, 1.7],
    ),
    "at the end": (
        lambda x: np.sum((1 - x) ** 3.5),
        lambda x: 8.75 * (1 - x) ** 1.5,
        [0.99, 0.3, -0.5],
    ),
}


@every_second
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ENDING)
@pytest.mark.parametrize("of", ["loss", "a loss that raises"])
def test_losses_that_end_nearby(name, of):
    """A right Hessian is correct; one with a single entry off is wrong there.

    Off by the digits that are left: of the smallest step that is still large enough.
    """
    off = {"power": 1e-4, "logarithm": 1e-5, "raises": 1e-4}.get(name, 1e-3)
    loss, second, point = ENDING[name]
    x = np.array(point)

    def strict(x):
        with np.errstate(all="raise"):
            return loss(x)

    fun = loss if of == "loss" else strict
    with np.errstate(invalid="ignore", divide="ignore"):
        assert fg.check_hessian(fun, x, np.diag(second(x))).verdict == "correct"
        for k in range(3):
            wrong = second(x) * np.where(np.arange(3) == k, 1 + off, 1.0)
            report = fg.check_hessian(fun, x, np.diag(wrong))
            assert [entry.index for entry in report.wrong] == [(k, k)]
