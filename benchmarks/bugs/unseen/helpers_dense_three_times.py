"""Three dense layers through one helper.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def dense(x, W, b, act):
    z = x @ W + b
    return np.tanh(z) if act else z


def dense_back(dout, x, W, out, act):
    dz = dout * (1 - out**2) if act else dout
    dW = x.T @ dz
    db = dz.sum(axis=0)
    dx = dz @ W.T
    return dx, dW, db


def case(rng):
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    sizes = [4, 4, 4, 4]
    params = {}
    for i in range(3):
        params[f"W{i}"] = rng.normal(size=(sizes[i], sizes[i + 1])) * 0.7
        params[f"b{i}"] = rng.normal(size=sizes[i + 1])

    def forward(p):
        outs = [x]
        for i in range(3):
            outs.append(dense(outs[-1], p[f"W{i}"], p[f"b{i}"], i < 2))
        return outs

    def loss(p):
        return 0.5 * np.mean((forward(p)[-1] - y) ** 2)

    def grads(p):
        outs = forward(p)
        d, g = (outs[-1] - y) / y.size, {}
        for i in (2, 1, 0):
            args = d, outs[i], p[f"W{i}"], outs[i + 1], i < 2
            d, g[f"W{i}"], g[f"b{i}"] = dense_back(*args)
        return g

    return loss, params, grads


MUTANTS = r"""
local_derivative ## np.tanh ## dout * (1 - out**2) if act else dout ## dout
local_derivative ## np.tanh ## dout * (1 - out**2) if ## dout * out * (1 - out) if
reduction ## x @ W + b ## db = dz.sum(axis=0) ## db = dz.mean(axis=0)
local_derivative ## np.tanh|x @ W + b ## db = dz.sum(axis=0) ## db = dout.sum(axis=0)
layout ## x @ W ## dx = dz @ W.T ## dx = dz @ W
local_derivative ## np.tanh ## dx = dz @ W.T ## dx = dout @ W.T
stale local_derivative layout ## x @ W ## outs[i], p[f"W{i}"] ## outs[max(i - 1, 0)], p[f"W{i}"]
local_derivative ## np.tanh ## dout * (1 - out**2) if ## dout * (1 - np.tanh(out) ** 2) if
"""
