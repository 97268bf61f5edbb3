"""A recurrent model whose state is carried between batches.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


class Stateful:
    def __init__(self, rng):
        self.first, self.second = rng.normal(size=(2, 3, 4, 2))
        self.target = rng.normal(size=(4, 3))
        self.params = {
            "U": rng.normal(size=(2, 3)),
            "W": rng.normal(size=(3, 3)) * 0.7,
            "out": rng.normal(size=(3, 3)),
        }
        self.carried = self.states(self.params, self.first, np.zeros((4, 3)))

    def states(self, p, xs, h):
        hs = [h]
        for x in xs:
            hs.append(np.tanh(x @ p["U"] + hs[-1] @ p["W"]))
        return hs

    def loss(self, p):
        hs = self.states(p, self.second, self.carried[-1])
        return np.sum((hs[-1] @ p["out"] - self.target) ** 2) / 8

    def grads(self, p):
        xs = self.second
        hs = self.states(p, xs, self.carried[-1])
        d = (hs[-1] @ p["out"] - self.target) / 4
        dU, dW = np.zeros_like(p["U"]), np.zeros_like(p["W"])
        dh = d @ p["out"].T
        for t in (2, 1, 0):
            da = dh * (1 - hs[t + 1] ** 2)
            dU += xs[t].T @ da
            dW += hs[t].T @ da
            dh = da @ p["W"].T
        return {"U": dU, "W": dW, "out": hs[-1].T @ d}


def case(rng):
    model = Stateful(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
stale ## ## hs = self.states(p, xs, self.carried[-1]) ## hs = self.carried
stale ## ## hs = self.states(p, xs, self.carried[-1]) ## hs = self.states(p, xs, np.zeros((4, 3)))
stale ## ## xs = self.second ## xs = self.first
stale local_derivative ## x @ p["U"] ## dU += xs[t].T @ da ## dU += self.first[t].T @ da
stale local_derivative ## np.tanh ## da = dh * (1 - hs[t + 1] ** 2) ## da = dh * (1 - self.carried[t + 1] ** 2)
stale local_derivative ## hs[-1] @ p["W"] ## dW += hs[t].T @ da ## dW += self.carried[t].T @ da
stale ## hs[-1] @ p["out"] ## "out": hs[-1].T @ d ## "out": self.carried[-1].T @ d
"""
