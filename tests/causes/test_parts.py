"""Causes of gradients so large that a part of them is looked at: the same as of all."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg
from fastgrad.program import part

RNG = np.random.default_rng(0)
N, M = 60, 16
X, Y = RNG.standard_normal((M, N)), RNG.standard_normal((M, N))
PARAMS = {
    "W1": RNG.standard_normal((N, N)) / 8,
    "b1": RNG.standard_normal(N),
    "W2": RNG.standard_normal((N, N)) / 8,
}
WORDS = RNG.integers(N, size=7)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """What is done where there are a million entries, where there are some thousand."""
    for name, value in {"MANY": 0, "ENTRIES": 400, "FEWEST": 100, "ALONG": 7}.items():
        monkeypatch.setattr(part, name, value)
    monkeypatch.setattr("fastgrad.checking.conclusions.explanation.MANY", 0)
    monkeypatch.setattr("fastgrad.checking.conclusions.explanation._SOME", 200)


def loss(p):
    error = np.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] - Y
    return np.sum(error**2) / M + 0.1 * np.sum(p["W2"] ** 2)


def right(p, slope=lambda a: 1 - a**2, factor=2, penalty=0.2):
    a = np.tanh(X @ p["W1"] + p["b1"])
    d2 = factor * (a @ p["W2"] - Y) / M
    d1 = d2 @ p["W2"].T * slope(a)
    return {
        "W1": X.T @ d1,
        "b1": d1.sum(axis=0),
        "W2": a.T @ d2 + penalty * p["W2"],
    }


def on(change, *names):
    return lambda g: {k: change(v) if k in names else v for k, v in g.items()}


def only(value, *index):
    def put(x):
        x = x.copy()
        x[index] = value
        return x

    return put


EVERYTHING = tuple(PARAMS)
ROWS = np.sqrt(np.sum(right(PARAMS)["W1"] ** 2, axis=1, keepdims=True))


@every_second
@pytest.mark.parametrize(
    ("change", "code", "blocks", "words"),
    [
        (on(np.negative, *EVERYTHING), "sign", EVERYTHING, ""),
        (on(lambda x: x * M, *EVERYTHING), "scale", EVERYTHING, f"divide by {M}"),
        (on(lambda x: x * N, "W1"), "scale", ("W1",), f"{N}, axis"),
        (on(np.transpose, "W1"), "layout", ("W1",), "transposed"),
        (on(np.triu, "W2"), "mask", ("W2",), "upper triangle"),
        (on(np.flipud, "W2"), "geometry", ("W2",), "reversed"),
        (on(lambda x: np.roll(x, 1, 0), "W1"), "layout", ("W1",), "rolled by 1"),
        (lambda g: {**g, "W1": g["W2"]}, "layout", ("W1",), "gradient of W2"),
        (on(np.zeros_like, "W1"), "zero", ("W1",), "zero throughout"),
        (on(only(0.0, 41), "W1"), "partial", ("W1",), "at index 41 of axis 0"),
        (on(only(9.0, 41, 8), "W1"), "partial", ("W1",), "at [41, 8]"),
        (on(only(np.nan, 41, 8), "W2"), "nonfinite", ("W2",), "not finite: 1,"),
        (on(lambda x: np.clip(x, -0.1, 0.1), "W2"), "clipped", ("W2",), "entries"),
        (on(lambda x: x * np.minimum(1, 3 / ROWS), "W1"), "clipped", ("W1",), "norms"),
        (on(lambda x: x.astype(np.float16).astype(float), "W2"), "precision", ("W2",),
         "float16"),
        (lambda g: right(PARAMS, lambda a: 1.0), "local_derivative", ("W1", "b1"),
         "np.tanh"),
        (lambda g: right(PARAMS, lambda a: 1 - a), "local_derivative", ("W1", "b1"),
         "np.tanh"),
        (lambda g: right(PARAMS, penalty=0.0), "regularization", ("W2",), "penalty"),
        (lambda g: {**g, "W2": g["W2"] * PARAMS["W2"]}, "reparametrized", ("W2",), "log"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("coverage", ["full", 40])
def test_the_cause_is_that_of_the_whole(change, code, blocks, words, coverage):
    grads = change(right(PARAMS))
    report = fg.check_gradient(loss, PARAMS, grads, coverage=coverage)
    if not report.wrong:  # few entries are, and none of these was looked at
        assert coverage == 40
        assert code in ("partial", "nonfinite")
        return
    assert report.verdict == "wrong"
    assert report.causes[0].code == code
    assert set(report.causes[0].blocks) == set(blocks)
    assert any(words in cause.message for cause in report.causes)


@every_second
@pytest.mark.parametrize(
    ("change", "code", "blocks"),
    [
        (on(np.negative, *EVERYTHING), "sign", EVERYTHING),
        (on(lambda x: 2 * x, "W1"), "scale", ("W1",)),
        (on(np.transpose, "W1"), "layout", ("W1",)),
        (on(only(0.0, 41), "W1"), "partial", ("W1",)),
        (lambda g: right(PARAMS, penalty=0.0), "regularization", ("W2",)),
        (on(lambda x: x * np.minimum(1, 3 / ROWS), "W1"), "clipped", ("W1",)),
    ],
)
@pytest.mark.parametrize("coverage", ["full", 60])
def test_what_shows_in_numbers_needs_no_program(change, code, blocks, coverage):
    """Entries that were measured stand for all; what is reordered needs all of them."""
    unseen = {"loss": loss}  # code without source, which wants a number
    exec("def function(p):\n    return float(loss(p))", unseen)
    function, grads = unseen["function"], change(right(PARAMS))
    report = fg.check_gradient(function, PARAMS, grads, coverage=coverage)
    assert report.engine == "python"
    if coverage == "full" or code in ("sign", "scale", "regularization"):
        assert report.causes[0].code == code
        assert set(report.causes[0].blocks) == set(blocks)
    elif report.causes:
        assert report.causes[0].code in (code, "unknown")


def test_the_right_gradient_has_none():
    report = fg.check_gradient(loss, PARAMS, right(PARAMS))
    assert report.ok
    assert report.causes == ()


def test_entries_that_are_wrong_alone_are_said_to_be():
    w, c = RNG.standard_normal(5000), RNG.standard_normal(5000)
    grads = c * (1 - np.tanh(w) ** 2)
    grads[[17, 4711]] += 1.0
    report = fg.check_gradient(lambda w: c @ np.tanh(w), w, grads)
    assert {entry.index for entry in report.wrong} == {(17,), (4711,)}
    assert "at index 17, 4711 of axis 0" in report.causes[0].message


def test_rows_of_an_embedding():
    p = {"E": RNG.standard_normal((500, 8)), "w": RNG.standard_normal(8)}
    words = RNG.integers(500, size=(4, 5))

    def embedded(p):
        return np.sum(np.tanh(p["E"][words].mean(axis=1) @ p["w"]))

    def grads(p, put):
        rows = p["E"][words].mean(axis=1)
        d = 1 - np.tanh(rows @ p["w"]) ** 2
        table = np.zeros_like(p["E"])
        put(table, words, np.repeat((d[:, None] * p["w"] / 5)[:, None], 5, axis=1))
        return {"E": table, "w": d @ rows}

    assert fg.check_gradient(embedded, p, grads(p, np.add.at)).ok
    words[0] = 3  # counted once, where indices are assigned to
    report = fg.check_gradient(embedded, p, grads(p, np.ndarray.__setitem__))
    assert report.causes[0].code == "duplicate_index"
    assert report.causes[0].blocks == ("E",)
