"""A multiclass support vector machine, the loss of the first assignment."""

import numpy as np


def case(rng):
    N, D, C, delta, reg = 7, 4, 3, 1.0, 0.02
    X, y = rng.normal(size=(N, D)), rng.integers(0, C, size=N)
    params = {"W": rng.normal(size=(D, C)) * 0.4, "b": rng.normal(size=C) * 0.2}

    def margins(p):
        scores = X @ p["W"] + p["b"]
        correct = scores[np.arange(N), y][:, None]
        m = np.maximum(0, scores - correct + delta)
        return m * (np.arange(C) != y[:, None])

    def loss(p):
        return np.sum(margins(p)) / N + reg * np.sum(p["W"] * p["W"])

    def grads(p):
        over = (margins(p) > 0).astype(float)
        over[np.arange(N), y] = -over.sum(axis=1)
        dscores = over / N
        dW = X.T @ dscores
        db = dscores.sum(axis=0)
        dW += 2 * reg * p["W"]
        return {"W": dW, "b": db}

    return loss, params, grads


MUTANTS = r"""
scale regularization ## reg * ## dW += 2 * reg * p["W"] ## dW += reg * p["W"]
scale reduction ## / N ## db = dscores.sum(axis=0) ## db = dscores.mean(axis=0)
accumulation upstream cross_term ## scores[np.arange(N), y] ## over[np.arange(N), y] = -over.sum(axis=1) ## over[np.arange(N), y] = 0
sign accumulation ## scores[np.arange(N), y] ## over[np.arange(N), y] = -over.sum(axis=1) ## over[np.arange(N), y] = over.sum(axis=1)
accumulation cross_term local_derivative upstream scale partial mask ## scores[np.arange(N), y] ## over[np.arange(N), y] = -over.sum(axis=1) ## over[np.arange(N), y] = -1
mask local_derivative ## np.maximum ## over = (margins(p) > 0).astype(float) ## over = margins(p)
regularization ## reg * ## return {"W": dW, "b": db} ## return {"W": dW, "b": db + 2 * reg * p["b"]}
"""
