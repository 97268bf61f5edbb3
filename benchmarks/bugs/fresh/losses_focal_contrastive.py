"""A focal loss and a contrastive loss on the same embedding."""

import numpy as np


def log_softmax(s):
    s = s - s.max(axis=1, keepdims=True)
    return s - np.log(np.exp(s).sum(axis=1, keepdims=True))


def case(rng):
    B, D, H = 5, 4, 3
    xa, xb = rng.normal(size=(B, D)), rng.normal(size=(B, D))
    label = rng.integers(0, 2, size=B)
    gamma, tau, weight = 2.0, 0.5, 0.3
    params = {"W": rng.normal(size=(D, H)), "v": rng.normal(size=H)}

    def loss(p):
        za, zb = xa @ p["W"], xb @ p["W"]
        lp = log_softmax(za @ zb.T / tau)
        contrast = -np.mean(np.diag(lp))
        s = za @ p["v"]
        pt = 1 / (1 + np.exp(-np.where(label == 1, s, -s)))
        focal = -np.mean((1 - pt) ** gamma * np.log(pt))
        return focal + weight * contrast

    def grads(p):
        za, zb = xa @ p["W"], xb @ p["W"]
        P = np.exp(log_softmax(za @ zb.T / tau))
        dsim = weight * (P - np.eye(B)) / B / tau
        s = za @ p["v"]
        y = 2.0 * label - 1
        pt = 1 / (1 + np.exp(-y * s))
        dpt = (
            gamma * (1 - pt) ** (gamma - 1) * np.log(pt) - (1 - pt) ** gamma / pt
        ) / B
        ds = dpt * pt * (1 - pt) * y
        dza = dsim @ zb + np.outer(ds, p["v"])
        dzb = dsim.T @ za
        return {"W": xa.T @ dza + xb.T @ dzb, "v": za.T @ ds}

    return loss, params, grads


MUTANTS = r"""
scale ## / tau ## weight * (P - np.eye(B)) / B / tau ## weight * (P - np.eye(B)) / B
accumulation ## xb @ p["W"]|zb ## "W": xa.T @ dza + xb.T @ dzb ## "W": xa.T @ dza
sign ## np.where(label ## ds = dpt * pt * (1 - pt) * y ## ds = dpt * pt * (1 - pt)
accumulation local_derivative ## (1 - pt) ** gamma ## gamma * (1 - pt) ** (gamma - 1) * np.log(pt) - (1 - pt) ** gamma / pt ## -((1 - pt) ** gamma) / pt
layout ## za @ zb.T ## dzb = dsim.T @ za ## dzb = dsim @ za
scale local_derivative ## (1 - pt) ** gamma ## gamma * (1 - pt) ** (gamma - 1) ## (1 - pt) ** (gamma - 1)
scale ## weight * contrast ## dsim = weight * (P - np.eye(B)) / B / tau ## dsim = (P - np.eye(B)) / B / tau
"""
