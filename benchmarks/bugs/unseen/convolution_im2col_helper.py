"""Two convolutions by im2col, with helpers.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def im2col(x, k):
    n, c, h, w = x.shape
    oh, ow = h - k + 1, w - k + 1
    cols = np.empty((n, oh, ow, c, k, k))
    for i in range(k):
        for j in range(k):
            cols[..., i, j] = x[:, :, i : i + oh, j : j + ow].transpose(0, 2, 3, 1)
    return cols.reshape(n * oh * ow, c * k * k)


def col2im(cols, shape, k):
    n, c, h, w = shape
    oh, ow = h - k + 1, w - k + 1
    cols = cols.reshape(n, oh, ow, c, k, k)
    x = np.zeros(shape)
    for i in range(k):
        for j in range(k):
            x[:, :, i : i + oh, j : j + ow] += cols[..., i, j].transpose(0, 3, 1, 2)
    return x


def layer(x, W, b, k):
    n, _, h, w = x.shape
    out = im2col(x, k) @ W + b
    return out.reshape(n, h - k + 1, w - k + 1, -1).transpose(0, 3, 1, 2)


def layer_back(dout, x, W, k):
    d = dout.transpose(0, 2, 3, 1).reshape(-1, W.shape[1])
    dW = im2col(x, k).T @ d
    db = d.sum(axis=0)
    return col2im(d @ W.T, x.shape, k), dW, db


def case(rng):
    x, t = rng.normal(size=(2, 2, 5, 5)), rng.integers(3, size=2)
    params = {
        "W1": rng.normal(size=(8, 3)) * 0.5,
        "b1": rng.normal(size=3),
        "W2": rng.normal(size=(12, 3)) * 0.5,
        "b2": rng.normal(size=3),
    }

    def forward(p):
        a = layer(x, p["W1"], p["b1"], 2)
        h = np.maximum(a, 0)
        z = layer(h, p["W2"], p["b2"], 2).mean(axis=(2, 3))
        logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return a, h, logp

    def loss(p):
        return -forward(p)[2][np.arange(2), t].sum()

    def grads(p):
        a, h, logp = forward(p)
        dz = np.exp(logp)
        dz[np.arange(2), t] -= 1
        dmap = np.repeat(np.repeat(dz[:, :, None, None] / 9, 3, 2), 3, 3)
        dh, dW2, db2 = layer_back(dmap, h, p["W2"], 2)
        da = dh * (a > 0)
        _, dW1, db1 = layer_back(da, x, p["W1"], 2)
        return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}

    return loss, params, grads


MUTANTS = r"""
layout ## cols[..., i, j] = x|cols.reshape ## cols = cols.reshape(n, oh, ow, c, k, k) ## cols = cols.reshape(n, oh, ow, k, k, c).transpose(0, 1, 2, 5, 3, 4)
layout ## out.reshape ## d = dout.transpose(0, 2, 3, 1).reshape(-1, W.shape[1]) ## d = dout.reshape(-1, W.shape[1])
accumulation geometry duplicate_index ## cols[..., i, j] = x ## j : j + ow] += cols ## j : j + ow] = cols
reduction scale ## .mean(axis=(2, 3)) ## dz[:, :, None, None] / 9 ## dz[:, :, None, None]
reduction ## + b ## db = d.sum(axis=0) ## db = d.mean(axis=0)
layout geometry ## cols[..., i, j] = x ## += cols[..., i, j].transpose(0, 3, 1, 2) ## += cols[..., j, i].transpose(0, 3, 1, 2)
mask local_derivative ## np.maximum ## da = dh * (a > 0) ## da = dh * (dh > 0)
local_derivative mask ## np.maximum ## da = dh * (a > 0) ## da = dh
"""
