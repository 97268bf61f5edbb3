"""A clipped objective of a policy with an entropy bonus, clips of the training kept."""

import numpy as np


def case(rng):
    n, d, k = 8, 3, 4
    S, A = rng.normal(size=(n, d)), rng.integers(0, k, size=n)
    adv = rng.normal(size=n)
    old = np.log(rng.uniform(0.15, 0.5, size=n))
    eps, c = 0.2, 0.01
    params = {"W": rng.normal(size=(d, k)) * 2, "b": rng.normal(size=k)}

    def logits(p):
        s = S @ p["W"] + p["b"]
        return s - np.log(np.sum(np.exp(s), axis=1, keepdims=True))

    def loss(p):
        lp = logits(p)
        ratio = np.exp(lp[np.arange(n), A] - old)
        clipped = np.clip(ratio, 1 - eps, 1 + eps)
        gain = np.minimum(ratio * adv, clipped * adv)
        entropy = -np.sum(np.exp(lp) * lp, axis=1)
        return -np.mean(gain) - c * np.mean(entropy)

    def grads(p):
        lp = logits(p)
        pi = np.exp(lp)
        ratio = np.exp(lp[np.arange(n), A] - old)
        inside = (ratio > 1 - eps) & (ratio < 1 + eps)
        active = inside | (ratio * adv < np.clip(ratio, 1 - eps, 1 + eps) * adv)
        dratio = -adv * active / n
        dchosen = dratio * ratio
        ds = -pi * dchosen[:, None]
        ds[np.arange(n), A] += dchosen
        inner = c * (lp + 1) / n
        ds += pi * (inner - np.sum(pi * inner, axis=1, keepdims=True))
        g = {"W": S.T @ ds, "b": ds.sum(axis=0)}
        return g

    return loss, params, grads


MUTANTS = r"""
mask ## np.clip|np.minimum ## dratio = -adv * active / n ## dratio = -adv / n
clipped ## ## return g ## return {k: np.clip(v, -0.02, 0.02) for k, v in g.items()}
clipped ## ## return g ## norm = np.sqrt(sum(np.sum(v**2) for v in g.values()))\n        return {k: v * min(1.0, 0.02 / norm) for k, v in g.items()}
cross_term ## np.log(np.sum(np.exp(s)|logits ## ds = -pi * dchosen[:, None] ## ds = np.zeros_like(pi)
sign ## c * np.mean(entropy) ## ds += pi * (inner ## ds -= pi * (inner
local_derivative ## np.exp(lp[ ## dchosen = dratio * ratio ## dchosen = dratio
clipped ## S @ p["W"]|s - np.log ## g = {"W": S.T @ ds, ## ds = np.clip(ds, -0.01, 0.01)\n        g = {"W": S.T @ ds,
scale ## c * np.mean ## inner = c * (lp + 1) / n ## inner = (lp + 1) / n
"""
