"""A gradient that is written where it is to be added."""

import numpy as np
import pytest

import fastgrad as fg

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3))
ROWS = np.array([0, 2, 1, 2, 0, 2])


def adds(total, key, part, writes):
    """Add to a part of an array, or write over it."""
    if writes:
        total[key] = part
    else:
        total[key] += part


def recurrence(writes):
    """Each state is observed, and goes on to the next one."""

    def states(p):
        h = [np.zeros(3)]
        for x in X:
            h.append(np.tanh(x + h[-1] @ p["U"]))
        return h

    def loss(p):
        return sum(np.sum((h - y) ** 2) for h, y in zip(states(p)[1:], Y, strict=True))

    def grads(p):
        h, dU = states(p), np.zeros((3, 3))
        dh = np.zeros(3)
        for t in range(5, -1, -1):
            adds(dh, ..., 2 * (h[t + 1] - Y[t]), writes)
            dz = dh * (1 - h[t + 1] ** 2)
            dU = dU + np.outer(h[t], dz)
            dh = p["U"] @ dz
        return {"U": dU}

    return loss, {"U": 0.5 * RNG.normal(size=(3, 3))}, grads


def rows(writes, turned):
    """Rows taken one by one."""

    def loss(p):
        total = 0.0
        for k, row in enumerate(ROWS):
            total = total + np.sum(np.tanh(p["E"][row]) * X[k])
        return total

    def grads(p):
        dE = np.zeros((4, 3))
        for k in range(5, -1, -1) if turned else range(6):
            part = X[k] * (1 - np.tanh(p["E"][ROWS[k]]) ** 2)
            adds(dE, ROWS[k], part, writes)
        return {"E": dE}

    return loss, {"E": RNG.normal(size=(4, 3))}, grads


def windows(writes):
    """Overlapping windows of a signal."""

    def loss(p):
        z = np.tanh(p["z"])
        return sum(np.sum(z[k : k + 3] * X[k]) ** 2 for k in range(5))

    def grads(p):
        z = np.tanh(p["z"])
        dz = np.zeros(7)
        for k in range(5):
            part = 2 * np.sum(z[k : k + 3] * X[k]) * X[k]
            adds(dz, slice(k, k + 3), part, writes)
        return {"z": dz * (1 - z**2)}

    return loss, {"z": RNG.normal(size=7)}, grads


def tied(writes):
    """An array that is used as a whole, and by its rows."""

    def loss(p):
        h = np.tanh(X[:4, :2] @ p["E"].T)
        return np.sum(h**2) + np.sum(p["E"][[1, 3]] ** 3)

    def grads(p):
        h = np.tanh(X[:4, :2] @ p["E"].T)
        dE = (2 * h * (1 - h**2)).T @ X[:4, :2]
        adds(dE, [1, 3], 3 * p["E"][[1, 3]] ** 2, writes)
        return {"E": dE}

    return loss, {"E": RNG.normal(size=(5, 2))}, grads


def classes(writes):
    """The probability of the right class, of which one is to be subtracted."""
    target = (np.arange(6), ROWS)

    def loss(p):
        score = np.tanh(X @ p["W"])
        shifted = score - score.max(axis=1, keepdims=True)
        total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -np.mean((shifted - total)[target])

    def grads(p):
        score = np.tanh(X @ p["W"])
        d = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True) / len(X)
        adds(d, target, -1 / len(X), writes)
        return {"W": X.T @ (d * (1 - score**2))}

    return loss, {"W": RNG.normal(size=(3, 4))}, grads


FAMILY = {
    "classes": (classes, (), {"accumulation", "cross_term"}),
    "recurrence": (recurrence, (), {"accumulation"}),
    "rows": (rows, (False,), {"duplicate_index"}),
    "rows, from the last": (rows, (True,), {"duplicate_index"}),
    "windows": (windows, (), {"duplicate_index", "accumulation"}),
    "tied": (tied, (), {"duplicate_index", "accumulation"}),
}


@pytest.mark.parametrize("kind", FAMILY)
def test_what_is_written_and_not_added_is_named(kind):
    made, args, codes = FAMILY[kind]
    assert fg.check_gradient(*made(False, *args)).ok
    report = fg.check_gradient(*made(True, *args))
    assert report.verdict == "wrong"
    assert report.causes[0].code in codes
