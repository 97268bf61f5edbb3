"""Naming: mistakes that look alike, told apart by what they are about."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(21)
N = 6
X, Y = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 4))
KEPT, KEEP, TAU = RNG.uniform(size=(N, 4)) < 0.6, 0.6, 2.5
OLD = np.tanh(RNG.normal(size=(N, 4)))
ROWS = np.array([0, 2, 2, 1, 0, 2])
PARAMS = {"W": RNG.normal(size=(3, 4)), "V": RNG.normal(size=(4, 4)) / 2}


def top(loss, params, grads):
    report = fg.check_gradient(loss, params, grads)
    assert report.verdict == "wrong"
    return report.causes[0]


def dropped(p):
    h = np.tanh(X @ p["W"])
    return h, (h * KEPT / KEEP) @ p["V"] / TAU


def of_dropped(p):
    return np.sum((dropped(p)[1] - Y) ** 2)


def back(p, two=2, keep=KEEP, mask=KEPT, tau=TAU, slope=None):
    h, out = dropped(p)
    d = two * (out - Y) / tau
    dh = d @ p["V"].T * mask / keep
    dh = dh * (1 - h**2 if slope is None else slope)
    return {"W": X.T @ dh, "V": (h * KEPT / KEEP).T @ d}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"two": 1}, "scale"),
        ({"keep": 1}, "scale"),
        ({"tau": 1}, "scale"),
        ({"mask": 1, "keep": 1}, "mask"),
        ({"slope": 1 - OLD**2}, "stale"),
        ({"slope": 1.0}, "local_derivative"),
    ],
    ids=str,
)
def test_numbers_masks_and_slopes(wrong, code):
    assert top(of_dropped, PARAMS, lambda p: back(p, **wrong)).code == code


def test_rows_taken_twice_and_overwritten_in_all_that_reads_them():
    params = {"a": RNG.normal(size=4), "s": np.array(0.4)}
    of_rows = RNG.normal(size=N)

    def loss(p):
        return np.sum(np.sin(p["a"][ROWS] * np.exp(p["s"]) + of_rows))

    def grads(p):
        r = np.cos(p["a"][ROWS] * np.exp(p["s"]) + of_rows)
        each = np.zeros(4)
        each[ROWS] += r  # of rows that repeat, the last
        s = np.exp(p["s"])
        return {"a": s * each, "s": np.array(s * np.sum(p["a"] * each))}

    assert top(loss, params, grads).code == "duplicate_index"


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_numbers_of_the_loss_are_one_array_of_the_gradient(factor):
    """A spring in the plane, by its coordinates; the gradient by vectors."""
    params = {"q": np.array([1.0, 0.4]), "v": np.array([0.2, -0.5])}
    dt, goal, turns = 0.2, np.array([0.3, -0.2]), 4

    def loss(p):
        x, y = p["q"][0], p["q"][1]
        u, v = p["v"][0], p["v"][1]
        for _ in range(turns):
            u, v = u - dt * x**3, v - dt * y**3
            x, y = x + dt * u, y + dt * v
        return (x - goal[0]) ** 2 + (y - goal[1]) ** 2

    def grads(p):
        q, v, tape = p["q"], p["v"], []
        for _ in range(turns):
            tape.append(q)
            v = v - dt * q**3
            q = q + dt * v
        dq, dv = 2 * (q - goal), np.zeros(2)
        for before in reversed(tape):
            dv = dv + factor * dt * dq
            dq = dq - 3 * dt * before**2 * dv
        return {"q": dq, "v": dv}

    assert top(loss, params, grads).code == "scale"
