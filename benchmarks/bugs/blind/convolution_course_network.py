"""A course's convolutional network: each layer a forward and a backward, with caches."""

import numpy as np


def conv_forward(x, w, b, conv):
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    s, p = conv["stride"], conv["pad"]
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    rows, cols = 1 + (H + 2 * p - HH) // s, 1 + (W + 2 * p - WW) // s
    out = np.zeros((N, F, rows, cols))
    for i in range(rows):
        for j in range(cols):
            patch = xp[:, :, i * s : i * s + HH, j * s : j * s + WW]
            out[:, :, i, j] = np.tensordot(patch, w, axes=((1, 2, 3), (1, 2, 3))) + b
    return out, (x, w, b, conv)


def conv_backward(dout, cache):
    x, w, b, conv = cache
    s, p = conv["stride"], conv["pad"]
    HH, WW = w.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            here = np.s_[:, :, i * s : i * s + HH, j * s : j * s + WW]
            dw += np.tensordot(dout[:, :, i, j], xp[here], axes=(0, 0))
            dxp[here] += np.tensordot(dout[:, :, i, j], w, axes=(1, 0))
    dx = dxp[:, :, p:-p, p:-p]
    return dx, dw, db


def pool_forward(x):
    N, C, H, W = x.shape
    return x.reshape(N, C, H // 2, 2, W // 2, 2).max(axis=(3, 5)), x


def pool_backward(dout, x):
    N, C, H, W = x.shape
    split = x.reshape(N, C, H // 2, 2, W // 2, 2)
    mask = split == split.max(axis=(3, 5), keepdims=True)
    return (mask * dout[:, :, :, None, :, None]).reshape(x.shape)


def softmax_loss(scores, y):
    shifted = scores - scores.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    N = scores.shape[0]
    loss = -logp[np.arange(N), y].sum() / N
    dscores = np.exp(logp)
    dscores[np.arange(N), y] -= 1
    return loss, dscores / N


def case(rng):
    N, reg = 3, 0.05
    X, y = rng.normal(size=(N, 2, 4, 4)), rng.integers(0, 3, size=N)
    conv = {"stride": 1, "pad": 1}
    params = {
        "W1": rng.normal(size=(3, 2, 3, 3)) * 0.3,
        "b1": rng.normal(size=3) * 0.2,
        "W2": rng.normal(size=(12, 3)) * 0.4,
        "b2": rng.normal(size=3),
    }

    def forward(p):
        a, conv_cache = conv_forward(X, p["W1"], p["b1"], conv)
        r = np.maximum(0, a)
        q, pool_cache = pool_forward(r)
        scores = q.reshape(N, -1) @ p["W2"] + p["b2"]
        return scores, (conv_cache, a, pool_cache, q)

    def loss(p):
        data, _ = softmax_loss(forward(p)[0], y)
        return data + 0.5 * reg * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2))

    def grads(p):
        scores, (conv_cache, a, pool_cache, q) = forward(p)
        _, dscores = softmax_loss(scores, y)
        dq = (dscores @ p["W2"].T).reshape(q.shape)
        dr = pool_backward(dq, pool_cache)
        da = dr * (a > 0)
        _, dW1, db1 = conv_backward(da, conv_cache)
        return {
            "W1": dW1 + reg * p["W1"],
            "b1": db1,
            "W2": q.reshape(N, -1).T @ dscores + reg * p["W2"],
            "b2": dscores.sum(axis=0),
        }

    return loss, params, grads


MUTANTS = r"""
mask local_derivative ## np.maximum(0, a) ## da = dr * (a > 0) ## da = dr
reduction scale ## ## return loss, dscores / N ## return loss, dscores
regularization ## 0.5 * reg ## + reg * p["W2"], ## + 2 * reg * p["W2"],
accumulation partial ## np.tensordot ## dw += np.tensordot ## dw = np.tensordot
mask geometry local_derivative ## x.reshape(N, C, H // 2 ## return (mask * dout[:, :, :, None, :, None]).reshape(x.shape) ## return np.broadcast_to(dout[:, :, :, None, :, None] / 4, mask.shape).reshape(x.shape)
reduction ## + b ## db = dout.sum(axis=(0, 2, 3)) ## db = dout.mean(axis=(2, 3)).sum(axis=0)
regularization ## 0.5 * reg ## "b1": db1, ## "b1": db1 + reg * p["b1"],
"""
