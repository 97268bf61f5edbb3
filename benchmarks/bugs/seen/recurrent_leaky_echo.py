"""A leaky integrator network driven by a signal, states in an array."""

import numpy as np


def case(rng):
    T, N, D = 6, 5, 2
    u, target = rng.normal(size=(T, D)), rng.normal(size=T)
    params = {
        "W": rng.normal(size=(N, N)) * 0.5,
        "Win": rng.normal(size=(N, D)),
        "rate": rng.normal(size=N),
        "out": rng.normal(size=N),
    }

    def states(p):
        leak = 1 / (1 + np.exp(-p["rate"]))
        h = np.zeros(N)
        hs, fs = [h], []
        for t in range(T):
            f = np.tanh(p["W"] @ h + p["Win"] @ u[t])
            h = (1 - leak) * h + leak * f
            hs.append(h)
            fs.append(f)
        return leak, hs, fs

    def loss(p):
        _, hs, _ = states(p)
        total = 0.0
        for t in range(T):
            total = total + (p["out"] @ hs[t + 1] - target[t]) ** 2
        return total / T

    def grads(p):
        leak, hs, fs = states(p)
        dW, dWin = np.zeros((N, N)), np.zeros((N, D))
        dleak, dout, dh = np.zeros(N), np.zeros(N), np.zeros(N)
        for t in range(T - 1, -1, -1):
            e = 2 * (p["out"] @ hs[t + 1] - target[t]) / T
            dout += e * hs[t + 1]
            dh = dh + e * p["out"]
            dleak += dh * (fs[t] - hs[t])
            df = dh * leak
            da = df * (1 - fs[t] ** 2)
            dW += np.outer(da, hs[t])
            dWin += np.outer(da, u[t])
            dh = dh * (1 - leak) + p["W"].T @ da
        return {"W": dW, "Win": dWin, "rate": dleak * leak * (1 - leak), "out": dout}

    return loss, params, grads


MUTANTS = r"""
accumulation ## h = (1 - leak) ## dh = dh * (1 - leak) + p["W"].T @ da ## dh = p["W"].T @ da
accumulation ## np.tanh ## dh = dh * (1 - leak) + p["W"].T @ da ## dh = dh * (1 - leak)
local_derivative ## h = (1 - leak) ## dh * (1 - leak) + ## dh +
accumulation local_derivative ## h = (1 - leak) ## dleak += dh * (fs[t] - hs[t]) ## dleak += dh * fs[t]
local_derivative reparametrized ## leak = 1 ## dleak * leak * (1 - leak) ## dleak
accumulation partial ## total +|h = (1 - leak) ## dh = dh + e * p["out"] ## dh = e * p["out"]
stale geometry local_derivative ## np.tanh ## np.outer(da, hs[t]) ## np.outer(da, hs[t + 1])
layout ## np.tanh ## p["W"].T @ da ## p["W"] @ da
"""
