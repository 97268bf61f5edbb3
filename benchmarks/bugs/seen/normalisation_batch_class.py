"""Batch normalisation as a layer between two affine ones."""

import numpy as np


class BatchNorm:
    def __init__(self, eps=1e-2):
        self.eps = eps

    def forward(self, x, gamma, beta):
        self.mu = x.mean(axis=0)
        self.xc = x - self.mu
        self.var = np.mean(self.xc**2, axis=0)
        self.std = np.sqrt(self.var + self.eps)
        self.xn = self.xc / self.std
        self.gamma = gamma
        return gamma * self.xn + beta

    def backward(self, dout):
        n = len(dout)
        dgamma = np.sum(dout * self.xn, axis=0)
        dbeta = np.sum(dout, axis=0)
        dxn = dout * self.gamma
        dxc = dxn / self.std
        dstd = -np.sum(dxn * self.xc, axis=0) / self.std**2
        dvar = 0.5 * dstd / self.std
        dxc = dxc + 2 * self.xc * dvar / n
        dmu = -dxc.sum(axis=0)
        dx = dxc + dmu / n
        return dx, dgamma, dbeta


def case(rng):
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    params = {
        "W1": rng.normal(size=(3, 4)),
        "gamma": 1 + 0.3 * rng.normal(size=4),
        "beta": rng.normal(size=4),
        "W2": rng.normal(size=(4, 2)),
    }

    def forward(p):
        bn = BatchNorm()
        a = np.tanh(bn.forward(x @ p["W1"], p["gamma"], p["beta"]))
        return bn, a, a @ p["W2"]

    def loss(p):
        return np.mean((forward(p)[2] - y) ** 2)

    def grads(p):
        bn, a, out = forward(p)
        d = 2 * (out - y) / y.size
        dx, dgamma, dbeta = bn.backward(d @ p["W2"].T * (1 - a**2))
        return {"W1": x.T @ dx, "gamma": dgamma, "beta": dbeta, "W2": a.T @ d}

    return loss, params, grads


MUTANTS = r"""
cross_term ## self.var|self.std|self.xc|self.mu ## dxc = dxc + 2 * self.xc * dvar / n ## pass
cross_term ## self.mu|self.xc = ## dx = dxc + dmu / n ## dx = dxc
cross_term scale reduction ## self.var = ## dxc = dxc + 2 * self.xc * dvar / n ## dxc = dxc + 2 * self.xc * dvar / (n - 1)
cross_term scale local_derivative ## self.std|self.var ## dvar = 0.5 * dstd / self.std ## dvar = dstd / self.std
local_derivative cross_term ## self.std|self.var ## dvar = 0.5 * dstd / self.std ## dvar = 0.5 * dstd / np.sqrt(self.var)
local_derivative cross_term ## gamma * ## dxn = dout * self.gamma ## dxn = dout
local_derivative ## gamma * ## np.sum(dout * self.xn, axis=0) ## np.sum(dout * self.xc, axis=0)
cross_term sign local_derivative ## self.std|self.xn ## dstd = -np.sum ## dstd = np.sum
reduction scale ## gamma * ## dbeta = np.sum(dout, axis=0) ## dbeta = np.mean(dout, axis=0)
"""
