"""Batch normalisation of (32, 64, 56, 56) images, in both layouts."""

import numpy as np

import fastgrad as fg


class BatchNorm:
    params = (["NCHW", "NHWC"], ["float32", "float64"], [1, 2])
    param_names = ("layout", "dtype", "num_threads")

    def setup(self, layout, dtype, num_threads):
        rng = np.random.default_rng(0)
        shape = (32, 64, 56, 56) if layout == "NCHW" else (32, 56, 56, 64)
        self.axis = 1 if layout == "NCHW" else -1
        self.x = rng.standard_normal(shape).astype(dtype)
        self.dy = rng.standard_normal(shape).astype(dtype)
        self.gamma, self.beta = np.ones(64), np.zeros(64)
        _, self.cache = fg.batch_norm(self.x, self.gamma, self.beta, axis=self.axis)

    def time_forward(self, layout, dtype, num_threads):
        fg.batch_norm(
            self.x, self.gamma, self.beta, axis=self.axis, num_threads=num_threads
        )

    def time_backward(self, layout, dtype, num_threads):
        fg.batch_norm_backward(self.dy, self.cache, num_threads=num_threads)
