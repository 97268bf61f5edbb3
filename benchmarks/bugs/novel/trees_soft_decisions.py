"""A soft decision tree: every inner node is a gate, every leaf a prediction."""

import numpy as np


class Node:
    def __init__(self, depth, name, params, rng, inputs):
        self.name, self.leaf = name, depth == 0
        if self.leaf:
            params[name] = rng.normal(size=2)
            return
        params[name] = rng.normal(size=inputs + 1)
        self.left = Node(depth - 1, name + "L", params, rng, inputs)
        self.right = Node(depth - 1, name + "R", params, rng, inputs)

    def predict(self, p, x):
        if self.leaf:
            return p[self.name] * np.ones((len(x), 1))
        score = x @ p[self.name][:-1] + p[self.name][-1]
        go = (1 / (1 + np.exp(-score)))[:, None]
        return go * self.left.predict(p, x) + (1 - go) * self.right.predict(p, x)

    def backward(self, p, x, dout, g):
        if self.leaf:
            g[self.name] = dout.sum(axis=0)
            return
        score = x @ p[self.name][:-1] + p[self.name][-1]
        go = 1 / (1 + np.exp(-score))
        apart = self.left.predict(p, x) - self.right.predict(p, x)
        dgo = np.sum(dout * apart, axis=1)
        dscore = dgo * go * (1 - go)
        g[self.name] = np.append(x.T @ dscore, dscore.sum())
        self.left.backward(p, x, dout * go[:, None], g)
        self.right.backward(p, x, dout * (1 - go)[:, None], g)


def case(rng):
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    params = {}
    root = Node(2, "n", params, rng, 3)

    def loss(p):
        return np.mean(np.sum((root.predict(p, x) - y) ** 2, axis=1))

    def grads(p):
        g = {}
        root.backward(p, x, 2 * (root.predict(p, x) - y) / len(x), g)
        return g

    return loss, params, grads


MUTANTS = r"""
local_derivative upstream ## go * self.left ## dout * (1 - go)[:, None] ## dout * go[:, None]
local_derivative ## go = ## dscore = dgo * go * (1 - go) ## dscore = dgo * go
sign ## go * self.left ## self.left.predict(p, x) - self.right.predict(p, x) ## self.right.predict(p, x) - self.left.predict(p, x)
reduction ## p[self.name] * np.ones|return p[self.name] ## g[self.name] = dout.sum(axis=0) ## g[self.name] = dout.mean(axis=0)
scale ## np.mean(np.sum ## / len(x), g) ## / y.size, g)
layout partial ## x @ p[self.name] ## np.append(x.T @ dscore, dscore.sum()) ## np.append(dscore.sum(), x.T @ dscore)
accumulation upstream partial ## go * self.left ## dgo = np.sum(dout * apart, axis=1) ## dgo = np.sum(dout * self.left.predict(p, x), axis=1)
"""
