"""Rounded losses: a zero gradient on a step of a staircase proves nothing."""

import numpy as np
import pytest

import fastgrad as fg

W = np.array([-1.2, 0.3, 0.9, 0.5])
STEPS = {"round": np.round, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("digits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("name", STEPS)
def test_dropped_entries_of_rounded_losses(name, digits, engine):
    unit = 10.0**-digits

    def loss(w):
        return STEPS[name](np.sum(np.sin(w)) / unit) * unit

    report = fg.check_gradient(loss, W, np.cos(W), engine=engine)
    assert report.verdict != "wrong"
    for i in range(len(W)):
        wrong = np.cos(W)
        wrong[i] = 0
        report = fg.check_gradient(loss, W, wrong, engine=engine)
        assert not report.ok, str(report)
