"""A monotone calibration curve: hats on a grid of knots, one increment per knot."""

import numpy as np


def softplus(x):
    return np.log1p(np.exp(x))


class Calibrator:
    def __init__(self, rng, knots=6, samples=9):
        self.grid = np.linspace(-2.0, 2.0, knots)
        self.step = self.grid[1] - self.grid[0]
        self.scores = rng.uniform(-1.9, 1.9, size=samples)
        self.labels = rng.normal(size=samples)
        self.cell = np.searchsorted(self.grid, self.scores) - 1
        self.params = {
            "start": np.array(rng.normal()),
            "raw": rng.normal(size=knots - 1),
            "gain": np.array(1.3),
        }

    def loss(self, p):
        rises = softplus(p["raw"])
        heights = np.concatenate([[0.0], np.cumsum(rises)]) + p["start"]
        t = (self.scores - self.grid[self.cell]) / self.step
        curve = (1 - t) * heights[self.cell] + t * heights[self.cell + 1]
        fit = np.mean((p["gain"] * curve - self.labels) ** 2)
        return fit + 0.05 * np.sum(np.diff(rises) ** 2)

    def grads(self, p):
        rises = softplus(p["raw"])
        heights = np.concatenate([[0.0], np.cumsum(rises)]) + p["start"]
        t = (self.scores - self.grid[self.cell]) / self.step
        curve = (1 - t) * heights[self.cell] + t * heights[self.cell + 1]
        error = 2 * (p["gain"] * curve - self.labels) / len(t)
        dcurve = error * p["gain"]
        dheights = np.zeros(len(self.grid))
        np.add.at(dheights, self.cell, (1 - t) * dcurve)
        np.add.at(dheights, self.cell + 1, t * dcurve)
        drises = np.cumsum(dheights[:0:-1])[::-1].copy()
        bend = 0.1 * np.diff(rises)
        drises[1:] += bend
        drises[:-1] -= bend
        return {
            "start": dheights.sum(),
            "raw": drises / (1 + np.exp(-p["raw"])),
            "gain": np.sum(error * curve),
        }


def case(rng):
    model = Calibrator(rng)
    return model.loss, model.params, model.grads


MUTANTS = r"""
local_derivative geometry stale ## curve = ## np.add.at(dheights, self.cell, (1 - t) * dcurve) ## np.add.at(dheights, self.cell, t * dcurve)
duplicate_index ## curve = ## np.add.at(dheights, self.cell + 1, t * dcurve) ## dheights[self.cell + 1] += t * dcurve
geometry local_derivative layout ## np.cumsum ## drises = np.cumsum(dheights[:0:-1])[::-1].copy() ## drises = np.cumsum(dheights[1:])
regularization sign accumulation ## np.diff ## drises[:-1] -= bend ## drises[:-1] += bend
local_derivative ## softplus(p["raw"])|np.log1p ## drises / (1 + np.exp(-p["raw"])) ## drises / (1 + np.exp(p["raw"]))
partial zero reduction geometry accumulation local_derivative upstream ## np.concatenate ## "start": dheights.sum() ## "start": dheights[0]
upstream local_derivative ## p["gain"] * curve ## dcurve = error * p["gain"] ## dcurve = error
"""
