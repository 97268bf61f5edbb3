"""Two affine flows with determinants and an inverse.

Held out: not to be read by who writes the rules of `causes`.
"""

import numpy as np


class AffineFlow:
    def __init__(self, name):
        self.name = name

    def forward(self, x, p):
        W, b = p[self.name + "W"], p[self.name + "b"]
        self.x, self.W = x, W
        return x @ W + b, len(x) * np.log(np.abs(np.linalg.det(W)))

    def backward(self, dy, dlogdet):
        n = len(self.x)
        inv_t = np.linalg.inv(self.W).T
        dW = self.x.T @ dy + dlogdet * n * inv_t
        return dy @ self.W.T, {self.name + "W": dW, self.name + "b": dy.sum(axis=0)}


def case(rng):
    x = rng.normal(size=(5, 3))
    params = {
        "aW": rng.normal(size=(3, 3)),
        "ab": rng.normal(size=3),
        "bW": rng.normal(size=(3, 3)),
        "bb": rng.normal(size=3),
        "S": rng.normal(size=(3, 3)) * 0.3 + 2 * np.eye(3),
    }

    def run(p):
        f, g = AffineFlow("a"), AffineFlow("b")
        y, one = f.forward(x, p)
        h = y + 0.3 * np.sin(y)
        extra = np.sum(np.log(1 + 0.3 * np.cos(y)))
        z, two = g.forward(h, p)
        prec = np.linalg.inv(p["S"])
        return f, g, y, z, prec, one + two + extra

    def loss(p):
        _, _, _, z, prec, logdet = run(p)
        return 0.5 * np.sum((z @ prec) * z) - logdet

    def grads(p):
        f, g, y, z, prec, _ = run(p)
        dz = 0.5 * z @ (prec + prec.T)
        dprec = 0.5 * z.T @ z
        dS = -prec.T @ dprec @ prec.T
        dh, grad = g.backward(dz, -1.0)
        dy = dh * (1 + 0.3 * np.cos(y))
        dy = dy + 0.3 * np.sin(y) / (1 + 0.3 * np.cos(y))
        _, other = f.backward(dy, -1.0)
        return {**grad, **other, "S": dS}

    return loss, params, grads


MUTANTS = r"""
layout ## np.linalg.det ## inv_t = np.linalg.inv(self.W).T ## inv_t = np.linalg.inv(self.W)
scale reduction upstream ## len(x) * ## dlogdet * n * inv_t ## dlogdet * inv_t
accumulation ## np.linalg.det ## self.x.T @ dy + dlogdet * n * inv_t ## self.x.T @ dy
sign accumulation local_derivative ## np.linalg.det|- logdet ## self.x.T @ dy + dlogdet * n * inv_t ## self.x.T @ dy - dlogdet * n * inv_t
accumulation layout ## (z @ prec) ## 0.5 * z @ (prec + prec.T) ## z @ prec
layout ## np.linalg.inv(p["S"]) ## -prec.T @ dprec @ prec.T ## -prec @ dprec @ prec
accumulation ## extra|np.cos ## dy = dy + 0.3 * np.sin(y) / (1 + 0.3 * np.cos(y)) ## pass
local_derivative ## np.sin ## dy = dh * (1 + 0.3 * np.cos(y)) ## dy = dh
sign local_derivative ## np.linalg.inv(p["S"]) ## dS = -prec.T ## dS = prec.T
"""
