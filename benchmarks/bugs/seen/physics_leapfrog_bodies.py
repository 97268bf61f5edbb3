"""Three bodies on springs, integrated by leapfrog."""

import numpy as np


def case(rng):
    n, steps, dt = 3, 4, 0.2
    target = rng.normal(size=(n, 2))
    params = {
        "x0": rng.normal(size=(n, 2)),
        "v0": rng.normal(size=(n, 2)),
        "k": np.array(1.3),
        "mass": rng.random(n) + 0.7,
    }

    def force(x, k):
        d = x[:, None, :] - x[None, :, :]
        r2 = np.sum(d**2, axis=-1, keepdims=True)
        return -k * np.sum(d * (1 + 0.1 * r2), axis=1)

    def force_back(df, x, k):
        d = x[:, None, :] - x[None, :, :]
        r2 = np.sum(d**2, axis=-1, keepdims=True)
        dk = -np.sum(df * np.sum(d * (1 + 0.1 * r2), axis=1))
        dd = -k * df[:, None, :] * (1 + 0.1 * r2)
        dr2 = -k * np.sum(df[:, None, :] * d, axis=-1, keepdims=True) * 0.1
        dd = dd + 2 * d * dr2
        return dd.sum(axis=1) - dd.sum(axis=0), dk

    def run(p):
        x, v, tape = p["x0"], p["v0"], []
        m = p["mass"][:, None]
        for _ in range(steps):
            half = v + 0.5 * dt * force(x, p["k"]) / m
            new = x + dt * half
            tape.append((x, new))
            v = half + 0.5 * dt * force(new, p["k"]) / m
            x = new
        return x, v, tape

    def loss(p):
        x, v, _ = run(p)
        return 0.5 * np.sum((x - target) ** 2) + 0.1 * np.sum(p["mass"][:, None] * v**2)

    def grads(p):
        x, v, tape = run(p)
        m = p["mass"][:, None]
        dx, dv, dk = x - target, 0.2 * m * v, 0.0
        dm = 0.1 * np.sum(v**2, axis=1)
        for old, new in reversed(tape):
            f = force(new, p["k"])
            g, dk1 = force_back(0.5 * dt * dv / m, new, p["k"])
            dm = dm - np.sum(0.5 * dt * dv * f / m**2, axis=1)
            dx = dx + g
            dhalf = dv + dt * dx
            f = force(old, p["k"])
            g, dk2 = force_back(0.5 * dt * dhalf / m, old, p["k"])
            dm = dm - np.sum(0.5 * dt * dhalf * f / m**2, axis=1)
            dx = dx + g
            dv = dhalf
            dk = dk + dk1 + dk2
        return {"x0": dx, "v0": dv, "k": np.array(dk), "mass": dm}

    return loss, params, grads


MUTANTS = r"""
sign accumulation local_derivative ## d = x|np.sum(d * ## return dd.sum(axis=1) - dd.sum(axis=0), dk ## return dd.sum(axis=1) + dd.sum(axis=0), dk
accumulation ## d = x ## return dd.sum(axis=1) - dd.sum(axis=0), dk ## return dd.sum(axis=1), dk
accumulation local_derivative ## r2|d**2 ## dd = dd + 2 * d * dr2 ## pass
local_derivative scale ## dt * half ## dhalf = dv + dt * dx ## dhalf = dv + 0.5 * dt * dx
accumulation ## dt * half|v = half ## dhalf = dv + dt * dx ## dhalf = dt * dx
scale local_derivative ## half = v ## g, dk2 = force_back(0.5 * dt * dhalf ## g, dk2 = force_back(dt * dhalf
sign ## -k * np.sum ## dk = -np.sum(df ## dk = np.sum(df
accumulation ## force(new, p["k"])|half = v ## dk = dk + dk1 + dk2 ## dk = dk + dk1
accumulation ## 0.1 * np.sum(p["mass"] ## dm = 0.1 * np.sum(v**2, axis=1) ## dm = np.zeros(n)
"""
