"""An autoencoder whose decoder is its encoder transposed."""

import numpy as np


def case(rng):
    n, d, h = 5, 4, 4
    x = rng.normal(size=(n, d))
    params = {
        "W": rng.normal(size=(d, h)) * 0.7,
        "b": rng.normal(size=h) * 0.3,
        "c": rng.normal(size=d) * 0.3,
    }

    def loss(p):
        code = np.tanh(x @ p["W"] + p["b"])
        recon = code @ p["W"].T + p["c"]
        return 0.5 * np.mean(np.sum((recon - x) ** 2, axis=1))

    def grads(p):
        code = np.tanh(x @ p["W"] + p["b"])
        recon = code @ p["W"].T + p["c"]
        d = (recon - x) / n
        dW = d.T @ code
        dz = d @ p["W"] * (1 - code**2)
        dW = dW + x.T @ dz
        return {"W": dW, "b": dz.sum(axis=0), "c": d.sum(axis=0)}

    return loss, params, grads


MUTANTS = r"""
accumulation ## code = |recon = ## dW = dW + x.T @ dz ## dW = x.T @ dz
accumulation ## code = |recon = ## dW = dW + x.T @ dz ## pass
layout ## recon = ## dW = d.T @ code ## dW = code.T @ d
scale accumulation ## recon = |code = ## dW = dW + x.T @ dz ## dW = (dW + x.T @ dz) / 2
local_derivative ## code = ## * (1 - code**2) ## * code * (1 - code)
layout ## recon = ## dz = d @ p["W"] * ## dz = d @ p["W"].T *
accumulation ## recon = ## dW = dW + x.T @ dz ## dW = 2 * dW + x.T @ dz
"""
