"""Cost of one evaluation beyond the loss itself, for each way of computing losses."""

import numpy as np

from fastgrad.losses import make_losses


def _trivial(p):
    return float(p[0])


def _trivial_stacked(p):
    return p[:, 0]


class TimeAtEntries:
    """Differences for all entries of a loss that costs nothing."""

    params = (["python", "vectorized"], [1_000, 20_000])
    param_names = ["engine", "parameters"]

    def setup(self, engine, parameters):
        options = {"engine": "python"}
        loss = _trivial
        if engine == "vectorized":
            loss, options = _trivial_stacked, {"vectorized": True}
        self.opened = make_losses(loss, np.ones(parameters), progress=False, **options)
        self.losses = self.opened.__enter__()
        self.index = np.arange(parameters)

    def teardown(self, engine, parameters):
        self.opened.__exit__(None, None, None)

    def time_at_entries(self, engine, parameters):
        self.losses.at_entries(self.index, self.losses.theta + 1e-5)
