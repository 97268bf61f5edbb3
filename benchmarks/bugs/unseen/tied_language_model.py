"""A language model whose output layer is its embedding.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


class TiedLM:
    def __init__(self, rng, vocab=6, width=4):
        self.inputs = np.array([[0, 2, 2], [3, 1, 0]])
        self.targets = np.array([[2, 2, 5], [1, 0, 4]])
        self.params = {
            "E": rng.normal(size=(vocab, width)),
            "R": rng.normal(size=(width, width)) * 0.6,
            "bias": rng.normal(size=vocab),
        }

    def forward(self, p):
        h = np.zeros((2, p["E"].shape[1]))
        steps, total = [], 0.0
        for t in range(3):
            before = h
            h = np.tanh(p["E"][self.inputs[:, t]] + before @ p["R"])
            z = h @ p["E"].T + p["bias"]
            lse = np.log(np.sum(np.exp(z), axis=1, keepdims=True))
            total = total - np.sum((z - lse)[np.arange(2), self.targets[:, t]])
            steps.append((before, h, np.exp(z - lse)))
        return total / 6, steps

    def loss(self, p):
        return self.forward(p)[0]

    def grads(self, p):
        _, steps = self.forward(p)
        dE, dR = np.zeros_like(p["E"]), np.zeros_like(p["R"])
        dbias, dh = np.zeros_like(p["bias"]), 0
        for t in (2, 1, 0):
            before, h, prob = steps[t]
            dz = prob / 6
            dz[np.arange(2), self.targets[:, t]] -= 1 / 6
            dbias += dz.sum(axis=0)
            dE += dz.T @ h
            da = (dz @ p["E"] + dh) * (1 - h**2)
            dR += before.T @ da
            np.add.at(dE, self.inputs[:, t], da)
            dh = da @ p["R"].T
        return {"E": dE, "R": dR, "bias": dbias}


def case(rng):
    model = TiedLM(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
accumulation ## h @ p["E"].T|p["E"][self.inputs ## dE += dz.T @ h ## pass
accumulation ## p["E"][self.inputs ## np.add.at(dE, self.inputs[:, t], da) ## pass
accumulation duplicate_index ## p["E"][self.inputs|h @ p["E"].T ## np.add.at(dE, self.inputs[:, t], da) ## dE[self.inputs[:, t]] = da
accumulation ## before @ p["R"]|before = ## (dz @ p["E"] + dh) * ## (dz @ p["E"]) *
accumulation ## h @ p["E"].T ## (dz @ p["E"] + dh) * ## dh *
local_derivative ## before @ p["R"] ## dh = da @ p["R"].T ## dh = da @ p["R"].T * (1 - h**2)
stale local_derivative geometry ## before @ p["R"] ## dR += before.T @ da ## dR += h.T @ da
scale ## ## dE += dz.T @ h ## dE += 6 * dz.T @ h
"""
