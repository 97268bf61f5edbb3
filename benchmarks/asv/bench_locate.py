"""Finding wrong entries of large gradients by random directions."""

import numpy as np

import fastgrad as fg


class Locate:
    """k wrong entries of P: the time, and how many evaluations it takes."""

    params = ([10**4, 10**6], [0, 1, 4, 16])
    param_names = ("entries", "wrong")
    timeout = 120

    def setup(self, entries, wrong):
        rng = np.random.default_rng(0)
        self.theta = rng.normal(size=entries)
        self.weights = rng.normal(size=entries)
        self.grads = self.weights * (1 - np.tanh(self.theta) ** 2)
        self.places = rng.choice(entries, wrong, replace=False)
        self.grads[self.places] += 1.0

    def check(self):
        return fg.check_gradient(
            lambda theta: self.weights @ np.tanh(theta),
            self.theta,
            self.grads,
            coverage="locate",
            engine="python",
        )

    def time_locate(self, entries, wrong):
        self.check()

    def track_evaluations(self, entries, wrong):
        return self.check().evaluations

    def track_share_found(self, entries, wrong):
        found = {entry.index[0] for entry in self.check().wrong}
        return len(found & set(self.places.tolist())) / max(1, wrong)

    track_evaluations.unit = "evaluations"
    track_share_found.unit = "share"
