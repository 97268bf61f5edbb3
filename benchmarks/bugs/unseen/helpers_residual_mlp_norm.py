"""Residual blocks from small functions that several places call.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def gelu(z):
    return z / (1 + np.exp(-1.702 * z))


def dgelu(z):
    s = 1 / (1 + np.exp(-1.702 * z))
    return s + 1.702 * z * s * (1 - s)


def center(z):
    return z - z.mean(axis=1, keepdims=True)


def block(x, W, V, scale):
    c = center(x)
    h = gelu(c @ W)
    return x + scale * (h @ V)


def block_back(dy, x, W, V, scale):
    c = center(x)
    z = c @ W
    h = gelu(z)
    dscale = np.sum(dy * (h @ V))
    dhv = scale * dy
    dV = h.T @ dhv
    dz = (dhv @ V.T) * dgelu(z)
    dW = c.T @ dz
    dx = dy + center(dz @ W.T)
    return dx, dW, dV, dscale


def case(rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    params = {
        "W1": rng.normal(size=(3, 4)),
        "V1": rng.normal(size=(4, 3)),
        "a1": np.array(0.7),
        "W2": rng.normal(size=(3, 4)),
        "V2": rng.normal(size=(4, 3)),
        "a2": np.array(-0.4),
    }

    def loss(p):
        h = block(x, p["W1"], p["V1"], p["a1"])
        out = center(block(h, p["W2"], p["V2"], p["a2"]))
        return np.sum(np.sqrt(1 + (out - y) ** 2))

    def grads(p):
        h = block(x, p["W1"], p["V1"], p["a1"])
        r = center(block(h, p["W2"], p["V2"], p["a2"])) - y
        d = center(r / np.sqrt(1 + r**2))
        dh, dW2, dV2, da2 = block_back(d, h, p["W2"], p["V2"], p["a2"])
        _, dW1, dV1, da1 = block_back(dh, x, p["W1"], p["V1"], p["a1"])
        return {"W1": dW1, "V1": dV1, "a1": da1, "W2": dW2, "V2": dV2, "a2": da2}

    return loss, params, grads


MUTANTS = r"""
cross_term accumulation ## z.mean ## dx = dy + center(dz @ W.T) ## dx = dy + dz @ W.T
cross_term accumulation ## z.mean|center(block ## d = center(r / np.sqrt(1 + r**2)) ## d = r / np.sqrt(1 + r**2)
accumulation ## x + scale ## dx = dy + center(dz @ W.T) ## dx = center(dz @ W.T)
accumulation local_derivative ## z / (1|np.exp(-1.702 ## return s + 1.702 * z * s * (1 - s) ## return s
local_derivative scale ## z / (1|np.exp(-1.702 ## return s + 1.702 * z * s * (1 - s) ## return s + z * s * (1 - s)
local_derivative upstream ## scale * (h ## dhv = scale * dy ## dhv = dy
stale local_derivative ## c @ W|center(x) ## dW = c.T @ dz ## dW = x.T @ dz
local_derivative ## np.sqrt ## r / np.sqrt(1 + r**2) ## r / (1 + r**2)
"""
