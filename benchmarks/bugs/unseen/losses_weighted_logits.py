"""Binary cross-entropy from logits with class weights and a focal term.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def sigma(z):
    return 0.5 * (1 + np.tanh(z / 2))


def case(rng):
    n, d = 8, 3
    x = rng.normal(size=(n, d))
    y = (rng.random(n) < 0.4).astype(float)
    y[0], y[1] = 1, 0
    pos, w, gamma = 3.0, rng.random(n) + 0.5, 2.0
    params = {
        "theta": rng.normal(size=d),
        "b": np.array(0.3),
        "A": rng.normal(size=(d, d)),
    }

    def logits(p):
        h = np.tanh(x @ p["A"])
        return h, h @ p["theta"] + p["b"]

    def loss(p):
        h, z = logits(p)
        s = sigma(z)
        bce = pos * y * np.logaddexp(0, -z) + (1 - y) * s**gamma * np.logaddexp(0, z)
        return np.sum(w * bce) / np.sum(w)

    def grads(p):
        h, z = logits(p)
        s = sigma(z)
        up = w / np.sum(w)
        dpos = -pos * y * (1 - s)
        soft = np.logaddexp(0, z)
        dneg = (1 - y) * (s**gamma * s + gamma * s ** (gamma - 1) * s * (1 - s) * soft)
        dz = up * (dpos + dneg)
        dh = np.outer(dz, p["theta"]) * (1 - h**2)
        return {"theta": h.T @ dz, "b": dz.sum(), "A": x.T @ dh}

    return loss, params, grads


MUTANTS = r"""
scale upstream local_derivative ## pos * y|bce = ## dpos = -pos * y * (1 - s) ## dpos = -y * (1 - s)
scale reduction upstream ## np.sum(w * bce) ## up = w / np.sum(w) ## up = w / n
upstream scale reduction ## np.sum(w * bce) ## up = w / np.sum(w) ## up = 1 / n
accumulation local_derivative ## s**gamma|0.5 * (1 ## s**gamma * s + gamma * s ** (gamma - 1) * s * (1 - s) * soft ## s**gamma * s
accumulation ## np.logaddexp(0, z)|bce = ## s**gamma * s + gamma * s ** (gamma - 1) * s * (1 - s) * soft ## gamma * s ** (gamma - 1) * s * (1 - s) * soft
local_derivative scale ## s**gamma|0.5 * (1 ## gamma * s ** (gamma - 1) * s ## s ** (gamma - 1) * s
local_derivative ## s**gamma|0.5 * (1|np.tanh(z ## ** (gamma - 1) * s * (1 - s) * soft ## ** (gamma - 1) * (1 - s) * soft
local_derivative ## np.tanh(x ## * (1 - h**2) ## * (1 - h)
local_derivative sign ## np.logaddexp(0, -z) ## dpos = -pos * y * (1 - s) ## dpos = -pos * y * s
"""
