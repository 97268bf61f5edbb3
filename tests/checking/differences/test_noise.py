"""Noise and steps against losses whose noise is known."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg
from fastgrad.checking.differences.noise import (
    calibrate,
    ecnoise,
    measure_noise,
)
from fastgrad.checking.differences.scales import Given, Scale
from fastgrad.checking.differences.tables import bent_once, rounding_of
from fastgrad.losses import make_losses


@pytest.mark.parametrize("sigma", [1e-14, 1e-9, 1e-4])
def test_ecnoise_finds_gaussian_noise(sigma):
    """Of known standard deviation, on a smooth function, within its own scatter."""
    rng = np.random.default_rng(0)
    x = 1 + 0.03 * sigma * np.arange(7)
    values = np.exp(x) + sigma * rng.normal(size=(500, 7))
    noise, found = ecnoise(values)
    assert found.mean() > 0.9
    assert np.median(noise[found]) == pytest.approx(sigma, rel=0.25)


def test_noise_of_a_function_does_not_depend_on_others():
    """Noise alone, on slopes far steeper and more curved than it is, and none."""
    t = np.arange(7.0)
    noise = np.random.default_rng(0).normal(size=(4, 7))
    rows = noise + np.outer([0, 1e3, 0, 1e9], t) + np.outer([0, 0, 10, 0], np.exp(t))
    alone = [ecnoise(row[None]) for row in rows]
    together = ecnoise(rows)
    np.testing.assert_array_equal(together, np.concatenate(alone, axis=1))
    assert together[1][:2].all()


def test_ecnoise_has_no_answer_for_what_is_smooth_or_flat():
    """Of a constant nothing is known; stairs show what they are rounded to."""
    smooth = np.sin(np.linspace(0, 1, 7))
    flat = np.zeros(7)
    stairs = np.arange(7) * 2.0**-22
    noise, found = ecnoise(np.stack([smooth, flat, stairs]))
    assert not found.any()
    assert noise[0] < 1e-3
    assert np.isinf(noise[1])
    assert noise[2] == pytest.approx(2.0**-22 / np.sqrt(12))


@pytest.mark.parametrize("rounding", [np.float64, np.float32])
def test_rounding_of_the_loss_is_measured(rounding):
    """A loss near 1000 rounded to a dtype has noise of about ulp / sqrt(12)."""
    x = np.random.default_rng(3).normal(size=50)

    def loss(p):
        return rounding(1000 + np.sum(np.sin(p)))

    with make_losses(loss, x, engine="python") as losses:
        noise = measure_noise(losses, np.arange(0, 50, 5), np.abs(x[::5]))
    expected = float(np.spacing(rounding(1000))) / np.sqrt(12)
    known = noise[np.isfinite(noise)]
    assert len(known) >= 5
    assert expected / 3 < np.median(known) < 3 * expected


def test_noise_is_not_confused_with_roughness():
    """Parameters far from zero: steps relative to their size span many periods."""
    x = 1e7 + np.random.default_rng(0).normal(size=20)
    with make_losses(lambda p: np.sum(np.sin(p)), x, engine="python") as losses:
        noise = measure_noise(losses, np.arange(20), x)
    assert noise.max() < 1e-6


@pytest.mark.parametrize("distance", [3e-7, -1e-7, 3e-8, -1e-8, 6e-9])
@pytest.mark.parametrize("pole", [lambda u: np.log(np.abs(u)), lambda u: 1 / u])
def test_a_pole_among_the_points_is_no_noise(pole, distance):
    """Points closer together leave the rounding of the loss alone."""
    x = np.array([1 + distance])
    with make_losses(lambda x: pole(x[0] - 1), x, engine="python") as losses:
        [noise] = measure_noise(losses, np.array([0]), x)
    assert noise < np.spacing(np.abs(pole(distance)))


def test_scale_is_the_block_and_each_entry_where_it_spans_decades():
    """Small entries move as the block does, unless the block has no typical size."""
    usual = np.array([1e-9, 0.5, 1.0, -2.0, 1.5])
    decades = 10.0 ** np.arange(-30, 30)
    theta = np.concatenate([usual, decades, np.zeros(2)])
    scale = Scale(theta, np.array([0, 5, 65, 67]))[:]
    assert scale[0] == 1.0
    assert scale[3] == 2.0
    np.testing.assert_array_equal(scale[5:65], decades)
    assert (scale[65:] > 0).all()


def test_the_scale_of_a_block_does_not_depend_on_where_it_stands():
    block = np.random.default_rng(0).normal(size=100)
    alone = Scale(block, np.array([0, 100]))[:]
    for before in (1, 200_000):
        theta = np.concatenate([np.full(before, 3.0), block])
        scale = Scale(theta, np.array([0, before, before + 100]))
        np.testing.assert_array_equal(scale[before:], alone)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_steps_follow_the_units_of_the_parameters(unit):
    """Rescaled parameters get rescaled steps."""
    x = np.random.default_rng(0).normal(size=40) * unit
    with make_losses(lambda p: np.sum(np.exp(p / unit)), x, engine="python") as losses:
        step = calibrate(losses, np.random.default_rng(0)).step[:]
    assert (step > 1e-7 * unit).all()
    assert (step < 1e-1 * unit).all()


def test_calibration_is_cheap():
    """Less than 2 % of the two evaluations per entry of a large problem."""
    x = {"W": np.ones((300, 300)), "b": np.ones(300)}
    loss = lambda p: np.sum(np.sin(p["W"]))  # noqa: E731
    with make_losses(loss, x, engine="python") as losses:
        calibrate(losses, np.random.default_rng(0))
        assert losses.evaluations < 0.02 * 2 * losses.nest.size


def test_a_step_asked_for_is_taken():
    """Everywhere, unrounded."""
    with make_losses(lambda p: np.sum(p**2), np.ones(3), engine="python") as losses:
        calibration = calibrate(
            losses, np.random.default_rng(0), step=Given.of(losses.nest, 0.01)
        )
    np.testing.assert_array_equal(calibration.step[:], 0.01)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("sigma", [1e-13, 1e-9, 1e-5])
@pytest.mark.parametrize("method", ["central", "forward", "backward"])
def test_steps_balance_noise_and_curvature(method, sigma, unit):
    """Nearly as the best step does, of which textbooks know; the bars hold."""
    t, index = np.random.default_rng(0).uniform(0.5, 1.5, 40), np.arange(40)

    def loss(p):
        return float(sigma * np.rint(np.sum(np.exp(p / unit)) / sigma))

    noise, bend = sigma / np.sqrt(12), np.exp(t)
    if method == "central":
        best = np.cbrt(3 * noise / bend)
        least = best**2 * bend / 6 + noise / best
    else:
        best = 2 * np.sqrt(noise / bend)
        least = best * bend / 2 + 2 * noise / best
    with make_losses(loss, unit * t, engine="python") as losses:
        for asked in (None, 0.05 * unit):
            step = Given.of(losses.nest, asked)
            rng = np.random.default_rng(0)
            known = calibrate(losses, rng, method=method, step=step)
            pairs = known.pairs(losses, index)
            off = np.abs(pairs.slopes(method) * unit - np.exp(t))
            error = known.error(pairs, index) * unit
            assert (off <= error).all()
            if asked is None:
                assert np.median(error) < 60 * np.median(least)
                assert 1 / 16 < np.median(known.step[:] / unit / best) < 16
            else:
                assert np.median(error) < 30 * np.median(off)


@pytest.mark.parametrize("dead", ["between bumps", "between jumps"])
def test_entries_that_are_dead_here_make_no_noise(dead):
    """Most entries of a block may respond only from afar, as they reach a kink."""
    undecided = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        k, x = rng.uniform(1, 12), rng.uniform(0.3, 3, 9)
        wave = np.sin(k * x)
        if dead == "between bumps":

            def loss(x, k=k):
                return np.sum(np.maximum(np.sin(k * x), 0))

            right = k * np.cos(k * x) * (wave > 0)
        else:

            def loss(x, k=k):
                return np.sum(np.where(np.abs(np.sin(k * x)) > 0.6, x * x, 0))

            right = 2 * x * (np.abs(wave) > 0.6)
        report = fg.check_gradient(loss, x, right, engine="python")
        assert report.verdict != "wrong"
        undecided += report.verdict == "undecided"
    assert undecided <= 1


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**40])
def test_one_kink_is_no_noise_whatever_the_unit(unit):
    x = np.arange(-3.0, 4.0)
    rows = np.array([np.abs(x - 0.3) / 3, x / 3, np.cos(1e9 * x)])
    bent, beside = bent_once(rows, 1.0)
    assert bent.tolist() == [True, False, False]
    assert beside[0] < 1e-15
    again, there = bent_once(unit * rows, unit)
    assert again.tolist() == bent.tolist()
    assert there.tolist() == (unit * beside).tolist()


@pytest.mark.parametrize(
    ("dtype", "eps"), [(np.float32, 2.0**-23), (np.float64, 2.0**-52)]
)
@pytest.mark.parametrize("value", [0.3, 771234.567, -1e-9])
def test_a_loss_of_float32_rounds_as_float32_does(value, dtype, eps):
    """Uniformly over half a unit in the last place to both sides, that is, or less."""
    given = float(dtype(value))
    with make_losses(lambda w: given + 0 * float(w), 0.5, engine="python") as losses:
        rounding = rounding_of(losses)
    assert 0.001 * eps < rounding / abs(given) <= eps * 12**-0.5
    assert (rounding > 2.0**-40 * abs(given)) == (dtype is np.float32)


@every_second
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    ("loss", "slope"),
    [
        (lambda x: np.sum(x**3), lambda x: 3 * x**2),
        (lambda x: np.sum(np.tanh(x)), lambda x: 1 / np.cosh(x) ** 2),
        (lambda x: np.log(np.sum(np.exp(x))), lambda x: np.exp(x) / np.exp(x).sum()),
    ],
    ids=["cubes", "tanh", "logsumexp"],
)
def test_how_parameters_are_stored_is_no_noise(loss, slope, dtype, seed):
    """A loss in float64 of parameters in fewer digits is smooth where it is asked."""
    x = np.random.default_rng(seed).uniform(0.3, 2.5, size=4).astype(dtype)
    right = slope(x.astype(float))

    def wide(x):
        return float(loss(x.astype(float)))

    found, bar = fg.numerical_gradient(wide, x, return_error=True, engine="python")
    assert (np.abs(found - right) <= bar).all()
    assert bar.max() < 0.03 * right.max()
    assert fg.check_gradient(wide, x, right, engine="python").ok
    wrong = np.where(right == right.max(), 1.2, 1.0) * right
    assert fg.check_gradient(wide, x, wrong, engine="python").verdict == "wrong"
