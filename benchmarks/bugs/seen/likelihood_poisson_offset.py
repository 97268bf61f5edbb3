"""Poisson regression with an offset and a random effect."""

import numpy as np


def case(rng):
    n, d, g = 10, 3, 3
    x, group = rng.normal(size=(n, d)) * 0.6, rng.integers(g, size=n)
    exposure, counts = rng.random(n) + 0.5, rng.poisson(2.0, size=n)
    params = {
        "beta": rng.normal(size=d),
        "u": rng.normal(size=g),
        "logsd": np.array(0.2),
    }

    def loss(p):
        eta = x @ p["beta"] + p["u"][group] + np.log(exposure)
        nll = np.sum(np.exp(eta) - counts * eta)
        prior = np.sum(p["u"] ** 2) / (2 * np.exp(2 * p["logsd"])) + g * p["logsd"]
        return nll + prior

    def grads(p):
        eta = x @ p["beta"] + p["u"][group] + np.log(exposure)
        r = np.exp(eta) - counts
        var = np.exp(2 * p["logsd"])
        du = np.bincount(group, weights=r, minlength=g) + p["u"] / var
        return {
            "beta": x.T @ r,
            "u": du,
            "logsd": g - np.sum(p["u"] ** 2) / var,
        }

    return loss, params, grads


MUTANTS = r"""
accumulation ## - counts * eta ## r = np.exp(eta) - counts ## r = np.exp(eta)
local_derivative ## np.exp(eta) ## r = np.exp(eta) - counts ## r = np.exp(eta - np.log(exposure)) - counts
accumulation regularization ## prior = ## + p["u"] / var ##
local_derivative regularization scale ## prior = ## + p["u"] / var ## + p["u"] / np.exp(p["logsd"])
accumulation ## prior = ## g - np.sum(p["u"] ** 2) / var ## -np.sum(p["u"] ** 2) / var
scale local_derivative ## prior = ## g - np.sum(p["u"] ** 2) / var ## g - np.sum(p["u"] ** 2) / (2 * var)
sign ## ## "beta": x.T @ r ## "beta": -x.T @ r
local_derivative ## np.exp(eta) ## r = np.exp(eta) - counts ## r = eta - counts
"""
