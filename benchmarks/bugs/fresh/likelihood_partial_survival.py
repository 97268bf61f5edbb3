"""The partial likelihood of proportional hazards, risk sets by cumulative sums."""

import numpy as np


def case(rng):
    n, d = 9, 3
    X = rng.normal(size=(n, d))
    event = np.array([1, 0, 1, 1, 0, 1, 1, 0, 1], dtype=float)
    alpha = 0.1
    theta = {"beta": rng.normal(size=d)}

    def loss(p):
        eta = X @ p["beta"]
        risk = np.cumsum(np.exp(eta)[::-1])[::-1]
        partial = np.sum(event * (eta - np.log(risk)))
        return -partial + 0.5 * alpha * np.sum(p["beta"] ** 2)

    def grads(p):
        eta = X @ p["beta"]
        e = np.exp(eta)
        risk = np.cumsum(e[::-1])[::-1]
        reached = np.cumsum(event / risk)
        deta = -(event - e * reached)
        return {"beta": X.T @ deta + alpha * p["beta"]}

    return loss, theta, grads


MUTANTS = r"""
geometry stale layout local_derivative ## np.cumsum ## reached = np.cumsum(event / risk) ## reached = np.cumsum((event / risk)[::-1])[::-1]
stale geometry layout ## np.cumsum ## risk = np.cumsum(e[::-1])[::-1]\n        reached ## risk = np.cumsum(e)\n        reached
mask accumulation upstream local_derivative ## event * ## reached = np.cumsum(event / risk) ## reached = np.cumsum(1 / risk)
local_derivative ## np.exp(eta) ## deta = -(event - e * reached) ## deta = -(event - reached)
sign regularization ## 0.5 * alpha ## X.T @ deta + alpha * p["beta"] ## X.T @ deta - alpha * p["beta"]
regularization ## 0.5 * alpha ## X.T @ deta + alpha * p["beta"] ## X.T @ deta
accumulation upstream geometry ## np.cumsum ## reached = np.cumsum(event / risk) ## reached = event / risk
"""
