"""A signal behind a blur, in frequencies, with a penalty on high ones."""

import numpy as np


def case(rng):
    n = 8
    kernel0, observed = rng.normal(size=n), rng.normal(size=n)
    freq = np.abs(np.fft.fftfreq(n))
    lam = 0.3
    params = {"x": rng.normal(size=n), "k": kernel0, "shift": np.array(0.35)}

    def loss(p):
        phase = np.exp(-2j * np.pi * np.fft.fftfreq(n) * p["shift"])
        spectrum = np.fft.fft(p["x"]) * np.fft.fft(p["k"]) * phase
        res = np.real(np.fft.ifft(spectrum)) - observed
        high = lam * np.sum(freq * np.abs(np.fft.fft(p["x"])) ** 2) / n
        return np.sum(res**2) + high

    def grads(p):
        f = np.fft.fftfreq(n)
        phase = np.exp(-2j * np.pi * f * p["shift"])
        fx, fk = np.fft.fft(p["x"]), np.fft.fft(p["k"])
        spectrum = fx * fk * phase
        res = np.real(np.fft.ifft(spectrum)) - observed
        fr = np.fft.fft(2 * res)
        dx = np.real(np.fft.ifft(fr * np.conj(fk * phase)))
        dk = np.real(np.fft.ifft(fr * np.conj(fx * phase)))
        dshift = np.sum(2 * res * np.real(np.fft.ifft(-2j * np.pi * f * spectrum)))
        dx += 2 * lam * np.real(np.fft.ifft(freq * fx))
        return {"x": dx, "k": dk, "shift": np.array(dshift)}

    return loss, params, grads


MUTANTS = r"""
conjugate ## np.fft.fft(p["x"]) * np.fft.fft(p["k"]) ## dx = np.real(np.fft.ifft(fr * np.conj(fk * phase))) ## dx = np.real(np.fft.ifft(fr * fk * phase))
conjugate ## np.fft.fft(p["x"]) * np.fft.fft(p["k"])|phase ## np.conj(fx * phase) ## np.conj(fx) * phase
scale regularization ## lam * ## dx += 2 * lam * ## dx += lam *
sign conjugate ## phase = ## np.fft.ifft(-2j * np.pi * f * spectrum) ## np.fft.ifft(2j * np.pi * f * spectrum)
scale ## np.fft.ifft ## dk = np.real(np.fft.ifft(fr * np.conj(fx * phase))) ## dk = n * np.real(np.fft.ifft(fr * np.conj(fx * phase)))
upstream local_derivative accumulation scale ## phase ## np.conj(fx * phase) ## np.conj(fx)
local_derivative scale ## freq * ## np.real(np.fft.ifft(freq * fx)) ## np.real(np.fft.ifft(freq**2 * fx))
"""
