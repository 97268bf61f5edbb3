"""Gated residual blocks out of one helper, called for each block."""

import numpy as np
from scipy.special import erf


def gelu(u):
    return 0.5 * u * (1 + erf(u / np.sqrt(2)))


def gelu_grad(u):
    pdf = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
    return 0.5 * (1 + erf(u / np.sqrt(2))) + u * pdf


def block(x, W, V):
    a, b = x @ W, x @ V
    return x + gelu(a) * b, (x, a, b, W, V)


def block_backward(d, saved):
    x, a, b, W, V = saved
    da = d * b * gelu_grad(a)
    db = d * gelu(a)
    return d + da @ W.T + db @ V.T, x.T @ da, x.T @ db


def case(rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    params = {k + str(i): rng.normal(size=(3, 3)) * 0.5 for i in range(3) for k in "WV"}

    def loss(p):
        h = x
        for i in range(3):
            h, _ = block(h, p[f"W{i}"], p[f"V{i}"])
        return np.sum((h - y) ** 2) / len(y)

    def grads(p):
        h, saved = x, []
        for i in range(3):
            h, one = block(h, p[f"W{i}"], p[f"V{i}"])
            saved.append(one)
        d, g = 2 * (h - y) / len(y), {}
        for i in (2, 1, 0):
            d, g[f"W{i}"], g[f"V{i}"] = block_backward(d, saved[i])
        return g

    return loss, params, grads


MUTANTS = r"""
local_derivative ## gelu(|0.5 * u ## pdf = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) ## pdf = np.exp(-(u**2) / 2)
accumulation ## x + gelu|x @ W ## return d + da @ W.T + db @ V.T, ## return da @ W.T + db @ V.T,
local_derivative layout ## gelu(a) * b ## db = d * gelu(a) ## db = d * a
local_derivative ## gelu(|0.5 * u ## + u * pdf ## + pdf
accumulation ## x @ V ## return d + da @ W.T + db @ V.T, ## return d + da @ W.T,
layout ## x @ W|x @ V ## return d + da @ W.T + db @ V.T, ## return d + da @ V.T + db @ W.T,
"""
