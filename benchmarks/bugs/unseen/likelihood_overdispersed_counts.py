"""A negative binomial likelihood with a zero-inflation logit.

Held out: not to be read by who writes the rules of `causes`.
"""

import math

import numpy as np


def lgamma(v):
    return np.vectorize(math.lgamma)(v)


def case(rng):
    n, d = 9, 2
    x, y = rng.normal(size=(n, d)) * 0.5, rng.poisson(1.5, size=n).astype(float)
    y[:3] = 0
    params = {
        "beta": rng.normal(size=d),
        "gamma": rng.normal(size=d),
        "r": np.array(2.3),
    }
    const = lgamma(y + 2) - lgamma(y + 1)

    def parts(p):
        mu = np.exp(x @ p["beta"])
        pi = 1 / (1 + np.exp(-(x @ p["gamma"])))
        q = p["r"] / (p["r"] + mu)
        return mu, pi, q

    def loss(p):
        mu, pi, q = parts(p)
        zero = np.log(pi + (1 - pi) * q ** p["r"])
        some = np.log(1 - pi) + p["r"] * np.log(q) + y * np.log(1 - q) + const
        return -np.sum(np.where(y == 0, zero, some))

    def grads(p):
        mu, pi, q = parts(p)
        r = p["r"]
        is0 = y == 0
        f0 = pi + (1 - pi) * q**r
        dpi = np.where(is0, (1 - q**r) / f0, -1 / (1 - pi))
        dq = np.where(is0, (1 - pi) * r * q ** (r - 1) / f0, r / q - y / (1 - q))
        dr = np.where(is0, (1 - pi) * q**r * np.log(q) / f0, np.log(q))
        dmu = -dq * r / (r + mu) ** 2
        dr = dr + dq * mu / (r + mu) ** 2
        return {
            "beta": -x.T @ (dmu * mu),
            "gamma": -x.T @ (dpi * pi * (1 - pi)),
            "r": -dr.sum(),
        }

    return loss, params, grads


MUTANTS = r"""
accumulation local_derivative ## q = p["r"] ## dr = dr + dq * mu / (r + mu) ** 2 ## pass
local_derivative ## mu = np.exp ## "beta": -x.T @ (dmu * mu) ## "beta": -x.T @ dmu
local_derivative ## q ** p["r"] ## (1 - pi) * r * q ** (r - 1) / f0 ## (1 - pi) * q ** (r - 1) / f0
sign accumulation local_derivative ## np.log(1 - q)|some = ## r / q - y / (1 - q)) ## r / q + y / (1 - q))
local_derivative ## pi = 1 ## dpi * pi * (1 - pi) ## dpi * pi
sign local_derivative ## np.log(1 - pi)|some = ## -1 / (1 - pi)) ## 1 / (1 - pi))
accumulation local_derivative ## zero = ## (1 - q**r) / f0 ## 1 / f0
local_derivative ## q = p["r"] ## dmu = -dq * r / (r + mu) ** 2 ## dmu = -dq * r / (r + mu)
"""
