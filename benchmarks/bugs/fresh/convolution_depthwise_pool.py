"""A depthwise convolution of images, average pooling and a linear head, shifted slices."""

import numpy as np


class Net:
    def __init__(self, rng):
        self.images = rng.normal(size=(3, 2, 6, 6))
        self.labels = rng.integers(0, 3, size=3)
        self.params = {
            "kernel": rng.normal(size=(2, 3, 3)),
            "shift": rng.normal(size=2),
            "head": rng.normal(size=(8, 3)),
        }

    def depthwise(self, kernel):
        N, C, H, W = self.images.shape
        out = np.zeros((N, C, H - 2, W - 2))
        for i in range(3):
            for j in range(3):
                patch = self.images[:, :, i : i + H - 2, j : j + W - 2]
                out = out + patch * kernel[:, i, j][None, :, None, None]
        return out

    def forward(self, p):
        z = self.depthwise(p["kernel"]) + p["shift"][None, :, None, None]
        self.z = z
        self.r = np.tanh(z)
        self.pooled = self.r.reshape(3, 2, 2, 2, 2, 2).mean(axis=(3, 5))
        self.flat = self.pooled.reshape(3, -1)
        return self.flat @ p["head"]

    def loss(self, p):
        logits = self.forward(p)
        m = logits.max(axis=1, keepdims=True)
        lse = np.log(np.exp(logits - m).sum(axis=1)) + m[:, 0]
        return np.mean(lse - logits[np.arange(3), self.labels])

    def backward(self, p):
        logits = self.forward(p)
        prob = np.exp(logits - logits.max(1, keepdims=True))
        prob /= prob.sum(1, keepdims=True)
        prob[np.arange(3), self.labels] -= 1
        dlogits = prob / 3
        dflat = dlogits @ p["head"].T
        dpool = dflat.reshape(3, 2, 2, 2)
        dr = np.repeat(np.repeat(dpool, 2, axis=2), 2, axis=3) / 4
        dz = dr * (1 - self.r**2)
        dkernel = np.zeros((2, 3, 3))
        for i in range(3):
            for j in range(3):
                patch = self.images[:, :, i : i + 4, j : j + 4]
                dkernel[:, i, j] = np.sum(patch * dz, axis=(0, 2, 3))
        return {
            "kernel": dkernel,
            "shift": dz.sum(axis=(0, 2, 3)),
            "head": self.flat.T @ dlogits,
        }


def case(rng):
    net = Net(rng)
    return net.loss, net.params, net.backward


MUTANTS = r"""
scale reduction ## .mean(axis=(3, 5)) ## np.repeat(np.repeat(dpool, 2, axis=2), 2, axis=3) / 4 ## np.repeat(np.repeat(dpool, 2, axis=2), 2, axis=3)
layout geometry ## patch * kernel[:, i, j] ## dkernel[:, i, j] = np.sum(patch * dz ## dkernel[:, 2 - i, 2 - j] = np.sum(patch * dz
layout ## .mean(axis=(3, 5)) ## np.repeat(np.repeat(dpool, 2, axis=2), 2, axis=3) / 4 ## np.tile(dpool, (1, 1, 2, 2)) / 4
scale reduction ## np.mean(lse ## dlogits = prob / 3 ## dlogits = prob
local_derivative stale ## np.tanh(z) ## dz = dr * (1 - self.r**2) ## dz = dr * (1 - self.z**2)
reduction scale ## p["shift"] ## "shift": dz.sum(axis=(0, 2, 3)) ## "shift": dz.mean(axis=(0, 2, 3))
layout ## reshape(3, -1)|.mean(axis=(3, 5)) ## dpool = dflat.reshape(3, 2, 2, 2) ## dpool = dflat.reshape(3, 2, 2, 2).transpose(0, 1, 3, 2)
"""
