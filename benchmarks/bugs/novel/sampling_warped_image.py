"""An image moved by an affine map and sampled bilinearly, to fit another."""

import numpy as np


def case(rng):
    size = 6
    image = rng.normal(size=(size, size))
    rows, cols = np.meshgrid(np.arange(1, 5), np.arange(1, 5), indexing="ij")
    grid = np.stack([rows.ravel() - 2.5, cols.ravel() - 2.5, np.ones(16)])
    fixed = rng.normal(size=16)
    params = {
        "affine": np.array([[1.0, 0.1, 2.5], [-0.1, 0.9, 2.4]])
        + 0.02 * rng.normal(size=(2, 3)),
        "image": image,
        "contrast": np.array(0.8),
    }

    def corners(at):
        low = np.clip(np.floor(at).astype(int), 0, size - 2)
        return low[0], low[1]

    def loss(p):
        at = p["affine"] @ grid
        i, j = corners(at)
        u, v = at[0] - i, at[1] - j
        im = p["image"]
        top = (1 - v) * im[i, j] + v * im[i, j + 1]
        bottom = (1 - v) * im[i + 1, j] + v * im[i + 1, j + 1]
        sample = (1 - u) * top + u * bottom
        return 0.5 * np.mean((p["contrast"] * sample - fixed) ** 2)

    def grads(p):
        at = p["affine"] @ grid
        i, j = corners(at)
        u, v = at[0] - i, at[1] - j
        im = p["image"]
        top = (1 - v) * im[i, j] + v * im[i, j + 1]
        bottom = (1 - v) * im[i + 1, j] + v * im[i + 1, j + 1]
        sample = (1 - u) * top + u * bottom
        r = (p["contrast"] * sample - fixed) / fixed.size
        ds = r * p["contrast"]
        dim = np.zeros_like(im)
        np.add.at(dim, (i, j), ds * (1 - u) * (1 - v))
        np.add.at(dim, (i, j + 1), ds * (1 - u) * v)
        np.add.at(dim, (i + 1, j), ds * u * (1 - v))
        np.add.at(dim, (i + 1, j + 1), ds * u * v)
        du = ds * (bottom - top)
        dv = ds * ((1 - u) * (im[i, j + 1] - im[i, j]))
        dv = dv + ds * (u * (im[i + 1, j + 1] - im[i + 1, j]))
        return {
            "affine": np.stack([du, dv]) @ grid.T,
            "image": dim,
            "contrast": r @ sample,
        }

    return loss, params, grads


MUTANTS = r"""
local_derivative geometry layout stale ## top = ## (i, j + 1), ds * (1 - u) * v) ## (i, j + 1), ds * u * (1 - v))
duplicate_index ## bottom = ## np.add.at(dim, (i + 1, j + 1), ds * u * v) ## dim[i + 1, j + 1] += ds * u * v
layout ## u, v = ## np.stack([du, dv]) ## np.stack([dv, du])
sign local_derivative ## sample = ## du = ds * (bottom - top) ## du = ds * (top - bottom)
accumulation upstream ## v * im[i + 1, j + 1] ## dv = dv + ds * (u * (im[i + 1, j + 1] - im[i + 1, j])) ## dv = dv + 0
geometry layout local_derivative partial ## bottom = ## np.add.at(dim, (i + 1, j), ## np.add.at(dim, (i, j),
upstream local_derivative ## p["contrast"] * sample ## ds = r * p["contrast"] ## ds = r
"""
