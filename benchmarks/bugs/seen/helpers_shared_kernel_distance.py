"""A kernel regression and a repulsion that share a distance helper."""

import numpy as np


def sqdist(a, b):
    return np.sum((a[:, None, :] - b[None, :, :]) ** 2, axis=2)


def sqdist_back(d, a, b):
    da = 2 * (d.sum(axis=1)[:, None] * a - d @ b)
    db = 2 * (d.sum(axis=0)[:, None] * b - d.T @ a)
    return da, db


def case(rng):
    n, m, k = 6, 4, 2
    x, y = rng.normal(size=(n, k)), rng.normal(size=n)
    params = {
        "centres": rng.normal(size=(m, k)),
        "w": rng.normal(size=m),
        "logbeta": np.array(-0.3),
    }

    def loss(p):
        beta = np.exp(p["logbeta"])
        K = np.exp(-beta * sqdist(x, p["centres"]))
        fit = np.sum((K @ p["w"] - y) ** 2)
        apart = np.sum(1 / (1 + sqdist(p["centres"], p["centres"])))
        return fit + 0.3 * apart

    def grads(p):
        beta = np.exp(p["logbeta"])
        D = sqdist(x, p["centres"])
        K = np.exp(-beta * D)
        e = 2 * (K @ p["w"] - y)
        dK = np.outer(e, p["w"])
        dD = -beta * dK * K
        _, dc = sqdist_back(dD, x, p["centres"])
        S = sqdist(p["centres"], p["centres"])
        one, two = sqdist_back(-0.3 / (1 + S) ** 2, p["centres"], p["centres"])
        return {
            "centres": dc + one + two,
            "w": K.T @ e,
            "logbeta": -np.sum(dK * K * D) * beta,
        }

    return loss, params, grads


MUTANTS = r"""
accumulation ## sqdist(p["centres"], p|a[:, None ## "centres": dc + one + two ## "centres": dc + one
accumulation ## sqdist(x|apart ## "centres": dc + one + two ## "centres": one + two
scale local_derivative ## a[:, None ## db = 2 * (d.sum ## db = (d.sum
accumulation local_derivative ## a[:, None ## db = 2 * (d.sum(axis=0)[:, None] * b - d.T @ a) ## db = -2 * d.T @ a
local_derivative ## 1 / (1 ## -0.3 / (1 + S) ** 2 ## -0.3 / (1 + S)
local_derivative ## np.exp(-beta ## dD = -beta * dK * K ## dD = -beta * dK
reparametrized local_derivative scale ## np.exp(p["logbeta"]) ## -np.sum(dK * K * D) * beta ## -np.sum(dK * K * D)
scale upstream regularization ## 0.3 ## sqdist_back(-0.3 / ## sqdist_back(-1 /
sign local_derivative ## np.exp(-beta|-beta ## dD = -beta * dK * K ## dD = beta * dK * K
"""
