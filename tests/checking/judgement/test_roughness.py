"""Losses that small steps see as another function than larger ones do."""

import math

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

RNG = np.random.default_rng(0)
UNIFORM, NORMAL = RNG.random(20_000), RNG.standard_normal(20_000)
GRID = np.linspace(-10, 10, 20_001)
SINES = np.sin(GRID)


def rounded(p):
    return np.sum(np.sin(np.round(1.7 * p, 3)) * p)


def rounded_in_python(p):
    return float(np.sum([round(math.sin(x), 5) * x for x in p]))


def printed(p):
    return float(f"{math.sin(p[0]) * p[1]:.6g}")


def quantized(p):
    return float(np.sum(np.floor(255 * np.tanh(p)) / 255))


def looked_up(p):
    return float(np.sum(SINES[np.searchsorted(GRID, p)] * [1.0, 2.0]))


def cast(p):
    return float(np.sum(np.sin(p.astype(np.float32).astype(np.float64)) * p))


def below_a_threshold(p):
    return np.mean(p[0] > NORMAL) * p[1]


def accepted(p):
    keep = np.exp(-p[0] * NORMAL**2) > UNIFORM
    return np.mean(keep * NORMAL**2) * p[1]


def rippled(p):
    value = np.sum(np.sin(p))
    return float(value + 1e-9 * np.sin(1e13 * value))


def gradient_of_samples(p):
    """Of the expected share below the threshold; of the other, that of the samples."""
    density = np.exp(-(p[0] ** 2) / 2) / np.sqrt(2 * np.pi)
    return np.array([p[1] * density, np.mean(p[0] > NORMAL)])


def gradient_of_acceptance(p):
    kept = np.exp(-p[0] * NORMAL**2)
    by_share = np.mean(NORMAL**2 * (kept > UNIFORM))
    return np.array([-p[1] * np.mean(NORMAL**4 * kept), by_share])


ROUGH = {
    rounded: lambda p: np.sin(1.7 * p) + 1.7 * p * np.cos(1.7 * p),
    rounded_in_python: lambda p: np.sin(p) + p * np.cos(p),
    printed: lambda p: np.array([np.cos(p[0]) * p[1], np.sin(p[0])]),
    quantized: lambda p: 1 / np.cosh(p) ** 2,
    looked_up: lambda p: np.cos(p) * [1.0, 2.0],
    cast: lambda p: np.sin(p) + p * np.cos(p),
    below_a_threshold: gradient_of_samples,
    accepted: gradient_of_acceptance,
    rippled: np.cos,
}
POINTS = [[0.7, 1.3], [1.9, 0.4], [0.83, 2.9]]


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("loss", ROUGH, ids=lambda loss: loss.__name__)
def test_the_slope_that_larger_steps_see_is_not_wrong(loss, engine):
    """Nor is half of it correct; a note says what would help."""
    for point in map(np.array, POINTS):
        right = ROUGH[loss](point)
        report = fg.check_gradient(loss, point, right, engine=engine)
        assert report.verdict != "wrong", report
        if report.verdict == "undecided":
            assert any(note.startswith("undecided: params[") for note in report.notes)
        half = right * [0.5, 1.0]
        report = fg.check_gradient(loss, point, half, engine=engine)
        assert report.verdict != "correct"


FINE = {
    "rounded": lambda p, q: np.round(np.sin(3 * p) / q) * q,
    "floor": lambda p, q: np.floor(np.exp(p) / q) * q,
    "printed": lambda p, q: np.array([round(math.tanh(x) / q) * q for x in p]),
    "table": lambda p, q: np.cos(np.trunc(p / q) * q),
}


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("name", FINE)
def test_a_gradient_without_what_is_finely_rounded_is_not_correct(name, engine):
    """It is the derivative almost everywhere, and tells nothing of the loss."""
    x = np.random.default_rng(0).uniform(0.3, 1.2, 6)
    for q in (1e-5, 1e-6, 1e-7, 1e-8):

        def loss(p, q=q):
            return np.sum(FINE[name](p, q) + p**2)

        report = fg.check_gradient(loss, x, 2 * x, engine=engine)
        assert report.verdict != "correct"
        assert not any("finite" in note for note in report.notes)


COARSE = {
    "rounded": (
        lambda x, q: np.round(np.sin(3 * x) / q) * q,
        lambda x: 3 * np.cos(3 * x),
    ),
    "floor": (lambda x, q: np.floor(np.exp(x) / q) * q, np.exp),
    "table": (
        lambda x, q: np.cos(2 * np.trunc(x / q) * q),
        lambda x: -2 * np.sin(2 * x),
    ),
    "power": (lambda x, q: np.round(x**5 / q) * q, lambda x: 5 * x**4),
}


@pytest.mark.parametrize("name", COARSE)
def test_of_coarse_steps_a_few_slopes_around_are_enough(name):
    """Of up to a thirtieth: larger ones see the curvature, smaller ones the steps."""
    function, slope = COARSE[name]
    for seed in range(6):
        x = np.random.default_rng(seed).uniform(0.3, 1.2, 6)
        for q in (2.0**-5, 2.0**-6):
            report = fg.check_gradient(
                lambda p, q=q: np.sum(function(p, q) + p**2),
                *(x, slope(x) + 2 * x),
                engine="python",
            )
            assert report.verdict != "wrong"


STEPS = {
    "floor": np.floor,
    "round": lambda p: np.round(10 * p),
    "threshold": lambda p: np.where(p > 0.5, 1.0, 0.0),
    "eight bits": lambda p: np.rint(255 * np.tanh(p)) / 255,
    "three decimals": lambda p: np.round(p, 3),
}


@every_second
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("name", STEPS)
def test_steps_that_are_meant_have_no_slope(name, engine):
    for seed in range(3):
        x = np.random.default_rng(seed).uniform(0.3, 1.2, 6)

        def loss(p):
            return np.sum(STEPS[name](p) + p**2)

        assert fg.check_gradient(loss, x, 2 * x, engine=engine).verdict == "correct"
        report = fg.check_gradient(loss, x, 2.1 * x, engine=engine)
        assert report.verdict == "wrong"


def dead_zone(x):
    return np.sum(np.sign(x) * np.maximum(np.abs(x) - 1e-4, 0))


def kinked_nearby(x):
    return np.sum(np.abs(x - 1e-6))


def with_a_jump(x):
    return np.sum(np.exp(x) + 1e-3 * (x > 1e-5))


LOCAL = {
    dead_zone: (0.0, 1.0),
    kinked_nearby: (-1.0, 0.0),
    with_a_jump: (1.0, 1.01),
}


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("loss", LOCAL, ids=lambda loss: loss.__name__)
def test_what_is_rough_at_one_place_alone_excuses_nothing(loss, engine):
    """There the loss has its own slope, whatever larger steps make of it."""
    x = np.array([0.0, 1.1, -0.8, 0.6])
    slopes = {
        dead_zone: np.ones(4),
        kinked_nearby: np.sign(x - 1e-6),
        with_a_jump: np.exp(x),
    }[loss]
    right, other = LOCAL[loss]
    slopes[0] = right
    assert fg.check_gradient(loss, x, slopes, engine=engine).verdict == "correct"
    slopes[0] = other
    assert fg.check_gradient(loss, x, slopes, engine=engine).verdict == "wrong"


@pytest.mark.parametrize("factor", [0.98, 1.02, 2.0])
def test_a_smooth_loss_is_not_rough(factor):
    """However curved it is, and wherever quotients happen to say what is wrong."""
    x = np.linspace(0.5, 2.5, 9)
    for loss, slope in [
        (lambda x: np.sum(x**3), 3 * x**2),
        (lambda x: np.sum(np.tanh(8 * (x - 1.5))), 8 / np.cosh(8 * (x - 1.5)) ** 2),
        (lambda x: np.sum(np.log(x - 0.4)), 1 / (x - 0.4)),
    ]:
        report = fg.check_gradient(loss, x, factor * slope, engine="python")
        seen = np.count_nonzero(np.abs(slope) > 1e-9)
        assert len(report.wrong) == seen


STAIRS = {
    "rounded": (lambda w, c, unit: c @ (np.round(w / unit) * unit), lambda w, c: c),
    "sine of floor": (
        lambda w, c, unit: c @ np.sin(np.floor(w / unit) * unit),
        lambda w, c: c * np.cos(w),
    ),
    "square of truncated": (
        lambda w, c, unit: c @ np.square(1 + np.trunc(w / unit) * unit),
        lambda w, c: 2 * c * (1 + w),
    ),
}


@every_second
@pytest.mark.parametrize("seed", [0, 1, 51, 52])
@pytest.mark.parametrize("digits", [6, 9, 14])
@pytest.mark.parametrize("name", STAIRS)
def test_every_entry_of_a_table_is_as_rough(name, digits, seed):
    """Those next to zero, too, whose own size is less than a step of the table."""
    rng = np.random.default_rng(seed)
    w, c = rng.normal(size=(2, 150))
    w[:3] = [1e-3, -2e-5, 1e-8]
    on_stairs, slope = STAIRS[name]

    def loss(w):
        return on_stairs(w, c, 2.0**-digits)

    right = slope(w, c)
    report = fg.check_gradient(loss, w, right)
    assert report.verdict != "wrong", report
    assert fg.check_gradient(loss, w, 2 * right).verdict == "wrong"
