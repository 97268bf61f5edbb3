"""A trainer that keeps the forward pass of its last batch.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


class Trainer:
    def __init__(self, rng):
        self.batches = [
            (rng.normal(size=(5, 3)), rng.normal(size=(5, 2))) for _ in "ab"
        ]
        self.params = {
            "W1": rng.normal(size=(3, 4)),
            "b1": rng.normal(size=4),
            "W2": rng.normal(size=(4, 2)),
        }
        self.older = {
            k: v + 0.1 * rng.normal(size=v.shape) for k, v in self.params.items()
        }
        self.last = self.forward(self.params, self.batches[0][0])

    def forward(self, p, x):
        h = np.tanh(x @ p["W1"] + p["b1"])
        return h, h @ p["W2"]

    def loss(self, p):
        x, y = self.batches[1]
        return 0.5 * np.mean((self.forward(p, x)[1] - y) ** 2)

    def grads(self, p):
        x, y = self.batches[1]
        h, out = self.forward(p, x)
        d = (out - y) / y.size
        dz = d @ p["W2"].T * (1 - h**2)
        return {"W1": x.T @ dz, "b1": dz.sum(axis=0), "W2": h.T @ d}


def case(rng):
    model = Trainer(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
stale ## ## h, out = self.forward(p, x) ## h, out = self.last
stale ## np.tanh|x @ p ## h, out = self.forward(p, x) ## h, out = self.last[0], self.forward(p, x)[1]
stale ## ## h, out = self.forward(p, x) ## h, out = self.forward(self.older, x)
stale local_derivative ## x @ p ## return {"W1": x.T @ dz ## return {"W1": self.batches[0][0].T @ dz
stale ## - y|@ p["W2"] ## d = (out - y) / y.size ## d = (out - self.batches[0][1]) / y.size
stale local_derivative ## @ p["W2"] ## dz = d @ p["W2"].T ## dz = d @ self.older["W2"].T
stale local_derivative ## np.tanh ## (1 - h**2) ## (1 - self.last[0] ** 2)
stale ## ## x, y = self.batches[1]\n        h, out ## x, y = self.batches[0]\n        h, out
"""
