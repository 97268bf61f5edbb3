"""A steady state of reactions by a linear solve, its sensitivity by the adjoint."""

import numpy as np


def case(rng):
    m = 4
    feed, want = rng.uniform(0.5, 1, size=m), rng.uniform(0, 1, size=m)
    params = {
        "logk": rng.normal(size=m) * 0.4,
        "mix": rng.uniform(0.1, 0.4, size=(m, m)),
    }

    def balance(p):
        k = np.exp(p["logk"])
        return np.diag(1 + k) - k[:, None] * p["mix"]

    def loss(p):
        c = np.linalg.solve(balance(p), feed)
        return np.sum((np.log(c) - np.log(want)) ** 2)

    def grads(p):
        M = balance(p)
        c = np.linalg.solve(M, feed)
        dc = 2 * (np.log(c) - np.log(want)) / c
        lam = np.linalg.solve(M.T, dc)
        dM = -np.outer(lam, c)
        k = np.exp(p["logk"])
        dk = np.diag(dM) - np.sum(dM * p["mix"], axis=1)
        return {"logk": dk * k, "mix": -dM * k[:, None]}

    return loss, params, grads


MUTANTS = r"""
layout ## np.linalg.solve ## lam = np.linalg.solve(M.T, dc) ## lam = np.linalg.solve(M, dc)
layout ## np.linalg.solve ## dM = -np.outer(lam, c) ## dM = -np.outer(c, lam)
accumulation ## np.diag(1 + k) ## dk = np.diag(dM) - np.sum(dM * p["mix"], axis=1) ## dk = -np.sum(dM * p["mix"], axis=1)
reduction layout geometry ## k[:, None] * p["mix"] ## np.sum(dM * p["mix"], axis=1) ## np.sum(dM * p["mix"], axis=0)
local_derivative ## np.log(c) ## dc = 2 * (np.log(c) - np.log(want)) / c ## dc = 2 * (np.log(c) - np.log(want))
layout geometry ## k[:, None] * p["mix"] ## "mix": -dM * k[:, None] ## "mix": -dM * k[None, :]
local_derivative stale ## np.linalg.solve ## dM = -np.outer(lam, c) ## dM = -np.outer(lam, feed)
"""
