"""Predator and prey by the classical Runge-Kutta scheme, the adjoint step by step."""

import numpy as np


def case(rng):
    dt, steps = 0.15, 5
    data = rng.uniform(0.5, 2, size=(steps, 2))
    params = {"rates": np.array([1.1, 0.5, 0.9, 0.4]), "u0": np.array([1.2, 0.7])}

    def f(u, k):
        a, b, c, d = k
        return np.array([a * u[0] - b * u[0] * u[1], d * u[0] * u[1] - c * u[1]])

    def f_vjp(u, k, v):
        a, b, c, d = k
        du = np.array(
            [
                v[0] * (a - b * u[1]) + v[1] * d * u[1],
                -v[0] * b * u[0] + v[1] * (d * u[0] - c),
            ]
        )
        dk = np.array(
            [v[0] * u[0], -v[0] * u[0] * u[1], -v[1] * u[1], v[1] * u[0] * u[1]]
        )
        return du, dk

    def loss(p):
        k, (x, y), total = p["rates"], p["u0"], 0.0
        a, b, c, d = k[0], k[1], k[2], k[3]
        for t in range(steps):
            x1, y1 = a * x - b * x * y, d * x * y - c * y
            xm, ym = x + dt / 2 * x1, y + dt / 2 * y1
            x2, y2 = a * xm - b * xm * ym, d * xm * ym - c * ym
            x, y = x + dt * x2, y + dt * y2
            total = total + (x - data[t, 0]) ** 2 + (y - data[t, 1]) ** 2
        return total

    def grads(p):
        k, u, tape = p["rates"], p["u0"], []
        for _ in range(steps):
            mid = u + dt / 2 * f(u, k)
            tape.append((u, mid))
            u = u + dt * f(mid, k)
        adj, dk = np.zeros(2), np.zeros(4)
        for t in reversed(range(steps)):
            u_start, mid = tape[t]
            u_end = tape[t + 1][0] if t + 1 < steps else u
            adj = adj + 2 * (u_end - data[t])
            dmid, dk2 = f_vjp(mid, k, dt * adj)
            dstart, dk1 = f_vjp(u_start, k, dt / 2 * dmid)
            dk += dk1 + dk2
            adj = adj + dmid + dstart
        return {"rates": dk, "u0": adj}

    return loss, params, grads


MUTANTS = r"""
accumulation ## xm, ym = ## adj = adj + dmid + dstart ## adj = adj + dmid
scale ## xm, ym = ## f_vjp(u_start, k, dt / 2 * dmid) ## f_vjp(u_start, k, dt * dmid)
stale geometry local_derivative ## xm|x1, y1 ## f_vjp(mid, k, dt * adj) ## f_vjp(u_start, k, dt * adj)
sign ## - b * x * y|d * x ## -v[0] * u[0] * u[1], -v[1] ## v[0] * u[0] * u[1], -v[1]
sign ## c * y|c * ym ## v[1] * (d * u[0] - c) ## v[1] * (d * u[0] + c)
accumulation upstream ## xm|x1, y1 ## dk += dk1 + dk2 ## dk += dk2
accumulation ## total ## adj = adj + 2 * (u_end - data[t]) ## adj = adj + 2 * (u_end - data[t]) * (t == steps - 1)
layout stale local_derivative ## d * x|b * x ## + v[1] * d * u[1], ## + v[1] * d * u[0],
"""
