"""Weighted least squares with noise given by its Cholesky factor, triangular solves."""

import numpy as np
from scipy.linalg import solve_triangular


def case(rng):
    n, d = 5, 2
    A, y = rng.normal(size=(n, d)), rng.normal(size=n)
    low = np.tril_indices(n, -1)
    params = {
        "x": rng.normal(size=d),
        "off": rng.normal(size=len(low[0])) * 0.3,
        "logd": rng.normal(size=n) * 0.2,
    }

    def factor(p):
        L = np.zeros((n, n))
        L[low] = p["off"]
        return L + np.diag(np.exp(p["logd"]))

    def loss(p):
        L = factor(p)
        z = solve_triangular(L, y - A @ p["x"], lower=True)
        return 0.5 * z @ z + np.sum(p["logd"])

    def grads(p):
        L = factor(p)
        z = solve_triangular(L, y - A @ p["x"], lower=True)
        w = solve_triangular(L.T, z, lower=False)
        dL = -np.outer(w, z)
        return {
            "x": -A.T @ w,
            "off": dL[low],
            "logd": np.diag(dL) * np.exp(p["logd"]) + 1.0,
        }

    return loss, params, grads


MUTANTS = r"""
layout ## solve_triangular ## dL = -np.outer(w, z) ## dL = -np.outer(z, w)
layout stale upstream local_derivative ## solve_triangular ## w = solve_triangular(L.T, z, lower=False) ## w = solve_triangular(L, z, lower=True)
accumulation local_derivative ## np.sum(p["logd"]) ## np.exp(p["logd"]) + 1.0 ## np.exp(p["logd"])
local_derivative upstream ## solve_triangular ## "x": -A.T @ w ## "x": -A.T @ z
sign ## solve_triangular ## dL = -np.outer(w, z) ## dL = np.outer(w, z)
local_derivative stale ## solve_triangular ## dL = -np.outer(w, z) ## dL = -np.outer(w, y - A @ p["x"])
local_derivative reparametrized ## np.exp(p["logd"]) ## np.diag(dL) * np.exp(p["logd"]) + 1.0 ## np.diag(dL) + 1.0
"""
