"""The density of a low-rank Gaussian, by solves and a log-determinant: arrays."""

import numpy as np


def case(rng):
    n, d, r = 6, 4, 2
    Y = rng.normal(size=(n, d))
    params = {
        "F": rng.normal(size=(d, r)),
        "log_noise": rng.normal(size=d) * 0.3,
        "mean": rng.normal(size=d),
    }

    def loss(p):
        S = p["F"] @ p["F"].T + np.diag(np.exp(p["log_noise"]))
        D = Y - p["mean"]
        maha = np.sum(D * np.linalg.solve(S, D.T).T)
        return 0.5 * (maha + n * np.linalg.slogdet(S)[1])

    def grads(p):
        S = p["F"] @ p["F"].T + np.diag(np.exp(p["log_noise"]))
        D = Y - p["mean"]
        Sinv = np.linalg.inv(S)
        U = D @ Sinv
        dS = 0.5 * (n * Sinv - U.T @ U)
        return {
            "F": 2 * dS @ p["F"],
            "log_noise": np.diag(dS) * np.exp(p["log_noise"]),
            "mean": -U.sum(axis=0),
        }

    return loss, params, grads(params)


MUTANTS = r"""
accumulation scale ## F"] @ p["F"].T ## 2 * dS @ p["F"] ## dS @ p["F"]
scale accumulation ## slogdet ## 0.5 * (n * Sinv - U.T @ U) ## 0.5 * (Sinv - U.T @ U)
sign ## np.linalg.solve ## 0.5 * (n * Sinv - U.T @ U) ## 0.5 * (n * Sinv + U.T @ U)
sign ## Y - p["mean"] ## "mean": -U.sum(axis=0) ## "mean": U.sum(axis=0)
local_derivative reparametrized ## np.exp(p["log_noise"]) ## np.diag(dS) * np.exp(p["log_noise"]) ## np.diag(dS)
local_derivative stale layout ## np.linalg.solve ## U = D @ Sinv ## U = D @ S
accumulation local_derivative ## slogdet ## 0.5 * (n * Sinv - U.T @ U) ## -0.5 * U.T @ U
"""
