"""Volatility of returns, GARCH(1, 1); sensitivities run along with the variance."""

import numpy as np


class Volatility:
    def __init__(self, returns):
        self.returns = returns

    def loss(self, p):
        omega, alpha = np.exp(p["log_omega"]), 1 / (1 + np.exp(-p["alpha"]))
        beta = p["beta"]
        r = self.returns - p["mean"]
        variance = np.var(self.returns)
        total = 0.0
        for t in range(len(r)):
            total = total + 0.5 * (np.log(variance) + r[t] ** 2 / variance)
            variance = omega + alpha * r[t] ** 2 + beta * variance
        return total / len(r)

    def grads(self, p):
        omega, alpha = np.exp(p["log_omega"]), 1 / (1 + np.exp(-p["alpha"]))
        beta = p["beta"]
        r = self.returns - p["mean"]
        variance = np.var(self.returns)
        d_omega = d_alpha = d_beta = d_mean = 0.0
        g_omega = g_alpha = g_beta = g_mean = 0.0
        for t in range(len(r)):
            slope = 0.5 * (1 / variance - r[t] ** 2 / variance**2)
            g_omega += slope * d_omega
            g_alpha += slope * d_alpha
            g_beta += slope * d_beta
            g_mean += slope * d_mean - r[t] / variance
            d_omega = 1 + beta * d_omega
            d_alpha = r[t] ** 2 + beta * d_alpha
            d_beta = variance + beta * d_beta
            d_mean = -2 * alpha * r[t] + beta * d_mean
            variance = omega + alpha * r[t] ** 2 + beta * variance
        n = len(r)
        return {
            "log_omega": g_omega * omega / n,
            "alpha": g_alpha * alpha * (1 - alpha) / n,
            "beta": g_beta / n,
            "mean": g_mean / n,
        }


def case(rng):
    model = Volatility(rng.normal(size=8) * 1.2)
    params = {
        "log_omega": np.array(-1.0),
        "alpha": np.array(-1.1),
        "beta": np.array(0.6),
        "mean": np.array(0.15),
    }
    return model.loss, params, model.grads


MUTANTS = r"""
upstream accumulation partial ## variance = omega ## d_beta = variance + beta * d_beta ## d_beta = variance
accumulation upstream ## r[t] ** 2 / variance ## slope * d_mean - r[t] / variance ## slope * d_mean
local_derivative ## np.log(variance) + r[t] ## r[t] ** 2 / variance**2) ## r[t] ** 2 / variance)
local_derivative sign ## variance = omega ## d_mean = -2 * alpha ## d_mean = 2 * alpha
stale ## variance = omega ## d_beta = variance + beta * d_beta\n            d_mean = -2 * alpha * r[t] + beta * d_mean\n            variance = omega + alpha * r[t] ** 2 + beta * variance ## d_mean = -2 * alpha * r[t] + beta * d_mean\n            variance = omega + alpha * r[t] ** 2 + beta * variance\n            d_beta = variance + beta * d_beta
local_derivative ## 1 / (1 + np.exp(-p["alpha"])) ## g_alpha * alpha * (1 - alpha) / n ## g_alpha * alpha / n
scale ## / len(r) ## "beta": g_beta / n ## "beta": g_beta
local_derivative upstream scale ## variance = omega ## d_omega = 1 + beta * d_omega ## d_omega = 1 + alpha * d_omega
"""
