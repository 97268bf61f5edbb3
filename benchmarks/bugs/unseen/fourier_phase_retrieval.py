"""Phase retrieval: moduli of a transform of a masked complex signal.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


class PhaseRetrieval:
    def __init__(self, rng, n=6):
        self.n = n
        self.masks = np.exp(1j * rng.random((3, n)) * 6)
        self.power = rng.random((3, n)) * 5
        self.params = {"z": rng.normal(size=(n, 2)), "gain": rng.normal(size=n) * 0.2}

    def field(self, p):
        z = p["z"][:, 0] + 1j * p["z"][:, 1]
        return np.fft.fft(self.masks * (z * np.exp(p["gain"])))

    def loss(self, p):
        F = self.field(p)
        return np.sum((np.abs(F) ** 2 - self.power) ** 2) / self.n**2

    def grads(self, p):
        F = self.field(p)
        r = np.abs(F) ** 2 - self.power
        dF = 4 * r * F / self.n**2
        back = np.fft.ifft(dF) * self.n
        du = np.sum(np.conj(self.masks) * back, axis=0)
        amp = np.exp(p["gain"])
        dz = np.stack([du.real, du.imag], axis=1) * amp[:, None]
        z = p["z"][:, 0] + 1j * p["z"][:, 1]
        return {"z": dz, "gain": (np.conj(z) * du).real * amp}


def case(rng):
    model = PhaseRetrieval(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
conjugate ## self.masks * ## np.conj(self.masks) * back ## self.masks * back
scale ## np.fft.fft ## back = np.fft.ifft(dF) * self.n ## back = np.fft.ifft(dF)
conjugate geometry layout ## np.fft.fft ## back = np.fft.ifft(dF) * self.n ## back = np.fft.fft(dF)
scale ## ** 2|np.sum((np.abs ## dF = 4 * r * F ## dF = 2 * r * F
conjugate sign ## 1j * p["z"][:, 1] ## [du.real, du.imag], axis=1) ## [du.real, -du.imag], axis=1)
conjugate local_derivative ## z * np.exp ## (np.conj(z) * du).real ## (z * du).real
local_derivative reparametrized ## np.exp(p["gain"]) ## (np.conj(z) * du).real * amp ## (np.conj(z) * du).real
local_derivative ## z * np.exp ## axis=1) * amp[:, None] ## axis=1)
layout ## p["z"] ## [du.real, du.imag], axis=1) ## [du.imag, du.real], axis=1)
"""
