"""A recurrent network with clipping between its steps."""

import numpy as np


class Recurrent:
    def __init__(self, rng):
        self.x, self.y = rng.normal(size=(5, 4, 2)), rng.normal(size=4)
        self.params = {
            "U": rng.normal(size=(2, 3)),
            "W": rng.normal(size=(3, 3)),
            "v": rng.normal(size=3) * 2,
        }

    def forward(self, p):
        hs = [np.zeros((4, 3))]
        for x in self.x:
            hs.append(np.tanh(x @ p["U"] + hs[-1] @ p["W"]))
        return hs, hs[-1] @ p["v"] - self.y

    def loss(self, p):
        return np.sum(self.forward(p)[1] ** 2)

    def grads(self, p):
        hs, e = self.forward(p)
        g = {k: np.zeros_like(v) for k, v in p.items()}
        g["v"] += 2 * hs[-1].T @ e
        dh = 2 * np.outer(e, p["v"])
        for t in range(4, -1, -1):
            da = dh * (1 - hs[t + 1] ** 2)
            g["U"] += self.x[t].T @ da
            g["W"] += hs[t].T @ da
            dh = da @ p["W"].T
        return g


def case(rng):
    model = Recurrent(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
clipped ## ## return g ## return {k: np.clip(v, -0.5, 0.5) for k, v in g.items()}
clipped scale ## ## return g ## n = np.sqrt(sum((v**2).sum() for v in g.values())); return {k: v * 0.25 / max(n, 0.25) for k, v in g.items()}
clipped ## hs[-1] @ p["W"] ## dh = da @ p["W"].T ## dh = np.clip(da @ p["W"].T, -0.5, 0.5)
clipped ## p["v"] ## dh = 2 * np.outer(e, p["v"]) ## dh = np.clip(2 * np.outer(e, p["v"]), -1, 1)
clipped ## ## return g ## return {k: np.maximum(v, -0.2) for k, v in g.items()}
clipped scale ## ## return g ## return {k: v * min(1, 1 / np.linalg.norm(v)) for k, v in g.items()}
clipped ## p["v"] ## g["v"] += 2 * hs[-1].T @ e ## g["v"] += np.clip(2 * hs[-1].T @ e, -0.3, 0.3)
"""
