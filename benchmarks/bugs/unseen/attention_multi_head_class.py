"""Self-attention of several heads as a layer with a cache.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


class MultiHead:
    def __init__(self, heads):
        self.heads = heads

    def split(self, z):
        b, t, d = z.shape
        return z.reshape(b, t, self.heads, d // self.heads).transpose(0, 2, 1, 3)

    def join(self, z):
        b, h, t, d = z.shape
        return z.transpose(0, 2, 1, 3).reshape(b, t, h * d)

    def forward(self, x, p):
        self.x = x
        self.q, self.k, self.v = (self.split(x @ p[n]) for n in ("Wq", "Wk", "Wv"))
        s = self.q @ self.k.transpose(0, 1, 3, 2) * self.q.shape[-1] ** -0.5
        e = np.exp(s - s.max(-1, keepdims=True))
        self.a = e / e.sum(-1, keepdims=True)
        self.o = self.join(self.a @ self.v)
        return self.o @ p["Wo"] + p["bo"]

    def backward(self, dy, p):
        g = {}
        g["Wo"] = np.einsum("bti,btj->ij", self.o, dy)
        g["bo"] = dy.sum(axis=(0, 1))
        do = self.split(dy @ p["Wo"].T)
        dv = self.a.transpose(0, 1, 3, 2) @ do
        da = do @ self.v.transpose(0, 1, 3, 2)
        ds = self.a * (da - np.sum(da * self.a, -1, keepdims=True))
        ds = ds * self.q.shape[-1] ** -0.5
        dq = ds @ self.k
        dk = ds.transpose(0, 1, 3, 2) @ self.q
        for name, d in (("Wq", dq), ("Wk", dk), ("Wv", dv)):
            g[name] = np.einsum("bti,btj->ij", self.x, self.join(d))
        return g


def case(rng):
    x, y = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 3))
    params = {k: rng.normal(size=(4, 4)) for k in ("Wq", "Wk", "Wv")}
    params["Wo"], params["bo"] = rng.normal(size=(4, 3)), rng.normal(size=3)

    def loss(p):
        return np.mean((MultiHead(2).forward(x, p) - y) ** 2)

    def grads(p):
        layer = MultiHead(2)
        out = layer.forward(x, p)
        return layer.backward(2 * (out - y) / out.size, p)

    return loss, params, grads


MUTANTS = r"""
scale local_derivative ## s = self.q ## ds = ds * self.q.shape[-1] ** -0.5 ## ds = ds * self.x.shape[-1] ** -0.5
layout ## z.transpose|z.reshape|self.join ## self.join(d)) ## d.reshape(self.x.shape))
layout ## self.join(self.a ## do = self.split(dy @ p["Wo"].T) ## do = (dy @ p["Wo"].T).reshape(self.q.shape)
cross_term ## e / e.sum ## ds = self.a * (da - np.sum(da * self.a, -1, keepdims=True)) ## ds = self.a * (1 - self.a) * da
reduction cross_term ## e / e.sum ## np.sum(da * self.a, -1, keepdims=True) ## np.mean(da * self.a, -1, keepdims=True)
reduction partial ## p["bo"] ## dy.sum(axis=(0, 1)) ## dy.sum(axis=0)[0]
local_derivative layout ## s = self.q ## dq = ds @ self.k ## dq = ds @ self.v
layout accumulation ## for n in|z.reshape|z.transpose ## (("Wq", dq), ("Wk", dk), ## (("Wq", dk), ("Wk", dq),
layout ## self.o @ p ## self.split(dy @ p["Wo"].T) ## self.split((dy @ p["Wo"].T)[..., ::-1])
"""
