"""The search for a cause never costs the verdict, and stays within its means."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg
from fastgrad.causes import budget
from fastgrad.causes.reverse import Reverse

UNARY = {
    "tanh": np.tanh,
    "exp": lambda x: np.exp(np.clip(x, -3.0, 3.0)),
    "sin": np.sin,
    "square": np.square,
    "relu": lambda x: np.maximum(x, 0.0),
    "root": lambda x: np.sqrt(1 + x**2),
    "bounded": lambda x: np.clip(np.exp(np.clip(x, -3, 3)), 1e-8, np.inf),
    "softmax": lambda x: (
        np.exp(x - x.max(-1, keepdims=True))
        / np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)
    ),
    "normal": lambda x: (x - x.mean(-1, keepdims=True)) / (x.std(-1) + 1)[..., None],
    "transposed": lambda x: x.T,
    "reversed": lambda x: x[::-1],
    "rows": lambda x: x[[0, 0, -1]],
    "summed": lambda x: x.sum(0, keepdims=True),
    "flat": lambda x: x.reshape(1, -1),
    "padded": lambda x: np.pad(x, 1),
    "sorted": lambda x: np.sort(x, axis=0),
    "cumulated": lambda x: np.cumsum(x, axis=-1),
    "largest": lambda x: x.max(axis=0, keepdims=True),
    "solved": lambda x: np.linalg.solve(x @ x.T + np.eye(len(x)), x),
    "factored": lambda x: np.linalg.cholesky(x @ x.T + np.eye(len(x))),
    "determinant": lambda x: np.linalg.slogdet(x @ x.T + np.eye(len(x)))[1],
}
BINARY = {
    "product": lambda x, w: x @ w,
    "from the left": lambda x, w: w.T @ x.T,
    "sum": lambda x, w: x + w[:1, :1],
    "ratio": lambda x, w: x / (1 + w[0, 0] ** 2),
    "where": lambda x, w: np.where(x > 0.1, x, w[0, 0] * x),
}
ERRORS = {
    "factor": lambda g, rng: g * 3,
    "one entry": lambda g, rng: g + (np.arange(g.size) == 0).reshape(g.shape),
    "some": lambda g, rng: g * rng.choice([0.0, 1.0, 2.0], size=g.shape),
    "noise": lambda g, rng: g + rng.normal(size=g.shape),
    "zero": lambda g, rng: np.zeros_like(g),
    "by theta": lambda g, rng: g * (1 + np.abs(g)),
    "nan": lambda g, rng: np.where(np.arange(g.size).reshape(g.shape) % 2, g, np.nan),
    "huge": lambda g, rng: g * 1e300,
    "sorted": lambda g, rng: np.sort(g, axis=None).reshape(g.shape),
}


@settings(max_examples=12)
@given(
    steps=st.lists(st.sampled_from([*UNARY, *BINARY]), min_size=1, max_size=4),
    rows=st.integers(1, 3),
    width=st.integers(1, 3),
    error=st.sampled_from(list(ERRORS)),
    seed=st.integers(0, 2**16),
)
def test_whatever_is_wrong_the_search_ends_in_a_verdict(
    steps, rows, width, error, seed
):
    """Failures are let through in the tests, so a passing example raised nothing."""
    rng = np.random.default_rng(seed)
    params = {"x": rng.normal(size=(rows, width)), "w": rng.normal(size=(width, width))}

    def loss(p):
        x = p["x"]
        for step in steps:
            x = UNARY[step](x) if step in UNARY else BINARY[step](x, p["w"])
        return np.mean(x**2) + 0.1 * np.sum(p["w"] ** 2)

    try:
        with np.errstate(all="ignore"):
            right = fg.numerical_gradient(loss, params)
    except (ValueError, IndexError, TypeError):  # shapes that do not fit
        return
    grads = {k: ERRORS[error](v, rng) for k, v in right.items()}
    with np.errstate(all="ignore"):
        report = fg.check_gradient(loss, params, grads)
    assert report.verdict in ("wrong", "correct", "undecided")
    assert bool(report.causes) or report.verdict != "wrong"
    known = {block.name for block in report.blocks}
    assert all(set(cause.blocks) <= known for cause in report.causes)


X = np.random.default_rng(1).normal(size=(8, 5))


def network(p):
    return np.mean(np.tanh(X @ p) ** 2)


def test_a_search_that_fails_is_told_and_costs_nothing_else(monkeypatch):
    monkeypatch.setattr(budget, "STRICT", False)

    def failing(*args):
        raise RuntimeError("no luck")

    monkeypatch.setattr(Reverse, "tangents", failing)
    theta = np.random.default_rng(2).normal(size=(5, 3))
    wrong = np.random.default_rng(3).normal(size=(5, 3))
    report = fg.check_gradient(network, theta, wrong)
    assert report.verdict == "wrong"
    (cause,) = report.causes
    assert cause.code == "unknown"
    assert "a bug of fastgrad" in cause.message
    assert "no luck" in cause.message


def test_a_search_without_time_is_told_and_costs_nothing_else(monkeypatch):
    monkeypatch.setattr("fastgrad.checking.check._SECONDS", 0.0)
    monkeypatch.setattr("fastgrad.checking.check._SHARE", 0.0)
    theta = np.random.default_rng(2).normal(size=(5, 3))
    report = fg.check_gradient(network, theta, np.ones((5, 3)))
    assert report.verdict == "wrong"
    assert "not all mistakes were tried" in report.causes[0].message


class _Clock:
    """A second passes at each look."""

    def __init__(self):
        self.looks = 0

    def perf_counter(self):
        self.looks += 1
        return float(self.looks)

    def thread_time(self):
        """As if nothing else ran."""
        return float(self.looks)


@pytest.mark.parametrize("seconds", [1, 40, 200])
def test_a_search_stops_at_the_first_look_after_its_time(monkeypatch, seconds):
    clock = _Clock()
    monkeypatch.setattr(budget, "time", clock)
    monkeypatch.setattr("fastgrad.checking.check._SECONDS", float(seconds))
    wrong = np.random.default_rng(3).normal(size=(5, 3))
    theta = np.random.default_rng(2).normal(size=(5, 3))
    report = fg.check_gradient(network, theta, wrong)
    assert f"not all mistakes were tried in {seconds} s" in report.causes[0].message
    # Each look is a step of the search; the first one sets the clock. What is left of
    # the time is for telling what was found.
    assert 0.8 * seconds < clock.looks <= seconds + 3


@pytest.mark.parametrize("seconds", [40, 200])
def test_what_was_found_is_told_when_the_time_is_over(monkeypatch, seconds):
    """The second point takes time, too, of which nothing may be left."""
    monkeypatch.setattr(budget, "time", _Clock())
    monkeypatch.setattr("fastgrad.checking.check._SECONDS", float(seconds))
    wrong = np.random.default_rng(3).normal(size=(5, 3))
    theta = np.random.default_rng(2).normal(size=(5, 3))

    def untraced(w):
        return wrong * np.frombuffer(w.tobytes()).reshape(w.shape)

    (cause,) = fg.check_gradient(network, theta, untraced).causes
    assert "no known mistake gives" in cause.message
    assert f"not all mistakes were tried in {seconds} s" in cause.message


@pytest.mark.parametrize("wrong", [(3, 2_000), (2_500, 3_999)])
def test_memory_grows_with_the_parameters_not_their_square(wrong):
    rng = np.random.default_rng(0)
    weights, theta = rng.normal(size=4_000), rng.normal(size=4_000)
    grads = weights * (1 - np.tanh(theta) ** 2)
    grads[list(wrong)] *= 1 + rng.uniform(1, 2, size=2)
    tracemalloc.start()
    try:
        report = fg.check_gradient(lambda w: weights @ np.tanh(w), theta, grads)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.verdict == "wrong"
    assert peak < 200 * 8 * theta.size  # the square of that is 4,000 times 8 n
