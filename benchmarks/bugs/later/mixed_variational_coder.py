"""A variational coder with fixed noise, layers that keep what they saw."""

import numpy as np


class Dense:
    def __init__(self, name):
        self.name, self.seen = name, None

    def forward(self, p, x):
        self.seen = x
        return x @ p[self.name + "_w"] + p[self.name + "_b"]

    def backward(self, p, g, d):
        g[self.name + "_w"] = self.seen.T @ d
        g[self.name + "_b"] = d.sum(axis=0)
        return d @ p[self.name + "_w"].T


class Coder:
    def __init__(self, rng, n=6, wide=5, code=3):
        self.x, self.noise = rng.normal(size=(n, wide)), rng.normal(size=(n, code))
        self.layers = {k: Dense(k) for k in ("enc", "mean", "logvar", "dec", "out")}
        sizes = {"enc": (wide, 4), "mean": (4, code), "logvar": (4, code)}
        sizes |= {"dec": (code, 4), "out": (4, wide)}
        self.params = {}
        for k, shape in sizes.items():
            self.params[k + "_w"] = 0.5 * rng.normal(size=shape)
            self.params[k + "_b"] = 0.1 * rng.normal(size=shape[1])

    def forward(self, p):
        on = self.layers
        self.h = np.tanh(on["enc"].forward(p, self.x))
        self.mu = on["mean"].forward(p, self.h)
        self.lv = on["logvar"].forward(p, self.h)
        self.std = np.exp(0.5 * self.lv)
        self.z = self.mu + self.std * self.noise
        self.d = np.tanh(on["dec"].forward(p, self.z))
        self.y = on["out"].forward(p, self.d)

    def loss(self, p):
        self.forward(p)
        n = len(self.x)
        fit = 0.5 * np.sum((self.y - self.x) ** 2) / n
        kl = 0.5 * np.sum(np.exp(self.lv) + self.mu**2 - 1 - self.lv) / n
        return fit + kl

    def grads(self, p):
        self.forward(p)
        g, n, on = {}, len(self.x), self.layers
        dy = (self.y - self.x) / n
        dd = on["out"].backward(p, g, dy) * (1 - self.d**2)
        dz = on["dec"].backward(p, g, dd)
        dmu = dz + self.mu / n
        dlv = dz * self.noise * 0.5 * self.std + 0.5 * (np.exp(self.lv) - 1) / n
        dh = on["mean"].backward(p, g, dmu)
        dh = dh + on["logvar"].backward(p, g, dlv)
        on["enc"].backward(p, g, dh * (1 - self.h**2))
        return g


def case(rng):
    model = Coder(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
local_derivative scale ## np.exp(0.5 * self.lv) ## dz * self.noise * 0.5 * self.std ## dz * self.noise * self.std
local_derivative ## np.exp(0.5 * self.lv)|self.std * self.noise ## dz * self.noise * 0.5 * self.std ## dz * self.noise * 0.5 * np.exp(self.lv)
accumulation ## self.mu**2 ## dmu = dz + self.mu / n ## dmu = dz
sign accumulation local_derivative ## np.exp(self.lv) + self.mu ## 0.5 * (np.exp(self.lv) - 1) / n ## 0.5 * (1 - np.exp(self.lv)) / n
accumulation ## self.h) ## dh = dh + on["logvar"] ## dh = on["logvar"]
local_derivative accumulation ## np.exp(self.lv) + self.mu ## 0.5 * (np.exp(self.lv) - 1) / n ## 0.5 * np.exp(self.lv) / n
local_derivative upstream ## self.noise ## dlv = dz * self.noise * 0.5 ## dlv = dz * 0.5
stale local_derivative layout ## on["dec"]|on["out"] ## self.d = np.tanh(on["dec"].forward(p, self.z)) ## self.d = np.tanh(on["dec"].forward(p, self.mu)) if 0 else np.tanh(on["dec"].forward(p, self.z)); on["dec"].seen = self.mu
local_derivative ## np.tanh(on["enc"] ## dh * (1 - self.h**2) ## dh * (1 - self.h) ** 2
scale reduction ## fit = ## dy = (self.y - self.x) / n ## dy = (self.y - self.x) / self.x.size
"""
