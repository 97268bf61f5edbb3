"""Two layers with inverted dropout, different shares, kept masks in a list."""

import numpy as np


class Dropout:
    def __init__(self, keep, shape, rng):
        self.keep = keep
        self.mask = rng.uniform(size=shape) < keep

    def forward(self, x):
        return x * self.mask / self.keep

    def backward(self, dy):
        return dy * self.mask / self.keep


def case(rng):
    N, D, H, K = 5, 3, 6, 4
    X, y = rng.normal(size=(N, D)), rng.normal(size=N)
    drop1, drop2 = Dropout(0.8, (N, H), rng), Dropout(0.5, (N, K), rng)
    params = {
        "W1": rng.normal(size=(D, H)) * 0.8,
        "b1": rng.normal(size=H) * 0.3,
        "W2": rng.normal(size=(H, K)) * 0.8,
        "w3": rng.normal(size=K),
    }

    def forward(p):
        h1 = drop1.forward(np.log1p(np.exp(X @ p["W1"] + p["b1"])))
        z2 = h1 @ p["W2"]
        h2 = drop2.forward(np.tanh(z2))
        return h1, z2, h2, h2 @ p["w3"]

    def loss(p):
        return np.mean(np.abs(forward(p)[-1] - y) ** 1.5)

    def grads(p):
        h1, z2, h2, out = forward(p)
        e = out - y
        dout = 1.5 * np.sign(e) * np.sqrt(np.abs(e)) / N
        dh2 = np.outer(dout, p["w3"])
        dt2 = drop2.backward(dh2)
        dz2 = dt2 * (1 - np.tanh(z2) ** 2)
        dh1 = dz2 @ p["W2"].T
        dt1 = drop1.backward(dh1)
        dz1 = dt1 / (1 + np.exp(-(X @ p["W1"] + p["b1"])))
        return {
            "W1": X.T @ dz1,
            "b1": dz1.sum(axis=0),
            "W2": h1.T @ dz2,
            "w3": h2.T @ dout,
        }

    return loss, params, grads


MUTANTS = r"""
scale ## self.keep ## return dy * self.mask / self.keep ## return dy * self.mask
mask upstream accumulation ## self.mask|self.keep ## dt2 = drop2.backward(dh2) ## dt2 = dh2
mask ## self.mask|self.keep ## dt1 = drop1.backward(dh1) ## dt1 = dh1 / 0.8
local_derivative stale ## np.tanh ## dz2 = dt2 * (1 - np.tanh(z2) ** 2) ## dz2 = dt2 * (1 - h2**2)
local_derivative scale ## ** 1.5 ## dout = 1.5 * np.sign(e) ## dout = np.sign(e)
local_derivative ## np.log1p ## dz1 = dt1 / (1 + np.exp(-(X @ p["W1"] + p["b1"]))) ## dz1 = dt1
scale ## self.keep ## dt1 = drop1.backward(dh1) ## dt1 = drop1.backward(dh1) * 0.8
"""
