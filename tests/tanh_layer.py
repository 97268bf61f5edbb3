"""A layer with a tanh, and its gradient derived by hand."""

import numpy as np

X = np.array([[0.5, -1.0, 2.0], [2.0, 0.3, -0.7]])


def loss(p):
    return np.mean(np.tanh(p["W"] @ X + p["b"]) ** 2)


def grads(p):
    a = np.tanh(p["W"] @ X + p["b"])
    dz = 2 * a * (1 - a**2) / a.size
    return {"W": dz @ X.T, "b": dz.sum(axis=1, keepdims=True)}
