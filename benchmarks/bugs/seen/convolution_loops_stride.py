"""A strided, padded convolution written as loops."""

import numpy as np

STRIDE, PAD = 2, 1


def conv(x, w, b):
    n, _, height, width = x.shape
    f, _, kh, kw = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    oh = (height + 2 * PAD - kh) // STRIDE + 1
    ow = (width + 2 * PAD - kw) // STRIDE + 1
    out = np.zeros((n, f, oh, ow))
    for i in range(oh):
        for j in range(ow):
            r, c = i * STRIDE, j * STRIDE
            patch = xp[:, :, r : r + kh, c : c + kw]
            out[:, :, i, j] = np.tensordot(patch, w, axes=((1, 2, 3), (1, 2, 3))) + b
    return out


def conv_back(dout, x, w):
    kh, kw = w.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            r, c = i * STRIDE, j * STRIDE
            d = dout[:, :, i, j]
            patch = xp[:, :, r : r + kh, c : c + kw]
            dw += np.tensordot(d, patch, axes=((0,), (0,)))
            dxp[:, :, r : r + kh, c : c + kw] += np.tensordot(d, w, axes=((1,), (0,)))
    db = dout.sum(axis=(0, 2, 3))
    return dxp[:, :, PAD:-PAD, PAD:-PAD], dw, db


def case(rng):
    x, y = rng.normal(size=(2, 2, 5, 5)), rng.normal(size=(2, 2, 2, 2))
    params = {
        "w1": rng.normal(size=(3, 2, 3, 3)) * 0.4,
        "b1": rng.normal(size=3),
        "w2": rng.normal(size=(2, 3, 3, 3)) * 0.4,
        "b2": rng.normal(size=2),
    }

    def loss(p):
        h = np.tanh(conv(x, p["w1"], p["b1"]))
        return 0.5 * np.sum((conv(h, p["w2"], p["b2"]) - y) ** 2)

    def grads(p):
        h = np.tanh(conv(x, p["w1"], p["b1"]))
        d = conv(h, p["w2"], p["b2"]) - y
        dh, dw2, db2 = conv_back(d, h, p["w2"])
        _, dw1, db1 = conv_back(dh * (1 - h**2), x, p["w1"])
        return {"w1": dw1, "b1": db1, "w2": dw2, "b2": db2}

    return loss, params, grads


MUTANTS = r"""
accumulation geometry duplicate_index ## np.tensordot|xp[ ## dxp[:, :, r : r + kh, c : c + kw] += ## dxp[:, :, r : r + kh, c : c + kw] =
geometry ## np.pad|xp[ ## return dxp[:, :, PAD:-PAD, PAD:-PAD] ## return dxp[:, :, : -2 * PAD, : -2 * PAD]
reduction ## + b ## db = dout.sum(axis=(0, 2, 3)) ## db = dout.sum(axis=(0, 2, 3)) / dout[0, 0].size
reduction partial ## + b ## db = dout.sum(axis=(0, 2, 3)) ## db = dout[0].sum(axis=(1, 2))
geometry layout ## np.tensordot|xp[ ## dw += np.tensordot(d, patch, axes=((0,), (0,))) ## dw += np.tensordot(d, patch[..., ::-1, ::-1], axes=((0,), (0,)))
layout geometry ## np.tensordot|xp[ ## += np.tensordot(d, w, axes=((1,), (0,))) ## += np.tensordot(d, w.swapaxes(2, 3), axes=((1,), (0,)))
geometry layout ## np.tensordot|xp[ ## += np.tensordot(d, w, axes=((1,), (0,))) ## += np.tensordot(d, w[:, :, ::-1, ::-1], axes=((1,), (0,)))
local_derivative ## np.tanh ## conv_back(dh * (1 - h**2), x, p["w1"]) ## conv_back(dh, x, p["w1"])
partial geometry accumulation ## np.tensordot|xp[ ## for i in range(dout.shape[2]): ## for i in range(1, dout.shape[2]):
"""
