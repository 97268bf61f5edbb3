"""Rounded losses: a zero gradient on a step of a staircase proves nothing."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

W = np.array([-1.2, 0.3, 0.9, 0.5])
STEPS = {"round": np.round, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("digits", [2, 4, 8])
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


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("first", [0, 500, 1000])
def test_stairs_among_entries_that_do_nothing(first, engine):
    """Wherever they are, zeros are no proof that the gradient is zero."""
    w = np.random.default_rng(0).normal(size=1500)
    on_stairs = np.arange(first, first + 500)

    def loss(w):
        dead = np.maximum(w - 10.0, 0.0)
        return np.sum(dead) + np.sum(np.round(64 * w[on_stairs]) / 64)

    assert not fg.check_gradient(loss, w, np.zeros(1500), engine=engine).ok


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("f", [np.sin, lambda x: x**2 - 1], ids=["sin", "square"])
def test_a_jump_far_from_dead_entries_is_no_staircase(f, rank, engine):
    """Of five entries one is picked; others are when they are moved by their size."""
    slope = {np.sin: np.cos}.get(f, lambda x: 2 * x)
    for seed in range(12):
        x = np.random.default_rng(seed).standard_normal(5)
        grads = 3 * slope(x) * (np.argsort(np.argsort(f(x))) == rank)
        for times, verdict in ((1.0, "correct"), (1.01, "wrong")):
            report = fg.check_gradient(
                lambda x: 3 * np.sort(f(x))[rank], x, times * grads, engine=engine
            )
            assert report.verdict == verdict, (seed, str(report))
