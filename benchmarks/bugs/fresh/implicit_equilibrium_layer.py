"""An equilibrium layer by iteration, the adjoint by a linear solve for each sample."""

import numpy as np


def case(rng):
    n, d, h = 4, 2, 3
    X, T = rng.normal(size=(n, d)), rng.normal(size=n)
    params = {
        "A": rng.normal(size=(h, h)) * 0.2,
        "B": rng.normal(size=(h, d)),
        "c": rng.normal(size=h) * 0.3,
        "v": rng.normal(size=h),
    }

    def settle(p, x):
        z = np.zeros(h)
        for _ in range(60):
            z = np.tanh(p["A"] @ z + p["B"] @ x + p["c"])
        return z

    def loss(p):
        return 0.5 * sum((p["v"] @ settle(p, x) - t) ** 2 for x, t in zip(X, T))

    def grads(p):
        g = {k: np.zeros_like(a) for k, a in p.items()}
        for x, t in zip(X, T):
            z = settle(p, x)
            e = p["v"] @ z - t
            g["v"] += e * z
            D = np.diag(1 - z**2)
            u = np.linalg.solve(np.eye(h) - p["A"].T @ D, e * p["v"])
            s = D @ u
            g["A"] += np.outer(s, z)
            g["B"] += np.outer(s, x)
            g["c"] += s
        return g

    return loss, params, grads


MUTANTS = r"""
local_derivative upstream accumulation ## np.tanh ## u = np.linalg.solve(np.eye(h) - p["A"].T @ D, e * p["v"]) ## u = e * p["v"]
layout ## p["A"] @ z ## np.linalg.solve(np.eye(h) - p["A"].T @ D, e ## np.linalg.solve(np.eye(h) - p["A"] @ D, e
local_derivative ## np.tanh ## np.eye(h) - p["A"].T @ D, e ## np.eye(h) - p["A"].T, e
sign ## p["A"] @ z ## np.eye(h) - p["A"].T @ D, e ## np.eye(h) + p["A"].T @ D, e
local_derivative upstream ## np.tanh ## s = D @ u ## s = u
layout ## p["A"] @ z ## g["A"] += np.outer(s, z) ## g["A"] += np.outer(z, s)
"""
