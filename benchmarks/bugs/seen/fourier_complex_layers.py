"""A complex linear network kept as real and imaginary parts."""

import numpy as np


def cmatmul(ar, ai, br, bi):
    return ar @ br - ai @ bi, ar @ bi + ai @ br


def cmatmul_back(dr, di, ar, ai, br, bi):
    dar = dr @ br.T + di @ bi.T
    dai = -dr @ bi.T + di @ br.T
    dbr = ar.T @ dr + ai.T @ di
    dbi = -ai.T @ dr + ar.T @ di
    return dar, dai, dbr, dbi


def case(rng):
    n, d = 4, 3
    xr, xi = rng.normal(size=(2, n, d))
    y = rng.random((n, d)) * 3
    params = {k: rng.normal(size=(d, d)) for k in ("Ar", "Ai", "Br", "Bi")}
    params["bias"] = rng.normal(size=d) * 0.2

    def forward(p):
        hr, hi = cmatmul(xr, xi, p["Ar"], p["Ai"])
        mod = np.sqrt(hr**2 + hi**2 + 0.1)
        s = np.log(1 + np.exp(mod + p["bias"])) / mod
        zr, zi = cmatmul(s * hr, s * hi, p["Br"], p["Bi"])
        return hr, hi, mod, s, zr, zi

    def loss(p):
        *_, zr, zi = forward(p)
        return np.mean((zr**2 + zi**2 - y) ** 2)

    def grads(p):
        hr, hi, mod, s, zr, zi = forward(p)
        dpow = 2 * (zr**2 + zi**2 - y) / y.size
        dzr, dzi = 2 * dpow * zr, 2 * dpow * zi
        dr, di, dBr, dBi = cmatmul_back(dzr, dzi, s * hr, s * hi, p["Br"], p["Bi"])
        ds = dr * hr + di * hi
        sig = 1 / (1 + np.exp(-(mod + p["bias"])))
        dsoft = ds / mod * sig
        dmod = dsoft - ds * s / mod
        dhr = dr * s + dmod * hr / mod
        dhi = di * s + dmod * hi / mod
        _, _, dAr, dAi = cmatmul_back(dhr, dhi, xr, xi, p["Ar"], p["Ai"])
        return {"Ar": dAr, "Ai": dAi, "Br": dBr, "Bi": dBi, "bias": dsoft.sum(axis=0)}

    return loss, params, grads


MUTANTS = r"""
sign conjugate accumulation local_derivative ## ar @ br ## dai = -dr @ bi.T + ## dai = dr @ bi.T +
sign conjugate accumulation local_derivative ## ar @ br ## dbi = -ai.T @ dr + ## dbi = ai.T @ dr +
accumulation ## ar @ br ## dbr = ar.T @ dr + ai.T @ di ## dbr = ar.T @ dr
accumulation cross_term local_derivative ## s * hr|s = |mod ## dhr = dr * s + dmod * hr / mod ## dhr = dr * s
accumulation ## zi**2 ## 2 * dpow * zr, 2 * dpow * zi ## 2 * dpow * zr, 0 * zi
accumulation ## mod ## dmod = dsoft - ds * s / mod ## dmod = dsoft
local_derivative ## np.exp(mod|np.log(1 ## dsoft = ds / mod * sig ## dsoft = ds / mod
layout conjugate ## ar @ br|ar @ bi ## dar = dr @ br.T + di @ bi.T ## dar = dr @ br + di @ bi
scale local_derivative ## zr**2 ## dzr, dzi = 2 * dpow * zr, 2 * ## dzr, dzi = dpow * zr, 2 *
"""
