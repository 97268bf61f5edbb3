"""Softmax regression with softened labels, a temperature and weights of classes."""

import numpy as np


def case(rng):
    N, D, C, smooth = 8, 3, 4, 0.1
    X, y = rng.normal(size=(N, D)), rng.integers(0, C, size=N)
    weight = np.array([1.0, 2.0, 0.5, 1.5])
    Y = np.eye(C)[y] * (1 - smooth) + smooth / C
    params = {
        "W": rng.normal(size=(D, C)),
        "b": rng.normal(size=C) * 0.3,
        "log_T": np.array(0.25),
    }

    def log_probs(p):
        z = (X @ p["W"] + p["b"]) / np.exp(p["log_T"])
        return z, z - np.log(np.exp(z).sum(axis=1))[:, None]

    def loss(p):
        _, lp = log_probs(p)
        w = weight[y]
        return -np.sum(w[:, None] * Y * lp) / np.sum(w)

    def grads(p):
        z, lp = log_probs(p)
        w = weight[y] / weight[y].sum()
        dz = w[:, None] * (np.exp(lp) - Y)
        T = np.exp(p["log_T"])
        dlogits = dz / T
        return {
            "W": X.T @ dlogits,
            "b": dlogits.sum(axis=0),
            "log_T": np.array(-np.sum(dz * z)),
        }

    return loss, params, grads


MUTANTS = r"""
local_derivative scale stale ## Y * lp ## (np.exp(lp) - Y) ## (np.exp(lp) - np.eye(C)[y])
scale accumulation upstream ## / np.exp(p["log_T"]) ## dlogits = dz / T ## dlogits = dz
scale reduction ## np.sum(w) ## w = weight[y] / weight[y].sum() ## w = weight[y] / N
accumulation upstream local_derivative scale mask ## w[:, None] ## w = weight[y] / weight[y].sum() ## w = np.full(N, 1 / weight[y].sum())
local_derivative scale reparametrized ## np.exp(p["log_T"]) ## np.array(-np.sum(dz * z)) ## np.array(-np.sum(dz * z) / T)
cross_term ## np.exp(z).sum ## (np.exp(lp) - Y) ## -Y
sign ## np.exp(p["log_T"]) ## np.array(-np.sum(dz * z)) ## np.array(np.sum(dz * z))
"""
