"""A batch norm corrected towards running statistics, the corrections constants."""

import numpy as np


def case(rng):
    N, D, H = 7, 3, 4
    X, y = rng.normal(size=(N, D)), rng.normal(size=(N, 2))
    running_mean, running_std = rng.normal(size=H) * 0.2, rng.uniform(0.7, 1.4, size=H)
    r = rng.uniform(0.8, 1.2, size=H)
    eps = 1e-3
    params = {
        "W": rng.normal(size=(D, H)),
        "gamma": rng.uniform(0.5, 1.5, size=H),
        "beta": rng.normal(size=H) * 0.3,
        "V": rng.normal(size=(H, 2)) * 0.6,
    }

    def forward(p):
        a = X @ p["W"]
        mean = np.mean(a, axis=0)
        std = np.sqrt(np.mean((a - mean) ** 2, axis=0) + eps)
        xhat = (a - mean) / std
        renormed = xhat * r + (running_mean / running_std)
        out = p["gamma"] * renormed + p["beta"]
        act = out / (1 + np.abs(out))
        return std, xhat, renormed, out, act

    def loss(p):
        return np.sum((forward(p)[-1] @ p["V"] - y) ** 2) / (2 * N)

    def grads(p):
        std, xhat, renormed, out, act = forward(p)
        diff = (act @ p["V"] - y) / N
        dout = diff @ p["V"].T / (1 + np.abs(out)) ** 2
        dxhat = dout * p["gamma"] * r
        da = dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0)
        da = da / std
        return {
            "W": X.T @ da,
            "gamma": np.sum(dout * renormed, axis=0),
            "beta": np.sum(dout, axis=0),
            "V": act.T @ diff,
        }

    return loss, params, grads


MUTANTS = r"""
stale local_derivative accumulation ## p["gamma"] * renormed ## np.sum(dout * renormed, axis=0) ## np.sum(dout * xhat, axis=0)
upstream accumulation scale local_derivative ## xhat * r ## dxhat = dout * p["gamma"] * r ## dxhat = dout * p["gamma"]
cross_term ## np.mean|std ## da = dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0) ## da = dxhat - dxhat.mean(axis=0)
stale local_derivative scale ## / std ## da = da / std ## da = da / running_std
local_derivative ## np.abs(out) ## / (1 + np.abs(out)) ** 2 ## / (1 + np.abs(out))
scale cross_term reduction local_derivative ## np.mean|std ## xhat * (dxhat * xhat).mean(axis=0) ## xhat * (dxhat * xhat).sum(axis=0) / (N - 1)
upstream accumulation local_derivative ## p["gamma"] ## dxhat = dout * p["gamma"] * r ## dxhat = dout * r
"""
