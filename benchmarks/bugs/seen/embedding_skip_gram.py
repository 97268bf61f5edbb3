"""Skip-gram with negative samples, pair by pair."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class SkipGram:
    def __init__(self, rng, words=6, width=3):
        self.pairs = rng.integers(words, size=(8, 2))
        self.negatives = rng.integers(words, size=(8, 3))
        self.params = {
            "center": rng.normal(size=(words, width)),
            "context": rng.normal(size=(words, width)),
        }

    def loss(self, p):
        total = 0.0
        for (c, o), negs in zip(self.pairs, self.negatives):
            v = p["center"][c]
            total = total - np.log(sigmoid(p["context"][o] @ v))
            for k in negs:
                total = total - np.log(sigmoid(-(p["context"][k] @ v)))
        return total / len(self.pairs)

    def grads(self, p):
        dc, do = np.zeros_like(p["center"]), np.zeros_like(p["context"])
        n = len(self.pairs)
        for (c, o), negs in zip(self.pairs, self.negatives):
            v = p["center"][c]
            e = (sigmoid(p["context"][o] @ v) - 1) / n
            dc[c] += e * p["context"][o]
            do[o] += e * v
            for k in negs:
                e = sigmoid(p["context"][k] @ v) / n
                dc[c] += e * p["context"][k]
                do[k] += e * v
        return {"center": dc, "context": do}


def case(rng):
    model = SkipGram(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
duplicate_index accumulation ## p["center"] ## dc[c] += e * p["context"][o] ## dc[c] = e * p["context"][o]
duplicate_index accumulation ## p["context"][o] ## do[o] += e * v ## do[o] = e * v
duplicate_index accumulation ## p["context"][k] ## do[k] += e * v ## do[k] = e * v
sign local_derivative ## p["context"][k] ## e = sigmoid(p["context"][k] @ v) / n ## e = -sigmoid(p["context"][k] @ v) / n
accumulation local_derivative ## np.log(sigmoid(p["context"][o] ## (sigmoid(p["context"][o] @ v) - 1) / n ## sigmoid(p["context"][o] @ v) / n
scale upstream ## p["context"][k] @ v ## e = sigmoid(p["context"][k] @ v) / n ## e = sigmoid(p["context"][k] @ v) / n / 3
accumulation ## p["context"][k] @ v ## dc[c] += e * p["context"][k] ## pass
local_derivative ## p["context"][k] @ v ## e = sigmoid(p["context"][k] @ v) / n ## e = sigmoid(-(p["context"][k] @ v)) / n
layout local_derivative ## p["context"][o] @ v|p["context"][k] @ v ## dc[c] += e * p["context"][k] ## dc[c] += e * p["context"][o]
"""
