"""Loops over single numbers become operations on arrays."""

import math

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import fastgrad as fg

RNG = np.random.default_rng(5)
X = RNG.normal(size=(2, 6, 6, 3))
CONV = {"W": RNG.normal(size=(3, 3, 3, 4)), "b": RNG.normal(size=4)}


def conv_in_loops(p):
    out = np.zeros((2, 4, 4, 4))
    for i in range(2):
        for h in range(4):
            for w in range(4):
                for c in range(4):
                    window = X[i, h : h + 3, w : w + 3]
                    out[i, h, w, c] = np.sum(window * p["W"][..., c]) + p["b"][c]
    return np.sum(np.tanh(out) ** 2)


def conv_in_seven_loops(p):
    total = 0.0
    for i in range(2):
        for h in range(4):
            for w in range(4):
                for c in range(4):
                    s = p["b"][c]
                    for a in range(3):
                        for b in range(3):
                            for k in range(3):
                                s += X[i, h + a, w + b, k] * p["W"][a, b, k, c]
                    total += math.tanh(s) ** 2
    return total


def conv_of_arrays(p):
    windows = sliding_window_view(X, (3, 3), axis=(1, 2))
    return np.sum(
        np.tanh(np.einsum("nhwkij,ijkc->nhwc", windows, p["W"]) + p["b"]) ** 2
    )


def masked(p):
    total = 0.0
    for row in p["x"]:
        for x in row:
            if x > 0:
                total += x * x
            else:
                total += abs(math.sin(x))
    return total


def pairs(p):
    x, total = p["x"], 0.0
    for i in range(len(x)):
        for j in range(i):
            d = x[i] - x[j]
            total += np.exp(-(d @ d)) + np.linalg.norm(x[i] * x[j])
    return total


def recurrences(p):
    """Several chains beside each other, reading what was written a turn before."""
    x = p["x"]
    table = np.zeros((len(x) + 1, x.shape[1]))
    for i in range(len(x)):
        for j in range(x.shape[1]):
            table[i + 1, j] = 0.5 * table[i, j] + table[i, j - 1] * x[i, j] + x[i, j]
    return np.sum(table**2)


def rows_and_columns(p):
    x = p["x"]
    return sum(
        np.max(np.cumsum(row)) * np.prod(np.stack([row[0], column[1], 2.0])) + row @ row
        for row in x
        for column in x.T
    )


def forward_of_a_chain(p):
    """Sums of few terms, each begun at zero."""
    reached = list(p["start"])
    for _ in range(6):
        new = []
        for s in range(4):
            total = 0.0
            for r in range(4):
                total += reached[r] * p["A"][r, s]
            new.append(total)
        scale = sum(new)
        reached = [x / scale for x in new]
    return sum(x * x for x in reached)


def chain_of_differences(p):
    """What a loop takes away from something else than zero."""
    rest = [p["A"][0, s] - 1.5 for s in range(4)]
    for _ in range(5):
        for s in range(4):
            for r in range(3):
                rest[s] -= p["start"][r] * rest[s - 1]
    return sum(x * x for x in rest)


LOSSES = {
    "forward_of_a_chain": (
        forward_of_a_chain,
        {"start": RNG.uniform(size=4), "A": RNG.uniform(size=(4, 4))},
        70,
    ),
    "chain_of_differences": (
        chain_of_differences,
        {"start": RNG.uniform(size=4), "A": RNG.uniform(size=(4, 4))},
        200,
    ),
    "conv_in_loops": (conv_in_loops, CONV, 12),
    "conv_in_seven_loops": (conv_in_seven_loops, CONV, 18),
    "masked": (masked, {"x": RNG.normal(size=(9, 9))}, 20),
    "pairs": (pairs, {"x": RNG.normal(size=(12, 3))}, 30),
    "recurrences": (recurrences, {"x": RNG.normal(size=(7, 6))}, 60),
    "rows_and_columns": (rows_and_columns, {"x": RNG.normal(size=(6, 6))}, 30),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loop_is_few_operations_and_the_same_loss(name):
    loss, params, most = LOSSES[name]
    program = fg.trace(loss, params)
    assert len(program.operations) <= most
    size = program.nest.size
    index = RNG.integers(size, size=8)
    steps = np.tile([1e-2, -1e-4], 4)
    got, _ = program.at_entries(index, steps)
    expected = []
    for i, h in zip(index, steps, strict=True):
        moved = program.nest.vector(params)
        moved[i] += h
        expected.append(loss(program.nest.unvector(moved)) - loss(params))
    there = np.isfinite(got)
    assert there.all() or program.guards
    np.testing.assert_allclose(
        got[there], np.array(expected)[there], rtol=1e-9, atol=1e-11
    )


def test_loops_and_arrays_have_the_same_gradient():
    expected = fg.trace(conv_of_arrays, CONV).gradient()
    for loss in (conv_in_loops, conv_in_seven_loops):
        gradient = fg.trace(loss, CONV).gradient()
        for name, value in expected.items():
            np.testing.assert_allclose(gradient[name], value, rtol=1e-10, atol=1e-12)
        assert fg.check_gradient(loss, CONV, expected, coverage=10).ok
        wrong = {**expected, "W": expected["W"][::-1]}
        assert fg.check_gradient(loss, CONV, wrong, coverage=10).verdict == "wrong"
