"""A recurrent network that reads both ways, with a shared reader."""

import numpy as np


def read(W, U, b, xs):
    hs = [np.zeros(U.shape[0])]
    for x in xs:
        hs.append(np.tanh(W @ x + U @ hs[-1] + b))
    return hs


def read_backward(W, U, xs, hs, dhs):
    gW, gU, gb = np.zeros_like(W), np.zeros_like(U), np.zeros(U.shape[0])
    carry = np.zeros(U.shape[0])
    for t in range(len(xs) - 1, -1, -1):
        carry = carry + dhs[t]
        dz = carry * (1 - hs[t + 1] ** 2)
        gW += np.outer(dz, xs[t])
        gU += np.outer(dz, hs[t])
        gb += dz
        carry = U.T @ dz
    return gW, gU, gb


def case(rng):
    T, D, H = 4, 3, 2
    xs, ys = rng.normal(size=(T, D)), rng.normal(size=T)
    theta = {}
    for way in "fb":
        theta["W" + way] = rng.normal(size=(H, D))
        theta["U" + way] = rng.normal(size=(H, H)) * 0.6
        theta["b" + way] = rng.normal(size=H) * 0.1
    theta["v"] = rng.normal(size=2 * H)

    def states(p):
        ahead = read(p["Wf"], p["Uf"], p["bf"], xs)
        back = read(p["Wb"], p["Ub"], p["bb"], xs[::-1])
        return ahead, back

    def loss(p):
        ahead, back = states(p)
        total = 0.0
        for t in range(T):
            out = p["v"] @ np.concatenate([ahead[t + 1], back[T - t]])
            total = total + (out - ys[t]) ** 2
        return total / T

    def grads(p):
        ahead, back = states(p)
        dv = np.zeros(2 * H)
        da, db = np.zeros((T, H)), np.zeros((T, H))
        for t in range(T):
            both = np.concatenate([ahead[t + 1], back[T - t]])
            e = 2 * (p["v"] @ both - ys[t]) / T
            dv += e * both
            da[t] = e * p["v"][:H]
            db[T - 1 - t] = e * p["v"][H:]
        g = {"v": dv}
        g["Wf"], g["Uf"], g["bf"] = read_backward(p["Wf"], p["Uf"], xs, ahead, da)
        g["Wb"], g["Ub"], g["bb"] = read_backward(p["Wb"], p["Ub"], xs[::-1], back, db)
        return g

    return loss, theta, grads


MUTANTS = r"""
layout geometry ## back[T - t] ## db[T - 1 - t] = e * p["v"][H:] ## db[t] = e * p["v"][H:]
accumulation upstream ## U @ hs[-1] ## carry = carry + dhs[t] ## carry = dhs[t]
stale geometry layout ## U @ hs[-1] ## gU += np.outer(dz, hs[t]) ## gU += np.outer(dz, hs[t + 1])
layout geometry stale ## W @ x ## read_backward(p["Wb"], p["Ub"], xs[::-1], back, db) ## read_backward(p["Wb"], p["Ub"], xs, back, db)
layout local_derivative stale ## U @ hs[-1] ## read_backward(p["Wb"], p["Ub"], xs[::-1], back, db) ## read_backward(p["Wb"], p["Uf"], xs[::-1], back, db)
stale geometry local_derivative ## np.tanh ## dz = carry * (1 - hs[t + 1] ** 2) ## dz = carry * (1 - hs[t] ** 2)
"""
