"""Weights dropped, and a stochastic depth.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


class DropConnect:
    def __init__(self, rng):
        self.x, self.y = rng.normal(size=(5, 4)), rng.integers(3, size=5)
        self.mask = (rng.random((4, 4)) < 0.7).astype(float)
        self.survive = np.array([1, 0, 1, 1, 0.0])[:, None]
        self.q = 0.8
        self.params = {
            "W": rng.normal(size=(4, 4)),
            "R": rng.normal(size=(4, 4)),
            "V": rng.normal(size=(4, 3)),
        }

    def forward(self, p):
        h = np.maximum(self.x @ (p["W"] * self.mask / 0.7), 0)
        branch = np.tanh(h @ p["R"])
        out = h + branch * self.survive / self.q
        z = out @ p["V"]
        return h, branch, out, z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    def loss(self, p):
        return -np.mean(self.forward(p)[-1][np.arange(5), self.y])

    def grads(self, p):
        h, branch, out, logp = self.forward(p)
        dz = np.exp(logp)
        dz[np.arange(5), self.y] -= 1
        dz = dz / 5
        dout = dz @ p["V"].T
        dbranch = dout * self.survive / self.q * (1 - branch**2)
        dh = dout + dbranch @ p["R"].T
        dh = dh * (h > 0)
        dW = (self.x.T @ dh) * self.mask / 0.7
        return {"W": dW, "R": h.T @ dbranch, "V": out.T @ dz}


def case(rng):
    model = DropConnect(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
mask ## self.mask / 0.7 ## (self.x.T @ dh) * self.mask / 0.7 ## (self.x.T @ dh) / 0.7
scale ## self.mask / 0.7 ## (self.x.T @ dh) * self.mask / 0.7 ## (self.x.T @ dh) * self.mask
scale local_derivative upstream ## self.survive / self.q ## dout * self.survive / self.q * ## dout * self.survive *
mask partial local_derivative ## self.survive / self.q ## dout * self.survive / self.q * ## dout / self.q *
scale local_derivative ## self.mask / 0.7 ## (self.x.T @ dh) * self.mask / 0.7 ## (self.x.T @ dh) * self.mask / 0.3
accumulation ## h + branch ## dh = dout + dbranch @ p["R"].T ## dh = dbranch @ p["R"].T
mask local_derivative ## np.maximum ## dh = dh * (h > 0) ## dh = dh * (dh > 0)
"""
