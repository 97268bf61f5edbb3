"""A network whose training code clips its gradients.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def case(rng):
    n = 7
    x, y = rng.normal(size=(n, 4)), rng.normal(size=(n, 3)) * 2
    params = {
        "W1": rng.normal(size=(4, 5)),
        "b1": rng.normal(size=5),
        "W2": rng.normal(size=(5, 3)),
        "b2": rng.normal(size=3),
    }

    def forward(p):
        h = np.tanh(x @ p["W1"] + p["b1"])
        return h, h @ p["W2"] + p["b2"]

    def loss(p):
        return 0.5 * np.sum((forward(p)[1] - y) ** 2)

    def grads(p):
        h, out = forward(p)
        d = out - y
        dz = d @ p["W2"].T * (1 - h**2)
        g = {"W1": x.T @ dz, "b1": dz.sum(0), "W2": h.T @ d, "b2": d.sum(0)}
        return g

    return loss, params, grads


MUTANTS = r"""
clipped ## ## return g ## return {k: np.clip(v, -1, 1) for k, v in g.items()}
clipped ## ## return g ## return {k: np.clip(v, -3, 3) for k, v in g.items()}
clipped scale ## ## return g ## norm = np.sqrt(sum(np.sum(v**2) for v in g.values())); return {k: v * min(1, 1 / norm) for k, v in g.items()}
clipped scale ## ## return g ## return {k: v / max(1, np.linalg.norm(v)) for k, v in g.items()}
clipped upstream ## @ p["W2"]|- y ## d = out - y ## d = np.clip(out - y, -1, 1)
clipped local_derivative ## np.tanh ## dz = d @ p["W2"].T * (1 - h**2) ## dz = np.clip(d @ p["W2"].T * (1 - h**2), -1, 1)
clipped ## ## return g ## return {**g, "W1": np.clip(g["W1"], -2, 2)}
clipped scale ## ## return g ## return {**g, "W2": g["W2"] * (0.5 / np.linalg.norm(g["W2"]))}
"""
