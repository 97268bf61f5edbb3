"""A stiff system by implicit Euler, each step solved by Newton.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def rate(u, p):
    return p["A"] @ u - p["c"] * u**3


def rate_slope(u, p):
    return p["A"] - np.diag(3 * p["c"] * u**2)


def step(u, p, h):
    new = u
    for _ in range(8):
        F = new - u - h * rate(new, p)
        J = np.eye(len(u)) - h * rate_slope(new, p)
        new = new - np.linalg.solve(J, F)
    return new


def case(rng):
    d, T, h = 3, 3, 0.3
    seen = rng.normal(size=(T, d))
    params = {
        "A": rng.normal(size=(d, d)) * 0.5 - 2 * np.eye(d),
        "c": rng.random(d) + 0.2,
        "u0": rng.normal(size=d),
    }

    def loss(p):
        u, total = p["u0"], 0.0
        for t in range(T):
            u = step(u, p, h)
            total = total + np.sum((u - seen[t]) ** 2)
        return total

    def grads(p):
        us = [p["u0"]]
        for t in range(T):
            us.append(step(us[-1], p, h))
        dA, dc, du = np.zeros((d, d)), np.zeros(d), np.zeros(d)
        for t in reversed(range(T)):
            u = us[t + 1]
            du = du + 2 * (u - seen[t])
            lam = np.linalg.solve((np.eye(d) - h * rate_slope(u, p)).T, du)
            dA += h * np.outer(lam, u)
            dc -= h * lam * u**3
            du = lam
        return {"A": dA, "c": dc, "u0": du}

    return loss, params, grads


MUTANTS = r"""
layout ## rate_slope|np.linalg.solve|p["A"] ## lam = np.linalg.solve((np.eye(d) - h * rate_slope(u, p)).T, du) ## lam = np.linalg.solve(np.eye(d) - h * rate_slope(u, p), du)
stale geometry local_derivative ## p["A"] ## dA += h * np.outer(lam, u) ## dA += h * np.outer(lam, us[t])
local_derivative accumulation ## np.linalg.solve|rate ## lam = np.linalg.solve((np.eye(d) - h * rate_slope(u, p)).T, du) ## lam = du
accumulation partial ## total + ## du = du + 2 * (u - seen[t]) ## du = 2 * (u - seen[t])
sign ## p["c"] ## dc -= h * lam * u**3 ## dc += h * lam * u**3
local_derivative ## p["c"] ## dc -= h * lam * u**3 ## dc -= h * lam * 3 * u**2
layout ## p["A"] ## dA += h * np.outer(lam, u) ## dA += h * np.outer(u, lam)
scale local_derivative ## h * rate ## dA += h * np.outer(lam, u) ## dA += np.outer(lam, u)
sign accumulation local_derivative ## rate|np.linalg.solve ## (np.eye(d) - h * rate_slope(u, p)).T ## (np.eye(d) + h * rate_slope(u, p)).T
"""
