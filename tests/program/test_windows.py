"""Values at theta that are computed where they are looked at."""

import copy
import threading

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.program import graph

N = 60


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Let arrays of few elements count as large, and windows be short."""
    monkeypatch.setattr(graph, "LARGE", 12)
    monkeypatch.setattr("fastgrad.program.windows._TOGETHER", 7)


rng = np.random.default_rng(3)
c, matrix, row = rng.uniform(0.5, 2, N), rng.standard_normal((5, 6)), rng.random(12)

#: Losses, shapes of their parameters, and how many of their values are not kept.
LOSSES = {
    "chain": (
        lambda w: np.sum(c * np.sin(np.exp(np.tanh(np.cos(w / 2) + w)))),
        (N,),
        7,
    ),
    "used again": (lambda w: np.sum((t := np.tanh(w)) * t + np.exp(t)), (N,), 4),
    "product with a constant": (lambda w: c @ np.exp(w), (N,), 1),
    "by rows": (lambda w: np.sum(np.tanh(np.exp(w) @ row) ** 2), (5, 12), 1),
    "sums of rows": (lambda w: np.sum(np.sin(w).sum(axis=1) ** 2), (5, 12), 1),
    "few long rows": (lambda w: np.sum(np.log1p(w * w)), (2, 30), 2),
    "leading axes of one": (lambda w: np.sum(np.sin(w)), (1, N, 1), 1),
    "broadcast constants": (lambda w: np.sum(np.exp(w * row)), (5, 12), 2),
    "kinks": (lambda w: np.sum(np.maximum(np.sin(w), 0.1) + abs(w - 0.3)), (N,), 5),
    "all of it is read": (lambda w: np.sum(np.exp(w) / np.sum(np.exp(w)) * c), (N,), 1),
    "its maximum": (lambda w: np.max(np.sin(w)) + np.sum(np.cos(w)), (N,), 1),
    "neighbours": (lambda w: np.sum(np.sin(w)[1:] * np.cos(w)[:-1]), (N,), 0),
    "with itself": (lambda w: np.sin(w) @ np.sin(w), (N,), 0),
    "twice in a product": (lambda w: np.sum(np.tanh(w) @ np.sin(w).T), (5, 12), 0),
    "a branch": (lambda w: np.sum(np.exp(w)[np.sin(w) > 0.2]), (N,), 0),
    "a row of all": (lambda w: np.sum(np.exp(w)[2]), (5, 12), 0),
}
NESTS = {
    "two blocks": (lambda p: np.sum(np.sin(p["a"]) * np.exp(p["b"])), (N, N), 3),
    "alone": (lambda p: c @ np.tanh(p["a"]) + np.sum(np.sin(p["b"]) ** 2), (N, 30), 3),
    "a scale": (lambda p: np.sum(np.sin(p["a"]) * np.exp(p["b"])), (N, 1), 0),
    "a small one": (lambda p: np.sum(np.exp(p["a"])) * np.sum(p["b"] ** 3), (N, 4), 1),
}


def cases():
    for name, (loss, shape, lazy) in LOSSES.items():
        w = np.random.default_rng(0).uniform(-1, 1, shape)
        yield pytest.param(loss, w, lazy, id=name)
    for name, (loss, sizes, lazy) in NESTS.items():
        parts = {k: rng.uniform(-1, 1, n) for k, n in zip("ab", sizes, strict=True)}
        yield pytest.param(loss, parts, lazy, id=name)


def kept_whole(loss, w, monkeypatch):
    """The program of which every value is kept."""
    with monkeypatch.context() as patch:
        patch.setattr(graph, "LARGE", 1 << 14)
        return fg.trace(loss, copy.deepcopy(w))


def without(program):
    """Return how many values are not there."""
    return sum(node._value is None for node in program.nodes)


@pytest.mark.parametrize(("loss", "w", "lazy"), list(cases()))
def test_results_do_not_depend_on_what_is_kept(loss, w, lazy, monkeypatch):
    """In order, at random, one alone, and along a direction; and the gradient."""
    whole, program = kept_whole(loss, w, monkeypatch), fg.trace(loss, w)
    assert without(whole) == 0
    assert without(program) == lazy
    size, random = program.nest.size, np.random.default_rng(1)
    for index in (
        np.arange(size),
        random.integers(size, size=40),
        np.array([size - 1]),
    ):
        delta = random.uniform(-1e-3, 1e-3, len(index))
        for one, other in zip(
            program.at_entries(index, delta),
            whole.at_entries(index, delta),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, rtol=1e-12)
    direction = random.standard_normal(size)
    np.testing.assert_allclose(
        program.along(direction, np.array([0.1, -0.2])),
        whole.along(direction, np.array([0.1, -0.2])),
        rtol=1e-12,
    )
    assert program.rounding == pytest.approx(whole.rounding)
    assert program.rounding_of_function == pytest.approx(whole.rounding_of_function)
    for one, other in zip(program.nodes, whole.nodes, strict=True):
        np.testing.assert_array_equal(one.value, other.value)
    assert without(program) == lazy  # what was asked for was not kept


@pytest.mark.parametrize("factor", [1.0, 1.001])
@pytest.mark.usefixtures("time_for_causes")
def test_a_wrong_gradient_is_seen(factor):
    """And its cause, which looks at all values."""
    w = rng.uniform(-1, 1, N)
    wrong = c * (1 - np.tanh(w) ** 2)
    wrong[5:20] *= factor
    report = fg.check_gradient(lambda w: np.sum(c * np.tanh(w)), w, wrong)
    assert report.verdict == ("correct" if factor == 1 else "wrong")
    assert {e.index[0] for e in report.wrong} == set(range(5, 20) if factor > 1 else ())
    report = fg.check_gradient(lambda w: np.sum(c * np.tanh(w)), w, c)
    assert "local_derivative" in {cause.code for cause in report.causes}


def test_threads_take_turns():
    """What one shows to the kernels is not what another is looking at."""
    loss, shape, _ = LOSSES["chain"]
    program = fg.trace(loss, rng.uniform(-1, 1, shape))
    index, delta = np.arange(N), np.full(N, 1e-3)
    expected, _ = program.at_entries(index, delta)
    wrong = []

    def run(part):
        for _ in range(30):
            found, _ = program.at_entries(index[part], delta[part])
            wrong.extend(np.flatnonzero(found != expected[part]))

    parts = [slice(k, None, 4) for k in range(4)]
    threads = [threading.Thread(target=run, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_values_that_many_come_from_are_computed_once():
    """In a graph where the number of ways grows as 2^n, and far deeper than the stack."""

    def loss(w):
        for _ in range(600):
            w = w * 0.5 + w * 0.25
        return np.sum(w)

    w = rng.uniform(-1, 1, N)
    program = fg.trace(loss, w)
    assert without(program) > 1500
    np.testing.assert_allclose(program.result.inputs[0].value, w * 0.75**600)
