"""Two towers with one weight, and a contrastive loss.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def tower(x, W, b):
    return np.sin(x @ W) + b


def case(rng):
    n = 6
    x1, x2 = rng.normal(size=(n, 3)), rng.normal(size=(n, 3))
    same = np.array([1.0, 0, 1, 0, 0, 1])
    margin = 4.0
    params = {
        "W": rng.normal(size=(3, 3)),
        "b": rng.normal(size=3),
        "s": rng.normal(size=3),
    }

    def forward(p):
        u, v = tower(x1, p["W"], p["b"]), tower(x2, p["W"], 2 * p["b"])
        diff = (u - v) * p["s"]
        return u, v, diff, np.sqrt(np.sum(diff**2, axis=1) + 1e-6)

    def loss(p):
        dist = forward(p)[-1]
        push = np.maximum(margin - dist, 0)
        return np.mean(same * dist**2 + (1 - same) * push**2)

    def grads(p):
        u, v, diff, dist = forward(p)
        ddist = (2 * same * dist - 2 * (1 - same) * np.maximum(margin - dist, 0)) / n
        ddiff = (ddist / dist)[:, None] * diff
        du = ddiff * p["s"]
        dv = -du
        dW = x1.T @ (du * np.cos(x1 @ p["W"])) + x2.T @ (dv * np.cos(x2 @ p["W"]))
        db = du.sum(axis=0) + 2 * dv.sum(axis=0)
        return {"W": dW, "b": db, "s": np.sum(ddiff * (u - v), axis=0)}

    return loss, params, grads


MUTANTS = r"""
accumulation ## tower|np.sin ## + x2.T @ (dv * np.cos(x2 @ p["W"])) ##
sign accumulation local_derivative ## (u - v)|tower ## dv = -du ## dv = du
accumulation scale ## 2 * p["b"]|+ b ## db = du.sum(axis=0) + 2 * dv.sum(axis=0) ## db = du.sum(axis=0) + dv.sum(axis=0)
stale local_derivative ## np.sin ## np.cos(x2 @ p["W"]) ## np.cos(x1 @ p["W"])
accumulation local_derivative ## push ## ddist = (2 * same * dist - 2 * (1 - same) * np.maximum(margin - dist, 0)) / n ## ddist = 2 * same * dist / n
local_derivative scale ## push|np.maximum ## - 2 * (1 - same) ## - (1 - same)
local_derivative ## np.sqrt ## ddiff = (ddist / dist)[:, None] * diff ## ddiff = ddist[:, None] * diff
local_derivative upstream ## * p["s"] ## du = ddiff * p["s"] ## du = ddiff
sign local_derivative ## push|margin ## dist - 2 * (1 - same) ## dist + 2 * (1 - same)
"""
