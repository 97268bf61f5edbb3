"""Huber, quantile and epsilon-insensitive losses, added."""

import numpy as np


class Robust:
    def __init__(self, rng):
        self.x, self.y = rng.normal(size=(9, 3)), 2 * rng.normal(size=(9, 3))
        self.params = {"W": rng.normal(size=(3, 3)), "b": rng.normal(size=3)}
        self.delta, self.tau, self.eps = 0.8, 0.3, 0.8

    def residual(self, p):
        return self.y - (self.x @ p["W"] + p["b"])

    def loss(self, p):
        r = self.residual(p)
        r0, r1, r2 = r[:, 0], r[:, 1], r[:, 2]
        small = np.abs(r0) <= self.delta
        quad = 0.5 * r0**2
        lin = self.delta * (np.abs(r0) - 0.5 * self.delta)
        huber = np.where(small, quad, lin).mean()
        pin = np.maximum(self.tau * r1, (self.tau - 1) * r1).mean()
        svr = np.maximum(np.abs(r2) - self.eps, 0).mean()
        return huber + 2 * pin + 3 * svr

    def grads(self, p):
        r = self.residual(p)
        n = len(r)
        dr = np.zeros_like(r)
        small = np.abs(r[:, 0]) <= self.delta
        dr[:, 0] = np.where(small, r[:, 0], self.delta * np.sign(r[:, 0])) / n
        dr[:, 1] = 2 * np.where(r[:, 1] > 0, self.tau, self.tau - 1) / n
        dr[:, 2] = 3 * np.sign(r[:, 2]) * (np.abs(r[:, 2]) > self.eps) / n
        return {"W": -self.x.T @ dr, "b": -dr.sum(axis=0)}


def case(rng):
    model = Robust(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
local_derivative scale upstream ## lin = |np.where(small ## self.delta * np.sign(r[:, 0])) / n ## np.sign(r[:, 0])) / n
mask local_derivative ## np.where(small|quad|lin ## np.where(small, r[:, 0], self.delta * np.sign(r[:, 0])) / n ## r[:, 0] / n
local_derivative sign ## np.abs(r0)|lin ## self.delta * np.sign(r[:, 0])) / n ## self.delta) / n
mask local_derivative ## pin = ## r[:, 1] > 0 ## r[:, 1] < 0
scale upstream ## 2 * pin ## 2 * np.where ## np.where
mask local_derivative ## svr = ## * (np.abs(r[:, 2]) > self.eps) / n ## / n
local_derivative sign ## np.abs(r2) ## 3 * np.sign(r[:, 2]) * ( ## 3 * (
partial scale reduction ## svr = |3 * svr ## > self.eps) / n ## > self.eps)
local_derivative scale ## quad ## np.where(small, r[:, 0], self.delta ## np.where(small, 2 * r[:, 0], self.delta
"""
