"""Poses of cameras and points from their images: bundle adjustment."""

import numpy as np


def rotation(w):
    """Three turns about the axes, one after the other."""
    c, s = np.cos(w), np.sin(w)
    one, nil = np.ones(()), np.zeros(())
    x = np.array([[one, nil, nil], [nil, c[0], -s[0]], [nil, s[0], c[0]]])
    y = np.array([[c[1], nil, s[1]], [nil, one, nil], [-s[1], nil, c[1]]])
    z = np.array([[c[2], -s[2], nil], [s[2], c[2], nil], [nil, nil, one]])
    return x, y, z


def turned(w):
    """The derivatives of the three turns."""
    c, s = np.cos(w), np.sin(w)
    x = np.array([[0, 0, 0], [0, -s[0], -c[0]], [0, c[0], -s[0]]])
    y = np.array([[-s[1], 0, c[1]], [0, 0, 0], [-c[1], 0, -s[1]]])
    z = np.array([[-s[2], -c[2], 0], [c[2], -s[2], 0], [0, 0, 0]])
    return x, y, z


def case(rng):
    cameras, count = 2, 5
    seen = rng.normal(size=(cameras, count, 2))
    params = {
        "turn": 0.3 * rng.normal(size=(cameras, 3)),
        "shift": np.array([0.0, 0.0, 5.0]) + 0.2 * rng.normal(size=(cameras, 3)),
        "points": rng.normal(size=(count, 3)),
        "focal": np.array(1.2),
        "bend": np.array(0.1),
    }

    def loss(p):
        total = 0.0
        for k in range(cameras):
            x, y, z = rotation(p["turn"][k])
            local = p["points"] @ (z @ y @ x).T + p["shift"][k]
            flat = local[:, :2] / local[:, 2:]
            radius = np.sum(flat**2, axis=1, keepdims=True)
            image = p["focal"] * flat * (1 + p["bend"] * radius)
            total = total + 0.5 * np.sum((image - seen[k]) ** 2)
        return total / count

    def grads(p):
        g = {name: np.zeros_like(value) for name, value in p.items()}
        f, b = p["focal"], p["bend"]
        for k in range(cameras):
            x, y, z = rotation(p["turn"][k])
            R = z @ y @ x
            local = p["points"] @ R.T + p["shift"][k]
            depth = local[:, 2:]
            flat = local[:, :2] / depth
            radius = np.sum(flat**2, axis=1, keepdims=True)
            factor = 1 + b * radius
            dimage = (f * flat * factor - seen[k]) / count
            g["focal"] += np.sum(dimage * flat * factor)
            g["bend"] += np.sum(dimage * f * flat * radius)
            dradius = np.sum(dimage * f * flat, axis=1, keepdims=True) * b
            dflat = dimage * f * factor + 2 * flat * dradius
            ddepth = -np.sum(dflat * flat, axis=1, keepdims=True) / depth
            dlocal = np.concatenate([dflat / depth, ddepth], axis=1)
            g["points"] += dlocal @ R
            g["shift"][k] = dlocal.sum(axis=0)
            dR = dlocal.T @ p["points"]
            dx, dy, dz = turned(p["turn"][k])
            g["turn"][k, 0] = np.sum(dR * (z @ y @ dx))
            g["turn"][k, 1] = np.sum(dR * (z @ dy @ x))
            g["turn"][k, 2] = np.sum(dR * (dz @ y @ x))
        return g

    return loss, params, grads


MUTANTS = r"""
layout ## local = ## g["points"] += dlocal @ R ## g["points"] += dlocal @ R.T
accumulation upstream ## radius = np.sum ## + 2 * flat * dradius ## + 0 * flat * dradius
local_derivative sign ## flat = ## ddepth = -np.sum( ## ddepth = np.sum(
scale local_derivative upstream ## image = ## np.sum(dimage * flat * factor) ## np.sum(dimage * flat)
accumulation duplicate_index ## local = ## g["points"] += dlocal ## g["points"] = dlocal
sign local_derivative ## c[0]|np.sin ## [0, -s[0], -c[0]], [0, c[0], -s[0]] ## [0, -s[0], c[0]], [0, c[0], -s[0]]
layout local_derivative ## z @ y @ x ## (z @ dy @ x) ## (x @ dy @ z)
scale upstream local_derivative ## radius = np.sum ## dflat = dimage * f * factor + 2 * flat * dradius ## dflat = dimage * f * factor + flat * dradius
"""
