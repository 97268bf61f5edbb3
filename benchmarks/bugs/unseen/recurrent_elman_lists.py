"""An Elman network over time, its states in a list.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def case(rng):
    T, B, D, H = 5, 4, 3, 4
    x, y = rng.normal(size=(T, B, D)), rng.normal(size=(B, 2))
    params = {
        "Wx": rng.normal(size=(D, H)) * 0.6,
        "Wh": rng.normal(size=(H, H)) * 0.5,
        "b": rng.normal(size=H) * 0.3,
        "Wo": rng.normal(size=(H, 2)),
        "h0": rng.normal(size=(B, H)) * 0.4,
    }

    def forward(p):
        hs = [p["h0"]]
        for t in range(T):
            hs.append(np.tanh(x[t] @ p["Wx"] + hs[-1] @ p["Wh"] + p["b"]))
        return hs

    def loss(p):
        hs = forward(p)
        return 0.5 * np.sum((hs[-1] @ p["Wo"] - y) ** 2) / B

    def grads(p):
        hs = forward(p)
        g = {k: np.zeros_like(v) for k, v in p.items()}
        dout = (hs[-1] @ p["Wo"] - y) / B
        g["Wo"] = hs[-1].T @ dout
        dh = dout @ p["Wo"].T
        for t in reversed(range(T)):
            da = dh * (1 - hs[t + 1] ** 2)
            g["Wx"] += x[t].T @ da
            g["Wh"] += hs[t].T @ da
            g["b"] += da.sum(axis=0)
            dh = da @ p["Wh"].T
        g["h0"] = dh
        return g

    return loss, params, grads


MUTANTS = r"""
stale local_derivative geometry ## np.tanh ## hs[t + 1] ** 2 ## hs[t] ** 2
stale local_derivative geometry ## np.tanh ## hs[t].T @ da ## hs[t + 1].T @ da
accumulation partial geometry ## np.tanh ## reversed(range(T)) ## reversed(range(1, T))
accumulation partial geometry ## np.tanh ## reversed(range(T)) ## reversed(range(2, T))
layout ## np.tanh ## dh = da @ p["Wh"].T ## dh = da @ p["Wh"]
local_derivative ## np.tanh ## dh = da @ p["Wh"].T ## dh = dh @ p["Wh"].T
local_derivative ## np.tanh ## da = dh * (1 - hs[t + 1] ** 2) ## da = dh
accumulation partial ## np.tanh ## g["Wh"] += hs ## g["Wh"] = hs
"""
