"""A gated recurrent unit as a class that keeps what it needs."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class GRU:
    def __init__(self, p):
        self.p = p
        self.cache = []

    def step(self, x, h):
        p = self.p
        z = sigmoid(x @ p["Wz"] + h @ p["Uz"] + p["bz"])
        r = sigmoid(x @ p["Wr"] + h @ p["Ur"] + p["br"])
        n = np.tanh(x @ p["Wn"] + (r * h) @ p["Un"] + p["bn"])
        new = (1 - z) * n + z * h
        self.cache.append((x, h, z, r, n))
        return new

    def back(self, dnew, g):
        p = self.p
        x, h, z, r, n = self.cache.pop()
        dn = dnew * (1 - z)
        dz = dnew * (h - n)
        dh = dnew * z
        dan = dn * (1 - n**2)
        drh = dan @ p["Un"].T
        dr = drh * h
        dh = dh + drh * r
        daz = dz * z * (1 - z)
        dar = dr * r * (1 - r)
        for name, da, inner in (("z", daz, h), ("r", dar, h), ("n", dan, r * h)):
            g["W" + name] += x.T @ da
            g["U" + name] += inner.T @ da
            g["b" + name] += da.sum(axis=0)
        return dh + daz @ p["Uz"].T + dar @ p["Ur"].T


def case(rng):
    T, B, D, H = 4, 3, 3, 4
    xs, y = rng.normal(size=(T, B, D)), rng.normal(size=(B, H))
    params = {}
    for k in "zrn":
        params["W" + k] = rng.normal(size=(D, H)) * 0.7
        params["U" + k] = rng.normal(size=(H, H)) * 0.6
        params["b" + k] = rng.normal(size=H) * 0.3

    def run(p):
        cell, h = GRU(p), np.zeros((B, H))
        for x in xs:
            h = cell.step(x, h)
        return cell, h

    def loss(p):
        return np.mean((run(p)[1] - y) ** 2)

    def grads(p):
        cell, h = run(p)
        g = {k: np.zeros_like(v) for k, v in p.items()}
        dh = 2 * (h - y) / h.size
        for _ in range(T):
            dh = cell.back(dh, g)
        return g

    return loss, params, grads


MUTANTS = r"""
accumulation ## z * h ## dh = dnew * z ## dh = 0
accumulation ## Wz|Uz ## return dh + daz @ p["Uz"].T + dar ## return dh + dar
accumulation ## Wr|Ur ## @ p["Uz"].T + dar @ p["Ur"].T ## @ p["Uz"].T
local_derivative ## new = |r * h ## dh = dh + drh * r ## dh = dh + drh
local_derivative ## np.exp|Wz ## daz = dz * z * (1 - z) ## daz = dz * (1 - z)
sign local_derivative accumulation ## new = ## dz = dnew * (h - n) ## dz = dnew * (n - h)
local_derivative stale ## r * h ## dan, r * h) ## dan, h)
local_derivative ## new = ## dn = dnew * (1 - z) ## dn = dnew * z
partial accumulation geometry ## xs|cell.step|new = |np.tanh ## for _ in range(T): ## for _ in range(T - 1):
"""
