"""A validation loss through an inner ridge fit, by the implicit function theorem."""

import numpy as np


def case(rng):
    n, d = 8, 3
    X, y = rng.normal(size=(n, d)), rng.normal(size=n)
    V, t = rng.normal(size=(5, d)), rng.normal(size=5)
    params = {"log_lam": rng.normal(size=d) * 0.5, "w": rng.normal(size=n) * 0.3}

    def inner(p):
        s = np.exp(p["w"])
        A = X.T @ (s[:, None] * X) + np.diag(np.exp(p["log_lam"]))
        beta = np.linalg.solve(A, X.T @ (s * y))
        return s, A, beta

    def outer(p):
        return 0.5 * np.sum((V @ inner(p)[2] - t) ** 2)

    def hypergradient(p):
        s, A, beta = inner(p)
        dbeta = V.T @ (V @ beta - t)
        adj = np.linalg.solve(A.T, dbeta)
        dlam = -adj * beta
        ds = (X @ adj) * (y - X @ beta)
        return {"log_lam": dlam * np.exp(p["log_lam"]), "w": ds * s}

    return outer, params, hypergradient


MUTANTS = r"""
accumulation upstream ## A = X.T ## ds = (X @ adj) * (y - X @ beta) ## ds = (X @ adj) * y
sign ## np.diag ## dlam = -adj * beta ## dlam = adj * beta
local_derivative ## np.exp(p["w"]) ## "w": ds * s} ## "w": ds}
local_derivative stale layout upstream accumulation ## np.linalg.solve ## dlam = -adj * beta ## dlam = -dbeta * beta
local_derivative upstream ## np.linalg.solve ## adj = np.linalg.solve(A.T, dbeta) ## adj = A @ dbeta
local_derivative reparametrized ## np.exp(p["log_lam"]) ## dlam * np.exp(p["log_lam"]) ## dlam * p["log_lam"]
"""
