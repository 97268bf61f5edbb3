"""A regressor whose gradient still has what the training wanted: clips and decay."""

import numpy as np


def case(rng):
    N, D, H = 9, 3, 4
    X, y = rng.normal(size=(N, D)), rng.normal(size=N) * 3
    params = {
        "W": rng.normal(size=(D, H)),
        "c": rng.normal(size=H) * 0.3,
        "v": rng.normal(size=H),
        "d": np.array(0.4),
    }

    def loss(p):
        h = np.maximum(X @ p["W"] + p["c"], 0)
        r = h @ p["v"] + p["d"] - y
        huber = np.where(np.abs(r) <= 1, 0.5 * r**2, np.abs(r) - 0.5)
        return np.mean(huber)

    def finish(g):
        return g

    def grads(p):
        pre = X @ p["W"] + p["c"]
        h = np.maximum(pre, 0)
        r = h @ p["v"] + p["d"] - y
        dr = np.clip(r, -1, 1) / N
        dh = np.outer(dr, p["v"])
        dpre = dh * (pre > 0)
        g = {"W": X.T @ dpre, "c": dpre.sum(axis=0), "v": h.T @ dr, "d": dr.sum()}
        return finish(g)

    return loss, params, grads


MUTANTS = r"""
clipped ## ## return g\n ## return {k: np.clip(v, -0.1, 0.1) for k, v in g.items()}\n
clipped ## ## return g\n ## norm = np.sqrt(sum(np.sum(v**2) for v in g.values()))\n        return {k: v / max(1.0, norm / 0.2) for k, v in g.items()}\n
mask local_derivative ## np.where(np.abs(r) ## dr = np.clip(r, -1, 1) / N ## dr = r / N
local_derivative ## np.where(np.abs(r) ## dr = np.clip(r, -1, 1) / N ## dr = np.sign(r) / N
clipped ## ## dpre = dh * (pre > 0) ## dpre = np.clip(dh, -0.05, 0.05) * (pre > 0)
mask local_derivative ## np.maximum ## dpre = dh * (pre > 0) ## dpre = dh
regularization ## ## return g\n ## return {k: v + 0.01 * params[k] for k, v in g.items()}\n
clipped ## ## return g\n ## return {k: v * min(1, 0.1 / np.linalg.norm(v)) for k, v in g.items()}\n
"""
