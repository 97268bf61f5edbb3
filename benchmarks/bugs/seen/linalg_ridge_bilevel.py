"""Weighted ridge regression solved inside, judged on other data."""

import numpy as np


def case(rng):
    n, d, m = 8, 3, 4
    x, y = rng.normal(size=(n, d)), rng.normal(size=n)
    xv, yv = rng.normal(size=(m, d)), rng.normal(size=m)
    params = {
        "logw": rng.normal(size=n) * 0.4,
        "loglam": rng.normal(size=d) * 0.3,
        "M": rng.normal(size=(d, d)),
    }

    def fit(p):
        w = np.exp(p["logw"])
        xt = x @ p["M"]
        A = xt.T @ (w[:, None] * xt) + np.diag(np.exp(p["loglam"]))
        b = xt.T @ (w * y)
        return w, xt, A, np.linalg.solve(A, b)

    def loss(p):
        beta = fit(p)[-1]
        return np.mean((xv @ p["M"] @ beta - yv) ** 2)

    def grads(p):
        w, xt, A, beta = fit(p)
        e = 2 * (xv @ p["M"] @ beta - yv) / m
        dbeta = p["M"].T @ (xv.T @ e)
        v = np.linalg.solve(A.T, dbeta)
        dA = -np.outer(v, beta)
        dw = np.sum((xt @ dA) * xt, axis=1) + (xt @ v) * y
        dxt = w[:, None] * (xt @ (dA + dA.T)) + np.outer(w * y, v)
        dM = x.T @ dxt + np.outer(xv.T @ e, beta)
        return {"logw": dw * w, "loglam": np.diag(dA) * np.exp(p["loglam"]), "M": dM}

    return loss, params, grads


MUTANTS = r"""
accumulation ## np.linalg.solve|b = ## dw = np.sum((xt @ dA) * xt, axis=1) + (xt @ v) * y ## dw = np.sum((xt @ dA) * xt, axis=1)
layout accumulation ## A = ## (xt @ (dA + dA.T)) ## (xt @ (2 * dA))
accumulation ## A = ## (xt @ (dA + dA.T)) ## (xt @ dA)
accumulation ## xv @ p["M"] ## x.T @ dxt + np.outer(xv.T @ e, beta) ## x.T @ dxt
reparametrized local_derivative ## np.exp(p["logw"]) ## "logw": dw * w ## "logw": dw
sign local_derivative accumulation ## np.linalg.solve ## dA = -np.outer(v, beta) ## dA = np.outer(v, beta)
local_derivative ## np.linalg.solve ## v = np.linalg.solve(A.T, dbeta) ## v = dbeta
accumulation ## b = ## + np.outer(w * y, v) ##
local_derivative ## np.linalg.solve ## dA = -np.outer(v, beta) ## dA = -np.outer(v, np.linalg.solve(A, beta))
"""
