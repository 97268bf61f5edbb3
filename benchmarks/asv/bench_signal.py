"""Diagnosis of signals: time of a report beside the passes it needs."""

import numpy as np

import fastgrad as fg


def relu(z):
    return np.maximum(z, 0)


def network(depth, width, samples):
    """Return (loss, params) of a ReLU network with He weights."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((width, samples))
    scale = np.sqrt(2 / width)
    params = [rng.standard_normal((width, width)) * scale for _ in range(depth)]

    def loss(weights):
        a = X
        for W in weights:
            a = relu(W @ a)
        return np.mean(a**2)

    return loss, params


class Diagnosis:
    """A diagnosis, and the trace and gradient of the same network."""

    params = ([(5, 256), (50, 256)],)
    param_names = ["depth, width"]
    timeout = 120

    def setup(self, size):
        self.loss, self.arrays = network(*size, 128)
        self.program = fg.trace(self.loss, self.arrays)

    def time_diagnose(self, size):
        fg.diagnose_signal(self.loss, self.arrays)

    def time_trace(self, size):
        fg.trace(self.loss, self.arrays)

    def time_gradient(self, size):
        self.program.gradient()


class Deep:
    """5000 layers, beyond the range of float64."""

    def setup(self):
        X = np.ones((2, 1))
        self.arrays = [0.5 * np.eye(2)] * 5000

        def loss(weights):
            a = X
            for W in weights:
                a = W @ a
            return np.mean(a**2)

        self.loss = loss

    def time_diagnose(self):
        fg.diagnose_signal(self.loss, self.arrays)
