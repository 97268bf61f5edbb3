"""A small framework whose layers keep what they saw; one layer is used twice."""

import numpy as np


class Linear:
    def __init__(self, name):
        self.name = name
        self.seen = []

    def forward(self, p, x):
        self.seen.append(x)
        return x @ p[self.name + ".w"] + p[self.name + ".b"]

    def backward(self, p, g, grad):
        x = self.seen.pop()
        grad[self.name + ".w"] += x.T @ g
        grad[self.name + ".b"] += g.sum(axis=0)
        return g @ p[self.name + ".w"].T


class Softplus:
    def __init__(self):
        self.seen = []

    def forward(self, p, x):
        self.seen.append(x)
        return np.logaddexp(0, x)

    def backward(self, p, g, grad):
        return g / (1 + np.exp(-self.seen.pop()))


class Scale:
    def __init__(self):
        self.seen = []

    def forward(self, p, x):
        self.seen.append(x)
        return x * p["scale"]

    def backward(self, p, g, grad):
        x = self.seen.pop()
        grad["scale"] += np.sum(g * x, axis=0)
        return g * p["scale"]


def case(rng):
    X, Y = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    params = {"scale": rng.normal(size=3)}
    for name in ("shared", "last"):
        params[name + ".w"] = rng.normal(size=(3, 3)) * 0.6
        params[name + ".b"] = rng.normal(size=3) * 0.1

    def network():
        shared, last = Linear("shared"), Linear("last")
        return [shared, Softplus(), Scale(), shared, Softplus(), last]

    def loss(p):
        h = X
        for layer in network():
            h = layer.forward(p, h)
        return 0.5 * np.mean((h - Y) ** 2)

    def grads(p):
        layers, h = network(), X
        for layer in layers:
            h = layer.forward(p, h)
        g = (h - Y) / Y.size
        grad = {name: np.zeros_like(value) for name, value in p.items()}
        for layer in reversed(layers):
            g = layer.backward(p, g, grad)
        return grad

    return loss, params, grads


MUTANTS = r"""
stale ## x @ p[self.name + ".w"] ## x = self.seen.pop()\n        grad[self.name + ".w"] ## x = self.seen[-1]\n        grad[self.name + ".w"]
stale ## x @ p[self.name + ".w"] ## x = self.seen.pop()\n        grad[self.name + ".w"] ## x = self.seen.pop(0)\n        grad[self.name + ".w"]
accumulation ## x @ p[self.name + ".w"] ## grad[self.name + ".w"] += x.T @ g ## grad[self.name + ".w"] = x.T @ g
upstream local_derivative accumulation ## x * p["scale"] ## return g * p["scale"] ## return g
layout ## x @ p[self.name + ".w"] ## return g @ p[self.name + ".w"].T ## return g @ p[self.name + ".w"]
local_derivative ## np.logaddexp ## g / (1 + np.exp(-self.seen.pop())) ## g / (1 + np.exp(self.seen.pop()))
reduction scale ## p[self.name + ".b"] ## grad[self.name + ".b"] += g.sum(axis=0) ## grad[self.name + ".b"] += g.mean(axis=0)
"""
