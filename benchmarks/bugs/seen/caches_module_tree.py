"""A small mixture of experts with modules in modules."""

import numpy as np


class Affine:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def __call__(self, x):
        self.input = x
        return x @ self.W + self.b

    def backward(self, d):
        self.dW, self.db = self.input.T @ d, d.sum(axis=0)
        return d @ self.W.T


class Expert:
    def __init__(self, p, k):
        self.hidden = Affine(p[f"H{k}"], p[f"h{k}"])
        self.out = Affine(p[f"O{k}"], p[f"o{k}"])

    def __call__(self, x):
        self.act = np.tanh(self.hidden(x))
        return self.out(self.act)

    def backward(self, d):
        return self.hidden.backward(self.out.backward(d) * (1 - self.act**2))


class Mixture:
    def __init__(self, p):
        self.experts = [Expert(p, 0), Expert(p, 1)]
        self.gate = Affine(p["G"], p["g"])

    def __call__(self, x):
        e = np.exp(self.gate(x))
        self.w = e / e.sum(axis=1, keepdims=True)
        self.outs = [expert(x) for expert in self.experts]
        return sum(self.w[:, k : k + 1] * out for k, out in enumerate(self.outs))

    def backward(self, d):
        dw = np.stack([(d * out).sum(axis=1) for out in self.outs], axis=1)
        for k, expert in enumerate(self.experts):
            expert.backward(d * self.w[:, k : k + 1])
        self.gate.backward(self.w * (dw - (self.w * dw).sum(axis=1, keepdims=True)))

    def gradients(self):
        g = {"G": self.gate.dW, "g": self.gate.db}
        for k, expert in enumerate(self.experts):
            g[f"H{k}"], g[f"h{k}"] = expert.hidden.dW, expert.hidden.db
            g[f"O{k}"], g[f"o{k}"] = expert.out.dW, expert.out.db
        return g


def case(rng):
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    params = {"G": rng.normal(size=(3, 2)), "g": rng.normal(size=2)}
    for k in range(2):
        params[f"H{k}"], params[f"h{k}"] = rng.normal(size=(3, 3)), rng.normal(size=3)
        params[f"O{k}"], params[f"o{k}"] = rng.normal(size=(3, 2)), rng.normal(size=2)

    def loss(p):
        return np.sum((Mixture(p)(x) - y) ** 2) / 2

    def grads(p):
        net = Mixture(p)
        net.backward(net(x) - y)
        return net.gradients()

    return loss, params, grads


MUTANTS = r"""
cross_term ## e / e.sum ## self.w * (dw - (self.w * dw).sum(axis=1, keepdims=True)) ## self.w * dw
local_derivative ## np.tanh ## self.out.backward(d) * (1 - self.act**2) ## self.out.backward(d)
upstream local_derivative accumulation ## self.w[:, k ## expert.backward(d * self.w[:, k : k + 1]) ## expert.backward(d)
local_derivative layout ## self.w[:, k ## expert.backward(d * self.w[:, k : k + 1]) ## expert.backward(d * self.w[:, 1 - k : 2 - k])
layout stale ## self.w[:, k ## for out in self.outs], axis=1) ## for out in self.outs[::-1]], axis=1)
layout ## expert(x) ## g[f"O{k}"], g[f"o{k}"] = expert.out.dW, ## g[f"O{k}"], g[f"o{k}"] = self.experts[1 - k].out.dW,
cross_term ## e / e.sum ## self.w * (dw - (self.w * dw).sum(axis=1, keepdims=True)) ## self.w * (1 - self.w) * dw
local_derivative ## np.tanh ## (1 - self.act**2) ## (1 - self.act) ** 2
"""
