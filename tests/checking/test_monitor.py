"""Gradients that go wrong while training."""

import time

import numpy as np
import pytest

from fastgrad.checking.monitor import GradientMonitor
from fastgrad.reports import GradientError


def loss(w):
    return np.sum(w**4) / 4


def train(monitor, steps, wrong_from=None):
    w = np.linspace(0.5, 1.0, 8)
    for step in range(steps):
        grads = w**3
        if wrong_from is not None and step >= wrong_from:
            grads = grads * np.where(np.arange(8) == 3, 0.0, 1.0)
        monitor.step(w, grads)
        w -= 0.01 * grads


def test_a_correct_gradient_stays_ok():
    """The first step is checked in full, others along random directions."""
    monitor = GradientMonitor(loss, share=1.0)
    train(monitor, 20)
    assert monitor.ok
    assert monitor.checked[0] == 0
    assert monitor.steps == 20


def test_the_step_at_which_it_went_wrong():
    """With all the time allowed every step is checked, and the entry is named."""
    monitor = GradientMonitor(loss, share=1.0)
    monitor._affords = lambda now: True
    train(monitor, 12, wrong_from=5)
    assert monitor.first_wrong == 5
    assert [e.index for e in monitor.report.wrong] == [(3,)]
    assert "wrong at step 5" in repr(monitor)


def test_raising():
    """At once, if asked to."""
    monitor = GradientMonitor(loss, raise_if_wrong=True)
    with pytest.raises(GradientError):
        train(monitor, 1, wrong_from=0)


def test_the_share_of_time(monkeypatch):
    """Checks take no more than their share, by the clock."""
    now = [0.0]

    def clock():
        now[0] += 1.0  # every look at the clock is a second later
        return now[0]

    monkeypatch.setattr(time, "perf_counter", clock)
    monitor = GradientMonitor(loss, share=0.1)
    train(monitor, 300)
    assert 1 < len(monitor.checked) < 60


def test_the_loss_of_a_batch():
    """Handed over with the step."""
    monitor = GradientMonitor()
    with pytest.raises(TypeError, match="`loss` must be given"):
        monitor.step(np.ones(2), np.ones(2))
    assert monitor.step(np.ones(2), np.ones(2), lambda w: np.sum(w)).ok


@pytest.mark.parametrize("share", [0, -1, 2])
def test_bad_share(share):
    """Named."""
    with pytest.raises(ValueError, match="`share` must be"):
        GradientMonitor(loss, share=share)


@pytest.mark.parametrize("options", [{"step": 1e-4}, {"method": "forward"}])
def test_options_that_random_directions_cannot_heed(options):
    """Refused at once, not at the step at which they would be ignored."""
    with pytest.raises(ValueError, match='`coverage="locate"`'):
        GradientMonitor(loss, **options)
    assert GradientMonitor(loss, coverage=3, **options).options["coverage"] == 3
