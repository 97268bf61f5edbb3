"""A network with a layer of tanh and a penalty, and its gradient derived by hand."""

import numpy as np

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 5)), RNG.normal(size=(32, 3))
PARAMS = {
    "W1": RNG.normal(size=(5, 6)) * 0.5,
    "b1": RNG.normal(size=6) * 0.2,
    "W2": RNG.normal(size=(6, 3)) * 0.5,
    "b2": RNG.normal(size=3) * 0.2,
}
DECAY = 0.25


def loss(p):
    hidden = np.tanh(X @ p["W1"] + p["b1"])
    error = hidden @ p["W2"] + p["b2"] - Y
    penalty = DECAY / 2 * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2))
    return np.sum(error**2) / len(X) + penalty


def right(p, slope=lambda a: 1 - a**2):
    hidden = np.tanh(X @ p["W1"] + p["b1"])
    d2 = 2 * (hidden @ p["W2"] + p["b2"] - Y) / len(X)
    d1 = d2 @ p["W2"].T * slope(hidden)
    return {
        "W1": X.T @ d1 + DECAY * p["W1"],
        "b1": d1.sum(axis=0),
        "W2": hidden.T @ d2 + DECAY * p["W2"],
        "b2": d2.sum(axis=0),
    }
