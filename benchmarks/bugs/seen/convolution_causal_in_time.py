"""A causal, dilated convolution in time with a residual sum."""

import numpy as np


def case(rng):
    B, T, C, K, DIL = 2, 7, 2, 3, 2
    x, y = rng.normal(size=(B, T, C)), rng.normal(size=(B, T, C))
    params = {
        "w": rng.normal(size=(K, C, C)) * 0.5,
        "b": rng.normal(size=C),
        "m": rng.normal(size=(C, C)),
    }

    def shift(z, n):
        return np.concatenate([np.zeros((B, n, z.shape[2])), z[:, : T - n]], axis=1)

    def forward(p):
        z = x @ p["m"]
        a = np.zeros((B, T, C)) + p["b"]
        for k in range(K):
            a = a + shift(z, DIL * k) @ p["w"][k]
        gate = 1 / (1 + np.exp(-a))
        return z, a, gate, z + a * gate

    def loss(p):
        return np.mean(np.abs(forward(p)[-1] - y) ** 3)

    def grads(p):
        z, a, gate, out = forward(p)
        e = out - y
        d = 3 * e * np.abs(e) / e.size
        da = d * (gate + a * gate * (1 - gate))
        dw = np.zeros_like(p["w"])
        dz = d.copy()
        for k in range(K):
            n = DIL * k
            dw[k] = np.einsum("bti,btj->ij", shift(z, n), da)
            back = da @ p["w"][k].T
            dz[:, : T - n] += back[:, n:]
        return {"w": dw, "b": da.sum(axis=(0, 1)), "m": np.einsum("bti,btj->ij", x, dz)}

    return loss, params, grads


MUTANTS = r"""
geometry ## shift(|np.concatenate ## dz[:, : T - n] += back[:, n:] ## dz[:, n:] += back[:, n:]
geometry ## shift(|np.concatenate ## dz[:, : T - n] += back[:, n:] ## dz[:, n:] += back[:, : T - n]
geometry ## shift(|np.concatenate ## n = DIL * k ## n = k
accumulation ## z + a * gate ## dz = d.copy() ## dz = np.zeros_like(z)
local_derivative accumulation ## a * gate|gate = 1 ## (gate + a * gate * (1 - gate)) ## gate
local_derivative accumulation ## a * gate|gate = 1 ## (gate + a * gate * (1 - gate)) ## gate * (1 - gate)
layout geometry ## @ p["w"][k] ## back = da @ p["w"][k].T ## back = da @ p["w"][K - 1 - k].T
layout ## @ p["w"][k] ## back = da @ p["w"][k].T ## back = da @ p["w"][k]
reduction ## + p["b"] ## da.sum(axis=(0, 1)) ## da.sum(axis=1).mean(axis=0)
"""
