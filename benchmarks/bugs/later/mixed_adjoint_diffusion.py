"""A steady state of diffusion, solved for; its conductivity is to be found."""

import numpy as np


def case(rng):
    n = 5
    data, where = rng.normal(size=3), np.array([0, 2, 4])
    params = {"logk": 0.3 * rng.normal(size=n + 1), "sink": 0.5 + rng.random(n)}
    params["source"] = rng.normal(size=n)

    def system(p):
        k = np.exp(p["logk"])
        main = np.diag(k[:-1] + k[1:] + p["sink"])
        return main - np.diag(k[1:-1], 1) - np.diag(k[1:-1], -1), k

    def loss(p):
        A, k = system(p)
        u = np.linalg.solve(A, p["source"])
        rough = np.sum((p["logk"][1:] - p["logk"][:-1]) ** 2)
        return 0.5 * np.sum((u[where] - data) ** 2) + 0.1 * rough

    def grads(p):
        A, k = system(p)
        u = np.linalg.solve(A, p["source"])
        du = np.zeros(n)
        du[where] = u[where] - data
        lam = np.linalg.solve(A.T, du)
        dA = -np.outer(lam, u)
        diag, over, under = np.diag(dA), np.diag(dA, 1), np.diag(dA, -1)
        dk = np.zeros(n + 1)
        dk[:-1] += diag
        dk[1:] += diag
        dk[1:-1] -= over + under
        step = p["logk"][1:] - p["logk"][:-1]
        dlog = dk * k
        dlog[1:] += 0.2 * step
        dlog[:-1] -= 0.2 * step
        return {"logk": dlog, "sink": diag.copy(), "source": lam}

    return loss, params, grads


MUTANTS = r"""
local_derivative upstream ## np.linalg.solve ## lam = np.linalg.solve(A.T, du) ## lam = du
local_derivative ## np.linalg.solve ## lam = np.linalg.solve(A.T, du) ## lam = A.T @ du
sign ## np.linalg.solve ## dA = -np.outer(lam, u) ## dA = np.outer(lam, u)
local_derivative ## np.linalg.solve ## dA = -np.outer(lam, u) ## dA = -np.outer(lam, p["source"])
accumulation ## k[1:-1] ## dk[1:-1] -= over + under ## dk[1:-1] -= over
sign accumulation local_derivative ## k[1:-1] ## dk[1:-1] -= over + under ## dk[1:-1] += over + under
reparametrized local_derivative ## np.exp(p["logk"]) ## dlog = dk * k ## dlog = dk.copy()
regularization accumulation geometry duplicate_index ## rough ## dlog[:-1] -= 0.2 * step ## pass
regularization accumulation geometry duplicate_index ## rough ## dlog[1:] += 0.2 * step ## dlog[1:] = 0.2 * step
geometry accumulation ## main ## dk[1:] += diag ## dk[:-1] += diag
scale regularization ## rough ## dlog[1:] += 0.2 * step\n        dlog[:-1] -= 0.2 * step ## dlog[1:] += 0.1 * step\n        dlog[:-1] -= 0.1 * step
sign local_derivative ## np.exp ## dlog = dk * k ## dlog = dk / k
"""
