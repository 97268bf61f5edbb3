"""Proportional hazards with ties in two strata: risk sets as matrices of flags."""

import numpy as np


def case(rng):
    n, d = 10, 3
    Z = rng.normal(size=(n, d))
    times = rng.integers(1, 5, size=n)
    died = np.array([1, 1, 0, 1, 0, 1, 1, 1, 0, 1.0])
    group = np.arange(n) % 2
    at_risk = (times[None, :] >= times[:, None]) & (group[None, :] == group[:, None])
    params = {"beta": rng.normal(size=d), "frailty": rng.normal(size=n) * 0.3}
    sigma2 = 0.5

    def loss(p):
        eta = Z @ p["beta"] + p["frailty"]
        hazard = np.exp(eta)
        pool = np.sum(at_risk * hazard, axis=1)
        prior = np.sum(p["frailty"] ** 2) / (2 * sigma2)
        return -np.sum(died * (eta - np.log(pool))) + prior

    def grads(p):
        eta = Z @ p["beta"] + p["frailty"]
        hazard = np.exp(eta)
        pool = np.sum(at_risk * hazard, axis=1)
        share = at_risk * hazard / pool[:, None]
        deta = -died + share.T @ died
        return {"beta": Z.T @ deta, "frailty": deta + p["frailty"] / sigma2}

    return loss, params, grads


MUTANTS = r"""
layout ## np.sum(at_risk * hazard ## deta = -died + share.T @ died ## deta = -died + share @ died
accumulation upstream mask local_derivative reduction ## died * ## deta = -died + share.T @ died ## deta = -died + share.sum(axis=0)
regularization ## prior ## deta + p["frailty"] / sigma2 ## deta + p["frailty"] * sigma2
regularization ## prior ## deta + p["frailty"] / sigma2 ## deta
local_derivative accumulation ## hazard = np.exp(eta)|np.sum(at_risk * hazard ## share = at_risk * hazard / pool[:, None] ## share = at_risk / pool[:, None]
accumulation upstream cross_term ## np.log(pool) ## deta = -died + share.T @ died ## deta = -died
"""
