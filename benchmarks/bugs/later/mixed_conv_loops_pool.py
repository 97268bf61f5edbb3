"""Images through a convolution by loops, batch norm, relu, average pooling."""

import numpy as np


def conv(x, k, b):
    n, _, h, w = x.shape
    o, _, kh, kw = k.shape
    out = np.zeros((n, o, h - kh + 1, w - kw + 1))
    for i in range(kh):
        for j in range(kw):
            part = x[:, :, i : i + out.shape[2], j : j + out.shape[3]]
            out = out + np.einsum("nchw,oc->nohw", part, k[:, :, i, j])
    return out + b[:, None, None]


def conv_back(d, x, k):
    dx, dk = np.zeros_like(x), np.zeros_like(k)
    h, w = d.shape[2:]
    for i in range(k.shape[2]):
        for j in range(k.shape[3]):
            part = x[:, :, i : i + h, j : j + w]
            dk[:, :, i, j] = np.einsum("nohw,nchw->oc", d, part)
            dx[:, :, i : i + h, j : j + w] += np.einsum(
                "nohw,oc->nchw", d, k[:, :, i, j]
            )
    return dx, dk, d.sum(axis=(0, 2, 3))


def case(rng):
    x, y = rng.normal(size=(3, 2, 6, 5)), rng.normal(size=(3, 2))
    params = {
        "k1": 0.5 * rng.normal(size=(3, 2, 2, 2)),
        "b1": rng.normal(size=3),
        "gamma": 1 + 0.1 * rng.normal(size=3),
        "beta": 0.1 * rng.normal(size=3),
        "k2": 0.5 * rng.normal(size=(2, 3, 2, 3)),
        "b2": rng.normal(size=2),
    }

    def forward(p):
        a = conv(x, p["k1"], p["b1"])
        mean = a.mean(axis=(0, 2, 3), keepdims=True)
        std = np.sqrt(a.var(axis=(0, 2, 3), keepdims=True) + 1e-3)
        hat = (a - mean) / std
        z = p["gamma"][:, None, None] * hat + p["beta"][:, None, None]
        r = np.maximum(z, 0)
        c = conv(r, p["k2"], p["b2"])
        return std, hat, z, r, c, c.mean(axis=(2, 3))

    def loss(p):
        return np.mean((forward(p)[-1] - y) ** 2)

    def grads(p):
        std, hat, z, r, c, out = forward(p)
        dout = 2 * (out - y) / y.size
        dc = np.broadcast_to(dout[:, :, None, None], c.shape) / (
            c.shape[2] * c.shape[3]
        )
        dr, dk2, db2 = conv_back(dc, r, p["k2"])
        dz = dr * (z > 0)
        dgamma, dbeta = (dz * hat).sum(axis=(0, 2, 3)), dz.sum(axis=(0, 2, 3))
        dhat = dz * p["gamma"][:, None, None]
        m1 = dhat.mean(axis=(0, 2, 3), keepdims=True)
        m2 = (dhat * hat).mean(axis=(0, 2, 3), keepdims=True)
        da = (dhat - m1 - hat * m2) / std
        _, dk1, db1 = conv_back(da, x, p["k1"])
        return dict(k1=dk1, b1=db1, gamma=dgamma, beta=dbeta, k2=dk2, b2=db2)

    return loss, params, grads


MUTANTS = r"""
accumulation geometry duplicate_index ## part = x[|np.einsum ## dx[:, :, i : i + h, j : j + w] += np ## dx[:, :, i : i + h, j : j + w] = np
scale reduction ## c.mean ## c.shape[2] * c.shape[3] ## c.shape[2]
cross_term reduction ## hat =|mean =|std = ## m1 = dhat.mean(axis=(0, 2, 3), keepdims=True) ## m1 = dhat.mean(axis=(2, 3), keepdims=True)
cross_term ## hat =|mean =|std = ## da = (dhat - m1 - hat * m2) / std ## da = (dhat - m1) / std
local_derivative mask ## np.maximum ## dz = dr * (z > 0) ## dz = dr * (dr > 0)
local_derivative mask ## np.maximum ## dz = dr * (z > 0) ## dz = dr * (hat > 0)
local_derivative ## p["gamma"] ## dhat = dz * p["gamma"][:, None, None] ## dhat = dz
geometry layout ## part = x[|np.einsum ## "nohw,oc->nchw", d, k[:, :, i, j] ## "nohw,oc->nchw", d, k[:, :, -1 - i, -1 - j]
geometry partial ## part = x[|np.einsum ## part = x[:, :, i : i + h, j : j + w]\n            dk ## part = x[:, :, i : i + h, j : j + w] * (i + j > 0)\n            dk
accumulation reduction ## b[:, None, None] ## return dx, dk, d.sum(axis=(0, 2, 3)) ## return dx, dk, d[0].sum(axis=(1, 2))
local_derivative ## std = |hat = ## da = (dhat - m1 - hat * m2) / std ## da = (dhat - m1 - hat * m2) / std**2
"""
