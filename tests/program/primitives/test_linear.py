"""Linear algebra in programs: facts from outside, boxes, singular matrices."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from program_functions import posdef, regular, trace
from scipy import linalg

import fastgrad as fg
from fastgrad.program.primitives import matrices

RNG = np.random.default_rng(23)


def differences(loss, x, delta, index=None):
    index = np.arange(x.size) if index is None else np.asarray(index)
    return trace(loss, x).at_entries(index, np.full(index.size, delta))


def exact(matrix, entry, delta):
    """The perturbed matrix in mpmath."""
    a = mpmath.matrix(matrix.tolist())
    a[divmod(entry, matrix.shape[1])] += mpmath.mpf(delta)
    return a


A = regular(RNG.normal(size=(5, 5)))[[2, 0, 1, 4, 3]]  # pivots off the diagonal
B = RNG.normal(size=5)
EXACT = {
    "det": (np.linalg.det, mpmath.det),
    "slogdet": (
        lambda a: np.linalg.slogdet(a)[1],
        lambda a: mpmath.log(abs(mpmath.det(a))),
    ),
    "solve": (
        lambda a: np.linalg.solve(a, B).sum(),
        lambda a: sum(mpmath.lu_solve(a, mpmath.matrix(B.tolist()))),
    ),
    "inv": (lambda a: np.linalg.inv(a).sum(), lambda a: sum(a**-1)),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("delta", [1e-11, 1e-3, 0.7])
def test_differences_of_any_size_are_exact_to_rounding(name, delta):
    loss, reference = EXACT[name]
    got, _ = differences(loss, A, delta)
    with mpmath.workdps(60):
        base = reference(mpmath.matrix(A.tolist()))
        for entry in range(A.size):
            expected = reference(exact(A, entry, delta)) - base
            assert got[entry] == pytest.approx(float(expected), rel=3e-13, abs=1e-25)


def test_cholesky_differences_are_exact_to_rounding():
    a = posdef(RNG.normal(size=(4, 4)))
    got, _ = differences(lambda a: np.linalg.cholesky(a).sum(), a, 1e-11)
    with mpmath.workdps(60):
        base = sum(mpmath.cholesky(mpmath.matrix(a.tolist())))
        for entry in range(a.size):
            i, j = divmod(entry, 4)
            moved = exact(a, entry, 1e-11)
            if j > i:
                assert got[entry] == 0
                continue
            moved[j, i] = moved[i, j]
            expected = sum(mpmath.cholesky(moved)) - base
            assert got[entry] == pytest.approx(float(expected), rel=1e-12)


def complex_step(function, x):
    """The derivative of the sum of an analytic function, exact to rounding."""
    out = np.empty(x.size)
    for i in range(x.size):
        moved = x.astype(complex)
        moved.flat[i] += 1e-30j
        out[i] = np.sum(function(moved)).imag * 1e30
    return out.reshape(x.shape)


def lower_factor(a):
    """Cholesky's recursion, of real and complex numbers; reads the lower triangle."""
    factor = np.zeros_like(a)
    for i in range(len(a)):
        for j in range(i + 1):
            rest = a[i, j] - factor[i, :j] @ factor[j, :j]
            factor[i, j] = np.sqrt(rest) if i == j else rest / factor[j, j]
    return factor


WEIGHT = RNG.normal(size=(4, 4))
DERIVATIVES = {
    "solve": (lambda a: WEIGHT * np.linalg.solve(regular(a), WEIGHT),) * 2,
    "solve_right": (lambda a: WEIGHT * np.linalg.solve(regular(WEIGHT), a),) * 2,
    "inv": (lambda a: WEIGHT * np.linalg.inv(regular(a)),) * 2,
    "det": (np.linalg.det,) * 2,
    "slogdet": (
        lambda a: np.linalg.slogdet(a)[1],
        lambda a: 0.5 * np.log(np.linalg.det(a) ** 2),
    ),
    "cholesky": (
        lambda a: WEIGHT * np.linalg.cholesky(a + 9 * np.eye(4)),
        lambda a: WEIGHT * lower_factor(a + 9 * np.eye(4)),
    ),
    "cholesky_upper": (
        lambda a: WEIGHT * np.linalg.cholesky(a + 9 * np.eye(4), upper=True),
        lambda a: WEIGHT * lower_factor(a.T + 9 * np.eye(4)).T,
    ),
    "cumprod": (
        lambda a: WEIGHT * np.cumprod(a, axis=0),
        lambda a: WEIGHT * np.cumprod(a, axis=0),
    ),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_agree_with_the_complex_step(name):
    traced, analytic = DERIVATIVES[name]
    x = RNG.normal(size=(4, 4))
    got = trace(lambda a: np.sum(traced(a)), x).gradient()
    np.testing.assert_allclose(got, complex_step(analytic, x), rtol=1e-11, atol=1e-12)


def test_derivative_of_cumprod_with_zeros():
    x = np.array([2.0, 0.0, 3.0, 0.0, 5.0])
    got = trace(lambda x: np.cumprod(x).sum(), x).gradient()
    np.testing.assert_array_equal(got, [1, 2 * (1 + 3), 0, 0, 0])


def cofactors(rows):
    """By exact rational elimination of what is left without a row and a column."""

    def det(m):
        if not m:
            return Fraction(1)
        rest = [[r[:j] + r[j + 1 :] for r in m[1:]] for j in range(len(m))]
        return sum((-1) ** j * m[0][j] * det(rest[j]) for j in range(len(m)))

    n = range(len(rows))
    return [
        [
            (-1) ** (i + j)
            * det([r[:j] + r[j + 1 :] for k, r in enumerate(rows) if k != i])
            for j in n
        ]
        for i in n
    ]


@pytest.mark.parametrize(
    "rows",
    [
        [[2, 1, 0], [1, 3, 1], [0, 1, 4]],
        [[1, 2, 3], [4, 5, 6], [8, 10, 12]],  # rank 2
        [[1, 0], [3, 0]],
        [[0, 2], [3, 0]],
        [[0]],
        [[7]],
    ],
)
def test_determinant_is_linear_in_each_entry_also_where_it_is_zero(rows):
    x = np.array(rows, dtype=float)
    expected = np.array(cofactors(rows), dtype=float)
    program = trace(np.linalg.det, x)
    np.testing.assert_allclose(program.gradient(), expected, atol=1e-12)
    got, crossed = differences(np.linalg.det, x, 0.25)
    np.testing.assert_allclose(got.reshape(x.shape), 0.25 * expected, atol=1e-14)
    assert not crossed.any()


def test_factors_are_those_of_scipy():
    stack = RNG.normal(size=(3, 2, 6, 6))
    for factors, a in zip(
        matrices.factors([stack]), stack.reshape(-1, 6, 6), strict=True
    ):
        lu, swaps = linalg.lu_factor(a)
        order = np.arange(6)
        for i, k in enumerate(swaps):
            order[[i, k]] = order[[k, i]]
        np.testing.assert_allclose(factors[:, :-1], lu, atol=1e-13)
        np.testing.assert_array_equal(factors[:, -1], order)


# ---- how far a perturbation spreads ------------------------------------------------------


def reached(loss, x, entry, op):
    """The box of the result of one operation when an entry is perturbed."""
    program = trace(loss, x)
    number = {n: i for i, n in enumerate(program.nodes)}
    (node,) = [n for n in program.operations if n.op == op]
    index = np.array([np.ravel_multi_index(entry, x.shape)])
    boxes, _ = program.replayer(1).spread(number[program.parameters[0]], index)
    return boxes[number[node]]


EYE = np.eye(4)
BOXES = {
    "solve_right": (lambda b: np.linalg.solve(A[:4, :4], b), (4, 3), (1, 2), "solve", ((0, 2), (4, 1))),
    "solve_matrix": (lambda a: np.linalg.solve(a + EYE, B[:4]), (4, 4), (1, 2), "solve", ((0, 0), (4, 1))),
    "solve_stack": (lambda a: np.linalg.solve(a + EYE, B[:4]), (3, 4, 4), (1, 0, 2), "solve", ((1, 0, 0), (1, 4, 1))),
    "det_stack": (lambda a: np.linalg.det(a + EYE), (3, 4, 4), (1, 0, 2), "det", ((1,), (1,))),
    "cholesky": (lambda a: np.linalg.cholesky(a + 9 * EYE), (4, 4), (2, 1), "cholesky", ((2, 1), (2, 3))),
    "cholesky_above": (lambda a: np.linalg.cholesky(a + 9 * EYE), (4, 4), (1, 2), "cholesky", None),
    "cumprod": (lambda a: np.cumprod(a, axis=1), (3, 5), (1, 2), "cumprod", ((1, 2), (1, 3))),
    "argsort": (lambda a: np.sort(a, axis=0), (3, 5), (1, 2), "argsort", ((0, 2), (3, 1))),
    "take_along": (lambda a: np.sort(a, axis=1), (3, 5), (1, 2), "take_along", ((1, 0), (1, 5))),
}  # fmt: skip


@pytest.mark.parametrize("name", BOXES)
def test_a_perturbation_reaches_what_it_must_and_no_more(name):
    function, shape, entry, op, expected = BOXES[name]
    x = np.random.default_rng(5).normal(size=shape)
    assert reached(lambda x: function(x).sum(), x, entry, op) == expected
    moved = x.copy()
    moved[entry] += 0.1
    changed = np.argwhere(function(moved) != function(x))
    if op == "solve" and name != "solve_right":
        return  # every element changes
    if expected is None:
        assert not len(changed)
    else:
        low, length = map(np.array, expected)
        assert (changed >= low).all()
        assert (changed < low + length).all()


# ---- what NumPy does ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 3), (3,)), ((3, 3), (3, 1)), ((2, 3, 3), (3,)), ((2, 3, 3), (3, 2))]
    + [((3, 3), (5, 3, 2)), ((2, 1, 3, 3), (4, 3, 2)), ((0, 3, 3), (3,)), ((3, 3), (3, 0))],
)  # fmt: skip
def test_solve_has_the_shapes_of_numpy(a, b):
    rng = np.random.default_rng(1)
    a, b = regular(rng.normal(size=a)), rng.normal(size=b)
    shapes = []

    def loss(w):
        x = np.linalg.solve(a * w, b)
        shapes.append(x.shape)
        return x.sum() + w

    np.testing.assert_allclose(trace(loss, np.array(2.0)).value, loss(2.0))
    assert shapes[0] == shapes[1]


def test_empty_and_single_matrices():
    params = {"w": np.array(2.0), "e": np.ones((0, 0))}
    functions = (np.linalg.det, np.linalg.inv, np.linalg.cholesky)

    def loss(p):
        one = p["w"] * np.ones((1, 1))
        nothing = np.linalg.det(p["e"]) + np.linalg.slogdet(p["e"])[1]
        return nothing * p["w"] + sum(f(one).sum() + f(p["e"]).sum() for f in functions)

    got, _ = trace(loss, params).at_entries([0], [0.5])
    np.testing.assert_allclose(got, loss({**params, "w": np.array(2.5)}) - loss(params))


def test_layout_in_memory_does_not_matter():
    a = np.asfortranarray(A)
    one = differences(lambda a: np.linalg.solve(a, B) @ B, A, 0.1)[0]
    np.testing.assert_array_equal(
        differences(lambda a: np.linalg.solve(a, B) @ B, a, 0.1)[0], one
    )
    np.testing.assert_array_equal(
        differences(lambda a: np.linalg.solve(a, B) @ B, A.repeat(2, 0)[::2], 0.1)[0],
        one,
    )


def test_cholesky_reads_one_triangle():
    a = posdef(RNG.normal(size=(4, 4)))
    a[np.triu_indices(4, 1)] = -7.0
    program = trace(lambda a: np.linalg.cholesky(a).sum(), a)
    got, _ = program.at_entries(np.arange(16), np.full(16, 0.01))
    np.testing.assert_array_equal(got.reshape(4, 4) != 0, np.tri(4, dtype=bool))
    np.testing.assert_array_equal(program.gradient() != 0, np.tri(4, dtype=bool))


# ---- singular matrices -----------------------------------------------------------------


def test_a_singular_matrix_at_a_perturbed_point_gives_nothing_finite():
    x = np.array([[1.0, 1.0], [1.0, 2.0]])  # singular with 1 less at the end
    for loss in (
        lambda a: np.linalg.inv(a).sum(),
        lambda a: np.linalg.solve(a, np.ones(2)).max(),
        lambda a: np.linalg.slogdet(a)[1],
    ):
        got, _ = differences(loss, x, -1.0, [3])
        assert not np.isfinite(got).any()
    got, _ = differences(np.linalg.det, x, -1.0, [3])
    assert got == -1.0


def test_a_matrix_no_longer_positive_definite_gives_nothing_finite():
    x = np.array([[4.0, 1.0], [1.0, 1.0]])
    loss = lambda a: np.linalg.cholesky(a).sum()  # noqa: E731
    got, _ = differences(loss, x, -0.7, [3])
    assert np.isfinite(got).all()
    exactly = np.array([[4.0, 2.0], [2.0, 2.0]])
    assert np.isnan(differences(loss, exactly, -1.0, [3])[0])
    for delta, entry in ((-0.8, 3), (-4.0, 0), (-9.0, 0), (3.0, 2)):
        got, _ = differences(loss, x, delta, [entry])
        assert not np.isfinite(got).any()


def test_a_determinant_that_changes_its_sign_is_a_kink():
    x = np.diag([1.0, 2.0, 1e-3])
    loss = lambda a: np.linalg.slogdet(a)[1]  # noqa: E731
    got, crossed = differences(loss, x, -2e-3, [8, 0])
    np.testing.assert_array_equal(crossed, [True, False])
    np.testing.assert_allclose(got[0], 0.0, atol=1e-12)  # |det| is the same
    sign = lambda a: np.linalg.slogdet(a)[0] * a.sum()  # noqa: E731
    got, crossed = differences(sign, x, -2e-3, [8])
    assert crossed.all()
    np.testing.assert_allclose(got, -2 * 3.001 + 2e-3)


# ---- checks ------------------------------------------------------------------------------


def negative_log_likelihood(p):
    d = X - p["mu"]
    factor = np.linalg.cholesky(p["cov"])
    white = np.linalg.solve(factor, d.T)
    return 0.5 * np.sum(white**2) + len(X) * np.sum(np.log(np.diagonal(factor)))


X = RNG.normal(size=(20, 3))
COVARIANCE = posdef(RNG.normal(size=(3, 3))) / 4


def gradients(p, half=0.5):
    d = X - p["mu"]
    inverse = np.linalg.inv(p["cov"])
    full = half * (len(X) * inverse - inverse @ d.T @ d @ inverse)
    # Only the lower triangle is read: it stands for both.
    lower = np.tril(2 * full) - np.diag(np.diag(full))
    return {"mu": -(inverse @ d.T).sum(1), "cov": lower}


def test_a_gaussian_likelihood_is_checked_in_compiled_code():
    params = {"mu": np.array([0.1, -0.2, 0.3]), "cov": COVARIANCE}
    report = fg.check_gradient(negative_log_likelihood, params, gradients)
    assert report.ok
    assert report.engine == "compiled"
    wrong = fg.check_gradient(
        negative_log_likelihood, params, lambda p: gradients(p, half=1.0)
    )
    assert [b.verdict for b in wrong.blocks] == ["correct", "wrong"]


def test_a_function_that_fails_far_away_is_compared_nearby():
    """A matrix close to the boundary: 30 % off, it has no Cholesky factor."""
    params = np.array([[1.0, 0.0], [0.97, 1.0]])
    loss = lambda a: np.log(np.diagonal(np.linalg.cholesky(a))).sum()  # noqa: E731
    with pytest.raises(np.linalg.LinAlgError):
        loss(params + [[0, 0], [0.3, 0]])
    report = fg.check_gradient(loss, params, fg.trace(loss, params).gradient())
    assert report.ok
    assert report.engine == "compiled"


@pytest.mark.parametrize("noise", 10.0 ** -np.arange(1, 9))
def test_an_ill_conditioned_right_gradient_is_never_wrong(noise):
    """Compiled as long as the function itself is accurate enough to compare with."""
    x = np.linspace(0, 1, 20)
    squares, y = (x[:, None] - x) ** 2, np.sin(6 * x)

    def loss(p):
        k = np.exp(p[0] - squares * np.exp(-p[1])) + np.exp(p[2]) * np.eye(20)
        return 0.5 * y @ np.linalg.solve(k, y) + 0.5 * np.linalg.slogdet(k)[1]

    params = np.array([0.2, -1.0, np.log(noise)])
    report = fg.check_gradient(loss, params, lambda p: trace(loss, p).gradient())
    assert report.verdict != "wrong"
    assert report.engine == "compiled" or noise < 1e-4
