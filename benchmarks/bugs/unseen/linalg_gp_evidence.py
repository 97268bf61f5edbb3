"""The marginal likelihood of a Gaussian process.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def case(rng):
    n = 6
    x, y = rng.normal(size=n), rng.normal(size=n)
    params = {
        "logell": np.array(0.2),
        "logamp": np.array(0.4),
        "lognoise": np.array(-0.7),
    }
    params["mean"] = np.array(0.3)

    def pieces(p):
        d2 = (x[:, None] - x[None, :]) ** 2
        base = np.exp(2 * p["logamp"] - d2 / (2 * np.exp(2 * p["logell"])))
        K = base + np.exp(2 * p["lognoise"]) * np.eye(n)
        return d2, base, K

    def loss(p):
        _, _, K = pieces(p)
        r = y - p["mean"]
        alpha = np.linalg.solve(K, r)
        return 0.5 * r @ alpha + 0.5 * np.linalg.slogdet(K)[1]

    def grads(p):
        d2, base, K = pieces(p)
        r = y - p["mean"]
        alpha = np.linalg.solve(K, r)
        dK = 0.5 * (np.linalg.inv(K) - np.outer(alpha, alpha))
        dbase = dK * base
        return {
            "logell": np.sum(dbase * d2) / np.exp(2 * p["logell"]),
            "logamp": 2 * np.sum(dbase),
            "lognoise": 2 * np.exp(2 * p["lognoise"]) * np.trace(dK),
            "mean": -alpha.sum(),
        }

    return loss, params, grads


MUTANTS = r"""
accumulation ## slogdet|np.linalg.solve ## dK = 0.5 * (np.linalg.inv(K) - np.outer(alpha, alpha)) ## dK = -0.5 * np.outer(alpha, alpha)
scale local_derivative upstream accumulation ## slogdet|0.5 * r ## dK = 0.5 * (np.linalg.inv(K) - ## dK = 0.5 * (0.5 * np.linalg.inv(K) -
sign accumulation local_derivative ## np.linalg.solve|slogdet|0.5 * r ## - np.outer(alpha, alpha)) ## + np.outer(alpha, alpha))
mask reduction ## np.eye(n) ## np.trace(dK) ## np.sum(dK)
local_derivative reparametrized scale ## p["lognoise"] ## 2 * np.exp(2 * p["lognoise"]) * np.trace(dK) ## 2 * np.trace(dK)
local_derivative reparametrized ## p["logell"] ## np.sum(dbase * d2) / np.exp(2 * p["logell"]) ## np.sum(dbase * d2) / np.exp(p["logell"])
local_derivative ## np.exp(2 * p["logamp"] ## dbase = dK * base ## dbase = dK
scale accumulation ## 0.5 * r ## "mean": -alpha.sum() ## "mean": -0.5 * alpha.sum()
"""
