"""Everyday losses: time, evaluations and accuracy of a full check."""

import sys
from pathlib import Path

import numpy as np

import fastgrad as fg

sys.path.insert(0, str(Path(__file__).parents[1]))
import workloads


class Workloads:
    """Every entry of each, as benchmarks/workloads.py compares them with a loop."""

    params = ([workload.__name__ for workload in workloads.WORKLOADS], [1, 2])
    param_names = ["workload", "num_threads"]
    timeout = 120
    number = 1
    repeat = 5

    def setup(self, workload, num_threads):
        self.loss, self.arrays = getattr(workloads, workload)()
        self.grads = fg.trace(self.loss, self.arrays).gradient()

    def check(self, num_threads):
        return fg.check_gradient(
            self.loss, self.arrays, self.grads, num_threads=num_threads
        )

    def time_check(self, workload, num_threads):
        self.check(num_threads)

    def peakmem_check(self, workload, num_threads):
        self.check(num_threads)

    def track_evaluations_of_an_entry(self, workload, num_threads):
        size = sum(array.size for array in self.arrays.values())
        return self.check(num_threads).evaluations / size

    def track_detection_limit(self, workload, num_threads):
        blocks = self.check(num_threads).blocks
        return float(np.max([block.detection_limit for block in blocks]))
