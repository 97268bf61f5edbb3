"""Weights standardised by row with the unbiased variance, then a linear map."""

import numpy as np


def case(rng):
    m, k, n = 3, 5, 7
    x, y = rng.normal(size=(n, k)), rng.normal(size=(n, m))
    eps = 1e-3
    params = {
        "W": rng.normal(size=(m, k)),
        "gain": rng.normal(size=m),
        "b": rng.normal(size=m),
    }

    def loss(p):
        W = p["W"]
        mu = W.mean(axis=1, keepdims=True)
        var = ((W - mu) ** 2).sum(axis=1, keepdims=True) / (k - 1)
        What = (W - mu) / np.sqrt(var + eps)
        out = x @ (p["gain"][:, None] * What).T + p["b"]
        return 0.5 * np.mean(np.sum((out - y) ** 2, axis=1))

    def grads(p):
        W = p["W"]
        centred = W - W.mean(axis=1, keepdims=True)
        var = (centred**2).sum(axis=1, keepdims=True) / (k - 1)
        inv = 1.0 / np.sqrt(var + eps)
        What = centred * inv
        out = x @ (p["gain"][:, None] * What).T + p["b"]
        dout = (out - y) / n
        dV = dout.T @ x
        dgain = np.sum(dV * What, axis=1)
        dWhat = dV * p["gain"][:, None]
        dvar = np.sum(dWhat * centred, axis=1, keepdims=True) * (-0.5) * inv**3
        dcentred = dWhat * inv + dvar * 2.0 * centred / (k - 1)
        dW = dcentred - dcentred.mean(axis=1, keepdims=True)
        return {"W": dW, "gain": dgain, "b": dout.sum(axis=0)}

    return loss, params, grads


MUTANTS = r"""
scale cross_term local_derivative ## / (k - 1)|np.sqrt(var ## dvar * 2.0 * centred / (k - 1) ## dvar * 2.0 * centred / k
cross_term stale local_derivative scale ## / (k - 1)|np.sqrt(var ## var = (centred**2).sum(axis=1, keepdims=True) / (k - 1) ## var = (centred**2).sum(axis=1, keepdims=True) / k
cross_term accumulation ## W.mean(axis=1|mu ## dW = dcentred - dcentred.mean(axis=1, keepdims=True) ## dW = dcentred
local_derivative scale ## np.sqrt(var ## (-0.5) * inv**3 ## (-0.5) * inv**2
stale local_derivative cross_term ## np.sqrt(var + eps) ## inv = 1.0 / np.sqrt(var + eps) ## inv = 1.0 / (np.sqrt(var) + eps)
cross_term accumulation ## np.sqrt(var|var = ## dcentred = dWhat * inv + dvar * 2.0 * centred / (k - 1) ## dcentred = dWhat * inv
"""
