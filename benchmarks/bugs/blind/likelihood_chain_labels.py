"""A linear chain of labels: the partition by the forward recursion, marginals back."""

import numpy as np
from scipy.special import logsumexp


def case(rng):
    T, D, K = 5, 3, 3
    X, y = rng.normal(size=(T, D)), rng.integers(0, K, size=T)
    l2 = 0.1
    theta = {
        "emit": rng.normal(size=(D, K)),
        "trans": rng.normal(size=(K, K)) * 0.7,
        "start": rng.normal(size=K) * 0.5,
    }

    def loss(p):
        score = X @ p["emit"]
        alpha = p["start"] + score[0]
        for t in range(1, T):
            alpha = logsumexp(alpha[:, None] + p["trans"], axis=0) + score[t]
        gold = p["start"][y[0]] + np.sum(score[np.arange(T), y])
        gold = gold + np.sum(p["trans"][y[:-1], y[1:]])
        return logsumexp(alpha) - gold + 0.5 * l2 * np.sum(p["emit"] ** 2)

    def grads(p):
        score = X @ p["emit"]
        alpha, beta = np.zeros((T, K)), np.zeros((T, K))
        alpha[0] = p["start"] + score[0]
        for t in range(1, T):
            alpha[t] = logsumexp(alpha[t - 1][:, None] + p["trans"], axis=0) + score[t]
        for t in range(T - 2, -1, -1):
            beta[t] = logsumexp(p["trans"] + score[t + 1] + beta[t + 1], axis=1)
        logZ = logsumexp(alpha[-1])
        unary = np.exp(alpha + beta - logZ)
        dtrans = np.zeros((K, K))
        for t in range(T - 1):
            pair = alpha[t][:, None] + p["trans"] + score[t + 1] + beta[t + 1]
            dtrans += np.exp(pair - logZ)
        np.add.at(dtrans, (y[:-1], y[1:]), -1)
        unary[np.arange(T), y] -= 1
        demit = X.T @ unary + l2 * p["emit"]
        return {"emit": demit, "trans": dtrans, "start": unary[0]}

    return loss, theta, grads


MUTANTS = r"""
duplicate_index ## p["trans"][y ## np.add.at(dtrans, (y[:-1], y[1:]), -1) ## dtrans[y[:-1], y[1:]] -= 1
regularization ## 0.5 * l2 ## demit = X.T @ unary + l2 * p["emit"] ## demit = X.T @ unary
accumulation partial upstream ## p["trans"] ## dtrans += np.exp(pair - logZ) ## dtrans = np.exp(pair - logZ)
layout ## p["trans"] ## np.add.at(dtrans, (y[:-1], y[1:]), -1) ## np.add.at(dtrans, (y[1:], y[:-1]), -1)
geometry stale local_derivative accumulation upstream ## logsumexp ## p["trans"] + score[t + 1] + beta[t + 1]\n ## p["trans"] + score[t] + beta[t + 1]\n
geometry stale layout partial accumulation local_derivative ## p["start"] ## "start": unary[0]} ## "start": unary[1]}
accumulation upstream ## gold ## unary[np.arange(T), y] -= 1 ## unary[np.arange(T), y] -= 0
"""
