"""Layer normalisation before and after a tanh, one helper.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np

EPS = 1e-3


def layer_norm(x, g, b):
    mu = np.mean(x, axis=-1, keepdims=True)
    var = np.var(x, axis=-1, keepdims=True)
    inv = 1 / np.sqrt(var + EPS)
    xhat = (x - mu) * inv
    return g * xhat + b, xhat, inv


def layer_norm_back(dy, g, xhat, inv):
    dg = (dy * xhat).sum(axis=0)
    db = dy.sum(axis=0)
    dxhat = dy * g
    centre = dxhat.mean(axis=-1, keepdims=True)
    slope = (dxhat * xhat).mean(axis=-1, keepdims=True)
    return inv * (dxhat - centre - xhat * slope), dg, db


def case(rng):
    x, y = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    params = {
        "A": rng.normal(size=(4, 4)),
        "g1": 1 + 0.2 * rng.normal(size=4),
        "b1": rng.normal(size=4),
        "B": rng.normal(size=(4, 4)),
        "g2": 1 + 0.2 * rng.normal(size=4),
        "b2": rng.normal(size=4),
    }

    def forward(p):
        n1 = layer_norm(x @ p["A"], p["g1"], p["b1"])
        h = np.tanh(n1[0])
        n2 = layer_norm(h @ p["B"] + h, p["g2"], p["b2"])
        return n1, h, n2

    def loss(p):
        return 0.5 * np.mean((forward(p)[2][0] - y) ** 2)

    def grads(p):
        n1, h, n2 = forward(p)
        d = (n2[0] - y) / y.size
        dz, dg2, db2 = layer_norm_back(d, p["g2"], *n2[1:])
        dh = dz @ p["B"].T + dz
        da, dg1, db1 = layer_norm_back(dh * (1 - h**2), p["g1"], *n1[1:])
        return {
            "A": x.T @ da,
            "g1": dg1,
            "b1": db1,
            "B": h.T @ dz,
            "g2": dg2,
            "b2": db2,
        }

    return loss, params, grads


MUTANTS = r"""
cross_term ## np.var|inv|mu ## dxhat - centre - xhat * slope) ## dxhat - centre)
cross_term ## np.var|mu ## dxhat - centre - xhat * slope) ## dxhat - xhat * slope)
cross_term ## np.var|inv|mu ## inv * (dxhat - centre - xhat * slope) ## inv * dxhat
cross_term reduction ## np.var|mu|inv ## slope = (dxhat * xhat).mean(axis=-1, ## slope = (dxhat * xhat).sum(axis=-1,
local_derivative cross_term ## xhat = |inv = ## return inv * (dxhat ## return (dxhat
local_derivative cross_term ## g * xhat ## dxhat = dy * g ## dxhat = dy
accumulation ## h @ p["B"] + h ## dh = dz @ p["B"].T + dz ## dh = dz @ p["B"].T
cross_term reduction ## mu = ## centre = dxhat.mean(axis=-1, keepdims=True) ## centre = dxhat.mean(axis=0, keepdims=True)
layout ## g * xhat ## da, dg1, db1 = layer ## da, db1, dg1 = layer
"""
