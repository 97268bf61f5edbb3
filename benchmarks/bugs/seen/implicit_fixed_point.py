"""A layer that is a fixed point, by iteration and the implicit function theorem."""

import numpy as np


def case(rng):
    n, d = 3, 3
    x, y = rng.normal(size=(n, d)), rng.normal(size=n)
    params = {
        "W": rng.normal(size=(d, d)) * 0.15,
        "U": rng.normal(size=(d, d)),
        "b": rng.normal(size=d) * 0.3,
        "v": rng.normal(size=d),
    }

    def solve(p):
        z = np.zeros((n, d))
        for _ in range(40):
            z = np.tanh(z @ p["W"] + x @ p["U"] + p["b"])
        return z

    def loss(p):
        return 0.5 * np.mean((solve(p) @ p["v"] - y) ** 2)

    def grads(p):
        z = solve(p)
        e = (z @ p["v"] - y) / n
        dz = np.outer(e, p["v"])
        slope = 1 - z**2
        u = np.zeros_like(dz)
        for i in range(n):
            J = slope[i][:, None] * p["W"].T
            u[i] = np.linalg.solve(np.eye(d) - J.T, dz[i])
        da = u * slope
        return {"W": z.T @ da, "U": x.T @ da, "b": da.sum(axis=0), "v": z.T @ e}

    return loss, params, grads


MUTANTS = r"""
accumulation ## np.tanh ## u[i] = np.linalg.solve(np.eye(d) - J.T, dz[i]) ## u[i] = dz[i]
layout ## np.tanh ## np.linalg.solve(np.eye(d) - J.T, dz[i]) ## np.linalg.solve(np.eye(d) - J, dz[i])
sign accumulation local_derivative ## np.tanh ## np.linalg.solve(np.eye(d) - J.T, dz[i]) ## np.linalg.solve(np.eye(d) + J.T, dz[i])
local_derivative ## np.tanh ## J = slope[i][:, None] * p["W"].T ## J = p["W"].T
local_derivative ## np.tanh ## da = u * slope ## da = u
local_derivative layout ## np.tanh ## "W": z.T @ da ## "W": x.T @ da
scale ## np.mean ## e = (z @ p["v"] - y) / n ## e = z @ p["v"] - y
"""
