"""A soft orthogonality penalty and a KL term on mean activations.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def ortho(W):
    return W @ W.T - np.eye(len(W))


def case(rng):
    n, d, h = 6, 4, 3
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    beta, rho, kl = 0.2, 0.3, 0.4
    params = {
        "W": rng.normal(size=(h, d)) * 0.5,
        "V": rng.normal(size=(d, h)) * 0.5,
        "c": rng.normal(size=h) * 0.2,
    }

    def hidden(p):
        return 1 / (1 + np.exp(-(x @ p["W"].T + p["c"])))

    def loss(p):
        s = hidden(p)
        m = s.mean(axis=0)
        sparse = np.sum(rho * np.log(rho / m) + (1 - rho) * np.log((1 - rho) / (1 - m)))
        fit = 0.5 * np.sum((s @ p["V"].T - y) ** 2) / n
        return fit + kl * sparse + beta / 2 * np.sum(ortho(p["W"]) ** 2)

    def grads(p):
        s = hidden(p)
        m = s.mean(axis=0)
        e = (s @ p["V"].T - y) / n
        dm = kl * (-rho / m + (1 - rho) / (1 - m))
        ds = e @ p["V"] + dm / n
        dz = ds * s * (1 - s)
        pen = 2 * beta * ortho(p["W"]) @ p["W"]
        return {"W": dz.T @ x + pen, "V": e.T @ s, "c": dz.sum(axis=0)}

    return loss, params, grads


MUTANTS = r"""
regularization accumulation scale ## ortho|W @ W.T ## pen = 2 * beta * ortho(p["W"]) @ p["W"] ## pen = beta * ortho(p["W"]) @ p["W"]
regularization accumulation ## ortho|W @ W.T ## dz.T @ x + pen ## dz.T @ x
accumulation regularization ## sparse|kl ## ds = e @ p["V"] + dm / n ## ds = e @ p["V"]
scale reduction ## s.mean ## ds = e @ p["V"] + dm / n ## ds = e @ p["V"] + dm
sign local_derivative accumulation ## sparse ## -rho / m + (1 - rho) / (1 - m) ## -rho / m - (1 - rho) / (1 - m)
upstream scale local_derivative regularization ## kl ## dm = kl * ( ## dm = (
local_derivative ## 1 / (1 + np.exp ## dz = ds * s * (1 - s) ## dz = ds * (1 - s)
accumulation regularization local_derivative ## ortho|W @ W.T ## ortho(p["W"]) @ p["W"] ## (p["W"] @ p["W"].T) @ p["W"]
"""
