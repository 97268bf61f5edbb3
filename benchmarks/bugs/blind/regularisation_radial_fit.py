"""Radial functions fitted to a curve, with penalties of roughness and on widths."""

import numpy as np


def case(rng):
    n, m = 12, 4
    x = np.linspace(-2, 2, n)
    y = np.sin(2 * x) + 0.1 * rng.normal(size=n)
    lam, mu = 0.3, 0.05
    params = {
        "w": rng.normal(size=m),
        "c": np.linspace(-1.5, 1.5, m) + 0.1 * rng.normal(size=m),
        "log_h": rng.normal(size=m) * 0.2,
        "slope": np.array(0.3),
    }

    def phi(p):
        z = (x[:, None] - p["c"]) / np.exp(p["log_h"])
        return z, np.exp(-0.5 * z**2)

    def loss(p):
        _, B = phi(p)
        res = B @ p["w"] + p["slope"] * x - y
        rough = p["w"][2:] - 2 * p["w"][1:-1] + p["w"][:-2]
        penalty = 0.5 * lam * np.sum(rough**2) + mu * np.sum(p["log_h"] ** 2)
        return 0.5 * np.sum(res**2) + penalty

    def grads(p):
        z, B = phi(p)
        res = B @ p["w"] + p["slope"] * x - y
        rough = np.diff(p["w"], 2)
        dw = B.T @ res
        dw[2:] += lam * rough
        dw[1:-1] -= 2 * lam * rough
        dw[:-2] += lam * rough
        dz = -np.outer(res, p["w"]) * B * z
        dc = -np.sum(dz, axis=0) / np.exp(p["log_h"])
        dlog_h = -np.sum(dz * z, axis=0) + 2 * mu * p["log_h"]
        return {"w": dw, "c": dc, "log_h": dlog_h, "slope": res @ x}

    return loss, params, grads


MUTANTS = r"""
sign ## rough ## dw[1:-1] -= 2 * lam * rough ## dw[1:-1] += 2 * lam * rough
scale regularization ## rough ## dw[1:-1] -= 2 * lam * rough ## dw[1:-1] -= lam * rough
local_derivative ## z**2 ## dz = -np.outer(res, p["w"]) * B * z ## dz = -np.outer(res, p["w"]) * B
local_derivative scale reparametrized ## np.exp(p["log_h"]) ## dlog_h = -np.sum(dz * z, axis=0) + ## dlog_h = -np.sum(dz * z, axis=0) / np.exp(p["log_h"]) +
regularization accumulation upstream ## rough ## dw[:-2] += lam * rough\n ## \n
regularization sign ## mu * ## + 2 * mu * p["log_h"] ## - 2 * mu * p["log_h"]
regularization ## mu * ## "slope": res @ x} ## "slope": res @ x + 2 * mu * p["slope"]}
"""
