"""Full checks of the everyday losses of ``benchmarks/workloads.py``."""

import sys
from pathlib import Path

import fastgrad as fg

sys.path.insert(0, str(Path(__file__).parents[1]))
import workloads

BY_NAME = {workload.__name__: workload for workload in workloads.WORKLOADS}


class Workloads:
    """Time, memory, evaluations for each parameter, and the detection limit."""

    params = list(BY_NAME)
    param_names = ["workload"]
    timeout = 300
    number = 1
    repeat = 3

    def setup(self, workload):
        self.loss, self.arrays = BY_NAME[workload]()
        self.grads = fg.trace(self.loss, self.arrays).gradient()

    def _check(self):
        return fg.check_gradient(self.loss, self.arrays, self.grads, progress=False)

    def time_check(self, workload):
        self._check()

    def peakmem_check(self, workload):
        self._check()

    def track_evaluations_per_parameter(self, workload):
        return self._check().evaluations / sum(a.size for a in self.arrays.values())

    def track_detection_limit(self, workload):
        return max(block.detection_limit or 0.0 for block in self._check().blocks)

    track_detection_limit.unit = "absolute error"
