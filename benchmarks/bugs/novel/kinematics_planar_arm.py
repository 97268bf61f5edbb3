"""Angles and lengths of a planar arm that reaches for points along a path."""

import numpy as np


def positions(angles, lengths):
    at, heading, out = np.zeros(2), 0.0, []
    for angle, length in zip(angles, lengths):
        heading = heading + angle
        at = at + length * np.array([np.cos(heading), np.sin(heading)])
        out.append(at)
    return out


def case(rng):
    steps, joints = 4, 3
    targets = rng.normal(size=(steps, 2))
    obstacle, margin = np.array([0.8, 0.5]), 1.3
    params = {
        "angles": rng.normal(size=(steps, joints)),
        "lengths": rng.uniform(0.6, 1.4, size=joints),
    }

    def loss(p):
        total = 0.0
        for k in range(steps):
            joint = positions(p["angles"][k], p["lengths"])
            total = total + 0.5 * np.sum((joint[-1] - targets[k]) ** 2)
            for at in joint:
                gap = margin - np.sqrt(np.sum((at - obstacle) ** 2))
                total = total + 0.5 * np.maximum(gap, 0) ** 2
        smooth = np.sum((p["angles"][1:] - p["angles"][:-1]) ** 2)
        return total + 0.1 * smooth

    def grads(p):
        dangles, dlengths = np.zeros((steps, joints)), np.zeros(joints)
        for k in range(steps):
            joint = positions(p["angles"][k], p["lengths"])
            headings = np.cumsum(p["angles"][k])
            dat, dheading = np.zeros(2), 0.0
            for j in reversed(range(joints)):
                if j == joints - 1:
                    dat = dat + joint[-1] - targets[k]
                away = joint[j] - obstacle
                distance = np.sqrt(np.sum(away**2))
                if distance < margin:
                    dat = dat - (margin - distance) * away / distance
                c, s = np.cos(headings[j]), np.sin(headings[j])
                dlengths[j] += dat[0] * c + dat[1] * s
                dheading += p["lengths"][j] * (dat[1] * c - dat[0] * s)
                dangles[k, j] = dheading
        move = 0.2 * (p["angles"][1:] - p["angles"][:-1])
        dangles[1:] += move
        dangles[:-1] -= move
        return {"angles": dangles, "lengths": dlengths}

    return loss, params, grads


MUTANTS = r"""
accumulation upstream partial ## heading = heading ## dheading += p["lengths"] ## dheading = p["lengths"]
local_derivative sign ## np.cos(heading) ## (dat[1] * c - dat[0] * s) ## (dat[1] * c + dat[0] * s)
accumulation upstream ## at = at + length ## dat = dat - (margin - distance) ## dat = -(margin - distance)
mask ## np.maximum ## if distance < margin: ## if distance > margin:
accumulation partial zero ## length * ## dlengths[j] += dat[0] ## dlengths[j] = dat[0]
local_derivative upstream ## np.sqrt ## (margin - distance) * away / distance ## (margin - distance) * away
accumulation regularization partial ## smooth = ## dangles[:-1] -= move ## dangles[:-1] -= 0
"""
