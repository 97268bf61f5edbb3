"""A mean of rewards with entropy, a divergence from a reference and decay."""

import numpy as np


def case(rng):
    N, D, A = 6, 3, 4
    S, R = rng.normal(size=(N, D)), rng.normal(size=(N, A))
    ref = rng.dirichlet(np.ones(A), size=N)
    ent, kl, decay = 0.2, 0.3, 0.05
    theta = {"W": rng.normal(size=(D, A)), "b": rng.normal(size=A) * 0.4}

    def loss(p):
        z = S @ p["W"] + p["b"]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        pi = e / e.sum(axis=1, keepdims=True)
        gain = np.sum(pi * R, axis=1)
        entropy = -np.sum(pi * np.log(pi), axis=1)
        away = np.sum(pi * (np.log(pi) - np.log(ref)), axis=1)
        penalty = 0.5 * decay * np.sum(p["W"] ** 2)
        return np.mean(-gain - ent * entropy + kl * away) + penalty

    def grads(p):
        z = S @ p["W"] + p["b"]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        pi = e / e.sum(axis=1, keepdims=True)
        dpi = -R + ent * (np.log(pi) + 1) + kl * (np.log(pi) + 1 - np.log(ref))
        dz = pi * (dpi - np.sum(pi * dpi, axis=1, keepdims=True)) / N
        return {"W": S.T @ dz + decay * p["W"], "b": dz.sum(axis=0)}

    return loss, theta, grads


MUTANTS = r"""
cross_term ## e / e.sum ## dz = pi * (dpi - np.sum(pi * dpi, axis=1, keepdims=True)) / N ## dz = pi * dpi / N
sign ## entropy ## dpi = -R + ent * (np.log(pi) + 1) ## dpi = -R - ent * (np.log(pi) + 1)
accumulation upstream local_derivative ## np.log(ref) ## kl * (np.log(pi) + 1 - np.log(ref)) ## kl * (np.log(pi) + 1)
accumulation upstream regularization ## entropy ## dpi = -R + ent * (np.log(pi) + 1) + kl ## dpi = -R + kl
regularization ## penalty ## + decay * p["W"] ## + decay * np.sign(p["W"])
scale regularization ## penalty ## + decay * p["W"] ## + decay * p["W"] / N
sign ## gain ## dpi = -R + ent ## dpi = R + ent
"""
