"""Two graph convolutions on a normalised adjacency, labels of a few nodes."""

import numpy as np


def case(rng):
    n, d, h, c = 7, 3, 4, 3
    A = (rng.uniform(size=(n, n)) < 0.4).astype(float)
    A = A + np.eye(n)
    A_hat = A / A.sum(axis=1, keepdims=True)
    X, y = rng.normal(size=(n, d)), rng.integers(0, c, size=n)
    labelled = np.array([0, 2, 3, 5])
    params = {
        "W0": rng.normal(size=(d, h)) * 0.7,
        "W1": rng.normal(size=(h, c)) * 0.7,
        "skip": rng.normal(size=(d, c)) * 0.4,
    }

    def forward(p):
        pre = A_hat @ X @ p["W0"]
        hid = np.where(pre > 0, pre, np.exp(np.minimum(pre, 0)) - 1)
        out = A_hat @ hid @ p["W1"] + X @ p["skip"]
        return pre, hid, out

    def loss(p):
        out = forward(p)[2][labelled]
        lse = np.log(np.sum(np.exp(out), axis=1))
        return np.mean(lse - out[np.arange(len(labelled)), y[labelled]])

    def grads(p):
        pre, hid, out = forward(p)
        some = out[labelled]
        prob = np.exp(some) / np.exp(some).sum(axis=1, keepdims=True)
        prob[np.arange(len(labelled)), y[labelled]] -= 1
        dout = np.zeros_like(out)
        dout[labelled] = prob / len(labelled)
        dW1 = (A_hat @ hid).T @ dout
        dskip = X.T @ dout
        dhid = A_hat.T @ dout @ p["W1"].T
        dpre = dhid * np.where(pre > 0, 1, hid + 1)
        dW0 = (A_hat @ X).T @ dpre
        return {"W0": dW0, "W1": dW1, "skip": dskip}

    return loss, params, grads


MUTANTS = r"""
layout ## A_hat @ hid ## dhid = A_hat.T @ dout ## dhid = A_hat @ dout
scale reduction ## np.mean ## prob / len(labelled) ## prob / n
upstream accumulation local_derivative stale layout ## A_hat @ hid ## dW1 = (A_hat @ hid).T @ dout ## dW1 = hid.T @ dout
local_derivative mask ## np.where(pre > 0 ## np.where(pre > 0, 1, hid + 1) ## np.where(pre > 0, 1, hid)
upstream accumulation local_derivative stale layout ## A_hat @ X ## dW0 = (A_hat @ X).T @ dpre ## dW0 = X.T @ dpre
accumulation upstream cross_term ## out[np.arange ## prob[np.arange(len(labelled)), y[labelled]] -= 1 ## prob[np.arange(len(labelled)), y[labelled]] -= 0
upstream accumulation ## A_hat @ hid ## dhid = A_hat.T @ dout @ p["W1"].T ## dhid = dout @ p["W1"].T
"""
