"""Student's t with scale and degrees of freedom through links."""

import numpy as np


def softplus(z):
    return np.log1p(np.exp(z))


class StudentT:
    def __init__(self, rng):
        self.x, self.y = rng.normal(size=(9, 2)), rng.standard_t(3, size=9)
        self.params = {
            "mean": rng.normal(size=2),
            "disp": rng.normal(size=2),
            "nu": np.array(1.1),
        }

    def pieces(self, p):
        mu = self.x @ p["mean"]
        sigma = softplus(self.x @ p["disp"]) + 0.1
        nu = 2 + softplus(p["nu"])
        z = (self.y - mu) / sigma
        return mu, sigma, nu, z

    def loss(self, p):
        mu, sigma, nu, z = self.pieces(p)
        core = (nu + 1) / 2 * np.log1p(z**2 / nu)
        return np.mean(core + np.log(sigma) + 0.5 * np.log(nu))

    def grads(self, p):
        mu, sigma, nu, z = self.pieces(p)
        n = len(z)
        q = 1 + z**2 / nu
        dz = (nu + 1) * z / (nu * q) / n
        dnu = np.log(q) / 2 - (nu + 1) / 2 * z**2 / nu**2 / q + 0.5 / nu
        dmu = -dz / sigma
        dsigma = -dz * z / sigma + 1 / sigma / n
        gate = 1 / (1 + np.exp(-(self.x @ p["disp"])))
        return {
            "mean": self.x.T @ dmu,
            "disp": self.x.T @ (dsigma * gate),
            "nu": np.mean(dnu) / (1 + np.exp(-p["nu"])),
        }


def case(rng):
    model = StudentT(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
accumulation ## np.log(sigma) ## dsigma = -dz * z / sigma + 1 / sigma / n ## dsigma = -dz * z / sigma
local_derivative reparametrized ## np.log1p(np.exp|softplus ## (dsigma * gate) ## dsigma
accumulation ## 0.5 * np.log(nu) ## / q + 0.5 / nu ## / q
accumulation local_derivative ## z**2 / nu|core = ## np.log(q) / 2 - (nu + 1) / 2 * z**2 / nu**2 / q + ## np.log(q) / 2 +
local_derivative ## / sigma ## dmu = -dz / sigma ## dmu = -dz
local_derivative ## np.log1p(z**2|core = ## dz = (nu + 1) * z / (nu * q) / n ## dz = (nu + 1) * z / nu / n
scale local_derivative accumulation ## core = ## dz = (nu + 1) * z ## dz = nu * z
reparametrized local_derivative scale ## softplus(p["nu"])|np.log1p(np.exp ## np.mean(dnu) / (1 + np.exp(-p["nu"])) ## np.mean(dnu)
sign local_derivative ## self.y - mu ## dmu = -dz / sigma ## dmu = dz / sigma
"""
