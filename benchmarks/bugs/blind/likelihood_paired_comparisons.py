"""Strengths of teams from wins, draws and the ground, one game after the other."""

import numpy as np


def case(rng):
    teams = 5
    games = []
    for _ in range(9):
        home, away = rng.choice(teams, size=2, replace=False)
        games.append((int(home), int(away), int(rng.integers(3))))
    params = {
        "strength": rng.normal(size=teams),
        "ground": np.array(0.3),
        "draw": np.array(-0.2),
    }

    def weights(p, home, away):
        s, g = p["strength"], p["ground"]
        return np.array(
            [
                np.exp(s[home] + g),
                np.exp(s[away]),
                np.exp(p["draw"] + 0.5 * (s[home] + g + s[away])),
            ]
        )

    def loss(p):
        s, total = p["strength"], 0.0
        for home, away, result in games:
            mine, theirs = s[home] + p["ground"], s[away]
            even = p["draw"] + 0.5 * (mine + theirs)
            norm = np.log(np.exp(mine) + np.exp(theirs) + np.exp(even))
            total = total + norm - (mine, theirs, even)[result]
        return total + 0.1 * np.sum(s**2)

    def grads(p):
        ds, dg, dd = np.zeros(teams), 0.0, 0.0
        for home, away, result in games:
            w = weights(p, home, away)
            q = w / w.sum()
            q[result] -= 1
            ds[home] += q[0] + 0.5 * q[2]
            ds[away] += q[1] + 0.5 * q[2]
            dg += q[0] + 0.5 * q[2]
            dd += q[2]
        ds += 0.2 * p["strength"]
        return {"strength": ds, "ground": np.array(dg), "draw": np.array(dd)}

    return loss, params, grads


MUTANTS = r"""
scale local_derivative ## even = ## ds[home] += q[0] + 0.5 * q[2] ## ds[home] += q[0] + q[2]
accumulation upstream ## even = ## ds[away] += q[1] + 0.5 * q[2] ## ds[away] += q[1]
accumulation upstream ## even = ## dg += q[0] + 0.5 * q[2] ## dg += q[0]
regularization ## 0.1 * np.sum ## ds += 0.2 * p["strength"] ## ds += 0.1 * p["strength"]
duplicate_index accumulation ## s[away] ## ds[away] += q[1] ## ds[away] = q[1]
accumulation partial upstream ## p["draw"] ## dd += q[2] ## dd = q[2]
accumulation upstream local_derivative cross_term ## norm ## q = w / w.sum() ## q = w / w.sum() * 0
"""
