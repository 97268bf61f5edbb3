"""A signal smoothed by a spectral operator, derivatives by the FFT."""

import numpy as np


def case(rng):
    n = 11
    k = np.fft.rfftfreq(n) * 2 * np.pi
    seen = rng.normal(size=n)
    params = {"u": rng.normal(size=n), "log_len": np.array(-0.4), "amp": np.array(1.3)}

    def loss(p):
        scale = p["amp"] / (1 + np.exp(2 * p["log_len"]) * k**2)
        smooth = np.fft.irfft(scale * np.fft.rfft(p["u"]), n=n)
        slope = np.fft.irfft(1j * k * np.fft.rfft(p["u"]), n=n)
        return 0.5 * np.sum((smooth - seen) ** 2) + 0.05 * np.sum(slope**2)

    def grads(p):
        l2 = np.exp(2 * p["log_len"])
        shape = 1 / (1 + l2 * k**2)
        U = np.fft.rfft(p["u"])
        res = np.fft.irfft(p["amp"] * shape * U, n=n) - seen
        R = np.fft.rfft(res)
        du = np.fft.irfft(p["amp"] * shape * R, n=n)
        du += 0.1 * np.fft.irfft(k**2 * U, n=n)
        twice = np.full(k.size, 2.0)
        twice[0] = 1.0
        cross = twice * np.real(np.conj(R) * U) / n
        damp = np.sum(cross * shape)
        dl2 = -p["amp"] * np.sum(cross * shape**2 * k**2)
        return {"u": du, "log_len": np.array(2 * l2 * dl2), "amp": np.array(damp)}

    return loss, params, grads


MUTANTS = r"""
scale local_derivative ## np.exp(2 * p["log_len"]) ## np.array(2 * l2 * dl2) ## np.array(l2 * dl2)
scale ## np.fft.irfft|np.fft.rfft ## np.real(np.conj(R) * U) / n ## np.real(np.conj(R) * U)
accumulation partial ## np.fft.irfft|np.fft.rfft ## twice = np.full(k.size, 2.0) ## twice = np.full(k.size, 1.0)
conjugate ## np.fft.irfft|np.fft.rfft ## np.real(np.conj(R) * U) / n ## np.real(R * U) / n
sign ## slope ## du += 0.1 * ## du -= 0.1 *
scale ## slope|0.05 ## du += 0.1 * np.fft.irfft ## du += 0.05 * np.fft.irfft
local_derivative ## k**2) ## cross * shape**2 * k**2 ## cross * shape * k**2
"""
