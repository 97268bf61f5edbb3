"""Additive attention that pools a padded sequence."""

import numpy as np


def case(rng):
    B, T, D, H = 3, 4, 3, 4
    x, y = rng.normal(size=(B, T, D)), rng.normal(size=B)
    lengths = np.array([4, 2, 3])
    valid = (np.arange(T)[None, :] < lengths[:, None]).astype(float)
    params = {
        "W": rng.normal(size=(D, H)),
        "b": rng.normal(size=H),
        "u": rng.normal(size=H),
        "temp": np.array(0.7),
        "out": rng.normal(size=D),
    }

    def forward(p):
        h = np.tanh(np.einsum("btd,dh->bth", x, p["W"]) + p["b"])
        s = np.einsum("bth,h->bt", h, p["u"])
        e = np.exp(p["temp"] * s) * valid
        w = e / e.sum(axis=1, keepdims=True)
        pooled = np.einsum("bt,btd->bd", w, x)
        return h, s, w, pooled, pooled @ p["out"] - y

    def loss(p):
        return np.mean(forward(p)[-1] ** 2)

    def grads(p):
        h, s, w, pooled, err = forward(p)
        d = 2 * err / B
        dpooled = np.outer(d, p["out"])
        dw = np.einsum("bd,btd->bt", dpooled, x)
        dlogit = w * (dw - np.sum(w * dw, axis=1, keepdims=True))
        ds = dlogit * p["temp"]
        da = np.einsum("bt,h->bth", ds, p["u"]) * (1 - h**2)
        return {
            "W": np.einsum("btd,bth->dh", x, da),
            "b": da.sum(axis=(0, 1)),
            "u": np.einsum("bt,bth->h", ds, h),
            "temp": np.sum(dlogit * s),
            "out": d @ pooled,
        }

    return loss, params, grads


MUTANTS = r"""
local_derivative scale ## p["temp"] * s ## ds = dlogit * p["temp"] ## ds = dlogit
cross_term ## e / e.sum ## np.sum(w * dw, axis=1, keepdims=True) ## np.mean(dw, axis=1, keepdims=True)
cross_term ## e / e.sum ## np.sum(w * dw, axis=1, keepdims=True) ## np.sum(dw * valid, axis=1, keepdims=True) / T
local_derivative ## p["temp"] * s ## "temp": np.sum(dlogit * s) ## "temp": np.sum(dlogit * w)
local_derivative ## np.tanh ## * (1 - h**2) ## * (1 - h)
stale local_derivative scale ## p["temp"] * s|p["u"]) ## np.einsum("bt,bth->h", ds, h) ## np.einsum("bt,bth->h", dlogit, h)
scale ## np.mean ## d = 2 * err / B ## d = 2 * err / T
"""
