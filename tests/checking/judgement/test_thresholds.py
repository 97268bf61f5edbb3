"""What the constants of the verdict promise: each is as large as it must be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

import fastgrad as fg
from fastgrad.checking.differences.fits import fit_slopes
from fastgrad.checking.differences.ladders import ladder
from fastgrad.checking.differences.pairs import RUNGS, Pairs, Slopes
from fastgrad.checking.directions import UNLUCKY
from fastgrad.checking.hessian import _Differenced
from fastgrad.checking.jacobians import strays
from fastgrad.checking.judgement.evidence import (
    CORRECT,
    KINK,
    UNDECIDED,
    UNOBSERVABLE,
    WRONG,
    Judgement,
    classify,
)
from fastgrad.checking.judgement.suspects import _with_kinks
from fastgrad.losses import Progress

FAR = 2.0 ** -np.arange(-1.0, 7.0, 0.5)


def entry(analytic, numerical, error, tolerance=0.0, resolution=0.0):
    one, none = np.ones(1), np.zeros(1)
    return Judgement(
        index=np.zeros(1, dtype=np.int64),
        block=np.zeros(1, dtype=np.int64),
        analytic=one * analytic,
        numerical=one * numerical,
        error=one * error,
        tolerance=one * tolerance,
        floor=none,
        resolution=one * resolution,
        unit=one,
        response=one * abs(numerical),
        jump=none,
        bend=none,
        crossed=np.zeros(1, dtype=bool),
        kind=np.zeros(1, dtype=np.uint8),
    )


@pytest.mark.parametrize(
    ("off", "kind"),
    [(0.0, UNOBSERVABLE), (0.3, UNDECIDED), (-0.3, UNDECIDED), (0.5, WRONG)],
)
def test_low_precision_hides_what_agrees_and_nothing_else(off, kind):
    """An entry is as large as what may be lost, and its bar a fifth of it."""
    assert classify(entry(1 + off, 1.0, 0.2, resolution=2.0))[0] == kind


@pytest.mark.parametrize(
    ("off", "kind"), [(0.5, UNOBSERVABLE), (1.5, UNDECIDED), (2.5, WRONG)]
)
def test_zero_is_observed_only_inside_the_bar(off, kind):
    """An analytic zero, so many bars from what was measured."""
    assert classify(entry(0.0, off * 0.1, 0.1))[0] == kind


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("jump", [1.0, -1.0])
@pytest.mark.parametrize(
    ("off", "kind"), [(-2.0, KINK), (0.5, KINK), (1.5, UNDECIDED), (2.5, WRONG)]
)
def test_wrong_at_a_kink_is_outside_twice_the_bar(off, kind, jump, side):
    """So many bars beyond one of the two slopes, of which the bars are known."""
    bar, left, right = 0.01 * np.ones(1), np.full(1, 2.0), np.full(1, 2.0 + jump)
    wide = np.sign(jump) * bar
    slopes = Slopes(
        *((left + right) / 2, np.abs(right - left) / 2, np.ones(1, dtype=bool)),
        *(left - wide, right + wide, bar, 0 * bar),
    )
    edge = (np.fmax if side > 0 else np.fmin)(left, right)[0]
    judged = entry(edge + side * off * 0.01, slopes.value[0], slopes.error[0])
    assert _with_kinks(judged, slopes)[0] == kind


@given(st.floats(0.5, 2), st.floats(0, 0.2), st.floats(-0.1, 0.1))
def test_correct_means_that_an_error_of_a_third_would_show(size, error, place):
    """Whatever the bar: an entry is not verified by one that hides errors of its size."""
    right = entry(size, size * (1 + place * error), size * error)
    if classify(right)[0] != CORRECT:
        return
    for factor in (2 / 3, 4 / 3):
        wrong = entry(size * factor, float(right.numerical[0]), size * error)
        assert classify(wrong)[0] == WRONG


@given(st.floats(0.5, 2), st.floats(1e-6, 0.09), st.floats(-0.99, 0.99))
def test_a_bar_of_a_tenth_is_enough(size, error, place):
    """Then a gradient inside it is correct."""
    assert classify(entry(size, size * (1 + place * error), size * error))[0] == CORRECT


def noisy_pairs(steps, sigma, entries, rng, loss=lambda x: 3 * x, sides=(1, 1)):
    """Differences with Gaussian noise of a loss, of 3 x unless said otherwise."""
    base, up, down = sigma * rng.normal(size=(3, entries, len(steps)))
    right, left = (np.broadcast_to(side * steps, up.shape) for side in sides)
    plus, minus = loss(right) + up - base[:, :1], loss(-left) + down - base[:, :1]
    return Pairs(plus, minus, right, left, None)


@pytest.mark.parametrize("sides", [(1, 1), (1, 0.25), (0.25, 1)])
def test_bars_hold_where_there_is_noise(sides):
    """Of a ladder: hardly one in ten thousand entries is beyond half its bar.

    Among a million entries none may be beyond twice its bar. None is at a kink, either,
    though one of the two points may be stored nearer than the other.
    """
    rng = np.random.default_rng(0)
    pairs = noisy_pairs(RUNGS, 1e-9, 20_000, rng, sides=sides)
    slopes = ladder(pairs, np.full(20_000, 1e-9))
    z = np.abs(slopes.value - 3) / slopes.error
    assert np.mean(z > 0.5) < 1e-3
    assert np.mean(z > 1) == 0
    assert np.median(slopes.error) < 60 * 1e-9 / RUNGS[0] / min(sides)
    assert not slopes.kink.any()


@pytest.mark.parametrize("sides", [(1, 1), (1, 0.25), (0.25, 1)])
@pytest.mark.parametrize("jump", [1.0, -1.0])
def test_slopes_beside_kinks_are_inside_theirs(jump, sides):
    """No subgradient lies outside of what noise leaves of them."""
    rng = np.random.default_rng(4)
    left, right = 3.0, 3.0 + jump
    pairs = noisy_pairs(
        *(RUNGS, 1e-9, 5_000, rng),
        *(lambda x: np.where(x > 0, right * x, left * x), sides),
    )
    slopes = ladder(pairs, np.full(5_000, 1e-9))
    assert slopes.kink.all()
    low, high = np.sort([slopes.left, slopes.right], axis=0)
    assert (low <= min(left, right)).all()
    assert (high >= max(left, right)).all()
    assert np.median(slopes.slack) < 20 * 1e-9 / RUNGS[1] / min(sides)


#: With a slope of 3 at zero, and how many times as wide as of a line bars may be.
CURVES = {
    "line": (lambda x: 3 * x, 1.0),
    "parabola": (lambda x: 3 * x + 2 * x**2, 1.0),
    "cubic": (lambda x: 3 * x - x**3 + x**2, 1.0),
    "fifth power": (lambda x: 3 * x + x**5 - x**4, 2.0),
    "exponential": (lambda x: 3 * np.expm1(x), 3.0),
    "sine": (lambda x: 3 * np.sin(x), 3.0),
}


@pytest.mark.parametrize("name", CURVES)
def test_fits_average_the_noise(name):
    """Bars of the fits hold with a margin, and not more than that."""
    loss, wider = CURVES[name]
    rng = np.random.default_rng(1)
    pairs = noisy_pairs(FAR, 1e-3, 2_000, rng, loss)
    value, error = fit_slopes(pairs, np.full(2_000, 1e-3))
    known = np.isfinite(error)
    z = np.abs(value - 3)[known] / error[known]
    assert known.mean() > 0.99
    assert z.max() < 1
    terms = FAR[:, None] ** [1, 3]  # of least squares, the standard error
    usual = 1e-3 / np.sqrt(2) * np.sqrt(np.linalg.inv(terms.T @ terms)[0, 0])
    assert np.median(error[known]) < 24 * wider * usual


def test_fits_believe_no_rest_that_is_far_more_than_noise():
    """Six times as much is something else that the polynomials do not have."""
    pairs = noisy_pairs(FAR, 6e-3, 1_000, np.random.default_rng(3))
    _, error = fit_slopes(pairs, np.full(1_000, 1e-3))
    assert np.isinf(error).mean() > 0.9


@given(st.floats(1e-4, 1.5), st.floats(0.01, 3.0))
def test_fits_know_of_kinks(distance, jump):
    """Nearer than all steps, or between them: the bar covers what it may do."""
    rng = np.random.default_rng(2)
    pairs = noisy_pairs(FAR, 1e-6, 50, rng)
    kinked = Pairs(
        pairs.plus + jump * np.maximum(pairs.h_plus - distance, 0),
        *(pairs.minus, pairs.h_plus, pairs.h_minus, None),
    )
    value, error = fit_slopes(kinked, np.full(50, 1e-6))
    assert (np.abs(value - 3) <= error)[np.isfinite(error)].all()


def test_one_of_a_hundred_errors_hides_along_gaussian_directions():
    """Along one, or along both of two."""
    assert np.isclose(2 * norm.cdf(strays._UNLUCKY) - 1, 0.01, rtol=0.01)
    assert 0.005 <= (2 * norm.cdf(UNLUCKY) - 1) ** 2 <= 0.01


def test_the_step_of_gradients_by_differences_balances_noise_and_curvature():
    """Four times as large or as small, it loses half a digit and more."""
    x = np.linspace(0.5, 1.5, 40)
    gradient = _Differenced(
        lambda p: float(np.sum(np.sin(p))), x, None, Progress(False)
    )
    assert np.abs(gradient(x) - np.cos(x)).max() < 8e-12


@pytest.mark.parametrize(
    ("off", "verdict"), [(3e-10, "correct"), (6e-10, "wrong"), (-6e-10, "wrong")]
)
def test_exact_differences_accept_what_libraries_round(off, verdict):
    """To the nine digits and a half that are documented, and no error beyond these."""
    x = np.linspace(0.5, 1.5, 7)
    report = fg.check_gradient(lambda x: np.sum(np.sin(x)), x, (1 + off) * np.cos(x))
    assert report.verdict == verdict


def test_directions_see_errors_at_the_stated_limit():
    """With a probability of 99 %: of 40, hardly one is missed, not every tenth."""
    x = np.linspace(0.5, 1.5, 40)

    def coarse(x):
        return float(np.float32(np.sum(np.sin(x)) + 10))

    def check(grads, seed):
        options = {"coverage": "locate", "engine": "python", "seed": seed}
        return fg.check_gradient(coarse, x, grads, **options)

    limit = check(np.cos(x), 0).blocks[0].detection_limit
    missed = 0
    for seed in range(40):
        wrong = np.cos(x)
        wrong[seed] += limit
        missed += check(wrong, seed).verdict == "correct"
    assert missed <= 1


def test_in_low_precision_no_more_than_a_tenth_of_the_usual_is_hidden():
    """What larger entries are known to is asked of those, too."""
    hidden = small = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        c, x = rng.normal(size=(2, 60))

        def loss(x, c=c):
            return float(np.float32(100 * np.sum(c * np.sin(x)) + 3e4))

        right = 100 * c * np.cos(x)
        report = fg.check_gradient(loss, x, right, engine="python")
        assert report.verdict == "correct"
        hidden += report.blocks[0].unobservable
        small += np.count_nonzero(np.abs(right) < 0.12 * np.sqrt(np.mean(right**2)))
    assert 0 < hidden <= small


@pytest.mark.parametrize(("digits", "verdict"), [(24, "correct"), (28, "undecided")])
def test_low_precision_is_what_has_the_digits_of_float32(digits, verdict):
    """There a small entry may be lost; noise that is less is another matter."""
    x, c, unit = np.linspace(0.5, 1.5, 20), np.full(20, 1e3), 2.0 ** (20 - digits)
    c[3] = 1e-4

    def coarse(x):
        return float(unit * np.round((np.sum(c * np.sin(x)) + 2**20) / unit))

    report = fg.check_gradient(coarse, x, c * np.cos(x), engine="python")
    assert report.verdict == verdict
