"""Batch normalisation by the compact formula, between two layers."""

import numpy as np


def bn_forward(z, gamma, beta, eps=1e-5):
    mean = np.mean(z, axis=0)
    std = np.sqrt(np.var(z, axis=0) + eps)
    zhat = (z - mean) / std
    return gamma * zhat + beta, (zhat, std, gamma)


def bn_backward(dout, cache):
    zhat, std, gamma = cache
    N = dout.shape[0]
    dgamma = np.sum(dout * zhat, axis=0)
    dbeta = np.sum(dout, axis=0)
    dz = gamma / (N * std) * (N * dout - dbeta - zhat * dgamma)
    return dz, dgamma, dbeta


def case(rng):
    X, t = rng.normal(size=(8, 3)), rng.integers(0, 2, size=8).astype(float)
    params = {
        "W1": rng.normal(size=(3, 4)),
        "gamma": rng.normal(size=4),
        "beta": rng.normal(size=4),
        "w2": rng.normal(size=4),
    }

    def forward(p):
        z = X @ p["W1"]
        bn, cache = bn_forward(z, p["gamma"], p["beta"])
        a = bn / (1 + np.exp(-bn))
        return bn, cache, a, a @ p["w2"]

    def loss(p):
        s = forward(p)[3]
        return np.mean(np.logaddexp(0, s) - t * s)

    def grads(p):
        bn, cache, a, s = forward(p)
        ds = (1 / (1 + np.exp(-s)) - t) / len(t)
        dw2 = a.T @ ds
        da = np.outer(ds, p["w2"])
        sig = 1 / (1 + np.exp(-bn))
        dbn = da * (sig + bn * sig * (1 - sig))
        dz, dgamma, dbeta = bn_backward(dbn, cache)
        return {"W1": X.T @ dz, "gamma": dgamma, "beta": dbeta, "w2": dw2}

    return loss, params, grads


MUTANTS = r"""
cross_term accumulation ## np.var|std|zhat = ## (N * dout - dbeta - zhat * dgamma) ## (N * dout - dbeta)
cross_term accumulation ## np.mean(z|zhat = ## (N * dout - dbeta - zhat * dgamma) ## (N * dout - zhat * dgamma)
scale cross_term local_derivative ## zhat = |bn_forward( ## dz = gamma / (N * std) * ## dz = gamma / std *
local_derivative ## gamma * zhat|bn_forward( ## dz = gamma / (N * std) * ## dz = 1 / (N * std) *
local_derivative ## a = bn ## dbn = da * (sig + bn * sig * (1 - sig)) ## dbn = da * (sig + bn * (1 - sig))
cross_term sign ## zhat = |std|bn_forward( ## (N * dout - dbeta - zhat * dgamma) ## (N * dout - dbeta + zhat * dgamma)
"""
