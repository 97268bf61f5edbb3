"""A multinomial model with group sparsity, smooth differences and an entropy term."""

import numpy as np


def case(rng):
    n, d, k = 10, 6, 3
    X = rng.normal(size=(n, d))
    Y = np.eye(k)[rng.integers(0, k, size=n)]
    groups = [slice(0, 2), slice(2, 3), slice(3, 6)]
    l1, l2, l3 = 0.2, 0.1, 0.05
    params = {"coef": rng.normal(size=(d, k)), "intercept": rng.normal(size=k)}

    def loss(p):
        eta = X @ p["coef"] + p["intercept"]
        logp = eta - np.log(np.sum(np.exp(eta), axis=1, keepdims=True))
        nll = -np.sum(Y * logp) / n
        sparse = sum(
            np.sqrt(g.stop - g.start) * np.sqrt(np.sum(p["coef"][g] ** 2))
            for g in groups
        )
        rough = np.sum(np.diff(p["coef"], axis=0) ** 2)
        entropy = -np.sum(np.exp(logp) * logp) / n
        return nll + l1 * sparse + l2 * rough - l3 * entropy

    def grads(p):
        eta = X @ p["coef"] + p["intercept"]
        prob = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
        logp = np.log(prob)
        deta = (prob - Y) / n
        inner = logp + 1
        deta += l3 * prob * (inner - np.sum(prob * inner, axis=1, keepdims=True)) / n
        dcoef = X.T @ deta
        for g in groups:
            block = p["coef"][g]
            dcoef[g] += l1 * np.sqrt(g.stop - g.start) * block / np.linalg.norm(block)
        step = np.diff(p["coef"], axis=0)
        dcoef[1:] += 2 * l2 * step
        dcoef[:-1] -= 2 * l2 * step
        return {"coef": dcoef, "intercept": deta.sum(axis=0)}

    return loss, params, grads


MUTANTS = r"""
regularization scale local_derivative ## np.sqrt(g.stop ## l1 * np.sqrt(g.stop - g.start) * block ## l1 * block
regularization sign ## np.diff(p["coef"] ## dcoef[:-1] -= 2 * l2 * step ## dcoef[:-1] += 2 * l2 * step
regularization scale ## np.diff(p["coef"]|** 2 ## dcoef[1:] += 2 * l2 * step\n        dcoef[:-1] -= 2 * l2 * step ## dcoef[1:] += l2 * step\n        dcoef[:-1] -= l2 * step
regularization local_derivative ## np.sqrt(np.sum(p["coef"][g] ** 2)) ## block / np.linalg.norm(block) ## block
sign ## entropy ## deta += l3 * prob ## deta -= l3 * prob
cross_term ## logp|np.exp(logp) * logp ## (inner - np.sum(prob * inner, axis=1, keepdims=True)) / n ## inner / n
regularization accumulation partial ## np.diff(p["coef"] ## dcoef[:-1] -= 2 * l2 * step ## pass
"""
