"""An entry is judged by its own size, whatever else is in its block."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg
from fastgrad.program import terms_of_gradient

OTHERS = np.array([0.3, 0.5, 0.7, 0.2, 0.9])
LOSSES = {
    "1/w": (lambda w: np.sum(1 / w), lambda w: -1 / w**2),
    "log": (lambda w: np.sum(np.log(w)), lambda w: 1 / w),
    "sqrt": (lambda w: np.sum(np.sqrt(w)), lambda w: 0.5 / np.sqrt(w)),
    "power": (lambda w: np.sum(w**-2.0), lambda w: -2 * w**-3.0),
    "abs": (lambda w: np.sum(np.abs(w)), np.sign),
}
ERRORS = [0.0, 1.05, -1.0]


@every_second
@pytest.mark.parametrize("tiny", [1e-6, 1e-12, 1e-60])
@pytest.mark.parametrize("name", LOSSES)
def test_entries_of_very_different_sizes(name, tiny):
    """One that is wrong is found, be it the tiny one or one of the others."""
    loss, gradient = LOSSES[name]
    w = np.append(tiny, OTHERS)
    right = gradient(w)
    assert fg.check_gradient(loss, w, right, engine="compiled").ok
    for entry in (0, 3):
        for error in ERRORS:
            wrong = right.copy()
            wrong[entry] *= error
            report = fg.check_gradient(loss, w, wrong, engine="compiled")
            assert [e.index for e in report.wrong] == [(entry,)]


@every_second
@pytest.mark.parametrize("tiny", [1e-12, 1e-20, 1e-60])
@pytest.mark.parametrize("name", ["1/w", "log", "sqrt", "power"])
def test_a_tiny_entry_where_losses_are_subtracted(name, tiny):
    """A pole or a border closer by than the steps is no slope of zero."""
    loss, gradient = LOSSES[name]
    w = np.append(tiny, OTHERS)
    right = gradient(w)
    for error in ERRORS:
        wrong = right * np.append(error, np.ones(5))
        assert not fg.check_gradient(loss, w, wrong, engine="python").ok
    assert fg.check_gradient(loss, w, right, engine="python").verdict != "wrong"


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("error")
def test_a_logarithm_next_to_its_border(seed, engine):
    """Neither the seed nor what warnings are makes a zero right."""
    w = np.array([1e-12, 1.0])
    check = {"engine": engine, "seed": seed}
    assert fg.check_gradient(lambda w: np.sum(np.log(w)), w, 1 / w, **check).ok
    for k in range(2):
        wrong = np.where(np.arange(2) == k, 0, 1 / w)
        report = fg.check_gradient(lambda w: np.sum(np.log(w)), w, wrong, **check)
        assert [entry.index for entry in report.wrong] == [(k,)]


def test_what_no_other_entry_shows_is_left_open():
    """Of two entries the large one says nothing about the arithmetic of the other."""
    w = np.array([1e-12, 0.3])
    wrong = np.array([-1e24, 0.0])
    report = fg.check_gradient(lambda w: np.sum(1 / w), w, wrong, engine="compiled")
    assert report.verdict == "undecided"
    assert any("params[1]" in note for note in report.notes)


@pytest.mark.parametrize("small", [1e-12, 1e-14])
def test_large_entries_do_not_speak_for_small_ones(small):
    """What these are off by, by rounding, may be as large as the small ones are."""
    c = np.append(np.ones(20), small * np.array([1.0, 2.0, 3.0]))
    w = np.random.default_rng(0).uniform(0.5, 1.0, len(c))
    right = c * (1 - np.sin(w) ** 2) / np.cos(w)

    def loss(w):
        return np.sum(c * np.sin(w))

    assert fg.check_gradient(loss, w, right, engine="compiled").ok
    wrong = right * np.where(np.arange(len(c)) == 21, 1.05, 1.0)
    report = fg.check_gradient(loss, w, wrong, engine="compiled")
    assert [entry.index for entry in report.wrong] == [(21,)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


SATURATED = {
    "s (1 - s)": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    "1 - tanh**2": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "tanh by s": (lambda x: 2 * sigmoid(2 * x) - 1, lambda x: 1 - np.tanh(x) ** 2),
    "softplus": (lambda x: np.log1p(np.exp(x)), lambda x: 1 - 1 / (1 + np.exp(x))),
    "logaddexp": (lambda x: np.logaddexp(0, x), lambda x: 1 - 1 / (1 + np.exp(x))),
    "silu": (
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x)),
    ),
    "elu": (
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1, np.expm1(np.minimum(x, 0)) + 1),
    ),
    "softsign": (
        lambda x: x / (1 + np.abs(x)),
        lambda x: (1 - np.abs(x / (1 + np.abs(x)))) ** 2,
    ),
}


@pytest.mark.parametrize("spread", [0, 8])
@pytest.mark.parametrize("scale", [10.0, 300.0])
@pytest.mark.parametrize("name", SATURATED)
def test_formulas_that_cancel_are_not_wrong(name, scale, spread):
    """Whatever smaller entries beside them are known to."""
    function, derivative = SATURATED[name]
    rng = np.random.default_rng(0)
    x = scale * rng.normal(size=40) * 10.0 ** -rng.uniform(0, spread, 40)
    with np.errstate(over="ignore"):
        report = fg.check_gradient(lambda x: np.sum(function(x)), x, derivative(x))
    assert report.ok


@pytest.mark.parametrize("size", [1e250, 1e-250])
@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.filterwarnings("error")
def test_losses_of_any_size(size, engine):
    """What is noise of them, or a rounding, neither overflows nor vanishes."""
    x = np.array([1.0, 2.0, 0.5])
    right = size * np.exp(x)

    def loss(x):
        return size * np.sum(np.exp(x))

    assert fg.check_gradient(loss, x, right, engine=engine).ok
    wrong = right * [1.0, 1.0, 1.01]
    report = fg.check_gradient(loss, x, wrong, engine=engine)
    assert [entry.index for entry in report.wrong] == [(2,)]


def test_terms_of_a_gradient():
    """As large as it where nothing cancels, and as what cancels where all does."""
    w = np.array([1.0, 2.0, 3.0])
    program = fg.trace(lambda w: np.sum(w**2) * np.exp(w[0]), w)
    both = np.exp(1.0) * (2 * w + np.array([14.0, 0, 0]))
    np.testing.assert_allclose(terms_of_gradient(program), both)
    program = fg.trace(lambda w: np.sum(w) - np.sum(w), w)
    assert (terms_of_gradient(program) >= 2).all()
    x = np.array([30.0])  # s (1 - s) is known to a rounding of s
    assert terms_of_gradient(fg.trace(lambda x: sigmoid(x[0]), x))[0] > 0.5


def beside_a_large_one(sizes, factors):
    """The entries found wrong of a sum of sines, of which the first is of size one."""
    sizes = np.append(1.0, sizes)
    x = np.linspace(0.6, 1.4, len(sizes))
    grads = sizes * np.cos(x) * np.append(1.0, factors)

    def loss(x):
        return np.sum(sizes * np.sin(x))

    report = fg.check_gradient(loss, x, grads, engine="compiled")
    return sorted(entry.index[0] for entry in report.wrong), report


@pytest.mark.parametrize("size", [2e-12, 7e-13, 4e-13, 1.4e-13, 2e-14])
def test_errors_of_a_few_per_cent_are_not_hidden_by_rounding_of_others(size):
    """Where that comes to a part of an entry, or all of it."""
    factors = np.append(np.ones(7), 1.03)
    assert beside_a_large_one(np.full(8, size), np.ones(8))[1].ok
    assert beside_a_large_one(np.full(8, size), factors)[0] == [8]


def test_entries_that_are_off_do_not_show_how_well_others_are_known():
    """By half a per cent, or far larger than these."""
    size = 1.4e-13
    factors = np.append(np.ones(6), [1.002, 1.05])
    assert beside_a_large_one(np.full(8, size), factors)[0] == [7, 8]
    sizes = np.append(np.full(8, size), 50 * size)
    factors = np.append(np.ones(7), [1.05, 1.0004])
    assert 8 in beside_a_large_one(sizes, factors)[0]


def test_entries_a_few_times_as_large_show_how_well_one_is_known():
    """Where there are no smaller ones: an error of five per cent is seen."""
    sizes = np.append(np.full(6, 7e-13), 1.4e-13)
    factors = np.append(np.ones(6), 1.05)
    assert beside_a_large_one(sizes, factors)[0] == [7]


def test_entries_that_are_known_to_three_digits_show_that_others_are():
    """What rounding leaves of large terms is in all of them, and no error."""
    sizes = np.append(1e6, np.full(8, 1.4e-7))
    x = np.linspace(0.0, 1.4, 9)
    grads = sizes * np.cos(x) * np.append(1.0, 1 + 6e-4 * (-1.0) ** np.arange(8))

    def loss(x):
        return np.sum(sizes * np.sin(x))

    assert fg.check_gradient(loss, x, grads, engine="compiled").ok


def test_entries_that_all_see_are_not_measured_again():
    """Of which what the others round is half a per cent."""
    _, report = beside_a_large_one(np.full(500, 1.4e-12), np.ones(500))
    assert report.ok
    assert report.evaluations < 3 * 500


def test_so_many_small_entries_are_measured_again_and_no_more():
    """A few thousand; what it costs is bounded."""
    small, factors = np.full(20_000, 1e-14), np.ones(20_000)
    factors[2999] = 1.2
    wrong, report = beside_a_large_one(small, factors)
    assert wrong == [3000]
    assert report.evaluations < 12 * len(small)


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("largest", [690.0, 705.0, 709.7])
def test_an_entry_whose_terms_are_about_to_overflow(largest, engine):
    """Where the loss is infinite a few per cent on: no rounding excuses that much."""
    w = np.array([largest, 1.0])
    right = np.exp(w)

    def loss(w):
        return np.sum(np.exp(w))

    assert fg.check_gradient(loss, w, right, engine=engine).verdict != "wrong"
    for factor in (0.99, 1.01):
        report = fg.check_gradient(loss, w, right * [factor, 1.0], engine=engine)
        assert [entry.index for entry in report.wrong] == [(0,)]
