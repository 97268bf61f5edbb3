"""The energy of charged particles with a soft core, forces by pairs: arrays."""

import numpy as np


def case(rng):
    n = 4
    charge = np.array([1.0, -1.0, 2.0, -1.5])
    i, j = np.triu_indices(n, 1)
    params = {
        "r": rng.normal(size=(n, 3)) * 1.5,
        "k": np.array(0.8),
        "sigma": np.array(0.9),
    }

    def energy(p):
        diff = p["r"][i] - p["r"][j]
        d2 = np.sum(diff**2, axis=1)
        d = np.sqrt(d2)
        lj = (p["sigma"] ** 2 / d2) ** 6 - (p["sigma"] ** 2 / d2) ** 3
        coulomb = charge[i] * charge[j] / d
        trap = 0.5 * p["k"] * np.sum(p["r"] ** 2)
        return 4 * np.sum(lj) + np.sum(coulomb) + trap

    def gradient(p):
        r, sigma = p["r"], p["sigma"]
        grad_r, grad_sigma = p["k"] * r, 0.0
        for a in range(n):
            for b in range(a + 1, n):
                diff = r[a] - r[b]
                d = np.linalg.norm(diff)
                s6 = (sigma / d) ** 6
                pull = 4 * (-12 * s6**2 + 6 * s6) / d - charge[a] * charge[b] / d**2
                grad_r[a] += pull * diff / d
                grad_r[b] -= pull * diff / d
                grad_sigma += 4 * (12 * s6**2 - 6 * s6) / sigma
        return {"r": grad_r, "k": 0.5 * np.sum(r**2), "sigma": np.array(grad_sigma)}

    return energy, params, gradient(params)


MUTANTS = r"""
sign ## charge[i] * charge[j] / d ## - charge[a] * charge[b] / d**2 ## + charge[a] * charge[b] / d**2
local_derivative scale ## lj = ## (-12 * s6**2 + 6 * s6) / d ## (-12 * s6**2 + 6 * s6)
sign ## p["r"][i] - p["r"][j] ## grad_r[b] -= pull * diff / d ## grad_r[b] += pull * diff / d
accumulation ## p["r"][i] - p["r"][j] ## grad_r[b] -= pull * diff / d ## pass
scale ## 0.5 * p["k"] ## grad_r, grad_sigma = p["k"] * r ## grad_r, grad_sigma = 0.5 * p["k"] * r
local_derivative ## np.sqrt(d2)|diff**2 ## grad_r[a] += pull * diff / d\n                grad_r[b] -= pull * diff / d ## grad_r[a] += pull * diff\n                grad_r[b] -= pull * diff
local_derivative scale ## charge[i] * charge[j] / d ## charge[a] * charge[b] / d**2 ## charge[a] * charge[b] / d
sign accumulation ## lj = ## grad_sigma += 4 * (12 * s6**2 - 6 * s6) / sigma ## grad_sigma += 4 * (12 * s6**2 + 6 * s6) / sigma
"""
