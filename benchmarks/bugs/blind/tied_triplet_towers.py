"""Three copies of one tower, embeddings of length one, triplets with a margin."""

import numpy as np


def case(rng):
    N, D, H, E, margin = 5, 4, 4, 3, 0.6
    A, P, Q = (rng.normal(size=(N, D)) for _ in range(3))
    params = {"W1": rng.normal(size=(D, H)) * 0.7, "W2": rng.normal(size=(H, E))}

    def tower(p, x):
        h = np.tanh(x @ p["W1"])
        o = h @ p["W2"]
        length = np.sqrt(np.sum(o**2, axis=1, keepdims=True))
        return x, h, length, o / length

    def tower_back(p, saved, de, g):
        x, h, length, e = saved
        do = (de - e * np.sum(e * de, axis=1, keepdims=True)) / length
        g["W2"] += h.T @ do
        g["W1"] += x.T @ (do @ p["W2"].T * (1 - h**2))

    def hinge(p):
        a, b, c = tower(p, A), tower(p, P), tower(p, Q)
        near = np.sum((a[-1] - b[-1]) ** 2, axis=1)
        far = np.sum((a[-1] - c[-1]) ** 2, axis=1)
        return a, b, c, np.maximum(0, near - far + margin)

    def loss(p):
        return np.mean(hinge(p)[-1])

    def grads(p):
        a, b, c, over = hinge(p)
        active = (over > 0)[:, None] / N
        dnear = 2 * (a[-1] - b[-1]) * active
        dfar = -2 * (a[-1] - c[-1]) * active
        g = {k: np.zeros_like(v) for k, v in p.items()}
        tower_back(p, a, dnear + dfar, g)
        tower_back(p, b, -dnear, g)
        tower_back(p, c, -dfar, g)
        return g

    return loss, params, grads


MUTANTS = r"""
accumulation upstream ## ## tower_back(p, c, -dfar, g) ## pass
cross_term accumulation upstream ## length ## do = (de - e * np.sum(e * de, axis=1, keepdims=True)) / length ## do = de / length
local_derivative scale ## length ## * de, axis=1, keepdims=True)) / length ## * de, axis=1, keepdims=True))
mask local_derivative ## np.maximum ## active = (over > 0)[:, None] / N ## active = 1 / N
sign ## a[-1] - c[-1]|a[-1] - b[-1] ## tower_back(p, b, -dnear, g) ## tower_back(p, b, dnear, g)
accumulation partial stale ## h @ p["W2"] ## g["W2"] += h.T @ do ## g["W2"] = h.T @ do
accumulation upstream ## a[-1] - c[-1] ## tower_back(p, a, dnear + dfar, g) ## tower_back(p, a, dnear, g)
"""
