"""One block of a decoder: norm, causal heads, residuals, a wide layer behind."""

import numpy as np


def layer_norm(x, g, b):
    mu = x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    xhat = (x - mu) * rstd
    return xhat * g + b, (xhat, rstd, g)


def layer_norm_back(dy, cache):
    xhat, rstd, g = cache
    dxhat = dy * g
    inner = dxhat - dxhat.mean(-1, keepdims=True)
    inner = inner - xhat * (dxhat * xhat).mean(-1, keepdims=True)
    return inner * rstd, (dy * xhat).sum(0), dy.sum(0)


def case(rng):
    T, D, H = 4, 4, 2
    K = D // H
    X, Y = rng.normal(size=(T, D)), rng.normal(size=(T, D))
    hidden = np.triu(np.ones((T, T), dtype=bool), 1)
    p0 = {
        "g1": 1 + 0.3 * rng.normal(size=D),
        "b1": 0.3 * rng.normal(size=D),
        "Wqkv": rng.normal(size=(D, 3 * D)) * 0.6,
        "Wo": rng.normal(size=(D, D)) * 0.5,
        "g2": 1 + 0.3 * rng.normal(size=D),
        "b2": 0.3 * rng.normal(size=D),
        "Wup": rng.normal(size=(D, 6)) * 0.5,
        "Wdown": rng.normal(size=(6, D)) * 0.5,
    }

    def forward(p):
        n1, c1 = layer_norm(X, p["g1"], p["b1"])
        qkv = (n1 @ p["Wqkv"]).reshape(T, 3, H, K).transpose(1, 2, 0, 3)
        q, k, v = qkv[0], qkv[1], qkv[2]
        s = q @ k.transpose(0, 2, 1) / np.sqrt(K)
        s = np.where(hidden, -1e9, s)
        e = np.exp(s - s.max(-1, keepdims=True))
        w = e / e.sum(-1, keepdims=True)
        heads = (w @ v).transpose(1, 0, 2).reshape(T, D)
        x = X + heads @ p["Wo"]
        n2, c2 = layer_norm(x, p["g2"], p["b2"])
        u = n2 @ p["Wup"]
        a = u / (1 + np.exp(-1.702 * u))
        out = x + a @ p["Wdown"]
        return out, (n1, c1, q, k, v, w, heads, n2, c2, u, a)

    def loss(p):
        return np.mean((forward(p)[0] - Y) ** 2)

    def grads(p):
        out, (n1, c1, q, k, v, w, heads, n2, c2, u, a) = forward(p)
        dout = 2 * (out - Y) / Y.size
        dWdown = a.T @ dout
        da = dout @ p["Wdown"].T
        sig = 1 / (1 + np.exp(-1.702 * u))
        du = da * (sig + 1.702 * u * sig * (1 - sig))
        dWup = n2.T @ du
        dx, dg2, db2 = layer_norm_back(du @ p["Wup"].T, c2)
        dx = dx + dout
        dWo = heads.T @ dx
        dheads = (dx @ p["Wo"].T).reshape(T, H, K).transpose(1, 0, 2)
        dw = dheads @ v.transpose(0, 2, 1)
        dv = w.transpose(0, 2, 1) @ dheads
        ds = w * (dw - (dw * w).sum(-1, keepdims=True))
        dq = ds @ k / np.sqrt(K)
        dk = ds.transpose(0, 2, 1) @ q / np.sqrt(K)
        dqkv = np.stack([dq, dk, dv]).transpose(2, 0, 1, 3).reshape(T, 3 * D)
        dWqkv = n1.T @ dqkv
        _, dg1, db1 = layer_norm_back(dqkv @ p["Wqkv"].T, c1)
        return {
            "g1": dg1,
            "b1": db1,
            "Wqkv": dWqkv,
            "Wo": dWo,
            "g2": dg2,
            "b2": db2,
            "Wup": dWup,
            "Wdown": dWdown,
        }

    return loss, p0, grads


MUTANTS = r"""
accumulation upstream ## X + heads|x + a ## dx = dx + dout ## dx = dx
cross_term ## e / e.sum|np.exp(s ## ds = w * (dw - (dw * w).sum(-1, keepdims=True)) ## ds = w * dw
scale ## np.sqrt(K) ## dk = ds.transpose(0, 2, 1) @ q / np.sqrt(K) ## dk = ds.transpose(0, 2, 1) @ q
layout ## k.transpose ## dk = ds.transpose(0, 2, 1) @ q ## dk = ds @ q
cross_term local_derivative ## .mean(-1|.var(-1 ## inner = inner - xhat * (dxhat * xhat).mean(-1, keepdims=True) ## inner = inner
scale local_derivative ## -1.702 ## (sig + 1.702 * u * sig * (1 - sig)) ## (sig + u * sig * (1 - sig))
layout ## transpose(1, 0, 2)|.reshape(T, D) ## dheads = (dx @ p["Wo"].T).reshape(T, H, K).transpose(1, 0, 2) ## dheads = (dx @ p["Wo"].T).reshape(H, T, K)
local_derivative ## rstd ## return inner * rstd, ## return inner,
"""
