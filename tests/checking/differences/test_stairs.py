"""Small parameters added to large numbers: the loss is a staircase in them."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

LOSSES = {
    "exp": (lambda x: np.sum(np.exp(1 + x)), lambda x: np.exp(1 + x)),
    "sin": (lambda x: np.sum(np.sin(5e3 + x)), lambda x: np.cos(5e3 + x)),
    "pole": (
        lambda x: np.sum(1 / (1e-3 + (1 + x) - 1)),
        lambda x: -1 / (1e-3 + x) ** 2,
    ),
}


@every_second
@pytest.mark.parametrize("size", 10.0 ** -np.arange(3, 12))
@pytest.mark.parametrize("name", LOSSES)
def test_a_right_gradient_of_a_staircase_is_not_wrong(name, size):
    """Nor is twice the right one correct."""
    loss, gradient = LOSSES[name]
    for seed in range(2):
        x = size * np.random.default_rng(seed).normal(size=3)
        right = gradient(x)
        report = fg.check_gradient(loss, x, right, engine="python")
        assert report.verdict != "wrong"
        twice = fg.check_gradient(loss, x, 2 * right, engine="python")
        assert twice.verdict != "correct"
        if size >= 1e-7:
            assert (report.verdict, twice.verdict) == ("correct", "wrong")


def test_a_plateau_is_no_staircase():
    """Its slope is zero, and a gradient passed straight through is wrong."""

    def shrunk(x):
        return np.sum(np.sign(x) * np.maximum(np.abs(x) - 1e-3, 0) * [1.0, 2, 3])

    x = np.array([1e-5, 0.7, -0.4])
    report = fg.check_gradient(shrunk, x, np.array([1.0, 2, 3]), engine="python")
    assert [entry.index for entry in report.wrong] == [(0,)]
    assert fg.check_gradient(shrunk, x, np.array([0.0, 2, 3]), engine="python").ok
