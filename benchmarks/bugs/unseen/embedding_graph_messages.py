"""Message passing on a graph: gather, weigh, scatter.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def scatter_sum(rows, index, n):
    out = np.zeros((n, rows.shape[1]))
    np.add.at(out, index, rows)
    return out


def case(rng):
    n, m, d = 5, 9, 3
    src, dst = rng.integers(n, size=m), rng.integers(n, size=m)
    x, y, w = rng.normal(size=(n, d)), rng.normal(size=(n, 2)), rng.random(m) + 0.5
    degree = np.bincount(dst, minlength=n) + 1.0
    params = {
        "Wself": rng.normal(size=(d, d)),
        "Wmsg": rng.normal(size=(d, d)),
        "edge": rng.normal(size=m),
        "Wout": rng.normal(size=(d, 2)),
    }

    def layer(h, p):
        msg = (h @ p["Wmsg"])[src] * (w * p["edge"])[:, None]
        agg = scatter_sum(msg, dst, n) / degree[:, None]
        return np.tanh(h @ p["Wself"] + agg)

    def loss(p):
        h1 = layer(x, p)
        h2 = layer(h1, p)
        return 0.5 * np.sum((h2 @ p["Wout"] - y) ** 2)

    def layer_back(dh, h, out, p, g):
        da = dh * (1 - out**2)
        g["Wself"] += h.T @ da
        dmsg = (da / degree[:, None])[dst]
        hm = h @ p["Wmsg"]
        g["edge"] += np.sum(dmsg * hm[src], axis=1) * w
        dhm = scatter_sum(dmsg * (w * p["edge"])[:, None], src, n)
        g["Wmsg"] += h.T @ dhm
        return da @ p["Wself"].T + dhm @ p["Wmsg"].T

    def grads(p):
        h1 = layer(x, p)
        h2 = layer(h1, p)
        g = {k: np.zeros_like(v) for k, v in p.items()}
        e = h2 @ p["Wout"] - y
        g["Wout"] = h2.T @ e
        dh1 = layer_back(e @ p["Wout"].T, h1, h2, p, g)
        layer_back(dh1, x, h1, p, g)
        return g

    return loss, params, grads


MUTANTS = r"""
layout geometry ## [src]|scatter_sum|np.add.at ## dmsg = (da / degree[:, None])[dst] ## dmsg = (da / degree[:, None])[src]
scale upstream local_derivative ## / degree ## dmsg = (da / degree[:, None])[dst] ## dmsg = da[dst]
duplicate_index ## [src] ## dhm = scatter_sum(dmsg * (w * p["edge"])[:, None], src, n) ## dhm = np.zeros((n, d)); dhm[src] = dmsg * (w * p["edge"])[:, None]
accumulation ## (h @ p["Wmsg"]) ## return da @ p["Wself"].T + dhm @ p["Wmsg"].T ## return da @ p["Wself"].T
local_derivative scale ## w * p["edge"] ## hm[src], axis=1) * w ## hm[src], axis=1)
accumulation partial ## h @ p["Wself"] ## g["Wself"] += h.T @ da ## g["Wself"] = h.T @ da
local_derivative upstream ## w * p["edge"] ## dmsg * (w * p["edge"])[:, None], src ## dmsg * p["edge"][:, None], src
layout geometry ## [src] ## [:, None], src, n) ## [:, None], dst, n)
"""
