"""A filter in the frequency domain, by real transforms.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def case(rng):
    n, m = 8, 5
    x, y = rng.normal(size=(3, n)), rng.normal(size=(3, n))
    params = {
        "re": rng.normal(size=m),
        "im": rng.normal(size=m),
        "w": rng.normal(size=n),
    }

    def loss(p):
        spec = np.fft.rfft(x * p["w"])
        out = np.fft.irfft(spec * (p["re"] + 1j * p["im"]), n=n)
        return 0.5 * np.sum((np.tanh(out) - y) ** 2)

    def grads(p):
        spec = np.fft.rfft(x * p["w"])
        filt = p["re"] + 1j * p["im"]
        out = np.fft.irfft(spec * filt, n=n)
        t = np.tanh(out)
        dout = (t - y) * (1 - t**2)
        weight = np.full(m, 2.0)
        weight[0] = weight[-1] = 1.0
        dprod = np.fft.rfft(dout) * weight / n
        dfilt = np.sum(np.conj(spec) * dprod, axis=0)
        dspec = np.conj(filt) * dprod
        dim = dfilt.imag
        dim[0] -= np.sum(dprod[:, 0].imag * spec[:, 0].real)
        full = np.zeros((3, n), dtype=complex)
        full[:, :m] = dspec
        dx = np.fft.fft(np.conj(full)).real
        return {"re": dfilt.real, "im": dim, "w": np.sum(dx * x, axis=0)}

    return loss, params, grads


MUTANTS = r"""
conjugate ## spec * ## np.conj(spec) * dprod ## spec * dprod
conjugate ## spec * ## np.conj(filt) * dprod ## filt * dprod
scale partial geometry ## irfft ## weight[0] = weight[-1] = 1.0 ## pass
scale ## irfft ## np.fft.rfft(dout) * weight / n ## np.fft.rfft(dout) * weight
scale partial geometry ## irfft ## weight = np.full(m, 2.0) ## weight = np.full(m, 1.0)
conjugate geometry layout local_derivative ## rfft(x ## np.fft.fft(np.conj(full)).real ## np.fft.fft(full).real
conjugate sign ## 1j * ## "im": dim ## "im": -dim
local_derivative ## np.tanh ## (t - y) * (1 - t**2) ## (t - y)
scale ## rfft(x ## np.fft.fft(np.conj(full)).real ## np.fft.fft(np.conj(full)).real / n
"""
