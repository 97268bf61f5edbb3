"""Channels dropped, at scale p in training without inversion."""

import numpy as np


def drop(h, channel_mask, rate):
    return h * channel_mask[:, :, None] * (1 / (1 - rate))


def drop_back(d, channel_mask, rate):
    return d * channel_mask[:, :, None] * (1 / (1 - rate))


def case(rng):
    n, c, s, rate = 4, 5, 3, 0.4
    x, y = rng.normal(size=(n, 2, s)), rng.normal(size=n)
    k1 = (rng.random((n, c)) > rate).astype(float)
    k2 = (rng.random((n, c)) > rate).astype(float)
    params = {
        "A": rng.normal(size=(2, c)),
        "B": rng.normal(size=(c, c)) * 0.6,
        "v": rng.normal(size=c),
    }

    def forward(p):
        h1 = np.sin(np.einsum("nis,ic->ncs", x, p["A"]))
        g1 = drop(h1, k1, rate)
        h2 = np.arctan(np.einsum("ncs,cd->nds", g1, p["B"]))
        g2 = drop(h2, k2, rate)
        return g1, g2, np.einsum("ncs,c->n", g2, p["v"]) / s

    def loss(p):
        return np.mean((forward(p)[-1] - y) ** 2)

    def grads(p):
        g1, g2, out = forward(p)
        e = 2 * (out - y) / n / s
        dg2 = e[:, None, None] * p["v"][None, :, None] * np.ones((1, 1, s))
        dh2 = drop_back(dg2, k2, rate)
        z2 = np.einsum("ncs,cd->nds", g1, p["B"])
        dz2 = dh2 / (1 + z2**2)
        dg1 = np.einsum("nds,cd->ncs", dz2, p["B"])
        dz1 = drop_back(dg1, k1, rate) * np.cos(np.einsum("nis,ic->ncs", x, p["A"]))
        return {
            "A": np.einsum("nis,ncs->ic", x, dz1),
            "B": np.einsum("ncs,nds->cd", g1, dz2),
            "v": np.einsum("n,ncs->c", e, g2),
        }

    return loss, params, grads


MUTANTS = r"""
scale local_derivative ## drop|h * channel ## return d * channel_mask[:, :, None] * (1 / (1 - rate)) ## return d * channel_mask[:, :, None]
mask local_derivative ## drop|h * channel ## return d * channel_mask[:, :, None] * (1 / (1 - rate)) ## return d * (1 / (1 - rate))
scale local_derivative ## drop|h * channel ## return d * channel_mask[:, :, None] * (1 / (1 - rate)) ## return d * channel_mask[:, :, None] * (1 / rate)
mask stale local_derivative ## drop|h * channel ## drop_back(dg1, k1, rate) ## drop_back(dg1, k2, rate)
local_derivative ## np.arctan ## dz2 = dh2 / (1 + z2**2) ## dz2 = dh2 / np.sqrt(1 + z2**2)
scale reduction ## / s ## e = 2 * (out - y) / n / s ## e = 2 * (out - y) / n
mask local_derivative ## drop|h * channel ## dh2 = drop_back(dg2, k2, rate) ## dh2 = dg2
"""
