"""Cross-entropy with label smoothing and an index to ignore."""

import numpy as np

IGNORE = -100


def log_softmax(z):
    m = z.max(axis=1, keepdims=True)
    return z - m - np.log(np.sum(np.exp(z - m), axis=1, keepdims=True))


def case(rng):
    n, d, k, smooth = 7, 3, 4, 0.2
    x, t = rng.normal(size=(n, d)), rng.integers(k, size=n)
    t[2] = t[5] = IGNORE
    weight = np.array([1.0, 0.5, 2.0, 1.5])
    keep = t != IGNORE
    params = {"W": rng.normal(size=(d, k)), "b": rng.normal(size=k)}

    def targets():
        q = np.full((n, k), smooth / k)
        q[keep, t[keep]] += 1 - smooth
        q[~keep] = 0
        return q

    def loss(p):
        logp = log_softmax(x @ p["W"] + p["b"])
        return -np.sum(targets() * weight * logp) / keep.sum()

    def grads(p):
        logp = log_softmax(x @ p["W"] + p["b"])
        q = targets() * weight
        dz = np.exp(logp) * q.sum(axis=1, keepdims=True) - q
        dz = dz / keep.sum()
        return {"W": x.T @ dz, "b": dz.sum(axis=0)}

    return loss, params, grads


MUTANTS = r"""
scale reduction ## -np.sum ## dz = dz / keep.sum() ## dz = dz / n
accumulation cross_term local_derivative ## np.log|-np.sum ## np.exp(logp) * q.sum(axis=1, keepdims=True) - q ## np.exp(logp) - q
upstream local_derivative ## -np.sum ## q = targets() * weight ## q = targets()
upstream local_derivative scale ## -np.sum ## q = targets() * weight ## q = np.where(targets() > 0.5, 1, 0) * weight
local_derivative upstream accumulation cross_term mask ## np.log|-np.sum ## dz = dz / keep.sum() ## dz = (np.exp(logp) - q) / keep.sum()
cross_term accumulation ## np.log|-np.sum ## np.exp(logp) * q.sum(axis=1, keepdims=True) - q ## -q
sign ## -np.sum ## np.exp(logp) * q.sum(axis=1, keepdims=True) - q ## q - np.exp(logp) * q.sum(axis=1, keepdims=True)
"""
