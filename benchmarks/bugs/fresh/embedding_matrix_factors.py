"""Ratings by latent factors with biases, one gradient given as arrays."""

import numpy as np


def case(rng):
    users, items = rng.integers(0, 4, size=12), rng.integers(0, 5, size=12)
    ratings = rng.normal(size=12)
    lam = 0.05
    params = {
        "P": rng.normal(size=(4, 2)),
        "Q": rng.normal(size=(5, 2)),
        "of_user": rng.normal(size=4),
        "bi": rng.normal(size=5),
        "mu": np.array(0.3),
    }

    def predict(p):
        inner = np.sum(p["P"][users] * p["Q"][items], axis=1)
        return p["mu"] + p["of_user"][users] + p["bi"][items] + inner

    def loss(p):
        fit = np.sum((predict(p) - ratings) ** 2)
        return fit + lam * (np.sum(p["P"] ** 2) + np.sum(p["Q"] ** 2))

    def grads(p):
        e = 2 * (predict(p) - ratings)
        dP, dQ = 2 * lam * p["P"], 2 * lam * p["Q"]
        d_user, dbi = np.zeros(4), np.zeros(5)
        np.add.at(dP, users, e[:, None] * p["Q"][items])
        np.add.at(dQ, items, e[:, None] * p["P"][users])
        np.add.at(d_user, users, e)
        np.add.at(dbi, items, e)
        return {"P": dP, "Q": dQ, "of_user": d_user, "bi": dbi, "mu": e.sum()}

    return loss, params, grads(params)


MUTANTS = r"""
duplicate_index ## p["P"][users] ## np.add.at(dP, users, e[:, None] * p["Q"][items]) ## dP[users] += e[:, None] * p["Q"][items]
scale ## np.sum((predict ## e = 2 * (predict(p) - ratings) ## e = predict(p) - ratings
regularization ## np.sum(p["Q"] ** 2) ## 2 * lam * p["P"], 2 * lam * p["Q"] ## 2 * lam * p["P"], lam * p["Q"]
reduction scale ## p["mu"] ## "mu": e.sum() ## "mu": e.mean()
layout stale local_derivative ## p["P"][users] * p["Q"][items] ## np.add.at(dQ, items, e[:, None] * p["P"][users]) ## np.add.at(dQ, items, e[:, None] * p["Q"][items])
duplicate_index partial layout ## p["bi"][items] ## np.add.at(dbi, items, e) ## dbi[items] = e
"""
