"""Atoms embedded by type, averaged by molecule, energies from a small network."""

import numpy as np


def case(rng):
    kinds = np.array([0, 2, 1, 1, 0, 3, 2, 2, 1])
    owner = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2])
    size = np.bincount(owner)
    energy = rng.normal(size=3)
    params = {
        "emb": rng.normal(size=(4, 3)),
        "A": rng.normal(size=(3, 4)),
        "c": rng.normal(size=4),
        "out": rng.normal(size=4),
    }

    def loss(p):
        rows = p["emb"][kinds]
        total = np.zeros((3, 3))
        np.add.at(total, owner, rows)
        pooled = total / size[:, None]
        hidden = np.log1p(np.exp(pooled @ p["A"] + p["c"]))
        return np.sum((hidden @ p["out"] - energy) ** 2) / 2

    def grads(p):
        pooled = np.stack([p["emb"][kinds[owner == m]].mean(axis=0) for m in range(3)])
        pre = pooled @ p["A"] + p["c"]
        hidden = np.log1p(np.exp(pre))
        err = hidden @ p["out"] - energy
        dhidden = np.outer(err, p["out"])
        dpre = dhidden / (1 + np.exp(-pre))
        dpooled = dpre @ p["A"].T
        demb = np.zeros((4, 3))
        for atom, m in zip(kinds, owner):
            demb[atom] += dpooled[m] / size[m]
        return {
            "emb": demb,
            "A": pooled.T @ dpre,
            "c": dpre.sum(0),
            "out": hidden.T @ err,
        }

    return loss, params, grads


MUTANTS = r"""
reduction scale local_derivative ## / size[:, None] ## demb[atom] += dpooled[m] / size[m] ## demb[atom] += dpooled[m]
duplicate_index accumulation partial ## p["emb"][kinds] ## demb[atom] += dpooled[m] / size[m] ## demb[atom] = dpooled[m] / size[m]
local_derivative ## np.log1p ## dpre = dhidden / (1 + np.exp(-pre)) ## dpre = dhidden / (1 + np.exp(pre))
stale local_derivative scale ## / size[:, None] ## dpooled[m] / size[m] ## dpooled[m] / size.mean()
local_derivative stale ## np.log1p|hidden ## dhidden / (1 + np.exp(-pre)) ## dhidden / (1 + np.exp(-hidden))
upstream local_derivative ## pooled @ p["A"]|np.log1p ## dpooled = dpre @ p["A"].T ## dpooled = dhidden @ p["A"].T
"""
