"""Difference formulas against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad.checking.differences.ladders import ladder
from fastgrad.checking.differences.pairs import RUNGS, entry_pairs
from fastgrad.losses import make_losses


def measured(f, x, rungs=RUNGS):
    """Pairs of a sum of f over x, at steps relative to 1."""
    x = np.asarray(x, dtype=np.float64)
    with make_losses(lambda p: np.sum(f(p)), x.copy(), engine="python") as losses:
        steps = np.broadcast_to(rungs, (x.size, len(rungs)))
        return entry_pairs(losses, np.arange(x.size), steps)


def test_central_is_the_promised_formula():
    """(J(x+h) - J(x-h)) / ((x+h) - (x-h)), the points as they are stored."""
    x, h = 0.1, 1e-3
    pairs = measured(np.exp, [x], np.array([h]))
    expected = (np.exp(x + h) - np.exp(x - h)) / ((x + h) - (x - h))
    assert pairs.central[0, 0] == pytest.approx(expected, rel=1e-12)
    assert pairs.span[0, 0] == (x + h) - (x - h)


def test_float32_steps_are_those_stored():
    """A step in float32 is what the rounded points are apart."""
    x = np.array([1.0], dtype=np.float32)
    with make_losses(lambda p: float(p[0]), x, engine="python") as losses:
        pairs = entry_pairs(losses, np.array([0]), np.array([1e-7]))
    assert pairs.h_plus[0] == np.float64(np.float32(1) + np.float32(1e-7)) - 1
    assert pairs.central[0] == 1.0


@pytest.mark.parametrize("at", [0.2, 0.9, 1.1, 3.0])
def test_kinks_between_the_points_of_a_program_are_seen(at):
    """To either side, and none beyond."""
    x = np.ones(1)
    with make_losses(lambda p: np.sum(np.abs(p - at)), x, engine="compiled") as losses:
        pairs = entry_pairs(losses, np.array([0]), np.array([0.5]))
    assert pairs.crossed.tolist() == [abs(at - 1) < 0.5]


SMOOTH = {
    "exp": (np.exp, np.exp),
    "sin": (np.sin, np.cos),
    "atan": (np.arctan, lambda x: 1 / (1 + x * x)),
    "logistic": (
        lambda x: 1 / (1 + np.exp(-x)),
        lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2,
    ),
    "cubic": (lambda x: x**3 - 2 * x, lambda x: 3 * x**2 - 2),
    "gaussian": (lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x)),
    "sharp": (lambda x: np.tanh(300 * x), lambda x: 300 * (1 - np.tanh(300 * x) ** 2)),
    "fast": (lambda x: np.sin(500 * x), lambda x: 500 * np.cos(500 * x)),
}


FAST = ("sharp", "fast")  # for these the largest steps are too wide


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=30)
@given(x=st.floats(-2, 2))
def test_ladder_bars_hold(name, x):
    """The true derivative is inside the bar, and the bar is small."""
    f, derivative = SMOOTH[name]
    slopes = ladder(measured(f, [x]), np.array([2e-16]))
    true = derivative(x)
    assert abs(slopes.value[0] - true) <= slopes.error[0] + 1e-15
    assert slopes.error[0] <= (1e-7 if name in FAST else 1e-10) * max(1, abs(true))
    assert not slopes.kink[0]


@given(
    distance=st.floats(1e-9, 0.1),
    jump=st.floats(0.01, 10),
    side=st.sampled_from([-1, 1]),
)
@settings(max_examples=60)
def test_ladder_passes_kinks_by(distance, jump, side):
    """A kink beside the point does not bias the slope at the point."""

    def f(x):
        return 2 * x + jump * np.maximum(side * (x - 0.5) - distance, 0)

    slopes = ladder(measured(f, [0.5]), np.array([2e-16]))
    off = abs(slopes.value[0] - 2)
    assert off <= slopes.error[0]
    if distance > 1e-6:  # steps that pass it by are still above the noise
        assert slopes.error[0] < 1e-4 * (1 + jump)


@given(left=st.floats(-3, 3), jump=st.floats(0.001, 5), up=st.booleans())
@settings(max_examples=40)
def test_ladder_sees_a_kink_at_the_point(left, jump, up):
    """Both one-sided slopes are found, and nothing far outside is let in."""
    right = left + jump if up else left - jump

    def f(x):
        return np.where(x > 0, right * x, left * x)

    slopes = ladder(measured(f, [0.0]), np.array([1e-18]))
    assert slopes.kink[0]
    assert slopes.left[0] == pytest.approx(left, abs=1e-6 * (1 + abs(left)))
    assert slopes.right[0] == pytest.approx(right, abs=1e-6 * (1 + abs(right)))


def test_ladder_widens_its_bar_with_the_noise():
    """Noise that nobody announced shows in the finest steps and in the bar."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=300)

    def noisy(x):
        return np.sin(x) + 1e-9 * np.sin(1e11 * x)

    inside = []
    for xi in x:
        slopes = ladder(measured(noisy, [xi]), np.array([2e-16]))
        inside.append(abs(slopes.value[0] - np.cos(xi)) <= slopes.error[0])
    assert np.mean(inside) >= 0.99


def test_a_jump_of_the_loss_has_no_slope():
    """At a discontinuity the bar is as wide as the slopes are steep."""
    slopes = ladder(measured(lambda x: np.where(x > 0, 1.0, 0.0), [0.0]), np.zeros(1))
    assert not slopes.error[0] < 1


def test_points_outside_the_domain_are_left_out():
    """Steps at which the loss is nan do not count; if all are, nothing is known."""
    near = ladder(measured(np.log, [1e-3]), np.array([1e-15]))
    assert abs(near.value[0] - 1e3) <= near.error[0] < 1
    nowhere = ladder(measured(lambda x: x * np.nan**x, [0.0]), np.array([1e-15]))
    assert nowhere.error[0] == np.inf
