"""A Dice loss for masks and a triplet loss for embeddings.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def case(rng):
    x, m = rng.normal(size=(6, 4)), (rng.random((6, 3)) < 0.5).astype(float)
    a, b, c = rng.normal(size=(3, 5, 4))
    margin = 1.0
    params = {"W": rng.normal(size=(4, 3)), "P": rng.normal(size=(4, 2))}

    def dice(p):
        s = 1 / (1 + np.exp(-(x @ p["W"])))
        inter = np.sum(s * m, axis=0)
        size = np.sum(s, axis=0) + np.sum(m, axis=0)
        return s, inter, size, 1 - np.mean((2 * inter + 1) / (size + 1))

    def triplet(p):
        ea, eb, ec = a @ p["P"], b @ p["P"], c @ p["P"]
        dp = np.sum((ea - eb) ** 2, axis=1)
        dn = np.sum((ea - ec) ** 2, axis=1)
        gap = dp - dn + margin
        return ea, eb, ec, gap, np.mean(np.maximum(gap, 0))

    def loss(p):
        return dice(p)[-1] + 0.5 * triplet(p)[-1]

    def grads(p):
        s, inter, size, _ = dice(p)
        k = s.shape[1]
        dinter = -2 / (size + 1) / k
        dsize = (2 * inter + 1) / (size + 1) ** 2 / k
        ds = dinter * m + dsize
        dW = x.T @ (ds * s * (1 - s))
        ea, eb, ec, gap, _ = triplet(p)
        active = 0.5 * (gap > 0)[:, None] / len(gap)
        dea = active * 2 * ((ea - eb) - (ea - ec))
        deb = active * 2 * (eb - ea)
        dec = active * 2 * (ea - ec)
        return {"W": dW, "P": a.T @ dea + b.T @ deb + c.T @ dec}

    return loss, params, grads


MUTANTS = r"""
accumulation cross_term ## size = |np.mean((2 ## ds = dinter * m + dsize ## ds = dinter * m
local_derivative ## / (size ## (2 * inter + 1) / (size + 1) ** 2 / k ## (2 * inter + 1) / (size + 1) / k
scale local_derivative ## 2 * inter ## dinter = -2 / (size + 1) / k ## dinter = -1 / (size + 1) / k
scale reduction ## np.mean((2 ## dinter = -2 / (size + 1) / k ## dinter = -2 / (size + 1)
mask local_derivative ## np.maximum ## active = 0.5 * (gap > 0)[:, None] / len(gap) ## active = 0.5 * np.ones((len(gap), 1)) / len(gap)
accumulation ## dn = |ec ## + c.T @ dec} ## }
accumulation sign local_derivative ## dn = |(ea - ec) ## dec = active * 2 * (ea - ec) ## dec = active * 2 * (ec - ea)
local_derivative ## s = 1 ## ds * s * (1 - s) ## ds * s
scale upstream ## 0.5 * triplet ## active = 0.5 * (gap ## active = (gap
"""
