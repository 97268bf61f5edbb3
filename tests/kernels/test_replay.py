"""The replay kernels: vector mathematics against mpmath, products against NumPy."""

import mpmath
import numpy as np
import pytest
from program_functions import trace

from fastgrad._kernels._replay import CODES, map_elementwise
from fastgrad.program.primitives import ops

RNG = np.random.default_rng(5)
TINY = 10.0 ** RNG.uniform(-300, 0, 400)
POINTS = {
    "exp": np.r_[RNG.uniform(-745, 709.7, 800), RNG.normal(size=400)],
    "expm1": np.r_[RNG.uniform(-50, 709.7, 600), RNG.normal(size=400), TINY, -TINY],
    "log": np.r_[10.0 ** RNG.uniform(-320, 308, 800), 1 + 0.1 * RNG.normal(size=400)],
    "log1p": np.r_[
        RNG.uniform(-0.9999, 3, 800), 10.0 ** RNG.uniform(0, 300, 300), TINY
    ],
    "tanh": np.r_[RNG.uniform(-25, 25, 800), RNG.normal(size=400), TINY, -TINY],
}
SPECIAL = np.array(
    [np.inf, -np.inf, np.nan, 0.0, 1.0, -1.0, 800, -800, 5e-324, 1e-310, 709.9, -745.2]
)
#: Units in the last place; the exact functions are rounded to half of one.
ULP = {"exp": 1.0, "expm1": 2.5, "log": 0.75, "log1p": 1.25, "tanh": 3.5}


def mapped(name, x):
    out = np.empty_like(x)
    map_elementwise(name, x, out)
    return out


@pytest.mark.parametrize("name", POINTS)
def test_vector_functions_are_accurate_to_a_few_ulp(name):
    x = POINTS[name]
    worst = 0.0
    with mpmath.workprec(160):
        function = getattr(mpmath, name)
        for a, got in zip(x, mapped(name, x), strict=True):
            exact = function(mpmath.mpf(float(a)))
            ulp = np.spacing(max(abs(float(exact)), 5e-324))
            worst = max(worst, float(abs(mpmath.mpf(float(got)) - exact) / ulp))
    assert worst <= ULP[name]


@pytest.mark.parametrize("name", POINTS)
def test_vector_functions_meet_numpy_at_the_edges(name):
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(SPECIAL)
    np.testing.assert_allclose(mapped(name, SPECIAL), expected, rtol=4e-16)


@pytest.mark.parametrize("level", ["base", "v3"])
def test_other_simd_levels_are_as_accurate(level, passes_at):
    passes_at(level, __file__, "accurate_to_a_few_ulp or meet_numpy_at_the_edges")


def test_every_operation_has_a_primitive_and_a_kernel():
    assert set(CODES) == set(ops.PRIMITIVES)


SIZES = [1, 2, 3, 5, 8, 12, 13, 24, 25]


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("layout", ["W @ x", "x @ W", "both"])
def test_products_of_all_tile_sizes(rows, layout):
    rng = np.random.default_rng(rows)
    inner, columns = 7, 5
    params = {"a": rng.normal(size=(6, inner)), "b": rng.normal(size=(4, 6))}
    out = rng.normal(size=(rows, 4))
    x = rng.normal(size=(inner, columns))

    def loss(p):
        if layout == "W @ x":
            z = np.exp(out @ (p["b"] @ np.tanh(p["a"] @ x)) / 9)
        elif layout == "x @ W":
            z = np.exp((np.tanh(x.T @ p["a"].T) @ p["b"].T) @ out.T / 9)
        else:
            z = (out @ np.tanh(p["b"] @ p["a"])) @ (p["a"] @ x).sum(0)[
                : rows and 7, None
            ]
        return (z * z).sum()

    if layout == "both":
        x = rng.normal(size=(inner, inner))
    program = trace(loss, params)
    base = loss(params)
    n = params["a"].size
    got, _ = program.at_entries(np.arange(n), np.full(n, 0.1))
    for i in range(n):
        moved = {**params, "a": params["a"].copy()}
        moved["a"].flat[i] += 0.1
        np.testing.assert_allclose(got[i], loss(moved) - base, rtol=1e-10, atol=1e-9)
