"""What else losses take, which leaves are parameters, and where losses may be asked."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg

X = np.random.default_rng(0).normal(size=(5, 3))
ENGINES = {
    "auto": {},
    "python": {"engine": "python"},
    "workers": {"workers": ThreadPoolExecutor(2)},
}


def loss(p, X, *, power=2):
    return np.sum((X @ p["W"]) ** power) + np.sum(p["b"] ** 3)


def grads(p, X, *, power=2):
    return {"W": X.T @ (power * (X @ p["W"]) ** (power - 1)), "b": 3 * p["b"] ** 2}


def params():
    return {"W": np.array([0.5, -1.0, 2.0]), "b": np.array([1.0, 2.0])}


@pytest.mark.parametrize("way", ENGINES)
def test_further_arguments(way):
    """Go to the loss and to its gradient, by place and by name."""
    more = {"args": (X,), "kwargs": {"power": 4}, **ENGINES[way]}
    assert fg.check_gradient(loss, params(), grads, **more).ok
    found = fg.numerical_gradient(loss, params(), **more)
    np.testing.assert_allclose(found["W"], grads(params(), X, power=4)["W"], rtol=1e-7)
    wrong = grads(params(), X, power=2)
    assert fg.check_gradient(loss, params(), wrong, **more).verdict == "wrong"


@pytest.mark.parametrize("way", ENGINES)
def test_other_leaves_are_left_alone(way):
    """Integers, strings, None, objects: only blocks are parameters."""
    thing = object()
    p = {"layers": [{"W": np.ones((2, 3)), "b": np.zeros(2), "act": "tanh"}], "n": 3}
    p |= {"mask": None, "steps": np.arange(3), "table": np.ones(4), "thing": thing}

    def layer_loss(p):
        layer = p["layers"][0]
        z = layer["W"] @ X.T + layer["b"][:, None]
        return np.sum(getattr(np, layer["act"])(z) ** 2) / p["n"] + p["table"].sum()

    def layer_grads(p):
        layer = p["layers"][0]
        a = np.tanh(layer["W"] @ X.T + layer["b"][:, None])
        d = 2 * a * (1 - a**2) / p["n"]
        return {"layers": [{"W": d @ X, "b": d.sum(axis=1)}]}

    if way == "workers":
        p.pop("thing")
    options = {"blocks": ["layers.0.W", "*.b"], **ENGINES[way]}
    report = fg.check_gradient(layer_loss, p, layer_grads, **options)
    assert report.ok, str(report)
    assert [block.name for block in report.blocks] == ["layers.0.W", "layers.0.b"]
    assert set(report.to_dict()["numerical"]) == {"layers.0.W", "layers.0.b"}
    assert isinstance(report.to_html(), str)
    assert p.get("thing", thing) is thing
    found = fg.numerical_gradient(layer_loss, p, **options)
    right = layer_grads(p)["layers"][0]
    np.testing.assert_allclose(found["layers"][0]["W"], right["W"], rtol=1e-7)
    assert found["n"] is found["table"] is found["layers"][0]["act"] is None


def guarded(low, high):
    """The loss of a simplex of logarithms, which must not be asked outside."""

    def function(p):
        for leaf, a, b in zip(p.values(), low.values(), high.values(), strict=True):
            inside = np.asarray((leaf >= a) & (leaf <= b))
            if not inside.all():
                raise RuntimeError(f"asked at {leaf}")
        return np.sum(np.exp(p["u"]) * p["v"][0] ** 2) + np.sum(p["v"] ** 3)

    return function


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=3, max_size=3),
    st.sampled_from(["auto", "python"]),
    st.sampled_from(["central", "forward", "ridders"]),
)
@settings(max_examples=25)
def test_bounds_are_kept(at, engine, method):
    """At a bound, both, or between: the gradient is right, nothing is asked outside."""
    p = {"u": np.array(at[:2]), "v": np.array([at[2], 1.5])}
    low = {"u": 0.0, "v": np.array([0.0, 1.0])}
    high = {"u": np.ones(2), "v": 2.0}
    right = {
        "u": np.exp(p["u"]) * p["v"][0] ** 2,
        "v": 3 * p["v"] ** 2 + [2 * p["v"][0] * np.exp(p["u"]).sum(), 0.0],
    }
    options = {"bounds": (low, high), "engine": engine, "method": method}
    found = fg.numerical_gradient(guarded(low, high), p, **options)
    tolerance = 1e-3 if method == "forward" else 1e-6
    for name in p:
        np.testing.assert_allclose(found[name], right[name], atol=tolerance)
    report = fg.check_gradient(guarded(low, high), p, right, **options)
    assert report.verdict != "wrong", str(report)
    wrong = {**right, "v": right["v"] * 1.1}
    report = fg.check_gradient(guarded(low, high), p, wrong, **options)
    assert report.verdict == "wrong"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bounds": (2.0, 3.0)}, r"`params` must be within `bounds`, got W\[0\] = 0.5"),
        ({"bounds": 3.0}, "`bounds` must be a pair"),
        ({"bounds": (9.0, -9.0)}, "`bounds` must have its lower number below"),
        ({"bounds": ({"W": 0}, None)}, r"`bounds\[0\]` must have the keys"),
        ({"bounds": ("a", None)}, r"`bounds\[0\]` must be numbers"),
        ({"bounds": (-9, 9), "coverage": "locate"}, "`bounds` must be None"),
        ({"blocks": ["V"]}, "`blocks` must name blocks of the parameters"),
        ({"blocks": 3}, "`blocks` must be names"),
        ({"args": 3}, "`args` must be a tuple"),
        ({"kwargs": {1: 2}}, "`kwargs` must be a dict"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fg.check_gradient(loss, params(), grads, **{"args": (X,), **options})
