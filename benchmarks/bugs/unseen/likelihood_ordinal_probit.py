"""An ordered probit with thresholds as cumulated exponentials.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def cdf(z):
    return 1 / (1 + np.exp(-1.702 * z))


def pdf(z):
    return 1.702 * cdf(z) * (1 - cdf(z))


def case(rng):
    n, d = 12, 3
    x = rng.normal(size=(n, d))
    y = np.arange(n) % 3
    params = {"w": rng.normal(size=d), "first": np.array(-0.5), "gap": np.array(0.2)}

    def cuts(p):
        low = p["first"]
        return low, low + np.exp(p["gap"])

    def loss(p):
        low, high = cuts(p)
        eta = x @ p["w"]
        upper = np.where(y == 0, cdf(low - eta), np.where(y == 1, cdf(high - eta), 1.0))
        lower = np.where(y == 1, cdf(low - eta), np.where(y == 2, cdf(high - eta), 0.0))
        return -np.mean(np.log(upper - lower))

    def grads(p):
        low, high = cuts(p)
        eta = x @ p["w"]
        cl, ch = cdf(low - eta), cdf(high - eta)
        prob = np.where(y == 0, cl, np.where(y == 1, ch - cl, 1 - ch))
        fl, fh = pdf(low - eta), pdf(high - eta)
        up = -1 / prob / n
        dlow = up * np.where(y == 0, fl, np.where(y == 1, -fl, 0))
        dhigh = up * np.where(y == 1, fh, np.where(y == 2, -fh, 0))
        return {
            "w": -x.T @ (dlow + dhigh),
            "first": np.sum(dlow + dhigh),
            "gap": np.sum(dhigh) * np.exp(p["gap"]),
        }

    return loss, params, grads


MUTANTS = r"""
accumulation ## low + np.exp ## "first": np.sum(dlow + dhigh) ## "first": np.sum(dlow)
reparametrized local_derivative scale ## np.exp(p["gap"]) ## "gap": np.sum(dhigh) * np.exp(p["gap"]) ## "gap": np.sum(dhigh)
sign local_derivative ## - eta ## "w": -x.T @ (dlow + dhigh) ## "w": x.T @ (dlow + dhigh)
accumulation ## lower = |- eta ## np.where(y == 0, fl, np.where(y == 1, -fl, 0)) ## np.where(y == 0, fl, 0)
local_derivative ## np.log ## up = -1 / prob / n ## up = -np.ones(n) / n
scale local_derivative ## np.exp(-1.702 ## return 1.702 * cdf(z) ## return cdf(z)
local_derivative ## np.exp(-1.702 ## 1.702 * cdf(z) * (1 - cdf(z)) ## 1.702 * np.exp(-((1.702 * z) ** 2) / 2) / np.sqrt(2 * np.pi)
sign accumulation local_derivative ## upper|lower ## np.where(y == 2, -fh, 0)) ## np.where(y == 2, fh, 0))
"""
