"""A loss as a function of some entries: the gradient there is that of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg
from fastgrad.program import backpropagate, gradients, part
from fastgrad.program.graph import value_of

RNG = np.random.default_rng(0)
N, X = 30, RNG.standard_normal((30, 5))
MATRIX, VECTOR = RNG.standard_normal((N, N)) / 5, RNG.standard_normal(300)
C, ROWS = RNG.standard_normal(300), np.array([97, 4, 50, 50, 3, 71])


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


#: Parameters, a loss, and which of them can be cut down.
LOSSES = {
    "function": (VECTOR, lambda w: np.sum(C * np.tanh(w) ** 2), [True]),
    "slice": (VECTOR, lambda w: np.sum(np.tanh(w[5:250])) + w[3], [True]),
    "itself": (VECTOR, lambda w: w @ w + C @ w, [True]),
    "rows": (MATRIX, lambda w: np.sum(np.tanh(w) @ X), [True]),
    "transposed": (MATRIX, lambda w: np.mean((X.T @ w.T) ** 2), [True]),
    "reshaped": (VECTOR.reshape(100, 3), lambda w: np.sum(np.sin(w.ravel() * C)), [True]),
    "embedding": (VECTOR.reshape(100, 3), lambda w: np.sum(w[ROWS] ** 3), [True]),
    "broadcast": (MATRIX, lambda w: np.sum(np.exp(w * X[:, :1]) * X[:, 1]), [True]),
    "deep": (
        [MATRIX, 2 * MATRIX.T, MATRIX + 1, X[:, :1]],
        lambda p: np.mean((p[2] @ np.tanh(p[1] @ np.tanh(p[0] @ X + p[3]))) ** 2)
        + 0.1 * sum(np.sum(w**2) for w in p),
        [True, True, True, False],
    ),
    "tied": (MATRIX, lambda w: np.sum(w.T @ np.tanh(w @ X)), [True]),
    "softmax": (
        {"a": MATRIX, "c": 2 * MATRIX.T},
        lambda p: -np.log(softmax(np.maximum(X.T @ p["a"], 0) @ p["c"])[:, 0]).sum(),
        [True, True],
    ),
    "sorted": (VECTOR, lambda w: np.sort(w) @ C, [False]),
    "largest": (VECTOR, lambda w: np.max(w) + np.sum(w), [False]),
    "of a norm": (MATRIX, lambda w: np.sum((w / np.sqrt(np.sum(w**2)) @ X) ** 2), [False]),
}  # fmt: skip


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """What is done where there are a million entries, where there are a hundred."""
    for name, value in {"MANY": 0, "ENTRIES": 60, "FEWEST": 20, "ALONG": 4}.items():
        monkeypatch.setattr(part, name, value)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_that_of_the_whole_at_these_entries(name):
    params, loss, smaller = LOSSES[name]
    program = fg.trace(loss, params)
    wanted = RNG.random(program.nest.size) < 0.01
    some = part.part_of(program, wanted)
    if not any(smaller):
        assert some is None
        return
    sizes = [p.size for p in some.parameters]
    whole = [p.size for p in program.parameters]
    assert [a < b for a, b in zip(sizes, whole, strict=True)] == smaller
    found = gradients(some.nodes, some.result, some.parameters)
    right = program.nest.vector(program.gradient())
    index = some.index()
    np.testing.assert_allclose(np.concatenate([*map(np.ravel, found)]), right[index])
    theta = program.nest.join(program.nest.leaves)
    values = np.concatenate([p.value.ravel() for p in some.parameters])
    np.testing.assert_array_equal(values, theta[index])
    assert np.isin(index, np.flatnonzero(wanted)).any() or not wanted.any()


@pytest.mark.parametrize(
    "name", [name for name, (*_, cut) in LOSSES.items() if any(cut)]
)
def test_values_follow_from_the_nodes(name):
    """So that a part can be moved, and what stays is in its constants."""
    params, loss, _ = LOSSES[name]
    program = fg.trace(loss, params)
    some = part.part_of(program, np.zeros(program.nest.size, dtype=bool))
    for node in some.nodes:
        if node.inputs:
            value = value_of(node, [x.value for x in node.inputs])
            np.testing.assert_allclose(value, node.value, atol=1e-12)
    assert some.result.value == program.value
    whole = backpropagate(program.nodes, program.result)
    for node, slope in backpropagate(some.nodes, some.result).items():
        if node in whole:  # what the cut does not reach
            np.testing.assert_allclose(slope, whole[node])


@given(
    shape=st.lists(st.integers(1, 6), max_size=4).map(tuple),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=50)
def test_places_are_those_of_an_open_mesh(shape, seed):
    rng = np.random.default_rng(seed)
    places = tuple(
        None if rng.random() < 0.5 else np.flatnonzero(rng.random(n) < 0.6)
        for n in shape
    )
    mesh = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    along = [
        np.arange(n) if p is None else p for n, p in zip(shape, places, strict=True)
    ]
    expected = mesh[np.ix_(*along)] if shape else mesh
    np.testing.assert_array_equal(part.flat(places, shape), expected.ravel())
