"""A tape: each operation appends a closure that sends its gradient back."""

import numpy as np


class Tape:
    def __init__(self):
        self.back = []

    def linear(self, x, w, g, name):
        def back(dy):
            g[name] = g.get(name, 0) + x.T @ dy
            return dy @ w.T

        self.back.append(back)
        return x @ w

    def swish(self, x):
        s = 1 / (1 + np.exp(-x))
        self.back.append(lambda dy: dy * (s + x * s * (1 - s)))
        return x * s

    def centre(self, x):
        self.back.append(lambda dy: dy - dy.mean(axis=1, keepdims=True))
        return x - x.mean(axis=1, keepdims=True)

    def scale(self, x, a, g, name):
        def back(dy):
            g[name] = np.sum(dy * x, axis=0)
            return dy * a

        self.back.append(back)
        return x * a

    def run(self, dy):
        for back in reversed(self.back):
            dy = back(dy)


def case(rng):
    N, D = 5, 4
    X, Y = rng.normal(size=(N, D)), rng.normal(size=(N, D))
    params = {
        "W": rng.normal(size=(D, D)) * 0.6,
        "V": rng.normal(size=(D, D)) * 0.6,
        "a": rng.uniform(0.5, 1.5, size=D),
    }

    def forward(p, tape, g):
        x = tape.swish(tape.linear(X, p["W"], g, "W"))
        x = tape.scale(tape.centre(x), p["a"], g, "a")
        x = tape.swish(tape.linear(x, p["W"], g, "W"))
        return tape.linear(x, p["V"], g, "V")

    def loss(p):
        return np.mean((forward(p, Tape(), {}) - Y) ** 2)

    def grads(p):
        g, tape = {}, Tape()
        out = forward(p, tape, g)
        tape.run(2 * (out - Y) / Y.size)
        return {k: g[k] for k in p}

    return loss, params, grads


MUTANTS = r"""
accumulation ## x @ w ## g[name] = g.get(name, 0) + x.T @ dy ## g[name] = x.T @ dy
cross_term accumulation upstream ## x.mean ## lambda dy: dy - dy.mean(axis=1, keepdims=True) ## lambda dy: dy
local_derivative accumulation upstream ## x * s|np.exp(-x) ## (s + x * s * (1 - s)) ## (s)
upstream accumulation scale local_derivative ## x * a ## return dy * a ## return dy
reduction scale ## np.mean ## tape.run(2 * (out - Y) / Y.size) ## tape.run(2 * (out - Y) / N)
reduction cross_term ## x.mean ## lambda dy: dy - dy.mean(axis=1, keepdims=True) ## lambda dy: dy - dy.mean(axis=0, keepdims=True)
local_derivative ## x * s|np.exp(-x) ## (s + x * s * (1 - s)) ## (s + s * (1 - s))
"""
