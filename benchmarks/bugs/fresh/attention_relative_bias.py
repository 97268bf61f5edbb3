"""Causal attention with a table of biases by distance, computed again for the gradient."""

import numpy as np


def softmax(s):
    e = np.exp(s - np.max(s, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def case(rng):
    n, d = 5, 4
    x, R = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    i, j = np.indices((n, n))
    offset = np.abs(i - j)
    future = np.where(j > i, -np.inf, 0.0)
    params = {
        "Q": rng.normal(size=(d, d)) / 2,
        "K": rng.normal(size=(d, d)) / 2,
        "V": rng.normal(size=(d, d)),
        "bias": rng.normal(size=n),
    }

    def loss(p):
        q, k, v = x @ p["Q"], x @ p["K"], x @ p["V"]
        s = q @ k.T / np.sqrt(d) + p["bias"][offset]
        a = softmax(s + future)
        return np.mean((a @ v - R) ** 2)

    def grads(p):
        q, k, v = x @ p["Q"], x @ p["K"], x @ p["V"]
        scores = q @ k.T / np.sqrt(d) + p["bias"][offset] + future
        a = softmax(scores)
        dout = 2 * (a @ v - R) / R.size
        dv = a.T @ dout
        da = dout @ v.T
        ds = a * (da - np.sum(da * a, axis=-1, keepdims=True))
        dbias = np.zeros(n)
        np.add.at(dbias, offset, ds)
        dq, dk = ds @ k / np.sqrt(d), ds.T @ q / np.sqrt(d)
        return {"Q": x.T @ dq, "K": x.T @ dk, "V": x.T @ dv, "bias": dbias}

    return loss, params, grads


MUTANTS = r"""
mask stale ## softmax(s + future)|s + future ## + p["bias"][offset] + future ## + p["bias"][offset]
stale accumulation local_derivative ## p["bias"][offset] ## scores = q @ k.T / np.sqrt(d) + p["bias"][offset] + future ## scores = q @ k.T / np.sqrt(d) + future
duplicate_index ## p["bias"][offset] ## np.add.at(dbias, offset, ds) ## dbias[offset] += ds
scale ## np.sqrt(d) ## ds @ k / np.sqrt(d), ds.T @ q / np.sqrt(d) ## ds @ k / d, ds.T @ q / d
cross_term reduction ## e / np.sum|softmax ## np.sum(da * a, axis=-1, keepdims=True) ## np.mean(da * a, axis=-1, keepdims=True)
layout geometry partial duplicate_index ## p["bias"][offset] ## np.add.at(dbias, offset, ds) ## np.add.at(dbias, j, ds)
"""
