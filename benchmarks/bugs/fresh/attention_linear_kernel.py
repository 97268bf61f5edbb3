"""Linear attention with a positive feature map and its normaliser."""

import numpy as np


def phi(u):
    return np.where(u > 0, u + 1, np.exp(u))


def dphi(u):
    return np.where(u > 0, 1.0, np.exp(u))


def case(rng):
    n, d, m = 6, 3, 2
    X, Y = rng.normal(size=(n, d)), rng.normal(size=(n, m))
    weights = {
        "wq": rng.normal(size=(d, d)),
        "wk": rng.normal(size=(d, d)),
        "wv": rng.normal(size=(d, m)),
    }

    def loss(w):
        q, k, v = phi(X @ w["wq"]), phi(X @ w["wk"]), X @ w["wv"]
        kv, z = k.T @ v, k.sum(0)
        out = (q @ kv) / (q @ z)[:, None]
        return 0.5 * np.sum((out - Y) ** 2)

    def grads(w):
        uq, uk, v = X @ w["wq"], X @ w["wk"], X @ w["wv"]
        q, k = phi(uq), phi(uk)
        kv, z = k.T @ v, k.sum(0)
        num, den = q @ kv, (q @ z)[:, None]
        out = num / den
        dout = out - Y
        dnum = dout / den
        dden = -np.sum(dout * out, axis=1) / den[:, 0]
        dq = dnum @ kv.T + np.outer(dden, z)
        dkv, dz = q.T @ dnum, q.T @ dden
        dk = v @ dkv.T + dz[None, :]
        dv = k @ dkv
        return {
            "wq": X.T @ (dq * dphi(uq)),
            "wk": X.T @ (dk * dphi(uk)),
            "wv": X.T @ dv,
        }

    return loss, weights, grads


MUTANTS = r"""
accumulation ## k.sum(0)|q @ z ## dk = v @ dkv.T + dz[None, :] ## dk = v @ dkv.T
sign ## (q @ z)|out = ## dden = -np.sum(dout * out, axis=1) ## dden = np.sum(dout * out, axis=1)
local_derivative ## (q @ z)|out = ## np.sum(dout * out, axis=1) / den[:, 0] ## np.sum(dout * out, axis=1)
local_derivative mask ## np.where(u > 0 ## np.where(u > 0, 1.0, np.exp(u)) ## np.where(u > 0, 1.0, 0.0)
accumulation ## q @ z|q @ kv ## dq = dnum @ kv.T + np.outer(dden, z) ## dq = dnum @ kv.T
local_derivative stale ## np.where(u > 0|phi( ## X.T @ (dk * dphi(uk)) ## X.T @ (dk * dphi(k))
"""
