"""A factorisation machine by Rendle's identity, rows of (index, value) pairs."""

import numpy as np


def case(rng):
    features, rank = 8, 3
    rows = []
    for _ in range(6):
        ids = rng.choice(features, size=3, replace=False)
        rows.append([(int(i), float(v)) for i, v in zip(ids, rng.uniform(0.5, 2, 3))])
    click = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
    params = {
        "bias": np.array(0.1),
        "w": rng.normal(size=features) * 0.5,
        "V": rng.normal(size=(features, rank)) * 0.5,
    }

    def loss(p):
        total = 0.0
        for row, y in zip(rows, click):
            score = p["bias"]
            summed, squared = np.zeros(rank), np.zeros(rank)
            for i, v in row:
                score = score + p["w"][i] * v
                summed = summed + p["V"][i] * v
                squared = squared + (p["V"][i] * v) ** 2
            score = score + 0.5 * np.sum(summed**2 - squared)
            total = total + np.log(1 + np.exp(-y * score))
        return total / len(rows) + 0.01 * np.sum(p["V"] ** 2)

    def score_of(row, p):
        summed = sum(p["V"][i] * v for i, v in row)
        squared = sum((p["V"][i] * v) ** 2 for i, v in row)
        linear = p["bias"] + sum(p["w"][i] * v for i, v in row)
        return linear + 0.5 * np.sum(summed**2 - squared), summed

    def grads(p):
        g = {name: np.zeros_like(value) for name, value in p.items()}
        for row, y in zip(rows, click):
            score, summed = score_of(row, p)
            delta = -y / (1 + np.exp(y * score)) / len(rows)
            g["bias"] += delta
            for i, v in row:
                g["w"][i] += delta * v
                g["V"][i] += delta * (v * summed - v**2 * p["V"][i])
        g["V"] += 0.02 * p["V"]
        return g

    return loss, params, grads


MUTANTS = r"""
accumulation upstream local_derivative cross_term ## squared = squared|np.sum(summed ## (v * summed - v**2 * p["V"][i]) ## (v * summed)
local_derivative stale scale ## squared = squared ## v**2 * p["V"][i] ## v * p["V"][i]
sign ## np.exp(-y * score) ## delta = -y / (1 + np.exp(y * score)) ## delta = y / (1 + np.exp(y * score))
local_derivative sign ## np.exp(-y * score) ## (1 + np.exp(y * score)) ## (1 + np.exp(-y * score))
duplicate_index accumulation ## p["w"][i] * v ## g["w"][i] += delta * v ## g["w"][i] = delta * v
scale ## / len(rows) ## (1 + np.exp(y * score)) / len(rows) ## (1 + np.exp(y * score))
regularization ## 0.01 * np.sum ## g["V"] += 0.02 * p["V"] ## g["V"] *= 1.0
"""
