"""A bag of words classifier with an embedding table.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def case(rng):
    V, D, K, B, L = 7, 3, 3, 4, 5
    words = rng.integers(V, size=(B, L))
    words[:, 1] = words[:, 0]
    y = rng.integers(K, size=B)
    params = {
        "E": rng.normal(size=(V, D)),
        "W": rng.normal(size=(D, K)),
        "b": rng.normal(size=K),
        "pos": rng.normal(size=(L, D)),
    }

    def forward(p):
        e = p["E"][words] + p["pos"]
        h = np.tanh(e).mean(axis=1)
        z = h @ p["W"] + p["b"]
        z = z - z.max(axis=1, keepdims=True)
        return e, h, z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    def loss(p):
        return -forward(p)[2][np.arange(B), y].mean()

    def grads(p):
        e, h, logp = forward(p)
        d = np.exp(logp)
        d[np.arange(B), y] -= 1
        d /= B
        dh = d @ p["W"].T
        de = dh[:, None, :] / L * (1 - np.tanh(e) ** 2)
        dE = np.zeros_like(p["E"])
        np.add.at(dE, words, de)
        return {"E": dE, "W": h.T @ d, "b": d.sum(0), "pos": de.sum(0)}

    return loss, params, grads


MUTANTS = r"""
duplicate_index ## p["E"] ## np.add.at(dE, words, de) ## dE[words] += de
duplicate_index ## p["E"] ## np.add.at(dE, words, de) ## dE[words] = de
scale reduction ## .mean(axis=1) ## dh[:, None, :] / L * ## dh[:, None, :] *
local_derivative ## np.tanh ## * (1 - np.tanh(e) ** 2) ## * (1 - e**2)
reduction ## p["pos"] ## "pos": de.sum(0) ## "pos": de.mean(0)
duplicate_index reduction scale ## p["E"] ## np.add.at(dE, words, de) ## np.add.at(dE, words, de / np.bincount(words.ravel(), minlength=V)[words][..., None])
accumulation cross_term ## np.exp(z)|z - np.log|.mean() ## d[np.arange(B), y] -= 1 ## pass
geometry layout ## p["E"] ## np.add.at(dE, words, de) ## np.add.at(dE, (words + 1) % V, de)
"""
