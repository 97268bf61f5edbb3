"""The root of a cubic by Newton's method, its derivative by the implicit function."""

import numpy as np


def case(rng):
    n = 6
    x, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    params = {"w": rng.normal(size=2), "kappa": np.array(0.6), "s": np.array(0.4)}

    def root(p):
        b = x @ p["w"]
        z = np.zeros(n)
        for _ in range(30):
            z = z - (z + p["kappa"] * z**3 - b) / (1 + 3 * p["kappa"] * z**2)
        return z

    def loss(p):
        z = root(p)
        return np.mean((np.exp(p["s"]) * z - y) ** 2)

    def grads(p):
        z = root(p)
        e = 2 * (np.exp(p["s"]) * z - y) / n
        dz = e * np.exp(p["s"])
        slope = 1 + 3 * p["kappa"] * z**2
        lam = dz / slope
        return {
            "w": x.T @ lam,
            "kappa": -np.sum(lam * z**3),
            "s": np.sum(e * z) * np.exp(p["s"]),
        }

    return loss, params, grads


MUTANTS = r"""
sign ## p["kappa"] * z**3 ## "kappa": -np.sum(lam * z**3) ## "kappa": np.sum(lam * z**3)
local_derivative upstream ## z = z - ## lam = dz / slope ## lam = dz
local_derivative scale ## z = z - ## slope = 1 + 3 * p["kappa"] * z**2 ## slope = 1 + p["kappa"] * z**2
local_derivative upstream ## z = z - ## lam = dz / slope ## lam = dz * slope
local_derivative scale ## z = z - ## "kappa": -np.sum(lam * z**3) ## "kappa": -np.sum(lam * z**2)
reparametrized local_derivative ## np.exp(p["s"]) ## np.sum(e * z) * np.exp(p["s"]) ## np.sum(e * z)
accumulation local_derivative ## z = z - ## slope = 1 + 3 * p["kappa"] * z**2 ## slope = 3 * p["kappa"] * z**2
"""
