"""Causal attention with a mask and a feed-forward block.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def masked_softmax(s, mask):
    s = np.where(mask, s, -1e9)
    s = s - np.max(s, axis=1, keepdims=True)
    e = np.exp(s)
    return e / np.sum(e, axis=1, keepdims=True)


def masked_softmax_back(da, a):
    return a * (da - np.sum(da * a, axis=1, keepdims=True))


def case(rng):
    T, D = 5, 3
    x = rng.normal(size=(T, D))
    y = rng.integers(D, size=T)
    mask = np.tril(np.ones((T, T), dtype=bool))
    params = {k: rng.normal(size=(D, D)) for k in ("Q", "K", "V", "F")}
    params["bias"] = rng.normal(size=(T, T))

    def forward(p):
        q, k, v = x @ p["Q"], x @ p["K"], x @ p["V"]
        a = masked_softmax(q @ k.T / D**0.5 + p["bias"], mask)
        r = x + a @ v
        z = np.maximum(r @ p["F"], 0.1 * (r @ p["F"]))
        logits = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
        return q, k, v, a, r, z, logits

    def loss(p):
        return -np.mean(forward(p)[-1][np.arange(T), y])

    def grads(p):
        q, k, v, a, r, z, logits = forward(p)
        dz = np.exp(logits)
        dz[np.arange(T), y] -= 1
        dz /= T
        dh = dz * np.where(z > 0, 1.0, 0.1)
        g = {"F": r.T @ dh}
        dr = dh @ p["F"].T
        g["V"] = x.T @ (a.T @ dr)
        ds = masked_softmax_back(dr @ v.T, a)
        g["bias"] = ds
        g["Q"] = x.T @ (ds @ k) / D**0.5
        g["K"] = x.T @ (ds.T @ q) / D**0.5
        return g

    return loss, params, grads


MUTANTS = r"""
mask cross_term local_derivative ## np.where|e / np.sum|np.exp(s) ## ds = masked_softmax_back(dr @ v.T, a) ## ds = np.triu(masked_softmax_back(dr @ v.T, a))
mask cross_term local_derivative ## np.where|e / np.sum|np.exp(s) ## ds = masked_softmax_back(dr @ v.T, a) ## ds = np.tril(masked_softmax_back(dr @ v.T, a), -1)
scale ## D**0.5 + ## (ds @ k) / D**0.5 ## (ds @ k)
local_derivative mask ## z = np.maximum ## np.where(z > 0, 1.0, 0.1) ## (z > 0)
accumulation ## -np.mean|np.log ## dz[np.arange(T), y] -= 1 ## pass
layout geometry reduction ## q @ k.T ## g["bias"] = ds ## g["bias"] = ds.T
cross_term reduction ## e / np.sum ## np.sum(da * a, axis=1, keepdims=True)) ## np.sum(da * a, axis=0, keepdims=True))
local_derivative layout cross_term stale ## a @ v|e / np.sum ## masked_softmax_back(dr @ v.T, a) ## masked_softmax_back(dr @ r.T, a)
"""
