"""Counts with extra zeros: a Poisson part and a logistic part."""

import numpy as np
from scipy.special import expit, gammaln


class ZeroInflated:
    def __init__(self, counts, X, Z):
        self.counts, self.X, self.Z = counts, X, Z
        self.zero = counts == 0

    def nll(self, p):
        lam, pi = np.exp(self.X @ p["beta"]), expit(self.Z @ p["gamma"])
        some = (
            np.log(1 - pi) - lam + self.counts * np.log(lam) - gammaln(self.counts + 1)
        )
        none = np.log(pi + (1 - pi) * np.exp(-lam))
        return -np.sum(np.where(self.zero, none, some))

    def gradient(self, p):
        lam, pi = np.exp(self.X @ p["beta"]), expit(self.Z @ p["gamma"])
        p0 = np.exp(-lam)
        mass = pi + (1 - pi) * p0
        dlam = np.where(self.zero, -(1 - pi) * p0 / mass, self.counts / lam - 1)
        dpi = np.where(self.zero, (1 - p0) / mass, -1 / (1 - pi))
        deta = dlam * lam
        dzeta = dpi * pi * (1 - pi)
        return {"beta": -self.X.T @ deta, "gamma": -self.Z.T @ dzeta}


def case(rng):
    n = 12
    X, Z = rng.normal(size=(n, 3)) * 0.6, rng.normal(size=(n, 2))
    counts = rng.poisson(2.0, size=n) * (rng.uniform(size=n) > 0.4)
    model = ZeroInflated(counts, X, Z)
    params = {"beta": rng.normal(size=3) * 0.5, "gamma": rng.normal(size=2) * 0.5}
    return model.nll, params, model.gradient


MUTANTS = r"""
local_derivative ## np.exp(self.X ## deta = dlam * lam ## deta = dlam
local_derivative ## none = np.log ## -(1 - pi) * p0 / mass ## -(1 - pi) * p0
sign local_derivative ## np.log(1 - pi) ## (1 - p0) / mass, -1 / (1 - pi) ## (1 - p0) / mass, 1 / (1 - pi)
accumulation local_derivative ## some = |- lam ## self.counts / lam - 1) ## self.counts / lam)
mask ## np.where(self.zero ## dpi = np.where(self.zero, (1 - p0) / mass, -1 / (1 - pi)) ## dpi = np.where(~self.zero, (1 - p0) / mass, -1 / (1 - pi))
accumulation local_derivative ## pi + (1 - pi) * np.exp ## (1 - p0) / mass ## 1 / mass
"""
