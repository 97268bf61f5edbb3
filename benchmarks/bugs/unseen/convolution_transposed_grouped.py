"""A depthwise and a transposed convolution, by slices.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def depthwise(x, w):
    h = x.shape[2] - 2
    return sum(
        x[:, :, i : i + h, j : j + h] * w[:, i, j][None, :, None, None]
        for i in range(3)
        for j in range(3)
    )


def upsample(x, w):
    n, _, h, _ = x.shape
    out = np.zeros((n, w.shape[1], 2 * h, 2 * h))
    for i in range(2):
        for j in range(2):
            out[:, :, i::2, j::2] = np.einsum("nchw,cf->nfhw", x, w[:, :, i, j])
    return out


def case(rng):
    x, y = rng.normal(size=(2, 3, 5, 5)), rng.normal(size=(2, 2, 6, 6))
    params = {
        "dw": rng.normal(size=(3, 3, 3)) * 0.5,
        "up": rng.normal(size=(3, 2, 2, 2)),
        "shift": rng.normal(size=2),
    }

    def loss(p):
        h = np.sin(depthwise(x, p["dw"]))
        out = upsample(h, p["up"]) + p["shift"][:, None, None]
        return np.sum((out - y) ** 2) / 2

    def grads(p):
        a = depthwise(x, p["dw"])
        h = np.sin(a)
        d = upsample(h, p["up"]) + p["shift"][:, None, None] - y
        dup, dh = np.zeros_like(p["up"]), np.zeros_like(h)
        for i in range(2):
            for j in range(2):
                part = d[:, :, i::2, j::2]
                dup[:, :, i, j] = np.einsum("nchw,nfhw->cf", h, part)
                dh += np.einsum("nfhw,cf->nchw", part, p["up"][:, :, i, j])
        da = dh * np.cos(a)
        ddw = np.zeros_like(p["dw"])
        for i in range(3):
            for j in range(3):
                ddw[:, i, j] = np.sum(
                    x[:, :, i : i + 3, j : j + 3] * da, axis=(0, 2, 3)
                )
        return {"dw": ddw, "up": dup, "shift": d.sum(axis=(0, 2, 3))}

    return loss, params, grads


MUTANTS = r"""
accumulation partial ## np.einsum|out[:, :, i::2 ## dh += np.einsum ## dh = np.einsum
layout geometry ## np.einsum|out[:, :, i::2 ## part, p["up"][:, :, i, j]) ## part, p["up"][:, :, j, i])
geometry layout ## x[:, :, i ## x[:, :, i : i + 3, j : j + 3] * da ## x[:, :, 2 - i : 5 - i, 2 - j : 5 - j] * da
local_derivative sign ## np.sin ## da = dh * np.cos(a) ## da = -dh * np.cos(a)
local_derivative ## np.sin ## da = dh * np.cos(a) ## da = dh * np.cos(h)
reduction ## p["shift"] ## "shift": d.sum(axis=(0, 2, 3)) ## "shift": d.mean(axis=(0, 2, 3))
geometry layout ## np.einsum|out[:, :, i::2 ## part = d[:, :, i::2, j::2] ## part = d[:, :, i * 3 : i * 3 + 3, j * 3 : j * 3 + 3]
"""
