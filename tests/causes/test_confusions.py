"""Mistakes that give much the same numbers are told apart by where they are."""

import numpy as np
import pytest
from families import every_second

import fastgrad as fg

RNG = np.random.default_rng(3)
X = RNG.normal(size=(9, 4))
T = RNG.normal(size=(9, 3))


def top(loss, params, grads):
    report = fg.check_gradient(loss, params, grads)
    assert report.verdict == "wrong"
    return report.causes[0]


@every_second
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("times", [0.0, 0.5, 2.0, -1.0])
@pytest.mark.parametrize(
    "penalty",
    [
        lambda b: np.sum(b**2),
        lambda b: 0.5 * np.sum(b * b),
        lambda b: 0.3 * np.mean(np.square(b)),
        lambda b: 0.4 * b @ b,
    ],
)
def test_a_wrong_penalty_is_one_be_it_on_a_single_number(size, times, penalty):
    params = {"W": RNG.normal(size=(4, 3)), "b": RNG.uniform(1, 2, size=size)}

    def loss(p):
        return np.sum((X @ p["W"] + p["b"] - T) ** 2) + 0.7 * penalty(p["b"])

    d = 2 * (X @ params["W"] + params["b"] - T)
    slope = 0.7 * penalty(np.ones(1)) * 2 / (size if penalty(np.ones(2)) < 0.5 else 1)
    of_b = d.sum(axis=0) if size > 1 else d.sum(keepdims=True).reshape(1)
    right = {"W": X.T @ d, "b": of_b + slope * params["b"]}
    assert fg.check_gradient(loss, params, right).verdict == "correct"
    wrong = {**right, "b": of_b + times * slope * params["b"]}
    cause = top(loss, params, wrong)
    assert (cause.code, cause.blocks) == ("regularization", ("b",))


@pytest.mark.parametrize("times", [0.0, 2.0, -1.0])
def test_a_wrong_penalty_is_one_be_its_scale_a_parameter(times):
    params = {"W": RNG.normal(size=(4, 3)), "log_scale": np.array(0.3)}

    def loss(p):
        prior = np.sum(p["W"] ** 2) / (2 * np.exp(2 * p["log_scale"]))
        return np.sum((X @ p["W"] - T) ** 2) + prior + 12 * p["log_scale"]

    def grads(p, times=1.0):
        precision = np.exp(-2 * p["log_scale"])
        of_prior = times * precision * p["W"]
        of_scale = 12 - precision * np.sum(p["W"] ** 2)
        dW = 2 * X.T @ (X @ p["W"] - T) + of_prior
        return {"W": dW, "log_scale": np.asarray(of_scale)}

    assert fg.check_gradient(loss, params, grads).verdict == "correct"
    cause = top(loss, params, lambda p: grads(p, times))
    assert (cause.code, cause.blocks) == ("regularization", ("W",))


def test_twice_what_is_used_once_is_a_factor():
    params = {"W": RNG.normal(size=(4, 3)), "s": RNG.uniform(1, 2, size=3)}

    def loss(p):
        a = X @ p["W"]
        return np.sum(np.tanh(a)) + np.sum(np.sin(a) * p["s"])

    def grads(p, times):
        a = X @ p["W"]
        d = 1 - np.tanh(a) ** 2 + times * np.cos(a) * p["s"]
        return {"W": X.T @ d, "s": times * np.sin(a).sum(axis=0)}

    assert fg.check_gradient(loss, params, lambda p: grads(p, 1)).verdict == "correct"
    assert top(loss, params, lambda p: grads(p, 2)).code == "scale"


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reduced", [np.mean, np.sum])
def test_the_sum_of_a_softmax_without_its_weights_is_a_wrong_term(axis, reduced):
    params = {"W": RNG.normal(size=(4, 3))}

    def softmax(z):
        e = np.exp(z - z.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    def loss(p):
        return np.sum((softmax(X @ p["W"]) - T) ** 2)

    def grads(p):
        y = softmax(X @ p["W"])
        d = 2 * (y - T)
        return {"W": X.T @ (y * (d - reduced(d, axis=axis, keepdims=True)))}

    assert top(loss, params, grads).code == "cross_term"


def test_another_of_several_is_no_earlier_one_where_none_follows_another():
    params = {f"W{k}": RNG.normal(size=(4, 3)) for k in range(3)}
    params["w"] = RNG.normal(size=(9, 3))

    def loss(p):
        outs = [np.tanh(X @ p[f"W{k}"]) for k in range(3)]
        return sum(np.sum(p["w"][:, k : k + 1] * out * T) for k, out in enumerate(outs))

    def grads(p):
        found = {"w": np.zeros((9, 3))}
        for k in range(3):
            out = np.tanh(X @ p[f"W{k}"])
            found["w"][:, k] = (out * T).sum(axis=1)
            other = p["w"][:, (k + 1) % 3, None]
            found[f"W{k}"] = X.T @ (other * T * (1 - out**2))
        return found

    assert top(loss, params, grads).code != "stale"


def test_of_one_number_another_function_and_any_factor_is_no_account():
    params = {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=3)}

    def loss(p):
        return np.sum((X @ p["W"] + p["b"] - T) ** 2) / np.sum(np.exp(X[0]))

    d = 2 * (X @ params["W"] + params["b"] - T)
    wrong = {"W": 0.7183 * X.T @ d, "b": 0.7183 * d.sum(axis=0)}
    report = fg.check_gradient(loss, params, wrong)
    assert {cause.code for cause in report.causes} == {"scale"}


@pytest.mark.parametrize(
    ("times", "code"), [((1, 0), "accumulation"), ((3, 3), "scale")]
)
def test_a_mistake_in_a_term_of_neighbours_is_no_penalty(times, code):
    """A term of smoothness mixes entries, so there are rules in it to be wrong."""
    s = RNG.normal(size=9)
    target = RNG.normal(size=9)

    def loss(s):
        rough = np.sum(np.sqrt((s[1:] - s[:-1]) ** 2 + 1e-2))
        return np.sum((s - target) ** 2) + 0.3 * rough

    def grads(s, ahead=1, behind=1):
        steps = s[1:] - s[:-1]
        slope = 0.3 * steps / np.sqrt(steps**2 + 1e-2)
        ds = 2 * (s - target)
        ds[1:] += ahead * slope
        ds[:-1] -= behind * slope
        return ds

    assert fg.check_gradient(loss, s, grads).verdict == "correct"
    assert top(loss, s, lambda s: grads(s, *times)).code == code
