"""Optimal transport by Sinkhorn's iteration, its gradient by the envelope theorem.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def case(rng):
    n, m, reg = 4, 3, 0.8
    X, Y = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    params = {
        "M": np.eye(2) + 0.3 * rng.normal(size=(2, 2)),
        "shift": rng.normal(size=2),
    }

    def cost(p):
        diff = (X @ p["M"] + p["shift"])[:, None, :] - Y[None, :, :]
        return diff, 0.5 * np.sum(diff**2, axis=2)

    def plan(C):
        K = np.exp(-C / reg)
        v = np.ones(m)
        for _ in range(60):
            u = a / (K @ v)
            v = b / (K.T @ u)
        return u, v, u[:, None] * K * v[None, :]

    def loss(p):
        _, C = cost(p)
        u, v, _ = plan(C)
        return reg * (np.sum(a * np.log(u)) + np.sum(b * np.log(v)))

    def grads(p):
        diff, C = cost(p)
        _, _, P = plan(C)
        dC = P
        ddiff = dC[:, :, None] * diff
        dx = ddiff.sum(axis=1)
        return {"M": X.T @ dx, "shift": dx.sum(axis=0)}

    return loss, params, grads


MUTANTS = r"""
scale upstream ## reg ## dC = P ## dC = P / reg
scale upstream local_derivative ## diff**2 ## ddiff = dC[:, :, None] * diff ## ddiff = 2 * dC[:, :, None] * diff
upstream local_derivative reduction ## plan|K = |u = |v = |reg ## dC = P ## dC = np.full((n, m), 1 / (n * m))
local_derivative upstream ## plan|K = |u = |v = |reg ## dC = P ## dC = np.exp(-C / reg)
reduction scale ## [:, None, :] ## dx = ddiff.sum(axis=1) ## dx = ddiff.mean(axis=1)
sign ## - Y|-C ## dC = P ## dC = -P
reduction scale ## p["shift"] ## "shift": dx.sum(axis=0) ## "shift": dx.mean(axis=0)
"""
