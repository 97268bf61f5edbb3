"""A two-port circuit fitted over frequencies, complex impedances of real elements."""

import numpy as np


def case(rng):
    w = np.array([0.3, 0.8, 1.5, 2.7])
    measured = rng.normal(size=4) + 1j * rng.normal(size=4)
    weights = rng.uniform(0.5, 1.5, size=4)
    params = {"logR": np.array([0.2, -0.3]), "L": np.array(0.7), "C": np.array(1.4)}

    def impedance(p):
        R = np.exp(p["logR"])
        series = R[0] + 1j * w * p["L"]
        parallel = 1 / (1 / R[1] + 1j * w * p["C"])
        return series + parallel

    def loss(p):
        e = impedance(p) - measured
        return np.sum(weights * np.abs(e) ** 2)

    def grads(p):
        R = np.exp(p["logR"])
        Y = 1 / R[1] + 1j * w * p["C"]
        e = R[0] + 1j * w * p["L"] + 1 / Y - measured
        g = 2 * weights * np.conj(e)
        dL = np.sum(np.real(g * 1j * w))
        dC = np.sum(np.real(g * -1 / Y**2 * 1j * w))
        dR0 = np.sum(np.real(g))
        dR1 = np.sum(np.real(g / Y**2)) / R[1] ** 2
        return {"logR": np.array([dR0, dR1]) * R, "L": np.array(dL), "C": np.array(dC)}

    return loss, params, grads


MUTANTS = r"""
conjugate ## np.abs(e) ## g = 2 * weights * np.conj(e) ## g = 2 * weights * e
sign ## 1 / (1 / R[1] ## g * -1 / Y**2 * 1j * w ## g / Y**2 * 1j * w
local_derivative ## 1 / (1 / R[1] ## dR1 = np.sum(np.real(g / Y**2)) / R[1] ** 2 ## dR1 = np.sum(np.real(g / Y**2)) / R[1]
conjugate sign ## 1 / (1 / R[1]|1j * w ## dC = np.sum(np.real(g * -1 / Y**2 * 1j * w)) ## dC = np.sum(np.real(g * -1 / np.conj(Y)**2 * 1j * w))
scale ## weights * np.abs ## g = 2 * weights ## g = weights
local_derivative reparametrized ## np.exp(p["logR"]) ## "logR": np.array([dR0, dR1]) * R ## "logR": np.array([dR0, dR1])
scale local_derivative mask ## np.abs(e) ## g = 2 * weights * np.conj(e) ## g = 2 * np.conj(e)
local_derivative conjugate ## 1j * w ## dL = np.sum(np.real(g * 1j * w)) ## dL = np.sum(np.real(g * w))
"""
