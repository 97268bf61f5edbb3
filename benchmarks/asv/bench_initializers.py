"""Filling tensors with random numbers, and random orthogonal matrices."""

import numpy as np

from fastgrad import initializers

SCHEMES = {
    "normal": initializers.he_normal,
    "uniform": initializers.he_uniform,
    "truncated": initializers.truncated_normal,
}


class Fill:
    """2²⁰ entries, in cache, one and two threads."""

    params = (list(SCHEMES), ["float16", "float32", "float64"], [1, 2])
    param_names = ("law", "dtype", "num_threads")

    def setup(self, law, dtype, num_threads):
        self.out = np.empty((1024, 1024), dtype)

    def time_fill(self, law, dtype, num_threads):
        SCHEMES[law]((1024, 1024), out=self.out, num_threads=num_threads)


class FillNumPy:
    """NumPy's Generator, for the ratio."""

    params = ["float32", "float64"]
    param_names = ("dtype",)

    def setup(self, dtype):
        self.out = np.empty((1024, 1024), dtype)
        self.rng = np.random.default_rng(0)

    def time_fill(self, dtype):
        self.rng.standard_normal(out=self.out, dtype=dtype)


class Strided:
    """A transposed output: values of C order, written against the grain."""

    def setup(self):
        self.out = np.empty((1024, 1024), np.float32).T

    def time_fill(self):
        initializers.he_normal((1024, 1024), out=self.out)


class Orthogonal:
    params = ([64, 256, 1024], [1, 2])
    param_names = ("n", "num_threads")

    def time_orthogonal(self, n, num_threads):
        initializers.orthogonal((n, n), num_threads=num_threads)


class Small:
    """Cost of a call."""

    def time_he_normal(self):
        initializers.he_normal((4, 4), num_threads=1)

    def time_gain(self):
        initializers.gain("gelu")

    def time_gain_of_a_callable(self):
        initializers.gain(lambda x: np.maximum(x, 0.01 * x))
