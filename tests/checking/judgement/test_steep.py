"""Losses that oscillate faster than any step of ordinary size."""

import numpy as np
import pytest
from families import every_second
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg

INNER = {
    "cube": (lambda z: z**3, lambda z: 3 * z**2),
    "exp": (np.exp, np.exp),
    "inverse": (lambda z: 1 / z, lambda z: -1 / z**2),
    "itself": (lambda z: z, np.ones_like),
}


def oscillating(frequency, name, offset, amplitude):
    f, slope = INNER[name]

    def loss(z):
        return offset + amplitude * np.sum(np.sin(frequency * f(z)))

    def grads(z):
        return amplitude * frequency * slope(z) * np.cos(frequency * f(z))

    return loss, grads


@pytest.mark.parametrize("engine", ["auto", "python"])
@settings(max_examples=15)
@given(
    st.floats(9, 16),
    st.sampled_from(sorted(INNER)),
    st.sampled_from([0.0, 30.0]),
    st.sampled_from([1e-3, 1.0, 1e4]),
    st.sampled_from([-1.0, 0.01, 1.5, 100.0]),
    st.integers(0, 100),
)
def test_a_right_gradient_is_never_wrong(
    engine, decades, name, offset, amplitude, factor, seed
):
    """And one with another factor never correct."""
    z = np.random.default_rng(seed).uniform(0.3, 1.5, 3)
    loss, grads = oscillating(10.0**decades, name, offset, amplitude)
    right = fg.check_gradient(loss, z, grads, engine=engine)
    assert right.verdict != "wrong", str(right)
    wrong = fg.check_gradient(loss, z, factor * grads(z), engine=engine)
    assert wrong.verdict != "correct", str(wrong)


@pytest.mark.parametrize("decades", [9.0, 10.0, 11.0])
def test_it_is_decided_where_steps_can_be_smaller(decades):
    """Nearly always: there are numbers enough between a parameter and the next wave."""
    decided = []
    for seed in range(8):
        z = np.random.default_rng(seed).uniform(0.3, 1.5, 3)
        loss, grads = oscillating(10.0**decades, "cube", 0.0, 1.0)
        right = fg.check_gradient(loss, z, grads, engine="python")
        wrong = fg.check_gradient(loss, z, 1.5 * grads(z), engine="python")
        decided.append(right.ok and wrong.verdict == "wrong")
    assert sum(decided) >= 7


def test_what_no_step_resolves_is_said():
    """With the entries it is about."""
    loss, grads = oscillating(1e16, "cube", 0.0, 1.0)
    z = np.array([0.7, 1.3])
    [note] = [
        n
        for n in fg.check_gradient(loss, z, grads, engine="python").notes
        if n.startswith("undecided")
    ]
    assert "params[0], params[1]" in note
    assert "oscillates" in note


@pytest.mark.parametrize("factor", [1e2, 1e5, 1e8])
def test_noise_of_low_precision_excuses_nothing(factor):
    """A gradient that is much too large is wrong where the slope is known."""
    x = np.linspace(0.5, 1.5, 40)

    def loss(x):
        return float(np.float32(np.sum(np.sin(x)) + 10))

    report = fg.check_gradient(loss, x, factor * np.cos(x), engine="python")
    assert len(report.wrong) == x.size
    assert report.evaluations < 45 * x.size


@pytest.mark.parametrize(
    ("decades", "name", "amplitude", "seed"),
    [
        (12.227730683980553, "inverse", 1e-3, 29),
        (12.422372955788767, "itself", 1e-3, 135),
        (11.635243476999712, "itself", 1.0, 357),
        (12.957407481656858, "inverse", 1.0, 553),
        (13.174116099548868, "cube", 1e-3, 0),  # of 11/16 of a power, too
    ],
)
def test_steps_that_are_whole_waves_refute_nothing(decades, name, amplitude, seed):
    """Over each of them, powers of two, the loss looks smooth, with another slope."""
    z = np.random.default_rng(seed).uniform(0.3, 1.5, 3)
    loss, grads = oscillating(10**decades, name, 0.0, amplitude)
    report = fg.check_gradient(loss, z, grads, engine="python")
    assert report.verdict != "wrong", str(report)


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("width", [1e-9, 1e-11])
@pytest.mark.parametrize("x", [0.7, 2.3])
def test_an_oscillation_as_small_as_noise_has_a_slope(x, width, engine):
    """A right gradient has it; with another one it is as wrong as any."""
    x = np.array([x, 0.61 * x])

    def loss(x):
        return np.sum(np.sin(x) + width * np.sin(x / width))

    right = np.cos(x) + np.cos(x / width)
    assert fg.check_gradient(loss, x, right, engine=engine).verdict != "wrong"
    report = fg.check_gradient(loss, x, 1.3 * right, engine=engine)
    assert report.verdict == "wrong"


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize(
    ("height", "speed"),
    [(1e-3, 1e9), (1e-5, 1e10), (1e-4, 1e11), (1e-6, 1e12), (1e-3, 1e13)],
)
def test_waves_on_what_is_smooth_excuse_the_gradient_they_have(height, speed, engine):
    """Wherever on a wave an entry is; none with half as much again is correct."""
    refuted = []
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=3)

        def loss(x):
            return np.sum(x**2) + height * np.sum(np.sin(speed * x))

        right = 2 * x + height * speed * np.cos(speed * x)
        assert fg.check_gradient(loss, x, right, engine=engine).verdict != "wrong"
        report = fg.check_gradient(loss, x, 1.5 * right, engine=engine)
        assert report.verdict != "correct"
        refuted.append(report.verdict == "wrong")
    assert sum(refuted) >= 2


def test_the_slope_on_a_step_of_a_staircase_is_not_that_of_the_loss():
    """Though it is all that tiny steps see: a term that is missing is."""
    x, quantum = np.array([0.7, 1.3]), 1e-9

    def loss(x):
        return np.sum(np.round(np.sin(3 * x) / quantum) * quantum + x**2)

    right = 3 * np.cos(3 * x) + 2 * x
    assert fg.check_gradient(loss, x, right, engine="python").verdict != "wrong"
    assert fg.check_gradient(loss, x, 2 * x, engine="python").verdict == "wrong"


@pytest.mark.parametrize("unit", [2.0**-40, 1.0, 2.0**40])
@pytest.mark.parametrize("speed", [1e14, 1e15])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_waves_as_short_as_numbers_are_close_are_open_in_any_unit(factor, speed, unit):
    """Neither the right gradient nor another one is refuted."""
    x = np.array([0.7, 1.3])
    slopes = unit * (2 * x + speed * np.cos(speed * x))
    report = fg.check_gradient(
        lambda w: float(unit * (np.sum(w**2) + np.sum(np.sin(speed * w)))),
        *(x, factor * slopes),
        engine="python",
    )
    assert report.verdict == "undecided"


@pytest.mark.parametrize("factor", [-0.9, -0.4, 0.6, 1.5])
def test_between_the_steps_of_a_staircase_no_slope_is_measured(factor):
    """What a wrong gradient is compared with is that of the larger steps."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        m, x = rng.normal(size=(4, 3)), rng.normal(size=3)
        right = m.T @ (1 - np.tanh(m @ x) ** 2)

        def loss(x, m=m):
            return np.sum(np.round(np.tanh(m @ x), 8))

        report = fg.check_gradient(loss, x, factor * right, engine="python")
        assert report.wrong
        for entry in report.wrong:
            assert entry.numerical == pytest.approx(right[entry.index], rel=1e-2)
