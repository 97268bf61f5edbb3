"""Words by their neighbours with negative samples, as everybody's first notebook."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def case(rng):
    V, D = 8, 3
    pairs = [(1, 2), (2, 1), (2, 5), (5, 2), (4, 1)]
    noise = rng.integers(0, V, size=(len(pairs), 4))
    params = {"inner": rng.normal(size=(V, D)), "outer": rng.normal(size=(V, D))}

    def loss(p):
        total = 0.0
        for (centre, context), wrong in zip(pairs, noise):
            v = p["inner"][centre]
            total -= np.log(sigmoid(p["outer"][context] @ v))
            total -= np.sum(np.log(sigmoid(-p["outer"][wrong] @ v)))
        return total / len(pairs)

    def grads(p):
        d_in, d_out = np.zeros((V, D)), np.zeros((V, D))
        for (centre, context), wrong in zip(pairs, noise):
            v = p["inner"][centre]
            pos = sigmoid(p["outer"][context] @ v) - 1
            neg = sigmoid(p["outer"][wrong] @ v)
            d_in[centre] += pos * p["outer"][context] + neg @ p["outer"][wrong]
            d_out[context] += pos * v
            np.add.at(d_out, wrong, np.outer(neg, v))
        return {"inner": d_in / len(pairs), "outer": d_out / len(pairs)}

    return loss, params, grads


MUTANTS = r"""
duplicate_index ## p["outer"][wrong] ## np.add.at(d_out, wrong, np.outer(neg, v)) ## d_out[wrong] += np.outer(neg, v)
duplicate_index accumulation ## p["inner"][centre] ## d_in[centre] += pos ## d_in[centre] = pos
sign ## sigmoid( ## pos * p["outer"][context] + neg @ p["outer"][wrong] ## pos * p["outer"][context] - neg @ p["outer"][wrong]
local_derivative accumulation ## p["outer"][context] @ v ## pos = sigmoid(p["outer"][context] @ v) - 1 ## pos = sigmoid(p["outer"][context] @ v)
scale reduction ## len(pairs) ## "outer": d_out / len(pairs)} ## "outer": d_out}
accumulation upstream ## p["outer"][wrong] ## pos * p["outer"][context] + neg @ p["outer"][wrong] ## pos * p["outer"][context]
accumulation upstream partial duplicate_index ## p["outer"][context] ## d_out[context] += pos * v ## d_out[context] = pos * v
"""
