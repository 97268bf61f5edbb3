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


CHAINS = {
    "columns": lambda w, b, c, x: np.tanh(c @ np.tanh(w @ x + b)),
    "rows": lambda w, b, c, x: np.maximum(np.tanh(x.T @ w.T + b.T) @ c.T, 0.1).T,
    "bias": lambda w, b, c, x: np.exp(-np.abs(c @ np.sin(w @ x) * b[0]) / 9),
    "twice": lambda w, b, c, x: np.tanh((c @ w) @ (np.tanh(w) @ x)),
    "grown": lambda w, b, c, x: np.tanh(
        np.sqrt((t := np.exp(c @ (w @ x) / 9)) * t.sum(axis=0) + b[0])
    ),
    "stack": lambda w, b, c, x: np.tanh(np.stack([c, -c]) @ (w @ x) + b[:2, None])[1],
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_function_of_a_large_product_goes_strip_by_strip(name):
    """Results of many rows, and of rows that are long, are cut; bits are the loss's."""
    rng = np.random.default_rng(4)
    x, weights = rng.normal(size=(7, 41)), rng.normal(size=(70, 41))
    square = name == "twice"
    params = {
        "w": rng.normal(size=(7 if square else 9, 7)),
        "b": rng.uniform(size=(7 if square else 9, 1)),
        "c": rng.normal(size=(70, 7 if square else 9)),
    }

    def loss(p):
        return (CHAINS[name](p["w"], p["b"], p["c"], x) * weights).sum()

    program, base = fg.trace(loss, params), loss(params)
    start = 0
    for block, values in params.items():
        got, _ = program.at_entries(
            np.arange(start, start + values.size), np.full(values.size, 0.1)
        )
        for i in range(values.size):
            moved = {**params, block: values.copy()}
            moved[block].flat[i] += 0.1
            np.testing.assert_allclose(got[i], loss(moved) - base, rtol=1e-9, atol=1e-9)
        start += values.size


CHOICES = {
    "max": lambda f, x: np.max(f(x)),
    "sort": lambda f, x: np.sort(f(x)) @ np.arange(len(x)),
    "argmax": lambda f, x: f(x)[np.argmax(f(x))] ** 2,
    "where": lambda f, x: np.where(f(x) >= f(x).max(), f(x) * 3, f(x)).sum(),
    "maximum": lambda f, x: np.maximum(f(x), f(x)[::-1]) @ np.arange(len(x)),
    "softmax": lambda f, x: np.log(np.exp(f(x) - f(x).max()).sum()),
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize(
    "name", ["tanh", "exp", "log", "sin", "arctan", "cbrt", "log1p"]
)
def test_what_is_chosen_by_a_function_is_chosen_at_its_values(name, choice):
    """Values at theta are NumPy's, whichever kernels compute how they change."""
    x = np.random.default_rng(8).uniform(0.1, 1.4, 33)

    def loss(x):
        return CHOICES[choice](getattr(np, name), x)

    got = fg.numerical_gradient(loss, x, engine="compiled")
    expected = fg.numerical_gradient(loss, x, engine="python", step=1e-6)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


BENDS = {
    "relu": lambda x: np.maximum(x, 0.0),
    "relu, mirrored": lambda x: np.maximum(0.5, x),
    "minimum": lambda x: np.minimum(x, 0.25),
    "clip": lambda x: np.clip(x, -0.5, 0.5),
    "abs": np.abs,
}


@pytest.mark.parametrize("name", BENDS)
def test_a_bend_is_crossed_where_numpy_does(name):
    """Up to the bend, onto it, beyond, and to what is not a number; beside others."""
    x = np.array([-2.0, -0.5, -0.25, -0.125, 0.125, 0.25, 0.375, 0.5, 3.0])
    ends = np.array([-np.inf, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, np.inf, np.nan])
    ends = np.concatenate([ends, np.nextafter(ends, -9.0), np.nextafter(ends, 9.0)])
    entry, to = (a.ravel() for a in np.meshgrid(np.arange(x.size), ends, indexing="ij"))
    delta = to - x[entry]
    program = fg.trace(lambda x: np.sum(BENDS[name](x)), x)
    difference, _ = program.at_entries(entry, delta)
    expected = BENDS[name](x[entry] + delta) - BENDS[name](x[entry])
    np.testing.assert_array_equal(difference, expected)


AXES = {"rows": (1,), "columns": (0,), "windows": (1, 3), "all": (0, 1, 2, 3)}


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize("many", [False, True], ids=["one moves", "many move"])
def test_a_maximum_and_its_winners_are_those_of_numpy(axes, many):
    """In integers, where nothing rounds: ties, new winners, winners that fall behind."""
    rng = np.random.default_rng(5)
    shape = (3, 2, 4, 3)
    A = rng.integers(-2, 3, (72, 72)) if many else np.eye(72)
    p = rng.integers(-3, 4, 72).astype(float)

    def largest(p):
        return (A @ p).reshape(shape).max(axis=axes)

    weights = rng.integers(1, 9, largest(p).shape)
    program = fg.trace(lambda p: np.sum(weights * largest(p)), p)
    entry = np.repeat(np.arange(72), 16)
    delta = rng.integers(-5, 6, entry.size).astype(float)
    difference, crossed = program.at_entries(entry, delta)

    def winners(p):
        return (A @ p).reshape(shape) == np.expand_dims(largest(p), axes)

    for k, (i, d) in enumerate(zip(entry, delta, strict=True)):
        moved = p.copy()
        moved[i] += d
        assert difference[k] == np.sum(weights * (largest(moved) - largest(p)))
        assert crossed[k] == (winners(moved) != winners(p)).any()


def test_a_maximum_changes_hands_at_the_gap_and_not_before():
    """To the last bit: beside half of the gap, and beside all of it."""
    p = np.array([-0.5, 0.25])
    program = fg.trace(lambda p: p.max(), p)
    sizes = np.array([0.375, 0.75])
    delta = np.concatenate([np.nextafter(sizes, 0), sizes, np.nextafter(sizes, 1)])
    for i, sign in ((0, 1.0), (1, -1.0), (0, np.nan)):
        moved = np.tile(p, (delta.size, 1))
        moved[:, i] += sign * delta
        entry = np.full(delta.size, i)
        difference, crossed = program.at_entries(entry, sign * delta)
        np.testing.assert_array_equal(difference, moved.max(axis=1) - 0.25)
        if not np.isnan(sign):
            np.testing.assert_array_equal(crossed, moved[:, 0] >= moved[:, 1])
