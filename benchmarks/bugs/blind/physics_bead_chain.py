"""Three beads on springs by symplectic Euler: scalars in the loss, vectors back."""

import numpy as np


def case(rng):
    steps, dt, seen = 5, 0.2, rng.normal(size=3)
    params = {
        "k": np.array([1.4, 0.9]),
        "x0": rng.normal(size=3),
        "v0": rng.normal(size=3) * 0.5,
        "drag": np.array(0.3),
    }

    def loss(p):
        a, b, c = p["x0"][0], p["x0"][1], p["x0"][2]
        u, v, w = p["v0"][0], p["v0"][1], p["v0"][2]
        k1, k2, g = p["k"][0], p["k"][1], p["drag"]
        for _ in range(steps):
            left, right = k1 * (b - a), k2 * (c - b) ** 3
            u = u + dt * (left - g * u)
            v = v + dt * (right - left - g * v)
            w = w + dt * (-right - g * w)
            a, b, c = a + dt * u, b + dt * v, c + dt * w
        return (a - seen[0]) ** 2 + (b - seen[1]) ** 2 + (c - seen[2]) ** 2

    def force(x, k):
        stretch = np.diff(x)
        pull = k * stretch ** np.array([1, 3])
        return np.concatenate([pull, [0]]) - np.concatenate([[0], pull])

    def grads(p):
        x, v, k, g = p["x0"], p["v0"], p["k"], p["drag"]
        tape = []
        for _ in range(steps):
            tape.append((x, v))
            v = v + dt * (force(x, k) - g * v)
            x = x + dt * v
        dx, dv, dk, dg = 2 * (x - seen), np.zeros(3), np.zeros(2), 0.0
        for x, v in reversed(tape):
            dv = dv + dt * dx
            dg = dg - dt * (dv @ v)
            df = dt * dv
            dpull = df[:-1] - df[1:]
            stretch = np.diff(x)
            dk = dk + dpull * stretch ** np.array([1, 3])
            ds = dpull * k * np.array([1, 3]) * stretch ** np.array([0, 2])
            dx = dx + np.concatenate([[0], ds]) - np.concatenate([ds, [0]])
            dv = dv * (1 - dt * g)
        return {"k": dk, "x0": dx, "v0": dv, "drag": np.array(dg)}

    return loss, params, grads


MUTANTS = r"""
local_derivative upstream accumulation scale ## g * u|g * v|g * w ## dv = dv * (1 - dt * g) ## dv = dv
sign ## right - left|-right ## dpull = df[:-1] - df[1:] ## dpull = df[:-1] + df[1:]
sign ## b - a|c - b ## dx = dx + np.concatenate([[0], ds]) - np.concatenate([ds, [0]]) ## dx = dx - np.concatenate([[0], ds]) + np.concatenate([ds, [0]])
local_derivative scale ## ** 3 ## np.array([1, 3]) * stretch ** np.array([0, 2]) ## stretch ** np.array([0, 2])
accumulation upstream ## a + dt * u ## dv = dv + dt * dx ## dv = dt * dx
scale ## a + dt * u ## dv = dv + dt * dx ## dv = dv + 0.5 * dt * dx
sign ## g * u|g * v|g * w ## dg = dg - dt * (dv @ v) ## dg = dg + dt * (dv @ v)
accumulation upstream ## b - a|c - b ## dx = dx + np.concatenate([[0], ds]) - np.concatenate([ds, [0]]) ## dx = dx + np.concatenate([[0], ds])
"""
