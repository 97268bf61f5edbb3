"""A layer that is used twice, with a stack of caches.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


class Block:
    def __init__(self):
        self.saved = []

    def forward(self, x, p):
        z = x @ p["W"] + p["b"]
        s = 1 / (1 + np.exp(-z))
        self.saved.append((x, z, s))
        return z * s

    def backward(self, d, p, g):
        x, z, s = self.saved.pop()
        dz = d * (s + z * s * (1 - s))
        g["W"] += x.T @ dz
        g["b"] += dz.sum(axis=0)
        return dz @ p["W"].T


def case(rng):
    x, y = rng.normal(size=(5, 3)), rng.normal(size=5)
    params = {
        "W": rng.normal(size=(3, 3)),
        "b": rng.normal(size=3),
        "v": rng.normal(size=3),
    }

    def run(p):
        block = Block()
        h1 = block.forward(x, p)
        h2 = block.forward(h1, p)
        h3 = block.forward(h2 + h1, p)
        return block, h3

    def loss(p):
        return np.mean((run(p)[1] @ p["v"] - y) ** 2)

    def grads(p):
        block, h3 = run(p)
        g = {k: np.zeros_like(v) for k, v in p.items()}
        e = 2 * (h3 @ p["v"] - y) / len(y)
        g["v"] += h3.T @ e
        d3 = block.backward(np.outer(e, p["v"]), p, g)
        d1 = block.backward(d3, p, g) + d3
        block.backward(d1, p, g)
        return g

    return loss, params, grads


MUTANTS = r"""
stale local_derivative ## x @ p["W"]|z * s ## x, z, s = self.saved.pop() ## x, z, s = self.saved[-1]
stale local_derivative layout ## x @ p["W"]|z * s ## x, z, s = self.saved.pop() ## x, z, s = self.saved.pop(0)
accumulation ## h2 + h1 ## d1 = block.backward(d3, p, g) + d3 ## d1 = block.backward(d3, p, g)
accumulation ## x @ p["W"] ## g["W"] += x.T @ dz ## g["W"] = x.T @ dz
accumulation local_derivative ## z * s|1 / (1 ## dz = d * (s + z * s * (1 - s)) ## dz = d * s
local_derivative ## z * s|1 / (1 ## dz = d * (s + z * s * (1 - s)) ## dz = d * (s + s * (1 - s))
accumulation ## block.forward(h2|h2 + h1 ## d1 = block.backward(d3, p, g) + d3 ## d1 = d3
layout ## x @ p["W"] ## return dz @ p["W"].T ## return dz @ p["W"]
"""
