"""A Gaussian with its covariance's Cholesky factor as parameter."""

import numpy as np


def lower(theta, n):
    L = np.zeros((n, n))
    L[np.tril_indices(n, -1)] = theta["off"]
    L[np.arange(n), np.arange(n)] = np.exp(theta["diag"])
    return L


def case(rng):
    m, n = 7, 3
    x = rng.normal(size=(m, n))
    params = {
        "off": rng.normal(size=3) * 0.5,
        "diag": rng.normal(size=n) * 0.3,
        "mu": rng.normal(size=n),
    }

    def loss(p):
        L = lower(p, n)
        z = np.linalg.solve(L, (x - p["mu"]).T)
        return 0.5 * np.sum(z**2) + m * np.sum(p["diag"])

    def grads(p):
        L = lower(p, n)
        z = np.linalg.solve(L, (x - p["mu"]).T)
        w = np.linalg.solve(L.T, z)
        dL = -w @ z.T
        return {
            "off": dL[np.tril_indices(n, -1)],
            "diag": np.diag(dL) * np.exp(p["diag"]) + m,
            "mu": -w.sum(axis=1),
        }

    return loss, params, grads


MUTANTS = r"""
accumulation scale ## m * np.sum ## * np.exp(p["diag"]) + m ## * np.exp(p["diag"])
scale reduction accumulation upstream ## m * np.sum ## * np.exp(p["diag"]) + m ## * np.exp(p["diag"]) + 1
layout ## np.linalg.solve ## w = np.linalg.solve(L.T, z) ## w = np.linalg.solve(L, z)
layout mask geometry ## L[np.tril|np.linalg.solve ## dL[np.tril_indices(n, -1)] ## dL.T[np.tril_indices(n, -1)]
reparametrized local_derivative ## np.exp(theta ## np.diag(dL) * np.exp(p["diag"]) + m ## np.diag(dL) + m
sign local_derivative ## np.linalg.solve ## dL = -w @ z.T ## dL = w @ z.T
local_derivative layout upstream ## np.linalg.solve ## "mu": -w.sum(axis=1) ## "mu": -z.sum(axis=1)
sign ## - p["mu"] ## "mu": -w.sum(axis=1) ## "mu": w.sum(axis=1)
"""
