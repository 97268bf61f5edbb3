"""Weights of assets that maximise return over risk, with costs of trading."""

import numpy as np


def weights_of(scores):
    z = np.exp(scores)
    return z / np.sum(z)


def case(rng):
    days, assets = 12, 5
    returns = 0.1 * rng.normal(size=(days, assets)) + 0.02
    held = np.full(assets, 1 / assets)
    factors = rng.normal(size=(assets, 2))
    params = {
        "scores": rng.normal(size=assets),
        "tilt": 0.1 * rng.normal(size=2),
        "lever": np.array(1.1),
    }

    def negative_ratio(p):
        w = weights_of(p["scores"] + factors @ p["tilt"])
        daily = p["lever"] * (returns @ w) - 0.001 * p["lever"] ** 2
        mean = np.mean(daily)
        risk = np.sqrt(np.mean((daily - mean) ** 2) + 1e-4)
        cost = 0.02 * np.sum(np.sqrt((w - held) ** 2 + 1e-3))
        return -mean / risk + cost

    def gradient(p):
        w = weights_of(p["scores"] + factors @ p["tilt"])
        plain = returns @ w
        daily = p["lever"] * plain - 0.001 * p["lever"] ** 2
        mean, n = daily.mean(), len(daily)
        centred = daily - mean
        risk = np.sqrt((centred**2).mean() + 1e-4)
        g_mean = -1 / risk
        g_risk = mean / risk**2
        g_daily = g_mean / n + g_risk * centred / (n * risk)
        g_lever = np.sum(g_daily * (plain - 0.002 * p["lever"]))
        g_w = p["lever"] * returns.T @ g_daily
        shift = w - held
        g_w = g_w + 0.02 * shift / np.sqrt(shift**2 + 1e-3)
        g_scores = w * (g_w - w @ g_w)
        return {"scores": g_scores, "tilt": factors.T @ g_scores, "lever": g_lever}

    return negative_ratio, params, gradient


MUTANTS = r"""
local_derivative sign ## -mean / risk ## g_risk = mean / risk**2 ## g_risk = -mean / risk**2
local_derivative ## -mean / risk ## g_risk = mean / risk**2 ## g_risk = mean / risk
local_derivative upstream ## np.sqrt(np.mean ## centred / (n * risk) ## centred / n
local_derivative scale stale ## daily = ## (plain - 0.002 * p["lever"]) ## (plain - 0.001 * p["lever"])
accumulation upstream ## daily = p["lever"]|np.mean(daily) ## g_daily = g_mean / n + g_risk * centred ## g_daily = g_risk * centred
cross_term local_derivative ## z / np.sum(z) ## g_scores = w * (g_w - w @ g_w) ## g_scores = w * (1 - w) * g_w
upstream local_derivative ## daily = ## g_w = p["lever"] * returns.T @ g_daily ## g_w = returns.T @ g_daily
local_derivative ## np.sqrt((w - held) ## shift / np.sqrt(shift**2 + 1e-3) ## np.sign(shift)
"""
