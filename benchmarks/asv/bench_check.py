"""The gradient checker: time, memory and accuracy of a full check."""

import sys
from pathlib import Path

import numpy as np

import fastgrad as fg

sys.path.insert(0, str(Path(__file__).parents[1]))
from network import network


class FullCheck:
    """Every entry of the 784-256-128-10 network (235,146 parameters)."""

    params = (["tanh", "relu"], ["W @ x", "x @ W"], [1, 2])
    param_names = ["activation", "layout", "num_threads"]
    timeout = 120
    number = 1
    repeat = 5

    def setup(self, activation, layout, num_threads):
        self.loss, self.arrays = network(activation, layout)
        self.grads = fg.trace(self.loss, self.arrays).gradient()

    def time_check(self, activation, layout, num_threads):
        fg.check_gradient(self.loss, self.arrays, self.grads, num_threads=num_threads)

    def peakmem_check(self, activation, layout, num_threads):
        fg.check_gradient(self.loss, self.arrays, self.grads, num_threads=num_threads)

    def track_relative_error(self, activation, layout, num_threads):
        report = fg.check_gradient(
            self.loss, self.arrays, self.grads, num_threads=num_threads
        )
        return report.relative_error

    track_relative_error.unit = "|n - a| / (|n| + |a|)"


class Trace:
    """From a function to a program, and its reverse-mode gradient."""

    def setup(self):
        self.loss, self.arrays = network()
        self.program = fg.trace(self.loss, self.arrays)

    def time_trace(self):
        fg.trace(self.loss, self.arrays)

    def time_gradient(self):
        self.program.gradient()


class PythonEngine:
    """The price of one evaluation beyond the user's own function."""

    evaluations = 100_000

    def setup(self):
        self.x = np.zeros(self.evaluations // 2)

    def time_per_evaluation(self):
        fg.numerical_gradient(lambda x: x[0], self.x, engine="python", step=1e-5)
