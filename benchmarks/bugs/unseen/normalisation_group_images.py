"""Group normalisation of feature maps.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def case(rng):
    N, C, S, G = 2, 4, 3, 2
    x, y = rng.normal(size=(N, 3, S, S)), rng.normal(size=(N, C, S, S))
    eps = 1e-2
    params = {
        "mix": rng.normal(size=(3, C)),
        "gamma": 1 + 0.4 * rng.normal(size=C),
        "beta": rng.normal(size=C),
    }

    def forward(p):
        z = np.einsum("nchw,cf->nfhw", x, p["mix"])
        r = z.reshape(N, G, -1)
        m = r.mean(2, keepdims=True)
        v = ((r - m) ** 2).sum(2, keepdims=True) / (r.shape[2] - 1)
        s = np.sqrt(v + eps)
        hat = ((r - m) / s).reshape(z.shape)
        out = p["gamma"][:, None, None] * hat + p["beta"][:, None, None]
        return r, m, s, hat, out

    def loss(p):
        return np.sum(np.log(np.cosh(forward(p)[-1] - y)))

    def grads(p):
        r, m, s, hat, out = forward(p)
        d = np.tanh(out - y)
        dhat = (d * p["gamma"][:, None, None]).reshape(N, G, -1)
        k = r.shape[2]
        inner = np.sum(dhat * (r - m), axis=2, keepdims=True)
        dr = dhat / s - (r - m) * inner / ((k - 1) * s**3)
        dr = dr - dr.mean(axis=2, keepdims=True)
        return {
            "mix": np.einsum("nchw,nfhw->cf", x, dr.reshape(d.shape)),
            "gamma": (d * hat).sum(axis=(0, 2, 3)),
            "beta": d.sum(axis=(0, 2, 3)),
        }

    return loss, params, grads


MUTANTS = r"""
cross_term scale reduction ## v = |s = ## ((k - 1) * s**3) ## (k * s**3)
cross_term ## v = |s = |hat = |m = ## dr = dhat / s - (r - m) * inner / ((k - 1) * s**3) ## dr = dhat / s
cross_term ## m = |hat = ## dr = dr - dr.mean(axis=2, keepdims=True) ## pass
cross_term local_derivative ## s = |hat = ## * s**3) ## * s**2)
reduction ## p["beta"] ## "beta": d.sum(axis=(0, 2, 3)) ## "beta": d.mean(axis=0).sum(axis=(1, 2))
local_derivative cross_term ## p["gamma"] ## dhat = (d * p["gamma"][:, None, None]).reshape ## dhat = d.reshape
cross_term reduction ## m = |hat = ## dr.mean(axis=2, keepdims=True) ## dr.mean(axis=(1, 2), keepdims=True)
local_derivative ## np.cosh|np.log ## d = np.tanh(out - y) ## d = np.sinh(out - y)
"""
