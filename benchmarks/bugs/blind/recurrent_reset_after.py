"""A gated recurrent unit as a class, the reset gate behind the product."""

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


class GRU:
    def __init__(self, D, H):
        self.D, self.H = D, H

    def forward(self, p, xs, h0):
        h, self.saved, hs = h0, [], []
        for x in xs:
            gx, gh = p["Wx"] @ x + p["b"], p["Wh"] @ h
            H = self.H
            z = sigmoid(gx[:H] + gh[:H])
            r = sigmoid(gx[H : 2 * H] + gh[H : 2 * H])
            n = np.tanh(gx[2 * H :] + r * gh[2 * H :])
            new = (1 - z) * n + z * h
            self.saved.append((x, h, z, r, n, gh[2 * H :]))
            h = new
            hs.append(h)
        return hs

    def backward(self, p, dhs):
        g = {k: np.zeros_like(p[k]) for k in ("Wx", "Wh", "b")}
        dnext = np.zeros(self.H)
        for t in range(len(dhs) - 1, -1, -1):
            x, h, z, r, n, ghn = self.saved[t]
            dh = dhs[t] + dnext
            dz = dh * (h - n)
            dn = dh * (1 - z)
            dan = dn * (1 - n**2)
            dr = dan * ghn
            daz = dz * z * (1 - z)
            dar = dr * r * (1 - r)
            dgx = np.concatenate([daz, dar, dan])
            dgh = np.concatenate([daz, dar, dan * r])
            g["Wx"] += np.outer(dgx, x)
            g["b"] += dgx
            g["Wh"] += np.outer(dgh, h)
            dnext = dh * z + p["Wh"].T @ dgh
        g["h0"] = dnext
        return g


def case(rng):
    T, D, H = 4, 3, 2
    xs, ys = rng.normal(size=(T, D)), rng.normal(size=T)
    net = GRU(D, H)
    params = {
        "Wx": rng.normal(size=(3 * H, D)) * 0.6,
        "Wh": rng.normal(size=(3 * H, H)) * 0.6,
        "b": rng.normal(size=3 * H) * 0.3,
        "h0": rng.normal(size=H) * 0.4,
        "v": rng.normal(size=H),
    }

    def loss(p):
        hs = net.forward(p, xs, p["h0"])
        return sum((p["v"] @ h - y) ** 2 for h, y in zip(hs, ys)) / T

    def grads(p):
        hs = net.forward(p, xs, p["h0"])
        errs = [2 * (p["v"] @ h - y) / T for h, y in zip(hs, ys)]
        g = net.backward(p, [e * p["v"] for e in errs])
        g["v"] = sum(e * h for e, h in zip(errs, hs))
        return g

    return loss, params, grads


MUTANTS = r"""
local_derivative accumulation upstream ## r * gh[2 ## dgh = np.concatenate([daz, dar, dan * r]) ## dgh = np.concatenate([daz, dar, dan])
sign ## (1 - z) * n ## dz = dh * (h - n) ## dz = dh * (n - h)
accumulation upstream ## z * h ## dnext = dh * z + p["Wh"].T @ dgh ## dnext = p["Wh"].T @ dgh
accumulation upstream ## p["Wh"] @ h ## dnext = dh * z + p["Wh"].T @ dgh ## dnext = dh * z
local_derivative ## np.tanh ## dan = dn * (1 - n**2) ## dan = dn * (1 - n)
local_derivative stale ## (1 - z) * n ## dn = dh * (1 - z) ## dn = dh * z
accumulation partial ## p["Wx"] @ x ## g["b"] += dgx ## g["b"] = dgx
"""
