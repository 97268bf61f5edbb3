"""A gradient at weights that an optimiser has moved."""

import numpy as np


def case(rng):
    n = 6
    x, y = rng.normal(size=(n, 3)), rng.integers(3, size=n)
    params = {
        "A": rng.normal(size=(3, 4)),
        "B": rng.normal(size=(4, 3)),
        "c": rng.normal(size=3),
    }
    velocity = {k: rng.normal(size=v.shape) for k, v in params.items()}

    def forward(p):
        z = x @ p["A"]
        h = z / (1 + np.abs(z))
        s = h @ p["B"] + p["c"]
        return z, h, s - np.log(np.exp(s).sum(axis=1, keepdims=True))

    def loss(p):
        return -forward(p)[2][np.arange(n), y].sum()

    def grads(p):
        z, h, logp = forward(p)
        ds = np.exp(logp)
        ds[np.arange(n), y] -= 1
        dB, dc = h.T @ ds, ds.sum(axis=0)
        dz = ds @ p["B"].T / (1 + np.abs(z)) ** 2
        return {"A": x.T @ dz, "B": dB, "c": dc}

    return loss, params, grads


MUTANTS = r"""
stale ## ## z, h, logp = forward(p) ## z, h, logp = forward({k: v - 0.05 * velocity[k] for k, v in p.items()})
stale local_derivative ## @ p["B"] ## dz = ds @ p["B"].T / ## dz = ds @ (p["B"] - 0.1 * dB).T /
stale local_derivative ## @ p["B"] ## dz = ds @ p["B"].T / ## dz = ds @ (p["B"] - 0.1 * velocity["B"]).T /
stale ## ## z, h, logp = forward(p) ## p = {k: v + 0.9 * velocity[k] for k, v in p.items()}; z, h, logp = forward(p)
stale local_derivative ## @ p["A"]|np.abs ## z, h, logp = forward(p) ## z, h, logp = forward(p); z = x @ (p["A"] + 0.1 * velocity["A"])
stale ## ## z, h, logp = forward(p) ## z, h, logp = forward({**p, "c": p["c"] - 0.1 * velocity["c"]})
stale layout ## [np.arange(n), y]|forward(p)[2] ## ds[np.arange(n), y] -= 1 ## ds[np.arange(n), np.roll(y, 1)] -= 1
"""
