"""A planet about a star by kick, drift, kick; the adjoint runs the steps back."""

import numpy as np


def case(rng):
    dt, steps = 0.1, 4
    target = np.array([0.2, 1.1])
    params = {
        "pos": np.array([1.0, 0.1]),
        "vel": np.array([-0.1, 1.05]),
        "gm": np.array(1.2),
    }

    def loss(p):
        x, y = p["pos"][0], p["pos"][1]
        u, v, gm = p["vel"][0], p["vel"][1], p["gm"]
        energy = 0.0
        for _ in range(steps):
            r3 = (x * x + y * y) ** 1.5
            u, v = u - 0.5 * dt * gm * x / r3, v - 0.5 * dt * gm * y / r3
            x, y = x + dt * u, y + dt * v
            r3 = (x * x + y * y) ** 1.5
            u, v = u - 0.5 * dt * gm * x / r3, v - 0.5 * dt * gm * y / r3
            energy = energy + 0.5 * (u * u + v * v)
        return (x - target[0]) ** 2 + (y - target[1]) ** 2 + 0.1 * energy

    def kick(q, gm):
        return -gm * q / np.sum(q**2) ** 1.5

    def kick_vjp(q, gm, w):
        r2 = np.sum(q**2)
        dq = gm * (-w / r2**1.5 + 3 * q * (q @ w) / r2**2.5)
        dgm = -(q @ w) / r2**1.5
        return dq, dgm

    def grads(p):
        q, v, gm, tape = p["pos"], p["vel"], p["gm"], []
        for _ in range(steps):
            before = q
            half = v + 0.5 * dt * kick(q, gm)
            q = q + dt * half
            v = half + 0.5 * dt * kick(q, gm)
            tape.append((before, q, v))
        dq, dv, dgm = 2 * (q - target), np.zeros(2), 0.0
        for before, after, v in reversed(tape):
            dv = dv + 0.1 * v
            back, one = kick_vjp(after, gm, 0.5 * dt * dv)
            dq = dq + back
            dv = dv + dt * dq
            back, two = kick_vjp(before, gm, 0.5 * dt * dv)
            dq = dq + back
            dgm = dgm + one + two
        return {"pos": dq, "vel": dv, "gm": np.array(dgm)}

    return loss, params, grads


MUTANTS = r"""
local_derivative accumulation cross_term upstream ## r3 = |/ r3 ## dq = gm * (-w / r2**1.5 + 3 * q * (q @ w) / r2**2.5) ## dq = gm * (-w / r2**1.5)
scale local_derivative ## r3 = |/ r3 ## 3 * q * (q @ w) ## 1.5 * q * (q @ w)
accumulation upstream ## energy ## dv = dv + 0.1 * v ## dv = dv
accumulation upstream ## gm ## dgm = dgm + one + two ## dgm = dgm + two
stale geometry local_derivative layout ## u - 0.5|r3 ## kick_vjp(before, gm, 0.5 * dt * dv) ## kick_vjp(after, gm, 0.5 * dt * dv)
scale ## u - 0.5 ## back, one = kick_vjp(after, gm, 0.5 * dt * dv) ## back, one = kick_vjp(after, gm, dt * dv)
sign ## u - 0.5|r3 ## dgm = -(q @ w) / r2**1.5 ## dgm = (q @ w) / r2**1.5
"""
