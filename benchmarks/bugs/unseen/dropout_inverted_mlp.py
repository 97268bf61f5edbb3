"""A network with inverted dropout, masks fixed.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def case(rng):
    n, h, keep = 6, 6, 0.6
    x, y = rng.normal(size=(n, 4)), rng.normal(size=(n, 2))
    m1 = (rng.random((n, h)) < keep).astype(float)
    m2 = (rng.random((n, h)) < keep).astype(float)
    params = {
        "W1": rng.normal(size=(4, h)) * 0.6,
        "b1": rng.normal(size=h),
        "W2": rng.normal(size=(h, h)) * 0.6,
        "W3": rng.normal(size=(h, 2)),
    }

    def forward(p):
        a1 = np.tanh(x @ p["W1"] + p["b1"])
        d1 = a1 * m1 / keep
        a2 = np.tanh(d1 @ p["W2"])
        d2 = a2 * m2 / keep
        return a1, d1, a2, d2, d2 @ p["W3"]

    def loss(p):
        return 0.5 * np.sum((forward(p)[-1] - y) ** 2) / n

    def grads(p):
        a1, d1, a2, d2, out = forward(p)
        d = (out - y) / n
        da2 = d @ p["W3"].T * m2 / keep
        dz2 = da2 * (1 - a2**2)
        dz1 = dz2 @ p["W2"].T * m1 / keep * (1 - a1**2)
        return {"W1": x.T @ dz1, "b1": dz1.sum(0), "W2": d1.T @ dz2, "W3": d2.T @ d}

    return loss, params, grads


MUTANTS = r"""
scale local_derivative upstream ## m2 / keep ## @ p["W3"].T * m2 / keep ## @ p["W3"].T * m2
scale local_derivative upstream ## m1 / keep ## * m1 / keep * ## * m1 *
mask local_derivative ## m2 / keep ## @ p["W3"].T * m2 / keep ## @ p["W3"].T / keep
mask local_derivative ## m1 / keep ## * m1 / keep * ## *
mask local_derivative stale ## m1 / keep ## * m1 / keep * ## * m2 / keep *
local_derivative mask stale ## d1 @ p["W2"] ## "W2": d1.T @ dz2 ## "W2": a1.T @ dz2
local_derivative ## np.tanh(d1 ## dz2 = da2 * (1 - a2**2) ## dz2 = da2 * (1 - d2**2)
mask local_derivative ## m2 / keep ## @ p["W3"].T * m2 / keep ## @ p["W3"].T * (1 - m2) / keep
"""
