"""Deconvolution with total variation and curvature penalties."""

import numpy as np


class Deconvolution:
    lam_tv, lam_curve, lam_bias = 0.3, 0.15, 0.05

    def __init__(self, rng, n=10):
        self.kernel = np.array([0.25, 0.5, 0.25])
        self.obs = rng.normal(size=n - 2)
        self.params = {"s": rng.normal(size=n), "offset": rng.normal(size=1)}

    def model(self, p):
        s, k = p["s"], self.kernel
        return k[0] * s[:-2] + k[1] * s[1:-1] + k[2] * s[2:] + p["offset"]

    def loss(self, p):
        s = p["s"]
        fit = np.sum((self.model(p) - self.obs) ** 2)
        tv = np.sum(np.sqrt((s[1:] - s[:-1]) ** 2 + 1e-2))
        curve = np.sum((s[2:] - 2 * s[1:-1] + s[:-2]) ** 2)
        prior = np.sum(p["offset"] ** 2)
        return fit + self.lam_tv * tv + self.lam_curve * curve + self.lam_bias * prior

    def grads(self, p):
        s, k = p["s"], self.kernel
        r = 2 * (self.model(p) - self.obs)
        ds = np.zeros_like(s)
        ds[:-2] += k[0] * r
        ds[1:-1] += k[1] * r
        ds[2:] += k[2] * r
        diff = s[1:] - s[:-1]
        t = self.lam_tv * diff / np.sqrt(diff**2 + 1e-2)
        ds[1:] += t
        ds[:-1] -= t
        c = 2 * self.lam_curve * (s[2:] - 2 * s[1:-1] + s[:-2])
        ds[2:] += c
        ds[1:-1] -= 2 * c
        ds[:-2] += c
        return {
            "s": ds,
            "offset": r.sum(keepdims=True) + 2 * self.lam_bias * p["offset"],
        }


def case(rng):
    model = Deconvolution(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
accumulation ## tv = ## ds[:-1] -= t ## pass
sign accumulation local_derivative geometry ## tv = ## ds[:-1] -= t ## ds[:-1] += t
scale local_derivative accumulation ## curve = ## ds[1:-1] -= 2 * c ## ds[1:-1] -= c
scale regularization upstream local_derivative ## curve ## c = 2 * self.lam_curve ## c = self.lam_curve
local_derivative ## tv = |np.sqrt ## diff / np.sqrt(diff**2 + 1e-2) ## np.sign(diff)
regularization accumulation ## prior ## + 2 * self.lam_bias * p["offset"] ##
regularization ## prior ## + 2 * self.lam_bias * p["offset"] ## + self.lam_bias * p["offset"]
geometry accumulation ## k[0] * s ## ds[:-2] += k[0] * r ## ds[2:] += k[0] * r
accumulation ## k[2] * s ## ds[2:] += k[2] * r ## pass
"""
