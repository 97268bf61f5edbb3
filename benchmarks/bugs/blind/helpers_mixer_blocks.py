"""A mixer: one helper for a block of two products, over places and over channels."""

import numpy as np


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.79788456 * (x + 0.044715 * x**3)))


def gelu_grad(x):
    t = np.tanh(0.79788456 * (x + 0.044715 * x**3))
    inner = 0.79788456 * (1 + 3 * 0.044715 * x**2)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * inner


def mlp(x, w, v):
    return gelu(x @ w) @ v


def mlp_back(dy, x, w, v):
    z = x @ w
    dz = dy @ v.T * gelu_grad(z)
    return dz @ w.T, x.T @ dz, gelu(z).T @ dy


def case(rng):
    S, C, H = 4, 3, 5
    X, Y = rng.normal(size=(S, C)), rng.normal(size=(S, C))
    shapes = {"A": (S, H), "B": (H, S), "C": (C, H), "D": (H, C), "E": (C, H)}
    shapes["F"] = (H, C)
    params = {k: rng.normal(size=s) * 0.6 for k, s in shapes.items()}

    def stages(p):
        x1 = X + mlp(X.T, p["A"], p["B"]).T
        x2 = x1 + mlp(x1, p["C"], p["D"])
        return x1, x2, x2 + mlp(x2, p["E"], p["F"])

    def loss(p):
        return 0.5 * np.sum((stages(p)[2] - Y) ** 2)

    def grads(p):
        x1, x2, x3 = stages(p)
        d3 = x3 - Y
        back, dE, dF = mlp_back(d3, x2, p["E"], p["F"])
        d2 = d3 + back
        back, dC, dD = mlp_back(d2, x1, p["C"], p["D"])
        d1 = d2 + back
        _, dA, dB = mlp_back(d1.T, X.T, p["A"], p["B"])
        return {"A": dA, "B": dB, "C": dC, "D": dD, "E": dE, "F": dF}

    return loss, params, grads


MUTANTS = r"""
local_derivative scale ## 0.044715|gelu ## (1 + 3 * 0.044715 * x**2) ## (1 + 0.044715 * x**2)
local_derivative accumulation cross_term upstream ## gelu|np.tanh ## return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * inner ## return 0.5 * (1 + t)
accumulation upstream ## x2 + mlp ## d2 = d3 + back ## d2 = back
accumulation upstream ## x1 + mlp ## d1 = d2 + back ## d1 = d2
stale geometry local_derivative layout ## gelu(x @ w) @ v|x2 + mlp ## mlp_back(d3, x2, p["E"], p["F"]) ## mlp_back(d3, x1, p["E"], p["F"])
local_derivative stale ## gelu(x @ w) @ v ## x.T @ dz, gelu(z).T @ dy ## x.T @ dz, z.T @ dy
stale layout geometry local_derivative upstream accumulation ## x1 + mlp ## mlp_back(d2, x1, p["C"], p["D"]) ## mlp_back(d3, x1, p["C"], p["D"])
"""
