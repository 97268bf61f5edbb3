"""Points in the plane whose neighbours are those of the data (t-SNE)."""

import numpy as np


def affinities(X, bandwidth=1.5):
    D = ((X[:, None, :] - X[None, :, :]) ** 2).sum(axis=2)
    P = np.exp(-D / (2 * bandwidth**2))
    np.fill_diagonal(P, 0)
    P = P / P.sum(axis=1, keepdims=True)
    return (P + P.T) / (2 * len(X))


def case(rng):
    X = rng.normal(size=(7, 4))
    P = affinities(X)
    off = 1 - np.eye(7)
    params = {"Y": rng.normal(size=(7, 2)), "log_width": np.array(0.2)}

    def loss(p):
        Y, width = p["Y"], np.exp(p["log_width"])
        diff = Y[:, None, :] - Y[None, :, :]
        D = np.sum(diff**2, axis=2)
        num = off / (1 + D / width)
        Q = num / np.sum(num)
        kl = np.sum(P * np.log((P + 1e-12) / (Q + 1e-12)))
        return kl + 0.01 * np.sum(Y**2)

    def grads(p):
        Y, width = p["Y"], np.exp(p["log_width"])
        diff = Y[:, None, :] - Y[None, :, :]
        D = np.sum(diff**2, axis=2)
        num = off / (1 + D / width)
        Z = num.sum()
        Q = num / Z
        dQ = -P / (Q + 1e-12)
        dnum = (dQ - np.sum(dQ * Q)) / Z
        dD = -dnum * num**2 / width
        dY = 2 * np.einsum("ij,ijk->ik", dD + dD.T, diff)
        dwidth = np.sum(dnum * num**2 * D) / width**2
        dY = dY + 0.02 * Y
        return {"Y": dY, "log_width": dwidth * width}

    return loss, params, grads


MUTANTS = r"""
accumulation scale ## diff = Y ## dD + dD.T, diff ## dD, diff
cross_term ## Q = num / np.sum(num) ## dnum = (dQ - np.sum(dQ * Q)) / Z ## dnum = dQ / Z
local_derivative ## num = off ## dD = -dnum * num**2 / width ## dD = -dnum * num / width
reparametrized ## np.exp(p["log_width"]) ## "log_width": dwidth * width ## "log_width": dwidth
reduction cross_term accumulation ## Q = num / np.sum(num) ## (dQ - np.sum(dQ * Q)) ## (dQ - np.sum(dQ * Q, axis=1, keepdims=True))
local_derivative scale ## np.sum(diff**2 ## dY = 2 * np.einsum ## dY = np.einsum
local_derivative stale ## num = off ## dwidth = np.sum(dnum * num**2 * D) / width**2 ## dwidth = np.sum(dnum * num**2 * D) / width
"""
