"""A two-layer regression with L2, L1 and a penalty on activations.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def case(rng):
    n, d, h = 8, 3, 4
    x, y = rng.normal(size=(n, d)), rng.normal(size=n)
    lam, l1, act = 0.3, 0.07, 0.05
    params = {
        "W1": rng.normal(size=(d, h)),
        "b1": rng.normal(size=h),
        "w2": rng.normal(size=h),
    }

    def loss(p):
        a = np.tanh(x @ p["W1"] + p["b1"])
        data = np.sum((a @ p["w2"] - y) ** 2) / (2 * n)
        ridge = lam / (2 * n) * (np.sum(p["W1"] ** 2) + np.sum(p["w2"] ** 2))
        lasso = l1 * np.sum(np.abs(p["w2"]))
        return data + ridge + lasso + act * np.mean(np.abs(a))

    def grads(p):
        a = np.tanh(x @ p["W1"] + p["b1"])
        e = (a @ p["w2"] - y) / n
        dw2 = a.T @ e + lam / n * p["w2"] + l1 * np.sign(p["w2"])
        da = np.outer(e, p["w2"]) + act * np.sign(a) / a.size
        dz = da * (1 - a**2)
        dW1 = x.T @ dz + lam / n * p["W1"]
        return {"W1": dW1, "b1": dz.sum(axis=0), "w2": dw2}

    return loss, params, grads


MUTANTS = r"""
regularization ## lam ## + lam / n * p["W1"] ##
regularization ## lam ## + lam / n * p["W1"] ## + lam * p["W1"]
regularization ## lam ## + lam / n * p["w2"] + ## + 2 * lam / n * p["w2"] +
regularization ## lasso ## + l1 * np.sign(p["w2"]) ## + l1 * p["w2"]
regularization accumulation ## lasso ## + l1 * np.sign(p["w2"]) ##
regularization accumulation ## act ## + act * np.sign(a) / a.size ##
regularization ## ## dz.sum(axis=0), "w2" ## dz.sum(axis=0) + lam / n * p["b1"], "w2"
scale reduction ## act ## act * np.sign(a) / a.size ## act * np.sign(a) / n
regularization sign ## lam ## + lam / n * p["W1"] ## - lam / n * p["W1"]
"""
