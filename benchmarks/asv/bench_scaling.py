"""Statistics and scaling: time, peak memory and correct digits."""

import math
from fractions import Fraction

import numpy as np

import fastgrad as fg


class Fit:
    """One pass over a table, beside a copy of it."""

    params = (
        [(200_000, 50), (1_000_000, 8), (20_000, 1000)],
        ["float32", "float64"],
        ["C", "F", "nan", "weights"],
    )
    param_names = ("shape", "dtype", "case")

    def setup(self, shape, dtype, case):
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal(shape).astype(dtype)
        self.other = np.empty_like(self.x)
        self.weights = None
        if case == "F":
            self.x = np.asfortranarray(self.x)
        elif case == "nan":
            self.x[rng.random(shape) < 0.01] = np.nan
        elif case == "weights":
            self.weights = rng.random(len(self.x)) + 0.5

    def time_fit(self, shape, dtype, case):
        fg.StandardScaler().fit(self.x, sample_weight=self.weights)

    def time_memcpy(self, shape, dtype, case):
        np.copyto(self.other, self.x)

    def peakmem_fit(self, shape, dtype, case):
        fg.StandardScaler().fit(self.x, sample_weight=self.weights)


class FitThreads:
    params = ([1, 2],)
    param_names = ("num_threads",)

    def setup(self, num_threads):
        self.x = np.random.default_rng(0).standard_normal((1_000_000, 50))

    def time_fit(self, num_threads):
        fg.StandardScaler(num_threads=num_threads).fit(self.x)


class Transform:
    params = ([(200_000, 50), (1_000_000, 8), (20_000, 1000)], ["float32", "float64"])
    param_names = ("shape", "dtype")

    def setup(self, shape, dtype):
        self.x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
        self.out = np.empty_like(self.x)
        self.scaler = fg.StandardScaler().fit(self.x)

    def time_transform(self, shape, dtype):
        self.scaler.transform(self.x)

    def time_transform_out(self, shape, dtype):
        self.scaler.transform(self.x, out=self.out)


class PartialFit:
    params = ([1, 100, 10_000],)
    param_names = ("batch",)

    def setup(self, batch):
        self.x = np.random.default_rng(0).standard_normal((10_000, 20)) + 1e8

    def fit(self, batch):
        scaler = fg.StandardScaler()
        for start in range(0, len(self.x), batch):
            scaler.partial_fit(self.x[start : start + batch])
        return scaler

    def time_partial_fit(self, batch):
        self.fit(batch)

    def track_correct_digits(self, batch):
        values = [Fraction(v) for v in self.x[:, 0]]
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        found = Fraction(float(self.fit(batch).scale_[0])) ** 2
        error = abs((found - variance) / (2 * variance))
        return min(17.0, -math.log10(error)) if error else 17.0
