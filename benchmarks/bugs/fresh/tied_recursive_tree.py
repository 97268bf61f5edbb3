"""A network composed recursively over a tree, the same weights at each node."""

import numpy as np

TREE = ((0, 1), (2, (3, 4)))


def compose(p, node):
    if isinstance(node, int):
        return p["leaves"][node], None
    left, right = compose(p, node[0]), compose(p, node[1])
    h = np.tanh(p["L"] @ left[0] + p["R"] @ right[0] + p["b"])
    return h, (left, right)


def spread(p, g, node, made, dh):
    h, children = made
    if children is None:
        g["leaves"][node] += dh
        return
    left, right = children
    dz = dh * (1 - h * h)
    g["L"] += np.outer(dz, left[0])
    g["R"] += np.outer(dz, right[0])
    g["b"] += dz
    spread(p, g, node[0], left, p["L"].T @ dz)
    spread(p, g, node[1], right, p["R"].T @ dz)


def case(rng):
    d = 3
    params = {
        "L": rng.normal(size=(d, d)) * 0.7,
        "R": rng.normal(size=(d, d)) * 0.7,
        "b": rng.normal(size=d) * 0.1,
        "leaves": rng.normal(size=(5, d)),
        "score": rng.normal(size=d),
    }

    def loss(p):
        h, _ = compose(p, TREE)
        return (1.0 - p["score"] @ h) ** 2

    def grads(p):
        made = compose(p, TREE)
        e = -2 * (1.0 - p["score"] @ made[0])
        g = {k: np.zeros_like(v) for k, v in p.items()}
        g["score"] = e * made[0]
        spread(p, g, TREE, made, e * p["score"])
        return g

    return loss, params, grads


MUTANTS = r"""
accumulation ## p["L"] @ left[0] ## g["L"] += np.outer(dz, left[0]) ## g["L"] = np.outer(dz, left[0])
layout ## p["R"] @ right[0] ## spread(p, g, node[1], right, p["R"].T @ dz) ## spread(p, g, node[1], right, p["R"] @ dz)
layout local_derivative stale ## p["R"] @ right[0] ## spread(p, g, node[1], right, p["R"].T @ dz) ## spread(p, g, node[1], right, p["L"].T @ dz)
layout stale local_derivative ## p["R"] @ right[0] ## g["R"] += np.outer(dz, right[0]) ## g["R"] += np.outer(dz, left[0])
local_derivative upstream ## np.tanh ## dz = dh * (1 - h * h) ## dz = dh
upstream accumulation local_derivative ## np.tanh|p["L"] @ left[0] ## spread(p, g, node[0], left, p["L"].T @ dz) ## spread(p, g, node[0], left, p["L"].T @ dh)
"""
