"""A long short-term memory with a loss at every step.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def sig(a):
    return 1.0 / (1.0 + np.exp(-a))


def case(rng):
    T, B, D, H, K = 4, 3, 2, 3, 2
    X, Y = rng.normal(size=(T, B, D)), rng.normal(size=(T, B, K))
    params = {
        "W": rng.normal(size=(D + H, 4 * H)) * 0.6,
        "b": rng.normal(size=4 * H) * 0.3,
        "V": rng.normal(size=(H, K)),
        "c": rng.normal(size=K),
    }

    def forward(p):
        h, c, tape = np.zeros((B, H)), np.zeros((B, H)), []
        total = 0.0
        for t in range(T):
            s = np.concatenate([X[t], h], axis=1)
            a = s @ p["W"] + p["b"]
            i, f = sig(a[:, :H]), sig(a[:, H : 2 * H])
            o, u = sig(a[:, 2 * H : 3 * H]), np.tanh(a[:, 3 * H :])
            c_old, c = c, f * c + i * u
            tc = np.tanh(c)
            h = o * tc
            e = h @ p["V"] + p["c"] - Y[t]
            total = total + 0.5 * np.sum(e**2)
            tape.append((s, i, f, o, u, c_old, tc, h, e))
        return total, tape

    def loss(p):
        return forward(p)[0]

    def grads(p):
        _, tape = forward(p)
        g = {k: np.zeros_like(v) for k, v in p.items()}
        dh_next, dc_next = np.zeros((B, H)), np.zeros((B, H))
        for s, i, f, o, u, c_old, tc, h, e in reversed(tape):
            g["V"] += h.T @ e
            g["c"] += e.sum(0)
            dh = e @ p["V"].T + dh_next
            do = dh * tc
            dc = dh * o * (1 - tc**2) + dc_next
            di = dc * u
            du = dc * i
            df = dc * c_old
            dc_next = dc * f
            da = np.concatenate(
                [di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), du * (1 - u**2)],
                axis=1,
            )
            g["W"] += s.T @ da
            g["b"] += da.sum(0)
            dh_next = (da @ p["W"].T)[:, D:]
        return g

    return loss, params, grads


MUTANTS = r"""
accumulation ## h = o|np.concatenate|e = h ## @ p["V"].T + dh_next ## @ p["V"].T
accumulation ## f * c ## (1 - tc**2) + dc_next ## (1 - tc**2)
local_derivative ## f * c ## dc_next = dc * f ## dc_next = dc
local_derivative ## f * c ## dc_next = dc * f ## dc_next = dc * i
local_derivative ## tc = np.tanh|h = o * tc ## dc = dh * o * (1 - tc**2) ## dc = dh * (1 - tc**2)
local_derivative ## h = o * tc ## do = dh * tc ## do = dh * c_old
local_derivative ## np.tanh(a|o, u ## du * (1 - u**2)] ## du * u * (1 - u)]
stale accumulation local_derivative ## f * c + i ## reversed(tape) ## tape
layout geometry ## i, f = |o, u =|np.concatenate|["W"] ## (da @ p["W"].T)[:, D:] ## (da @ p["W"].T)[:, :H]
"""
