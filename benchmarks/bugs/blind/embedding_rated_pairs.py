"""Ratings of pairs by factors and biases, one rating after the other."""

import numpy as np


def case(rng):
    users, items, k, lam = 4, 5, 2, 0.1
    ratings = [
        (int(rng.integers(users)), int(rng.integers(items)), float(rng.normal() + 3))
        for _ in range(9)
    ]
    mean = 3.0
    params = {
        "P": rng.normal(size=(users, k)) * 0.8,
        "Q": rng.normal(size=(items, k)) * 0.8,
        "b_u": rng.normal(size=users) * 0.3,
        "b_i": rng.normal(size=items) * 0.3,
    }

    def predict(p, u, i):
        return mean + p["b_u"][u] + p["b_i"][i] + p["P"][u] @ p["Q"][i]

    def loss(p):
        total = 0.0
        for u, i, r in ratings:
            total = total + (r - predict(p, u, i)) ** 2
            total = total + lam * (np.sum(p["P"][u] ** 2) + np.sum(p["Q"][i] ** 2))
            total = total + lam * (p["b_u"][u] ** 2 + p["b_i"][i] ** 2)
        return total

    def grads(p):
        g = {name: np.zeros_like(value) for name, value in p.items()}
        for u, i, r in ratings:
            err = r - predict(p, u, i)
            g["b_u"][u] += -2 * err + 2 * lam * p["b_u"][u]
            g["b_i"][i] += -2 * err + 2 * lam * p["b_i"][i]
            g["P"][u] += -2 * err * p["Q"][i] + 2 * lam * p["P"][u]
            g["Q"][i] += -2 * err * p["P"][u] + 2 * lam * p["Q"][i]
        return g

    return loss, params, grads


MUTANTS = r"""
duplicate_index accumulation ## p["b_u"][u]|p["b_u"] ## g["b_u"][u] += -2 ## g["b_u"][u] = -2
regularization scale ## lam * ## -2 * err * p["Q"][i] + 2 * lam * p["P"][u] ## -2 * err * p["Q"][i] + lam * p["P"][u]
layout stale local_derivative ## p["P"][u] @ p["Q"][i] ## g["Q"][i] += -2 * err * p["P"][u] ## g["Q"][i] += -2 * err * p["Q"][i]
sign ## lam * (p["b_u"][u] ## -2 * err + 2 * lam * p["b_i"][i] ## -2 * err - 2 * lam * p["b_i"][i]
regularization ## lam * ## -2 * err * p["P"][u] + 2 * lam * p["Q"][i] ## -2 * err * p["P"][u]
scale ## r - predict ## g["b_i"][i] += -2 * err + ## g["b_i"][i] += -err +
duplicate_index accumulation ## p["Q"][i]|p["Q"] ## g["Q"][i] += -2 ## g["Q"][i] = -2
"""
