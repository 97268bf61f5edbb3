"""An autoencoder of binary pixels: a Bernoulli decoder and the divergence."""

import numpy as np


def case(rng):
    N, D, H, Z = 4, 5, 4, 2
    X = rng.integers(0, 2, size=(N, D)).astype(float)
    noise, beta = rng.normal(size=(N, Z)), 0.7
    theta = {
        "enc": rng.normal(size=(D, H)) * 0.5,
        "mu": rng.normal(size=(H, Z)) * 0.6,
        "logvar": rng.normal(size=(H, Z)) * 0.4,
        "dec": rng.normal(size=(Z, H)) * 0.6,
        "out": rng.normal(size=(H, D)) * 0.5,
        "bias": rng.normal(size=D) * 0.3,
    }

    def elbo_parts(t):
        h = np.tanh(X @ t["enc"])
        mu, lv = h @ t["mu"], h @ t["logvar"]
        z = mu + np.exp(0.5 * lv) * noise
        d = np.maximum(0.1 * (z @ t["dec"]), z @ t["dec"])
        logits = d @ t["out"] + t["bias"]
        return h, mu, lv, z, d, logits

    def negative_elbo(t):
        h, mu, lv, z, d, logits = elbo_parts(t)
        bce = np.logaddexp(0, logits) - X * logits
        kl = -0.5 * np.sum(1 + lv - mu**2 - np.exp(lv))
        return (np.sum(bce) + beta * kl) / N

    def gradient(t):
        h, mu, lv, z, d, logits = elbo_parts(t)
        dlogits = (1 / (1 + np.exp(-logits)) - X) / N
        g = {"out": d.T @ dlogits, "bias": dlogits.sum(axis=0)}
        dd = dlogits @ t["out"].T
        dpre = np.where(d > 0, dd, 0.1 * dd)
        g["dec"] = z.T @ dpre
        dz = dpre @ t["dec"].T
        dmu = dz + beta * mu / N
        dlv = dz * noise * 0.5 * np.exp(0.5 * lv) + 0.5 * beta * (np.exp(lv) - 1) / N
        g["mu"], g["logvar"] = h.T @ dmu, h.T @ dlv
        dh = dmu @ t["mu"].T + dlv @ t["logvar"].T
        g["enc"] = X.T @ (dh * (1 - h**2))
        return g

    return negative_elbo, theta, gradient


MUTANTS = r"""
scale ## beta * kl ## dmu = dz + beta * mu / N ## dmu = dz + mu / N
local_derivative ## np.exp(0.5 * lv) ## dlv = dz * noise * 0.5 * np.exp(0.5 * lv) ## dlv = dz * noise * np.exp(0.5 * lv)
local_derivative accumulation cross_term partial ## kl = ## (np.exp(lv) - 1) / N ## np.exp(lv) / N
mask local_derivative scale ## np.maximum ## dpre = np.where(d > 0, dd, 0.1 * dd) ## dpre = np.where(d > 0, dd, 0.0)
accumulation upstream ## h @ t["logvar"] ## dh = dmu @ t["mu"].T + dlv @ t["logvar"].T ## dh = dmu @ t["mu"].T
upstream accumulation local_derivative ## np.exp(0.5 * lv) ## dlv = dz * noise * 0.5 * np.exp(0.5 * lv) + 0.5 * beta ## dlv = 0.5 * beta
stale local_derivative geometry layout ## z @ t["dec"] ## g["dec"] = z.T @ dpre ## g["dec"] = mu.T @ dpre
"""
