"""The replay kernels: every operation is there, products against NumPy."""

import numpy as np
import pytest

import fastgrad as fg
from fastgrad._kernels._replay import CODES
from fastgrad.program.primitives import ops


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
    program = fg.trace(loss, params)
    base = loss(params)
    n = params["a"].size
    got, _ = program.at_entries(np.arange(n), np.full(n, 0.1))
    for i in range(n):
        moved = {**params, "a": params["a"].copy()}
        moved["a"].flat[i] += 0.1
        np.testing.assert_allclose(got[i], loss(moved) - base, rtol=1e-10, atol=1e-9)
