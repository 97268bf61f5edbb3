"""A block of which nothing is seen is not verified, unless it is really zero."""

import numpy as np
import pytest
from families import every_second
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg

FUNCTIONS = {
    "sin": (np.sin, np.cos),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "square": (lambda x: x * x, lambda x: 2 * x),
    "exp": (np.exp, np.exp),
}
PARAMS = {"big": np.linspace(0.1, 1.0, 5), "small": np.linspace(0.2, 1.2, 4)}


def beside(scale, name, joined):
    """A block that matters far less than another, as a term or as a factor."""
    f, slope = FUNCTIONS[name]

    def loss(p):
        small = scale * np.sum(f(p["small"]))
        big = np.sum(np.sin(p["big"]))
        return big + small if joined == "term" else big * (1 + small)

    def grads(p):
        small = scale * np.sum(f(p["small"]))
        big = np.sum(np.sin(p["big"]))
        as_term = {"big": np.cos(p["big"]), "small": scale * slope(p["small"])}
        if joined == "term":
            return as_term
        return {"big": as_term["big"] * (1 + small), "small": as_term["small"] * big}

    return loss, grads


# At 1e-300 differences are next to numbers that have fewer digits.
scales = st.integers(6, 290).map(lambda k: 10.0**-k)


@pytest.mark.parametrize("engine", ["compiled", "python"])
@settings(max_examples=30)
@given(
    scales,
    st.sampled_from(sorted(FUNCTIONS)),
    st.sampled_from(["term", "factor"]),
    st.sampled_from([0.0, 0.5, -1.0, 2.0]),
    st.sampled_from([slice(None), slice(1, 2)]),
)
def test_a_small_block_is_verified_or_not_correct(
    engine, scale, name, joined, factor, which
):
    """A right one is never wrong; one that is wrong throughout is never correct."""
    loss, grads = beside(scale, name, joined)
    right = fg.check_gradient(loss, PARAMS, grads, engine=engine)
    assert right.verdict != "wrong"
    if engine == "compiled":
        assert right.ok
    wrong = grads(PARAMS)
    off = np.abs(wrong["small"] * (1 - factor))[which].max()
    wrong["small"][which] *= factor
    report = fg.check_gradient(loss, PARAMS, wrong, engine=engine)
    zero = factor == 0 and which == slice(None)  # it may as well be
    limit = report.blocks["small"].detection_limit
    if off > limit or not (zero or which == slice(1, 2)):
        assert report.verdict != "correct"


def normalised(p):
    """A bias ahead of a batch normalisation, which takes it off again."""
    z = X @ p["W"] + p["b"]
    z = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-5)
    return np.mean((np.tanh(z) - Y) ** 2)


def gradient(p, mean=False):
    """The gradient of `normalised`, with the sum over samples left or divided out."""
    z = X @ p["W"] + p["b"]
    sd = np.sqrt(z.var(axis=0) + 1e-5)
    hat = (z - z.mean(axis=0)) / sd
    t = np.tanh(hat)
    up = 2 * (t - Y) * (1 - t**2) / (Y.shape[1] if mean else Y.size)
    dz = (up - up.mean(axis=0) - hat * (up * hat).mean(axis=0)) / sd
    if mean:
        return {"W": X.T @ dz / len(X), "b": dz.mean(axis=0)}
    return {"W": X.T @ dz, "b": dz.sum(axis=0)}


rng = np.random.default_rng(0)
X, Y = rng.normal(size=(17, 3)), rng.normal(size=(17, 4))


@every_second
@pytest.mark.parametrize("engine", ["compiled", "python"])
@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_gradient_of_zero_keeps_no_report_from_being_correct(engine, mean, seed):
    """The rows of the table say what its heading says."""
    rng = np.random.default_rng(seed)
    params = {"W": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    report = fg.check_gradient(
        normalised, params, lambda p: gradient(p, mean), engine=engine
    )
    assert report.ok
    assert report.blocks["b"].zero
    assert "UNDECIDED" not in str(report)
    wrong = gradient(params, mean)
    wrong["b"] += 1e-9
    report = fg.check_gradient(normalised, params, wrong, engine=engine)
    assert [entry.block for entry in report.wrong] == ["b"] * 4


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_dead_blocks_and_empty_ones(engine):
    """Zero in every digit, and none at all."""
    params = {"a": np.ones(3), "dead": np.ones(2), "none": np.ones((0, 3))}

    def loss(p):
        return np.sum(p["a"] ** 2) + np.sum(np.maximum(p["dead"] - 5, 0))

    grads = {"a": 2 * np.ones(3), "dead": np.zeros(2), "none": np.ones((0, 3))}
    report = fg.check_gradient(loss, params, grads, engine=engine)
    assert report.ok
    assert [block.zero for block in report.blocks] == [False, True, True]
    assert "UNDECIDED" not in str(report)
    alone = fg.check_gradient(
        lambda p: loss(p) * 0 + 1e-300 * p["a"].sum(), params, grads, engine=engine
    )
    assert not alone.ok


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("x", [1.10, 1.13, 1.16])
def test_a_wrong_slope_far_down_a_tail_is_wrong(x, engine):
    """However steep the loss is elsewhere: rounding of that is less than the error."""

    def loss(w):
        return np.sum(np.exp(-30 * w))

    w = np.array([x])
    right = -30 * np.exp(-30 * w)
    assert fg.check_gradient(loss, w, right, engine=engine).verdict == "correct"
    for factor in (2.0, -1.0):
        report = fg.check_gradient(loss, w, factor * right, engine=engine)
        assert report.verdict == "wrong"
