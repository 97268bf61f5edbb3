"""Counts with exposures, effects of groups and zero-mean priors; a log link."""

import numpy as np


class Counts:
    def __init__(self, X, y, exposure, group, G):
        self.X, self.y, self.log_e = X, y, np.log(exposure)
        self.group, self.G = group, G

    def eta(self, p):
        eta = self.X @ p["beta"] + self.log_e
        return eta + p["a"][self.group] * np.exp(p["log_s"])

    def objective(self, p):
        eta = self.eta(p)
        nll = np.sum(np.exp(eta) - self.y * eta)
        return nll + 0.5 * np.sum(p["a"] ** 2) + np.sum(p["beta"] ** 2) / 200

    def gradient(self, p):
        s = np.exp(p["log_s"])
        r = np.exp(self.eta(p)) - self.y
        per_group = np.bincount(self.group, weights=r, minlength=self.G)
        da = s * per_group + p["a"]
        dlog_s = s * np.sum(p["a"] * per_group)
        dbeta = self.X.T @ r + p["beta"] / 100
        return {"beta": dbeta, "a": da, "log_s": np.array(dlog_s)}


def case(rng):
    n, d, G = 12, 3, 4
    model = Counts(
        rng.normal(size=(n, d)) * 0.6,
        rng.poisson(2, size=n).astype(float),
        rng.uniform(0.5, 3, size=n),
        rng.integers(0, G, size=n),
        G,
    )
    params = {
        "beta": rng.normal(size=d) * 0.5,
        "a": rng.normal(size=G),
        "log_s": np.array(-0.6),
    }
    return model.objective, params, model.gradient


MUTANTS = r"""
stale upstream local_derivative accumulation scale ## self.log_e ## r = np.exp(self.eta(p)) - self.y ## r = np.exp(self.eta(p) - self.log_e) - self.y
scale local_derivative ## np.exp(p["log_s"]) ## da = s * per_group + p["a"] ## da = per_group + p["a"]
regularization ## p["beta"] ** 2 ## dbeta = self.X.T @ r + p["beta"] / 100 ## dbeta = self.X.T @ r + p["beta"] / 200
regularization ## 0.5 * np.sum(p["a"] ** 2) ## da = s * per_group + p["a"] ## da = s * per_group
local_derivative ## np.exp(p["log_s"]) ## dlog_s = s * np.sum ## dlog_s = np.sum
sign ## self.y * eta|np.exp(eta) ## r = np.exp(self.eta(p)) - self.y ## r = np.exp(self.eta(p)) + self.y
duplicate_index ## p["a"][self.group] ## per_group = np.bincount(self.group, weights=r, minlength=self.G) ## per_group = np.zeros(self.G)\n        per_group[self.group] += r
"""
