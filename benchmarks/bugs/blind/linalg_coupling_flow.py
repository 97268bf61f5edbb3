"""A normalising flow of two affine couplings, densities under a unit Gaussian."""

import numpy as np


def case(rng):
    N, D, H = 5, 4, 3
    X = rng.normal(size=(N, D))
    k = D // 2
    params = {}
    for layer in (1, 2):
        params[f"U{layer}"] = rng.normal(size=(k, H)) * 0.7
        params[f"S{layer}"] = rng.normal(size=(H, k)) * 0.5
        params[f"T{layer}"] = rng.normal(size=(H, k)) * 0.5

    def couple(p, layer, kept, moved):
        h = np.tanh(kept @ p[f"U{layer}"])
        s = np.tanh(h @ p[f"S{layer}"])
        return h, s, moved * np.exp(s) + h @ p[f"T{layer}"]

    def nll(p):
        a, b = X[:, :k], X[:, k:]
        _, s1, b = couple(p, 1, a, b)
        _, s2, a = couple(p, 2, b, a)
        logdet = np.sum(s1) + np.sum(s2)
        return (0.5 * np.sum(a**2) + 0.5 * np.sum(b**2) - logdet) / N

    def couple_back(p, g, layer, kept, moved, h, s, dnew, dlogdet):
        dmoved = dnew * np.exp(s)
        ds = dnew * moved * np.exp(s) + dlogdet
        dpre = ds * (1 - s**2)
        g[f"S{layer}"] = h.T @ dpre
        g[f"T{layer}"] = h.T @ dnew
        dh = dpre @ p[f"S{layer}"].T + dnew @ p[f"T{layer}"].T
        dlin = dh * (1 - h**2)
        g[f"U{layer}"] = kept.T @ dlin
        return dlin @ p[f"U{layer}"].T, dmoved

    def gradients(p):
        g = {}
        a0, b0 = X[:, :k], X[:, k:]
        h1, s1, b1 = couple(p, 1, a0, b0)
        h2, s2, a1 = couple(p, 2, b1, a0)
        da, db = a1 / N, b1 / N
        dkept, _ = couple_back(p, g, 2, b1, a0, h2, s2, da, -1 / N)
        couple_back(p, g, 1, a0, b0, h1, s1, db + dkept, -1 / N)
        return g

    return nll, params, gradients


MUTANTS = r"""
accumulation upstream ## logdet ## ds = dnew * moved * np.exp(s) + dlogdet ## ds = dnew * moved * np.exp(s)
local_derivative ## np.exp(s) ## ds = dnew * moved * np.exp(s) + dlogdet ## ds = dnew * moved + dlogdet
accumulation upstream ## kept @|couple(p, 2 ## h1, s1, db + dkept, -1 / N ## h1, s1, db, -1 / N
sign ## logdet ## h2, s2, da, -1 / N ## h2, s2, da, 1 / N
stale local_derivative geometry layout ## moved ## couple_back(p, g, 2, b1, a0, h2 ## couple_back(p, g, 2, b1, a1, h2
local_derivative ## s = np.tanh ## dpre = ds * (1 - s**2) ## dpre = ds
accumulation upstream ## p[f"T{layer}"] ## dh = dpre @ p[f"S{layer}"].T + dnew @ p[f"T{layer}"].T ## dh = dpre @ p[f"S{layer}"].T
scale ## / N ## da, db = a1 / N, b1 / N ## da, db = a1, b1 / N
"""
