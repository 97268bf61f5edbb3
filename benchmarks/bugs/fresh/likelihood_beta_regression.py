"""Beta regression with a logit mean and a log precision."""

import numpy as np
from scipy.special import digamma, expit, gammaln


def case(rng):
    n = 9
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = rng.uniform(0.05, 0.95, size=n)
    start = {"beta": rng.normal(size=3) * 0.5, "log_phi": np.array(1.2)}

    def negloglik(p):
        mu = expit(X @ p["beta"])
        phi = np.exp(p["log_phi"])
        a, b = mu * phi, (1 - mu) * phi
        ll = gammaln(phi) - gammaln(a) - gammaln(b)
        ll = ll + (a - 1) * np.log(y) + (b - 1) * np.log(1 - y)
        return -np.sum(ll)

    def score(p):
        mu = expit(X @ p["beta"])
        phi = np.exp(p["log_phi"])
        a, b = mu * phi, (1 - mu) * phi
        ystar = np.log(y / (1 - y))
        mustar = digamma(a) - digamma(b)
        dmu = phi * (ystar - mustar)
        dbeta = X.T @ (dmu * mu * (1 - mu))
        dphi = np.sum(
            digamma(phi)
            - mu * digamma(a)
            - (1 - mu) * digamma(b)
            + mu * ystar
            + np.log(1 - y)
        )
        return {"beta": -dbeta, "log_phi": -dphi * phi}

    return negloglik, start, score


MUTANTS = r"""
reparametrized local_derivative ## np.exp(p["log_phi"]) ## "log_phi": -dphi * phi ## "log_phi": -dphi
local_derivative ## expit( ## X.T @ (dmu * mu * (1 - mu)) ## X.T @ dmu
sign ## ll ## "beta": -dbeta ## "beta": dbeta
accumulation local_derivative ## gammaln(b) ## mustar = digamma(a) - digamma(b) ## mustar = digamma(a)
accumulation local_derivative ## gammaln(phi) ## digamma(phi)\n            - mu * digamma(a)\n ## -mu * digamma(a)\n
local_derivative scale ## mu * phi|(1 - mu) * phi ## dmu = phi * (ystar - mustar) ## dmu = ystar - mustar
local_derivative ## gammaln(a) ## mustar = digamma(a) - digamma(b) ## mustar = gammaln(a) - gammaln(b)
"""
