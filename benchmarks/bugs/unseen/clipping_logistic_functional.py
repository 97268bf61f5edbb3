"""A softmax regression with clipped probabilities and gradients.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


def softmax(z):
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def case(rng):
    n, d, k = 8, 4, 3
    x, t = rng.normal(size=(n, d)) * 2, np.eye(k)[rng.integers(k, size=n)]
    params = {"W": rng.normal(size=(d, k)) * 1.5, "b": rng.normal(size=k)}

    def loss(p):
        return -np.mean(np.sum(t * np.log(softmax(x @ p["W"] + p["b"])), axis=1))

    def gradient(p):
        d = (softmax(x @ p["W"] + p["b"]) - t) / n
        return {"W": x.T @ d, "b": d.sum(axis=0)}

    def grads(p):
        return gradient(p)

    return loss, params, grads


MUTANTS = r"""
clipped ## ## return gradient(p) ## return {k: np.clip(v, -0.1, 0.1) for k, v in gradient(p).items()}
clipped scale ## ## return gradient(p) ## return {k: v / np.linalg.norm(v) * 0.1 for k, v in gradient(p).items()}
clipped ## ## return gradient(p) ## return {k: np.minimum(v, 0.05) for k, v in gradient(p).items()}
clipped local_derivative upstream ## @ p["W"]|np.exp|np.log ## (softmax(x @ p["W"] + p["b"]) - t) / n ## np.clip((softmax(x @ p["W"] + p["b"]) - t) / n, -0.05, 0.05)
clipped local_derivative ## np.log|e / np.sum|np.exp ## (softmax(x @ p["W"] + p["b"]) - t) / n ## (np.clip(softmax(x @ p["W"] + p["b"]), 0.1, 0.9) - t) / n
partial zero ## ## return gradient(p) ## return {k: np.where(np.abs(v) < 0.05, 0, v) for k, v in gradient(p).items()}
sign clipped ## ## return gradient(p) ## return {k: np.sign(v) for k, v in gradient(p).items()}
"""
