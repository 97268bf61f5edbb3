"""A trainer that keeps the batch, the activations and copies of its weights."""

import numpy as np


class Trainer:
    def __init__(self, batches, p):
        self.batches = batches
        self.slow = {k: 0.9 * v for k, v in p.items()}
        self.last = self.forward(p, *batches[0])

    def forward(self, p, X, y):
        h = np.tanh(X @ p["W1"] + p["b1"])
        return X, y, h, h @ p["W2"]

    def loss(self, p):
        _, y, _, out = self.forward(p, *self.batches[1])
        return 0.5 * np.mean(np.sum((out - y) ** 2, axis=1))

    def gradient(self, p):
        X, y, h, out = self.forward(p, *self.batches[1])
        dout = (out - y) / len(y)
        dW2 = h.T @ dout
        dpre = dout @ p["W2"].T * (1 - h**2)
        return {"W1": X.T @ dpre, "b1": dpre.sum(axis=0), "W2": dW2}


def case(rng):
    N, D, H, K = 6, 3, 4, 2
    batches = [(rng.normal(size=(N, D)), rng.normal(size=(N, K))) for _ in range(2)]
    params = {
        "W1": rng.normal(size=(D, H)),
        "b1": rng.normal(size=H) * 0.4,
        "W2": rng.normal(size=(H, K)),
    }
    trainer = Trainer(batches, params)
    return trainer.loss, params, trainer.gradient


MUTANTS = r"""
stale ## ## dW2 = h.T @ dout ## dW2 = self.last[2].T @ dout
stale ## p["W2"]|h @ ## dpre = dout @ p["W2"].T ## dpre = dout @ self.slow["W2"].T
stale ## ## X, y, h, out = self.forward(p, *self.batches[1])\n        dout ## X, y, h, out = self.last\n        dout
stale ## np.tanh ## * (1 - h**2) ## * (1 - self.last[2] ** 2)
stale ## ## X, y, h, out = self.forward(p, *self.batches[1])\n        dout ## p = self.slow\n        X, y, h, out = self.forward(p, *self.batches[1])\n        dout
stale ## X @ p["W1"] ## return {"W1": X.T @ dpre ## return {"W1": self.last[0].T @ dpre
stale ## out - y ## dout = (out - y) / len(y) ## dout = (out - self.last[1]) / len(y)
"""
