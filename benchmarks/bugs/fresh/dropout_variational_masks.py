"""Dropout of inputs and of hidden units by masks drawn once, scaled as in training."""

import numpy as np


def case(rng):
    n, d, h = 6, 4, 5
    keep_in, keep_hid = 0.8, 0.5
    X, y = rng.normal(size=(n, d)), rng.normal(size=n)
    m_in = (rng.uniform(size=(n, d)) < keep_in).astype(float)
    m_hid = (rng.uniform(size=(1, h)) < keep_hid).astype(float)
    m_hid[0, 0] = 1.0
    params = {
        "W": rng.normal(size=(d, h)),
        "b": rng.normal(size=h),
        "u": rng.normal(size=h),
    }

    def loss(p):
        x = X * m_in / keep_in
        a = np.where(
            x @ p["W"] + p["b"] > 0, x @ p["W"] + p["b"], 0.1 * (x @ p["W"] + p["b"])
        )
        hid = a * m_hid / keep_hid
        return np.mean((hid @ p["u"] - y) ** 2)

    def grads(p):
        x = X * m_in / keep_in
        pre = x @ p["W"] + p["b"]
        a = np.where(pre > 0, pre, 0.1 * pre)
        hid = a * m_hid / keep_hid
        e = 2 * (hid @ p["u"] - y) / n
        dhid = np.outer(e, p["u"])
        da = dhid * m_hid / keep_hid
        dpre = da * np.where(pre > 0, 1.0, 0.1)
        return {"W": x.T @ dpre, "b": dpre.sum(axis=0), "u": hid.T @ e}

    return loss, params, grads


MUTANTS = r"""
scale ## / keep_hid ## da = dhid * m_hid / keep_hid ## da = dhid * m_hid
mask ## m_hid ## da = dhid * m_hid / keep_hid ## da = dhid / keep_hid
mask stale local_derivative scale ## m_in ## "W": x.T @ dpre ## "W": X.T @ dpre
scale local_derivative stale ## m_hid|keep_hid ## "u": hid.T @ e ## "u": (a * m_hid).T @ e
mask local_derivative ## a = np.where ## np.where(pre > 0, 1.0, 0.1) ## (pre > 0)
scale ## / keep_hid ## da = dhid * m_hid / keep_hid ## da = dhid * m_hid * keep_hid
"""
