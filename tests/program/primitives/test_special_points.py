"""Derivatives where formulas meet 0 / 0, log 0 or a factor of zero: in closed form."""

import numpy as np
import pytest
from program_functions import trace
from scipy import special, stats

from fastgrad.program.primitives.meanings.densities import CONTINUOUS


@pytest.mark.parametrize(
    ("x", "y", "by_x", "by_y"),
    [
        (0.0, 2.0, 0.0, 0.0),
        (0.0, 1.0, 1.0, 0.0),
        (0.0, 3.5, 0.0, 0.0),
        (2.0, 0.0, 0.0, np.log(2.0)),
        (2.0, 3.0, 12.0, 8.0 * np.log(2.0)),
        (-2.0, 3.0, 12.0, 0.0),
    ],
)
def test_powers(x, y, by_x, by_y):
    params = [np.array([x]), np.array([y])]
    found = trace(lambda p: np.sum(p[0] ** p[1]), params).gradient()
    np.testing.assert_allclose(np.concatenate(found), [by_x, by_y], rtol=1e-14)


@pytest.mark.parametrize("function", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_ties_of_two_are_shared(function):
    """As central differences see them: half of the slope on either side."""
    params = [np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.5, 2.0])]
    found = trace(lambda p: np.sum(function(*p)), params).gradient()
    for side in (0, 1):
        step = [np.zeros(3), np.zeros(3)]
        step[side] += 1e-3
        up, down = (
            function(params[0] + t * step[0], params[1] + t * step[1]) for t in (1, -1)
        )
        np.testing.assert_allclose(found[side], (up - down) / 2e-3, atol=1e-9)


@pytest.mark.parametrize(
    "shapes", [((3, 4), (3, 1)), ((1, 4), (3, 4)), ((3, 1), (1, 4))]
)
def test_an_axis_of_one_goes_along_with_a_longer_one(shapes, rng):
    params = [rng.normal(size=shape) for shape in shapes]
    program = trace(lambda p: np.einsum("ij,ij->i", *p).sum(), params)
    assert np.isclose(program.value, np.sum(params[0] * params[1]), rtol=1e-13)


def test_determinants_of_which_some_are_zero(rng):
    """That of a matrix of rank n - 1 has a derivative, its adjugate transposed."""
    a = rng.normal(size=(3, 3, 3))
    a[1] = np.diag([2.0, 3.0, 0.0])
    found = trace(lambda w: np.sum(np.linalg.det(w)), a).gradient()
    for matrix, slope in zip(a, found, strict=True):
        np.testing.assert_allclose(slope, _cofactors(matrix), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "diagonal", [(2.0, 0.0, 0.0), (2.0, 3.0, 0.0), (0.0, 3.0, 2.0)]
)
def test_determinants_around_singular_matrices(diagonal, rng):
    a, way = np.diag(diagonal), rng.normal(size=(3, 3))
    steps = np.array([1e-3, -0.5, 2.0])
    found = trace(lambda w: np.linalg.det(w), a).along(way.ravel(), steps)
    right = [np.linalg.det(a + t * way) for t in steps]
    np.testing.assert_allclose(found, right, rtol=1e-9)


def _cofactors(a):
    rest = [[1, 2], [0, 2], [0, 1]]
    minors = [[np.linalg.det(a[np.ix_(i, j)]) for j in rest] for i in rest]
    return np.array(minors) * [[1, -1, 1], [-1, 1, -1], [1, -1, 1]]


SHAPES = {"a": 1.3, "b": 2.1, "df": 3.2, "c": 1.7, "s": 0.6, "dfn": 4.0, "dfd": 5.0}


@pytest.mark.parametrize(
    "name", [n for n, d in CONTINUOUS.items() if np.isfinite(d.support).any()]
)
def test_densities_beyond_their_ends_are_flat(name):
    """Zero, with a slope of zero; and what is inside is not disturbed by it."""
    made = CONTINUOUS[name]
    shapes = [SHAPES[shape] for shape in made.shapes]
    low, high = made.support
    z = np.array([low - 0.7, low + 0.4, high + 0.3 if np.isfinite(high) else low - 2.0])
    pdf = getattr(stats, name).pdf
    found = trace(lambda w: np.sum(pdf(w, *shapes)), z).gradient()
    inside = (pdf(z[1] + 1e-6, *shapes) - pdf(z[1] - 1e-6, *shapes)) / 2e-6
    np.testing.assert_allclose(found, [0.0, inside, 0.0], rtol=1e-6, atol=1e-9)


ROUND = np.array([-20.0, -10.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0, 20.0])
#: Functions without a bend that are computed by several formulas, and where they are so.
SMOOTH = {
    "log_ndtr": (special.log_ndtr, ROUND),
    "norm.logcdf": (stats.norm.logcdf, ROUND),
    "norm.logsf": (stats.norm.logsf, ROUND),
    "logistic.pdf": (stats.logistic.pdf, ROUND),
    "logistic.logpdf": (stats.logistic.logpdf, ROUND),
    "gamma": (special.gamma, ROUND[ROUND > 0]),
    "rgamma": (special.rgamma, ROUND[ROUND > 0]),
    "gammaln": (special.gammaln, ROUND[ROUND > 0]),
    "digamma": (special.digamma, ROUND[ROUND > 0]),
    "expit": (special.expit, ROUND),
    "log_expit": (special.log_expit, ROUND),
    "erfcx": (special.erfcx, ROUND),
    "t.logpdf": (lambda x: stats.t.logpdf(x, 4.0), ROUND),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_formulas_do_not_change_where_variables_are_likely_to_be(name):
    """A change across a seam is told as one of a kink, and rounded by its ends."""
    function, x = SMOOTH[name]
    program = trace(lambda w: np.sum(function(w)), x)
    entry = np.arange(2 * x.size) % x.size
    _, crossed = program.at_entries(entry, np.repeat([1e-7, -1e-7], x.size))
    assert not crossed.any()


@pytest.mark.parametrize("zeros", [0, 1, 2])
@pytest.mark.parametrize("function", [np.prod, lambda x, axis: np.cumprod(x, axis)])
def test_products_of_zeros(function, zeros):
    """The derivative by a factor is the product of the others, whatever it is itself."""
    x = np.array([[2.0, -3.0, 0.5, 4.0], [1.0, 5.0, -2.0, 3.0]])
    x[1, 1 : 1 + zeros] = 0.0
    weights = np.array([1.0, -2.0])

    def loss(x):
        return np.sum(np.sum(function(x, axis=1).reshape(2, -1), axis=1) * weights)

    found = trace(loss, x).gradient()
    linear = np.empty_like(x)  # in each entry
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += 1.0
        down[at] -= 1.0
        linear[at] = (loss(up) - loss(down)) / 2.0
    np.testing.assert_allclose(found, linear, rtol=1e-13, atol=1e-13)
