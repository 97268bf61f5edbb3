"""The story of a check, end to end."""

import re

import numpy as np
import pytest
from tanh_layer import X, grads, loss

import fastgrad as fg
from fastgrad.losses import progress

PARAMS = {"W": np.array([[0.3, -0.2], [0.8, 0.1]]), "b": np.array([[0.1], [-0.4]])}


@pytest.mark.parametrize("method", ["auto", "central", "forward", "complex", "ridders"])
def test_methods(method):
    """Every method passes what is right and finds what is wrong."""
    options = {"method": method, "engine": "python"}
    assert fg.check_gradient(loss, PARAMS, grads, **options).ok
    wrong = grads(PARAMS)
    wrong["W"][1, 0] *= 1.01
    report = fg.check_gradient(loss, PARAMS, wrong, **options)
    assert [e.name for e in report.wrong] == ["W[1, 0]"]


def test_all_forms_of_gradients():
    """Arrays, a callable, or returned by the loss."""
    assert fg.check_gradient(loss, PARAMS, grads(PARAMS)).ok
    assert fg.check_gradient(loss, PARAMS, grads).ok
    assert fg.check_gradient(lambda p: (loss(p), grads(p)), PARAMS).ok


def test_relative_error_is_the_textbooks():
    """norm(n - a) / (norm(n) + norm(a)), by block and for all."""
    wrong = grads(PARAMS)
    wrong["b"] = 2 * wrong["b"]
    report = fg.check_gradient(loss, PARAMS, wrong)
    assert report.blocks[0].relative_error < 1e-8
    assert report.blocks[1].relative_error == pytest.approx(1 / 3, rel=1e-6)
    n = np.concatenate([report.numerical["W"].ravel(), report.numerical["b"].ravel()])
    a = np.concatenate([wrong["W"].ravel(), wrong["b"].ravel()])
    expected = np.linalg.norm(n - a) / (np.linalg.norm(n) + np.linalg.norm(a))
    assert report.relative_error == pytest.approx(expected)


def test_evaluations_are_all_counted():
    """The report's number is how often the function was called."""
    calls = []

    def counted(p):
        calls.append(1)
        return loss(p)

    report = fg.check_gradient(counted, PARAMS, grads, engine="python")
    assert report.evaluations == len(calls)


def test_a_step_is_taken_as_it_is():
    """The numerical gradient of the report is that of this step."""
    report = fg.check_gradient(loss, PARAMS, grads, step=0.1)
    expected = fg.numerical_gradient(loss, PARAMS, step=0.1)
    np.testing.assert_array_equal(report.numerical["W"], expected["W"])
    assert report.step == 0.1
    assert report.ok


def test_coverage_by_samples_takes_every_block():
    """So many entries of each block, all of a smaller one; the rest is nan."""
    report = fg.check_gradient(loss, PARAMS, grads, coverage=3)
    assert [block.checked for block in report.blocks] == [3, 2]
    assert np.isnan(report.numerical["W"]).sum() == 1
    assert report.ok


def test_rtol_is_what_does_not_matter():
    """A difference of 1 % passes with rtol=0.02."""
    wrong = {k: 1.01 * g for k, g in grads(PARAMS).items()}
    assert not fg.check_gradient(loss, PARAMS, wrong).ok
    assert fg.check_gradient(loss, PARAMS, wrong, rtol=0.02).ok


def test_a_large_step_is_no_false_alarm():
    """The verdict looks further than the step it was given."""
    for step in (1.0, 1e-12):
        assert not fg.check_gradient(loss, PARAMS, grads, step=step).wrong


def test_missing_regularisation_is_wrong():
    """The loss has an L2 term and the gradient has none."""

    def regularised(p):
        return loss(p) + 0.01 * np.sum(p["W"] ** 2)

    report = fg.check_gradient(regularised, PARAMS, grads)
    assert report.verdict == "wrong"
    assert {e.block for e in report.wrong} == {"W"}


@pytest.mark.parametrize("coverage", [0, -3, "some", 2.5, True])
def test_bad_coverage(coverage):
    """Named, with what it must be."""
    with pytest.raises((TypeError, ValueError), match="`coverage` must be"):
        fg.check_gradient(loss, PARAMS, grads, coverage=coverage)


def test_nonfinite_gradients_are_wrong():
    """A verdict, not an exception."""
    wrong = grads(PARAMS)
    wrong["b"][0] = np.nan
    report = fg.check_gradient(loss, PARAMS, wrong)
    assert report.verdict == "wrong"
    assert ("b", (0, 0)) in [(e.block, e.index) for e in report.wrong]
    assert [cause.code for cause in report.causes] == ["nonfinite"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rtol": -1}, ValueError, "`rtol` must be finite and not negative, got -1"),
        ({"rtol": np.nan}, ValueError, "`rtol` must be finite"),
        ({"rtol": "1e-6"}, TypeError, "`rtol` must be a number, got str"),
        ({"seed": -1}, ValueError, "`seed` must be a non-negative integer, .* got -1"),
        ({"seed": "now"}, TypeError, "`seed` must be a non-negative integer"),
        ({"coverage": "locate", "step": 0.1}, ValueError, "`step` must be None"),
        ({"coverage": "locate", "method": "ridders"}, ValueError, "`method` must be"),
    ],
)
def test_options_that_make_no_sense(options, error, message):
    """Each is named, and none gives a verdict."""
    with pytest.raises(error, match=message):
        fg.check_gradient(loss, PARAMS, grads, **options)


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_what_a_model_keeps_is_that_of_theta_after_a_check(engine):
    """A backward pass after the check reads the cache of the parameters as they are."""
    kept = {}

    def model(p):
        kept["a"] = np.tanh(p["W"] @ X + p["b"])
        return np.mean(kept["a"] ** 2)

    for wrong in (1.0, 1.5):  # naming a cause evaluates elsewhere too
        given = {k: wrong * g for k, g in grads(PARAMS).items()}
        fg.check_gradient(model, PARAMS, given, engine=engine)
        np.testing.assert_array_equal(kept["a"], np.tanh(PARAMS["W"] @ X + PARAMS["b"]))
    fg.numerical_gradient(model, PARAMS, engine=engine)
    np.testing.assert_array_equal(kept["a"], np.tanh(PARAMS["W"] @ X + PARAMS["b"]))


def test_gradients_beyond_the_square_root_of_the_largest_number():
    """Neither the control nor the naming overflows (warnings are errors here)."""
    x = np.array([0.3, -1.2, 2.0])
    big = 1e150
    assert fg.check_gradient(lambda w: np.sum((w * big) ** 2), x, 2 * x * big * big).ok
    report = fg.check_gradient(
        lambda w: np.sum((w * big) ** 2), x / big, 2.02 * x * big
    )
    assert len(report.wrong) == 3


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_parameters_at_the_ends_of_the_range(size, engine):
    """Nothing over- or underflows on the way (warnings are errors here)."""
    x = np.array([0.5, -2.0, 3.0]) * size
    exact = np.cos(x / size) / size

    def loss(w):
        return np.sum(np.sin(w / size))

    assert fg.check_gradient(loss, x, exact, engine=engine).verdict == "correct"
    exact[1] *= 1.01
    report = fg.check_gradient(loss, x, exact, engine=engine)
    assert [e.index for e in report.wrong] == [(1,)]


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_broadcast_parameters(engine):
    """Entries that share memory are checked as the entries of a copy."""
    row = np.array([1.0, 2.0, 3.0])
    shared = np.lib.stride_tricks.as_strided(row, shape=(4, 3), strides=(0, 8))
    assert shared.flags.writeable
    report = fg.check_gradient(
        lambda w: np.sum(w**3), shared, 3 * shared**2, engine=engine
    )
    assert report.ok
    assert row.tolist() == [1.0, 2.0, 3.0]


def test_a_loss_compiled_by_somebody_else():
    """A callable that only looks like a function (numba's dispatcher does)."""

    class Dispatcher:
        def __init__(self, function):
            self.function, self.__code__ = function, function.__code__

        def __call__(self, p):
            return float(self.function(p))

    assert fg.check_gradient(Dispatcher(loss), PARAMS, grads, engine="python").ok


def test_a_slow_check_says_so(monkeypatch, capsys):
    """Before long: how long it will take, and what is cheaper."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def loss(p):
        now[0] += 0.1
        return float(np.sum(p**2)), 2 * p

    report = fg.check_gradient(loss, np.ones(300), engine="python")
    err = capsys.readouterr().err
    assert re.search(r"about 59.\d s left, for 59\d evaluations of 100 ms", err)
    for option in ("`coverage=100`", "`workers=`", "does not compute its gradient"):
        assert option in err
    assert any("returns both" in note for note in report.notes)


@pytest.mark.parametrize(
    ("blocks", "factor", "said"),
    [(1, 1.0, None), (1, 3.0, "`coverage=10`"), (30, 1.0, "`blocks=`")],
)
def test_a_slow_search_says_so(blocks, factor, said, monkeypatch, capsys):
    """Along directions if there are many blocks, else at what these end at."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def loss(p):
        now[0] += 0.1
        return float(sum(x @ x for x in p))

    params = [np.ones(200) for _ in range(blocks)]
    fg.check_gradient(
        loss,
        params,
        [2 * factor * x for x in params],
        coverage="locate",
        engine="python",
    )
    err = capsys.readouterr().err
    assert err.count("left, for") == (said is not None)
    assert said is None or said in err


def test_the_worst_entries_come_first():
    w, off = np.arange(1.0, 5.0), np.array([0.1, 3.0, np.nan, -1.0])
    report = fg.check_gradient(lambda w: np.sum(w**2), w, 2 * w + off)
    assert [entry.index for entry in report.wrong] == [(2,), (1,), (3,), (0,)]
