"""Quantile regression with a margin between pairs, weights by sample."""

import numpy as np


def case(rng):
    n, d = 8, 3
    A, y = rng.normal(size=(n, d)), rng.normal(size=n)
    w = rng.uniform(0.5, 2, size=n)
    taus = np.array([0.1, 0.5, 0.9])
    margin = 0.4
    params = {"beta": rng.normal(size=(d, 3)), "c": rng.normal(size=3)}

    def loss(p):
        q = A @ p["beta"] + p["c"]
        r = y[:, None] - q
        pin = np.where(r >= 0, taus * r, (taus - 1) * r)
        cross = np.maximum(0, margin - (q[:, 1:] - q[:, :-1]))
        return np.sum(w[:, None] * pin) / np.sum(w) + np.mean(cross**2)

    def grads(p):
        q = A @ p["beta"] + p["c"]
        r = y[:, None] - q
        dq = -np.where(r >= 0, taus, taus - 1) * w[:, None] / w.sum()
        cross = np.maximum(0, margin - (q[:, 1:] - q[:, :-1]))
        dcross = 2 * cross / cross.size
        dq[:, 1:] -= dcross
        dq[:, :-1] += dcross
        return {"beta": A.T @ dq, "c": dq.sum(axis=0)}

    return loss, params, grads


MUTANTS = r"""
sign ## y[:, None] - q|np.where(r ## dq = -np.where(r >= 0, taus, taus - 1) ## dq = np.where(r >= 0, taus, taus - 1)
mask local_derivative ## np.where(r ## dq = -np.where(r >= 0, taus, taus - 1) ## dq = -np.where(r >= 0, taus - 1, taus)
scale reduction ## np.mean(cross**2) ## dcross = 2 * cross / cross.size ## dcross = 2 * cross / n
accumulation ## q[:, 1:] - q[:, :-1] ## dq[:, :-1] += dcross ## pass
local_derivative stale scale ## np.sum(w) ## * w[:, None] / w.sum() ## / n
sign ## q[:, 1:] - q[:, :-1] ## dq[:, 1:] -= dcross ## dq[:, 1:] += dcross
mask stale local_derivative ## np.maximum(0, margin ## cross = np.maximum(0, margin - (q[:, 1:] - q[:, :-1]))\n        dcross ## cross = margin - (q[:, 1:] - q[:, :-1])\n        dcross
"""
