"""Layers as classes with caches, put together in a list.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


class Linear:
    def __init__(self, name):
        self.name = name

    def forward(self, x, p):
        self.x, self.W = x, p[self.name + ".W"]
        return x @ self.W + p[self.name + ".b"]

    def backward(self, d, g):
        g[self.name + ".W"] = self.x.T @ d
        g[self.name + ".b"] = d.sum(axis=0)
        return d @ self.W.T


class Softplus:
    def forward(self, x, p):
        self.x = x
        return np.log(1 + np.exp(x))

    def backward(self, d, g):
        return d / (1 + np.exp(-self.x))


class Normalize:
    def forward(self, x, p):
        self.norm = np.sqrt(np.sum(x**2, axis=1, keepdims=True))
        self.u = x / self.norm
        return self.u

    def backward(self, d, g):
        along = np.sum(self.u * d, axis=1, keepdims=True)
        return (d - self.u * along) / self.norm


class Net:
    def __init__(self):
        self.layers = [
            Linear("one"),
            Softplus(),
            Linear("two"),
            Normalize(),
            Linear("top"),
        ]

    def loss(self, p, x, y):
        for layer in self.layers:
            x = layer.forward(x, p)
        self.e = x - y
        return 0.5 * np.sum(self.e**2) / len(y)

    def backward(self):
        g, d = {}, self.e / len(self.e)
        for layer in reversed(self.layers):
            d = layer.backward(d, g)
        return g


def case(rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    params = {}
    for name, i, o in (("one", 3, 4), ("two", 4, 3), ("top", 3, 2)):
        params[name + ".W"] = rng.normal(size=(i, o))
        params[name + ".b"] = rng.normal(size=o)

    def loss(p):
        return Net().loss(p, x, y)

    def grads(p):
        net = Net()
        net.loss(p, x, y)
        return net.backward()

    return loss, params, grads


MUTANTS = r"""
local_derivative ## np.log(1 ## return d / (1 + np.exp(-self.x)) ## return d / (1 + np.exp(self.x))
local_derivative ## np.log(1 ## return d / (1 + np.exp(-self.x)) ## return d
cross_term ## x / self.norm|self.norm = ## return (d - self.u * along) / self.norm ## return d / self.norm
local_derivative ## x / self.norm|self.norm = ## return (d - self.u * along) / self.norm ## return d - self.u * along
stale local_derivative cross_term ## x / self.norm|self.norm = ## self.u * d, axis=1, keepdims=True ## self.norm * self.u * d, axis=1, keepdims=True
reduction ## x @ self.W ## = d.sum(axis=0) ## = d.mean(axis=0)
scale reduction ## / len(y) ## self.e / len(self.e) ## self.e / self.e.size
cross_term reduction ## x / self.norm|self.norm = ## along = np.sum(self.u * d, axis=1, keepdims=True) ## along = np.sum(self.u * d, axis=0, keepdims=True)
"""
