"""Self-attention of one head, in plain functions."""

import numpy as np


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def case(rng):
    T, D, H = 4, 4, 4
    x, y = rng.normal(size=(T, D)), rng.normal(size=(T, H))
    params = {k: rng.normal(size=(D, H)) for k in ("Wq", "Wk", "Wv")}

    def forward(p):
        q, k, v = x @ p["Wq"], x @ p["Wk"], x @ p["Wv"]
        scores = q @ k.T / np.sqrt(H)
        a = softmax(scores)
        return q, k, v, a, a @ v

    def loss(p):
        return np.sum((forward(p)[-1] - y) ** 2) / 2

    def grads(p):
        q, k, v, a, o = forward(p)
        do = o - y
        dv = a.T @ do
        da = do @ v.T
        ds = a * (da - (da * a).sum(axis=-1, keepdims=True))
        ds = ds / np.sqrt(H)
        dq = ds @ k
        dk = ds.T @ q
        return {"Wq": x.T @ dq, "Wk": x.T @ dk, "Wv": x.T @ dv}

    return loss, params, grads


MUTANTS = r"""
scale local_derivative ## scores = ## ds = ds / np.sqrt(H) ## pass
scale local_derivative ## scores = ## ds = ds / np.sqrt(H) ## ds = ds / H
cross_term reduction ## e / e.sum ## (da * a).sum(axis=-1, keepdims=True) ## (da * a).sum(axis=0, keepdims=True)
cross_term ## e / e.sum ## ds = a * (da - (da * a).sum(axis=-1, keepdims=True)) ## ds = a * da
cross_term ## e / e.sum ## (da * a).sum(axis=-1, keepdims=True) ## da.sum(axis=-1, keepdims=True)
layout ## a @ v ## dv = a.T @ do ## dv = a @ do
layout ## scores = ## dk = ds.T @ q ## dk = ds @ q
local_derivative layout ## scores = ## dk = ds.T @ q ## dk = ds.T @ k
cross_term local_derivative ## e / e.sum ## ds = a * (da - (da ## ds = a * (1 - a) * (da - (da
"""
